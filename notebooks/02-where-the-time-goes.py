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
# # Where the time goes
#
# A start is a chain of events, each stamped by the host's one clock when it reaches the host.
# The time between two neighbours is a phase; the phases of one start add up to `requested→ready` of that start, exactly.
#
# The run is the one named in `BENCH_RUN`, else the sample that comes with the code.
# A subject whose name ends in `@tcg` was emulated: its phases are upper bounds.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import bench

pd.set_option("display.max_rows", 200)

run = bench.chosen_run()
samples = bench.load_run(run.path)
print(bench.asked(run, "startup", "cold"))

# %% [markdown]
# ## Do the phases of each start add up?
#
# Trial by trial: the sum of the phases minus the whole, in seconds.

# %%
started = samples[(samples["scenario"] == "startup") & (samples["phase"] == "measure") & (samples["status"] == "ok")]
is_phase = started["params"].map(lambda params: params.get("part") == "phase").astype(bool)
sums = started[is_phase].groupby(["subject", "trial"])["value"].sum()
wholes = bench.values_of(samples, "startup", "requested→ready", mode="warm").set_index(["subject", "trial"])["value"]
differences = (sums - wholes).abs()
print(f"{len(differences)} starts, largest difference {differences.max():.1e} s")

# %% [markdown]
# ## The phases of every subject
#
# Means, because means add up and medians do not; in the order in which one causes the next.
# The last two columns are the sum of the phases and the whole, and agree.

# %%
phases = started[is_phase]
events = list(bench.Event)
order = sorted(phases["metric"].unique(), key=lambda phase: [events.index(event) for event in phase.split("→")[::-1]])
ladder = list(bench.headlines_frame(run).query("scenario == 'startup'")["subject"])
means = phases.pivot_table(index="subject", columns="metric", values="value", aggfunc="mean")
means = means.reindex(index=ladder, columns=order)
table = means.assign(sum=means.sum(axis="columns"), whole=wholes.groupby("subject").mean())
table.map(lambda seconds: bench.format_value(None if pd.isna(seconds) else seconds, bench.Unit.SECONDS))

# %% [markdown]
# As shares of each start, so that a start of milliseconds and one of seconds fit one picture.

# %%
figure, axes = plt.subplots(figsize=(9, 0.4 * len(means) + 1.8), layout="constrained")
left = pd.Series(0.0, index=means.index)
for phase in means.columns:
    share = (means[phase] / means.sum(axis="columns")).fillna(0.0)
    axes.barh(means.index, share, left=left, label=phase)
    left += share
axes.invert_yaxis()
axes.set(xlabel="share of requested→ready", xlim=(0, 1))
if len(means):
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize="small", frameon=False)
plt.show()

# %% [markdown]
# ## The engine's word and the instance's word
#
# `started` is when the backend says that the instance runs.
# It is no phase, because an instance's first mark may come before its start call returns: then `requested→init` is the shorter one.

# %%
estimates = bench.estimates_frame(run)
startup = estimates.query("scenario == 'startup'")
bench.side_by_side(startup, only=["requested→created", "requested→started", "requested→init", "requested→ready"])

# %% [markdown]
# ## Ending
#
# `stopped` is when the last process is gone, `removed` when the backend has forgotten the instance.

# %%
bench.side_by_side(startup, only=["stopping→stopped", "stopping→removed"])

# %% [markdown]
# ## What one more rung costs
#
# Every subject beside the scenario's baseline, divided block by block: what disturbs a block disturbs both and cancels.

# %%
compared = bench.comparisons_frame(run).query("scenario == 'startup' and metric == 'requested→ready'")
compared[["subject", "baseline", "text", "verdict", "reason", "firm", "blocks"]]
