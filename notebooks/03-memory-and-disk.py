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
# # Memory and disk
#
# "How much memory does it take?" has several honest answers, and they differ.
# They are never mixed here; [the page of methods](../docs/methods.md) says what each of them counts.
#
# The run is the one named in `BENCH_RUN`, else the sample that comes with the code.
# A subject whose name ends in `@tcg` was emulated: its memory is an upper bound (the emulator keeps translated code), its disk is not touched by that.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import bench

pd.set_option("display.max_rows", 200)

run = bench.chosen_run()
samples = bench.load_run(run.path)
estimates = bench.estimates_frame(run)
print(bench.asked(run, "memory", "disk"))

# %% [markdown]
# ## One more instance
#
# The slope over the number of instances: what one *more* takes.
# `pss-slope` sums the processes, `anon-slope` counts only what nobody shares, `memavailable-slope` is what the host itself lost: the referee, and the first to be blurred by a busy host.
# `memavailable-left` says how far the referee can be trusted: what had not come back after all were gone.

# %%
SLOPES = ["pss-slope", "anon-slope", "translated-slope", "memavailable-slope", "memavailable-left"]
memory = estimates[estimates["scenario"] == "memory"]
bench.side_by_side(memory, only=SLOPES)

# %% [markdown]
# The same slope by hand: a line through the PSS of all processes over the number of instances, in each trial.

# %%
levels = bench.values_of(samples, "memory", "pss", part="total")
levels = levels.assign(instances=levels["params"].map(lambda params: int(params["instances"])).astype(float))
levels = levels.sort_values(["subject", "trial", "instances"])
between = levels.groupby(["subject", "trial"])
spread = levels["instances"] - between["instances"].transform("mean")
rise = spread * (levels["value"] - between["value"].transform("mean"))
keys = [levels["subject"], levels["trial"]]
pss_slopes = (rise.groupby(keys).sum() / (spread**2).groupby(keys).sum()).rename("by hand")
recorded = bench.values_of(samples, "memory", "pss-slope").set_index(["subject", "trial"])["value"].rename("recorded")
slopes_beside = pd.concat([pss_slopes, recorded], axis="columns")
slopes_beside

# %% [markdown]
# ## Whose memory it is
#
# One instance by part: the workload itself, the machine monitor, what the engine keeps beside each container.
# The control plane (the engine's daemons) is there once for all instances.

# %%
pss = memory.query("metric == 'pss'")
bench.side_by_side(pss[pss["conditions"].str.contains("instances=[01],", regex=True)], columns="conditions")

# %% [markdown]
# ## The same instance by every definition

# %%
DEFINITIONS = ["pss", "uss", "anon", "file", "memavailable-drop", "cgroup-current"]
one = memory[memory["conditions"].isin(["instances=1, part=total", "instances=1, part=sum"])]
bench.side_by_side(one, only=DEFINITIONS)

# %%
totals = memory[memory["metric"] == "pss-slope"]
figure, axes = plt.subplots(figsize=(9, 0.4 * len(totals) + 1.2), layout="constrained")
axes.plot(totals["median"] / 2**20, totals["subject"], "o")
axes.set(xscale="log" if len(totals) else "linear", xlabel="memory for one more instance (PSS)")
axes.xaxis.set_major_formatter("{x:g} MiB")
axes.grid(visible=True, axis="x", alpha=0.3)
axes.invert_yaxis()
plt.show()

# %% [markdown]
# ## The guest's own view
#
# What a guest believes to have and to use is not what the host gave it.
# It is shown, and never compared with the host's accounts.

# %%
bench.side_by_side(memory, only=["guest-used", "guest-total"])

# %% [markdown]
# ## Disk
#
# Three ready instances: what they share counted once (layers, linked clones), and if nothing were shared (a full copy each).
# `pool-delta` is what the host's file system lost to them: the referee.

# %%
DISK = ["download", "image", "shared", "unique", "one-instance", "three-instances", "three-full-copies"]
disk = estimates[estimates["scenario"] == "disk"]
bench.side_by_side(disk, only=DISK)

# %%
bench.side_by_side(disk.query("metric == 'pool-delta'"), columns="conditions")

# %% [markdown]
# By hand: three instances are the shared bytes once and the unique bytes of each.

# %%
shared = bench.values_of(samples, "disk", "shared").set_index(["subject", "trial"])["value"]
unique = bench.values_of(samples, "disk", "unique").groupby(["subject", "trial"])["value"].sum()
three = bench.values_of(samples, "disk", "three-instances").set_index(["subject", "trial"])["value"]
disk_beside = pd.DataFrame({"by hand": shared + unique, "recorded": three}).dropna()
disk_beside

# %% [markdown]
# ## Writing inside
#
# A file is written inside an instance and deleted again: what the instance's own bytes grew by, and what came back.

# %%
bench.side_by_side(disk, only=["grown", "grown-pool", "freed", "freed-pool"])
