"""How long `bench --help` takes beside `pyperf --help`: it must feel like a small tool, not like its libraries."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 15


def _help_of(module: str) -> float:
    """Run `python -m MODULE --help`; return seconds."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, check=True)
    assert b"sage:" in done.stdout
    return time.monotonic() - began


def test_help_is_as_quick_as_pyperfs(benchmark: BenchmarkFixture) -> None:
    """Interleaved, one round of pyperf before each round of bench, so that the machine's drift hits both."""
    theirs: list[float] = []
    benchmark.pedantic(
        _help_of, ("bench",), setup=lambda: theirs.append(_help_of("pyperf")), rounds=ROUNDS, warmup_rounds=1
    )
    assert benchmark.stats is not None
    ours = statistics.median(benchmark.stats.stats.data)
    benchmark.extra_info["pyperf_median_s"] = statistics.median(theirs)
    assert ours < 1.5 * statistics.median(theirs)
