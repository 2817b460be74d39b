"""Runs made by hand and written to disk, for the tests of the commands that read them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report_runs import row

from bench.store import Recorder, Run, read_run

ROOT = Path(__file__).resolve().parents[2]
READY = "requested→ready"
SPREAD = (1.0, 1.004, 0.997, 1.002, 0.999, 1.001, 0.998, 1.003)


def scenario(headline: str, unit: str = "s", better: str = "lower", baseline: str = "process") -> dict[str, Any]:
    """Return what run.json says of a scenario."""
    metrics = [{"name": headline, "unit": unit, "better": better}]
    return {"title": "Starting", "headline": headline, "baseline": baseline, "metrics": metrics}


def series(
    subject: str, median: float | None, blocks: int = 8, metric: str = READY, **more: Any
) -> list[dict[str, Any]]:
    """Return one row a block around a median; None: every one failed."""
    values = [None if median is None else median * SPREAD[block % len(SPREAD)] for block in range(blocks)]
    return [row("startup", subject, metric, value, block, **more) for block, value in enumerate(values)]


def write_run(
    folder: Path, name: str, rows: Sequence[Mapping[str, Any]], *, facts: Mapping[str, Any] | None = None, **info: Any
) -> Run:
    """Write a run of one scenario and read it back."""
    recorder = Recorder(folder, name, "host")
    subjects = {label: {"rung": rung} for rung, label in enumerate(dict.fromkeys(r["subject"] for r in rows))}
    known = {"scenarios": {"startup": scenario(READY)}, "subjects": subjects, "profile": "quick", "seed": 7}
    recorder.describe({**known, **info}, facts or {"cpu": {"model": "a processor", "count": 2}})
    recorder.record_rows([{**r, "run_id": name, "params": sorted(r["params"].items())} for r in rows], "part-00000")
    recorder.finish("complete")
    return read_run(folder / name)


def bench(results: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command as a process on a folder of runs."""
    environment = {**os.environ, "COLUMNS": "120", "BENCH_RESULTS": str(results)}
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
