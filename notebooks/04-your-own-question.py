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
# # Your own question
#
# A run keeps every single number, failures too, one row each.
# Whatever `bench` did not ask of them, you can.
#
# The run is the one named in `BENCH_RUN`, else the sample that comes with the code.
# `BENCH_RUN` may name several, separated by colons: then the queries over many runs see all of them.

# %%
import duckdb
import matplotlib.pyplot as plt
import pandas as pd

import bench

pd.set_option("display.max_colwidth", 160, "display.max_rows", 200)

run = bench.chosen_run()
samples = bench.load_run(run.path)
samples.groupby(["scenario", "phase", "status"], sort=True).size().rename("numbers").to_frame()

# %% [markdown]
# ## The columns
#
# Their meanings are written into the parquet files, so a stranger's run explains itself.

# %%
meanings = duckdb.execute("describe select * from read_parquet(?)", [str(run.path / "samples" / "*.parquet")]).df()
meanings[["column_name", "column_type"]]

# %% [markdown]
# ## SQL over many runs
#
# DuckDB reads the parquet files where they lie.
# Runs of different hosts stay apart by `host_id`, a digest; blocks of different runs are different blocks.

# %%
files = [str(path / "samples" / "*.parquet") for path in bench.chosen_paths()]
duckdb.execute(
    """
    select run_id, scenario, subject,
           median(value) as median_s, min(value) as fastest_s, max(value) as slowest_s, count(*) as starts
    from read_parquet(?)
    where metric = 'requested→ready' and params['mode'] = 'warm' and params['part'] is null
      and phase = 'measure' and status = 'ok'
    group by all order by run_id, scenario, median_s
    """,
    [files],
).df()

# %% [markdown]
# ## Failures are data
#
# A failed measurement is a row without a value, with a status and a reason; it is never 0 and never dropped.
# `unsupported` means that the question makes no sense there, `skipped` that this host lacks something.

# %%
missing = duckdb.execute(
    """
    select status, scenario, subject, count(distinct trial) as trials, count(distinct metric) as metrics,
           any_value(reason order by metric, trial) as one_reason
    from read_parquet(?) where status <> 'ok' and (status <> 'unsupported' or block < 0)
    group by all order by status, scenario, subject
    """,
    [files],
).df()
print(f"{len(missing)} pairings of a scenario and a subject have numbers that are missing")
missing

# %% [markdown]
# ## Cold and warm
#
# A cold start has to read its files from the disk.
# Both states are made and verified before the clock starts: `resident-before` is the share of the files that was in memory.
# A start that could be brought into neither state is a failure.

# %%
print(bench.asked(run, "cold"))
estimates = bench.estimates_frame(run)
cold = estimates.query("scenario == 'cold' and metric == 'requested→ready'")
bench.side_by_side(cold, columns="conditions")

# %%
bench.side_by_side(estimates.query("scenario == 'cold' and metric == 'resident-before'"), columns="conditions")

# %% [markdown]
# Cold over warm, block by block: what disturbed a block disturbed both.

# %%
blocks = {
    mode: bench.values_of(samples, "cold", "requested→ready", mode=mode).set_index(["subject", "block"])["value"]
    for mode in ("cold", "warm")
}
ratios = (blocks["cold"] / blocks["warm"]).dropna()
ratios.groupby("subject").describe()[["count", "min", "50%", "max"]]

# %% [markdown]
# ## Does the place in the block matter?
#
# In a balanced design every subject stands in every position about equally often, so a slope here would be something else than its neighbours: a cache, a daemon's clean-up.

# %%
ready = bench.values_of(samples, "startup", "requested→ready", mode="warm")
relative = ready.assign(relative=ready["value"] / ready.groupby("subject")["value"].transform("median"))
relative.groupby("position")["relative"].agg(["median", "count"])

# %% [markdown]
# ## What else did the host do?
#
# Every row carries what the host suffered during its trial: CPU time stolen by a hypervisor above, stalls on CPU, disk and memory, the load.

# %%
noise = ["steal_s", "pressure_cpu_s", "pressure_io_s", "pressure_memory_s", "load"]
samples[samples["block"] >= 0].drop_duplicates(["scenario", "trial"]).groupby("scenario", sort=False)[noise].median()

# %%
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
axes.set_prop_cycle(color=plt.colormaps["tab20"].colors)
for subject, group in relative.groupby("subject", sort=True):
    axes.plot(group["started_ns"] / 1e9 - ready["started_ns"].min() / 1e9, group["relative"], ".", label=subject)
axes.axhline(1.0, color="gray", linewidth=0.5)
axes.set(xlabel="seconds into the scenario", ylabel="start, relative to its subject's median")
if len(relative):
    axes.set_yscale("log", subs=[2, 5])
    axes.yaxis.set_major_formatter("{x:g}×")
    axes.yaxis.set_minor_formatter("{x:g}×")
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()

# %% [markdown]
# ## Your turn
#
# `bench.estimates_frame(run)` has every estimate with its interval, `bench.comparisons_frame(run)` every ratio with its verdict, `bench.values_of(samples, scenario, metric, **params)` the raw values that count.
# `bench.compare_runs` sets two runs beside each other.

# %%
estimates.groupby("scenario", sort=False)["metric"].nunique().rename("metrics with a value").to_frame()
