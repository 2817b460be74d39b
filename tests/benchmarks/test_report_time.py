"""How long a report takes beside its pictures' own library: what reading and judging a run adds must stay small."""

from __future__ import annotations

import io
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

import report
from tests.samples import enlarged, judged

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 2
LIMIT = 2.0
"""How many times as long as so many empty plots of matplotlib: a larger number of samples must not be felt."""


def _drawn(pictures: int) -> float:
    """Draw so many empty plots as SVG; return seconds."""
    began = time.monotonic()
    for _ in range(pictures):
        figure = Figure()
        figure.subplots()
        figure.savefig(io.BytesIO(), format="svg")
    return time.monotonic() - began


def test_a_report_of_a_standard_run_takes_little_more_than_its_pictures(
    benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    run, out = enlarged(judged(), 15), tmp_path / "report.html"
    pictures = report.write(run, out).read_text("utf-8").count("<svg")
    assert pictures > 20
    theirs: list[float] = []
    benchmark.pedantic(report.write, (run, out), setup=lambda: theirs.append(_drawn(pictures)), rounds=ROUNDS)
    assert benchmark.stats is not None
    ratio = statistics.median(benchmark.stats.stats.data) / statistics.median(theirs)
    benchmark.extra_info["report / empty plots"] = round(ratio, 2)
    assert ratio < LIMIT
