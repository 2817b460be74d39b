# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Milliseconds against minutes
#
# "A container starts in milliseconds, a virtual machine in minutes."
# This notebook takes the two famous numbers, 50 ms and minutes, to the samples of one run.
#
# The run is the one named in `BENCH_RUN` (a folder, a run id, or the beginning of one), else the sample that comes with the code.
# Nothing is measured here and nothing is judged here: the numbers come from the run's parquet files, the estimates and verdicts from `bench`.
# A subject whose name ends in `@tcg` was emulated: its times and costs are upper bounds of a virtualised machine's.

# %%
import duckdb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import binom

import bench

pd.set_option("display.max_colwidth", 120, "display.max_rows", 200)

run = bench.chosen_run()
samples = bench.load_run(run.path)
print(f"run {run.run_id}, {run.info.get('ending') or 'cut short'}: {len(samples)} numbers")

# %% [markdown]
# ## What the run says, in a sentence a scenario

# %%
for answer in bench.summarise(run).answers:
    print(answer.sentence)

# %% [markdown]
# ## Every headline number, from parquet
#
# First by hand: one SQL query over the parquet files, with nothing of `bench` in it.
# Only measured values count (`phase = 'measure' and status = 'ok'`); several values of one block are not independent, so a block gives its median, and the estimate is the median of the blocks.

# %%
blocks = duckdb.execute(
    """
    select scenario, subject, metric, block, median(value) as value,
           array_to_string(list_transform(map_entries(params), lambda e: e.key || '=' || e.value), ', ') as conditions
    from read_parquet(?)
    where phase = 'measure' and status = 'ok'
    group by scenario, subject, metric, block, conditions order by block
    """,
    [str(run.path / "samples" / "*.parquet")],
).df()
cell = ["scenario", "subject", "metric", "conditions"]
by_hand = blocks.groupby(cell)["value"].median().rename("by_hand").reset_index()
print(f"{len(by_hand)} medians of {len(blocks)} blocks")

# %% [markdown]
# Then beside what `bench` says, for the headline of every scenario.
# `text` is what the report prints: the median and, from six blocks on, the interval that holds the true median with at least 95 % confidence.

# %%
headlines = bench.headlines_frame(run)
beside = headlines.merge(by_hand, on=cell, how="left")
beside[[*cell, "by_hand", "median", "text", "ratio"]]

# %%
print(f"largest difference between the two: {(beside['by_hand'] - beside['median']).abs().max()}")

# %% [markdown]
# ## The intervals, by hand
#
# The interval is a pair of the blocks' own values: the k-th from below and the k-th from above.
# How many of n independent values fall below the true median is a matter of tossing coins, which says k.
# Where a block resembles the one before it, the count scatters more, and k moves outwards ([methods](../docs/methods.md)).


# %%
def interval(values: pd.Series) -> tuple[float, float]:
    """Return the two ends; nothing where the blocks are too few."""
    n, side = len(values), np.sign(values - values.median())
    k = binom.ppf(0.025, n, 0.5)
    if k == 0:
        return np.nan, np.nan
    side -= side.mean()
    resembles = (side * side.shift()).sum() / (side**2).sum() if side.any() else 0.0
    r = np.clip(resembles + (1 + 3 * resembles) / n, 0.0, 0.9) if side.any() else 0.0
    k = max(1, round(float(n / 2 - (n / 2 - k) * np.sqrt((1 + r) / (1 - r)))))
    return tuple(values.sort_values().iloc[[k - 1, -k]])


ends = (
    blocks.merge(headlines[cell])
    .groupby(cell)["value"]
    .agg(low_by_hand=lambda values: interval(values)[0], high_by_hand=lambda values: interval(values)[1])
)
intervals = headlines.dropna(subset="low").merge(ends.reset_index(), on=cell, how="left")
intervals[[*cell, "low_by_hand", "low", "high_by_hand", "high"]]

# %% [markdown]
# ## The ratios, by hand
#
# Each block of a subject is divided by the same block of the baseline: what disturbed a block disturbed both, and cancels.
# The ratio is the median of these, taken of their logarithms, so that twice and half are equally far from 1.
# What is 0 somewhere has no ratio and is left out here.

