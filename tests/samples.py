"""Runs made of the committed sample: with its verdicts, another one to set beside it, and a larger one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bench.judging.verdicts import judge_by_files, with_verdicts
from bench.store import DIRECTORY, Run, read_run

SAMPLE = DIRECTORY / "sample"


def judged() -> Run:
    """Return the sample with the verdicts that it gives, as `bench run` hands it to the report."""
    run = read_run(SAMPLE)
    return with_verdicts(run, judge_by_files(run))


def slower(run: Run) -> Run:
    """Return the same run on another kernel, where everything takes a twelfth more."""
    rows = [{**row, "run_id": "slower", "value": row["value"] and row["value"] * 13 / 12} for row in run.rows]
    return replace(
        run, info={**run.info, "run_id": "slower"}, facts={**run.facts, "kernel": "another"}, rows=tuple(rows)
    )


def enlarged(run: Run, blocks: int) -> Run:
    """Return the run with its measured blocks repeated until there are so many, the values a little apart."""
    return replace(run, rows=tuple(_repeated(run, blocks)))


def _repeated(run: Run, blocks: int) -> Iterator[Mapping[str, Any]]:
    measured: dict[str, set[int]] = defaultdict(set)
    for row in run.rows:
        if row["phase"] == "measure" and row["block"] >= 0:
            measured[row["scenario"]].add(row["block"])
    trials = 1 + max(row["trial"] for row in run.rows)
    for row in run.rows:
        own = measured[row["scenario"]]
        if row["block"] not in own:
            yield row
            continue
        for turn, block in enumerate(range(row["block"], min(own) + blocks, len(own))):
            value = row["value"] and row["value"] * (1 + 0.004 * turn)
            yield {**row, "block": block, "trial": row["trial"] + turn * trials, "value": value}
