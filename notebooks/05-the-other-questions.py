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
# # The other questions
#
# Starting is what everybody speaks of; waking, idling, coming and going, crowding, working and the walls between are asked here.
# Each has one headline number, and the numbers that explain it; [the page of methods](../docs/methods.md) says what each of them counts.
#
# The run is the one named in `BENCH_RUN`, else the sample that comes with the code.
# A subject whose name ends in `@tcg` was emulated: what costs, it costs at most, and what it reaches, it reaches at least.
# Below six blocks a number has no interval, and a comparison no verdict.

# %%
import pandas as pd

import bench

pd.set_option("display.max_colwidth", 120, "display.max_rows", 200, "display.max_columns", 40)

QUESTIONS = ["restore", "idle", "churn", "density", "overhead", "isolation"]
run = bench.chosen_run()
samples = bench.load_run(run.path)
estimates = bench.estimates_frame(run)
comparisons = bench.comparisons_frame(run)
print(bench.asked(run, *QUESTIONS))

# %% [markdown]
# ## The headline of each
#
# By hand first, in pandas: the median of what counted in each block, and the median of the blocks.

# %%
cell = ["scenario", "subject", "metric", "conditions"]
counted = samples[(samples["phase"] == "measure") & (samples["status"] == "ok")]
conditions = [", ".join(f"{name}={value}" for name, value in sorted(params.items())) for params in counted["params"]]
blocks = counted.assign(conditions=conditions).groupby([*cell, "block"])["value"].median()
by_hand = blocks.groupby(cell).median().rename("by_hand").reset_index()

# %%
headlines = bench.headlines_frame(run)
beside = headlines[headlines["scenario"].isin(QUESTIONS)].merge(by_hand, on=cell, how="left")
beside[[*cell, "by_hand", "median", "text", "ratio", "n", "failures"]]

# %% [markdown]
# ## Waking
#
# Paused and resumed, started again, or brought back from saved memory: what of it a subject can do at all differs.

# %%
restore = estimates[estimates["scenario"] == "restore"]
bench.side_by_side(restore[restore["metric"] == "requested→ready"], columns="conditions")

# %% [markdown]
# What the first hundred requests took beyond the next hundred.

# %%
bench.side_by_side(restore[restore["metric"] == "first-requests-extra"], columns="conditions")

# %% [markdown]
# ## Doing nothing
#
# CPU time, projected to an hour; `with-engine` is the instance and the daemons that keep it, `control-plane` the daemons alone.

# %%
idle = estimates[estimates["scenario"] == "idle"]
bench.side_by_side(idle[idle["metric"] == "cpu"], columns="conditions")

# %% [markdown]
# ## Coming and going
#
# Whole cycles a second, in each way of asking for them, and how many of them failed or left something behind.

# %%
churn = estimates[estimates["scenario"] == "churn"]
bench.side_by_side(churn[churn["metric"] == "cycles-per-second"], columns="conditions")

# %%
troubles = churn[churn["metric"].isin(["failures", "turned-away", "leftovers"])]
bench.side_by_side(troubles.assign(column=troubles["metric"] + ", " + troubles["conditions"]), columns="column")

# %% [markdown]
# ## How many fit
#
# `instances-reached` is how far the ramp went before its rule said stop; where its declared maximum stopped it, `instances-computed` says how many would fit if each cost as much.

# %%
DENSITY = ["instances-reached", "instances-computed", "pss-each", "memory-each", "disk-each", "start-slowdown"]
density = estimates[(estimates["scenario"] == "density") & (estimates["conditions"] == "")]
bench.side_by_side(density, only=DENSITY)

# %% [markdown]
# ## Working inside
#
# Every tool beside the bare process, block by block.

# %%
bench.side_by_side(comparisons[comparisons["scenario"] == "overhead"]).T

# %% [markdown]
# ## The walls
#
# How much of what is planted or told on the host is found from inside: 0 is a wall.

# %%
walls = estimates[estimates["scenario"] == "isolation"]
bench.side_by_side(walls[walls["conditions"].isin(["", "part=total"])]).T