# %%
compared = bench.comparisons_frame(run).merge(headlines[cell], on=cell)
below = blocks.rename(columns={"subject": "baseline", "value": "below"})
pairs = compared[[*cell, "baseline"]].merge(blocks, on=cell).merge(below)
pairs = pairs.groupby(cell).filter(lambda group: (group[["value", "below"]] > 0).all(axis=None))
logarithms = np.log(pairs["value"] / pairs["below"]).groupby([pairs[name] for name in cell])
ratio_by_hand = np.exp(logarithms.median()).rename("ratio_by_hand").reset_index()
ratios = compared.merge(ratio_by_hand, on=cell)
ratios[[*cell, "baseline", "ratio_by_hand", "ratio", "text"]]

# %% [markdown]
# ## The ladder
#
# Each rung adds one thing to the one before it: namespaces, a runtime, an engine, a machine, an operating system.

# %%
print(bench.asked(run, "startup"))
ready = bench.values_of(samples, "startup", "requested→ready", mode="warm")
ladder = headlines[headlines["scenario"] == "startup"]
ladder[["subject", "text", "ratio", "n", "failures"]]

# %% [markdown]
# Every single start, on a logarithmic axis, with the two famous numbers; machines are orange, the bar is the median.

# %%
figure, axes = plt.subplots(figsize=(9, 0.4 * len(ladder) + 1.5), layout="constrained")
for place, subject in enumerate(ladder["subject"]):
    starts = ready.loc[ready["subject"] == subject, "value"]
    axes.plot(starts, [place] * len(starts), "o", alpha=0.4, color="tab:orange" if "@" in subject else "tab:blue")
axes.plot(ladder["median"], range(len(ladder)), "|", markersize=16, color="black")
axes.axvline(0.050, linestyle=":", color="gray", label="50 ms: “a container”")
axes.axvline(60.0, linestyle="--", color="gray", label="1 min: “a virtual machine”")
axes.set(xscale="log", xlabel="requested→ready", yticks=range(len(ladder)), yticklabels=ladder["subject"])
axes.xaxis.set_major_formatter(lambda seconds, _: bench.format_value(seconds, bench.Unit.SECONDS, digits=1))
axes.grid(visible=True, axis="x", alpha=0.3)
axes.invert_yaxis()
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()

# %% [markdown]
# ## The two famous numbers
#
# Which end of "start" is meant decides much.
# `requested→init` ends at the first instruction inside, `requested→ready` when the workload answers.

# %%
estimates = bench.estimates_frame(run)
bench.side_by_side(estimates.query("scenario == 'startup'"), only=["requested→init", "requested→ready"])

# %% [markdown]
# The verdicts on the sentences themselves, reached by the rules of `scenarios/claims.toml`.
# A sentence that this run cannot decide says so.

# %%
verdicts = {judgement.claim.id: judgement for judgement in bench.judge_by_files(run)}
for name in ("container-50ms", "vm-minutes"):
    print(f"“{verdicts[name].claim.english}”: {verdicts[name].verdict}\n    {verdicts[name].reason}\n")

# %% [markdown]
# ## How much of a difference is noise
#
# Twins are the same subject measured twice under two names.
# What differs between them is this run's noise floor; a difference between others that is no larger says nothing.

# %%
floors = bench.floors_frame(run)
floors[floors["metric"] == "requested→ready"][["scenario", "subject", "baseline", "conditions", "text", "verdict"]]

# %% [markdown]
# ## The distributions
#
# The share of starts that needed no more than so long.

# %%
figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
axes.set_prop_cycle(color=plt.colormaps["tab20"].colors)
for subject in ladder["subject"]:
    axes.ecdf(ready.loc[ready["subject"] == subject, "value"], label=subject)
axes.set(xscale="log", xlabel="requested→ready", ylabel="share of starts")
axes.xaxis.set_major_formatter(lambda seconds, _: bench.format_value(seconds, bench.Unit.SECONDS, digits=1))
axes.grid(visible=True, axis="x", alpha=0.3)
if len(ladder):
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()
