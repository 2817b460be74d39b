"""Containers and virtual machines on one clock: the public names for notebooks and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.clock import Event
    from bench.comparing.compare import Comparison, Verdict
    from bench.comparing.stats import Estimate, estimate, estimates, outcomes
    from bench.frames import (
        asked,
        chosen_paths,
        chosen_run,
        comparisons_frame,
        estimates_frame,
        floors_frame,
        headlines_frame,
        side_by_side,
        values_of,
    )
    from bench.judging.between import compare_runs
    from bench.judging.summary import comparisons, summarise
    from bench.judging.verdicts import judge_by_files
    from bench.store import Run, find_run, list_runs, load_run, merged_rows, read_run
    from bench.units import Unit, format_interval, format_value

__version__ = "0.1.0"

_HOMES = {
    "judging.between": ("compare_runs",),
    "clock": ("Event",),
    "comparing.compare": ("Comparison", "Verdict"),
    "frames": (
        "asked", "chosen_paths", "chosen_run", "comparisons_frame", "estimates_frame", "floors_frame",
        "headlines_frame", "side_by_side", "values_of",
    ),
    "comparing.stats": ("Estimate", "estimate", "estimates", "outcomes"),
    "store": ("Run", "find_run", "list_runs", "load_run", "merged_rows", "read_run"),
    "judging.summary": ("comparisons", "summarise"),
    "units": ("Unit", "format_interval", "format_value"),
    "judging.verdicts": ("judge_by_files",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Comparison",
    "Estimate",
    "Event",
    "Run",
    "Unit",
    "Verdict",
    "__version__",
    "asked",
    "chosen_paths",
    "chosen_run",
    "compare_runs",
    "comparisons",
    "comparisons_frame",
    "estimate",
    "estimates",
    "estimates_frame",
    "find_run",
    "floors_frame",
    "format_interval",
    "format_value",
    "headlines_frame",
    "judge_by_files",
    "list_runs",
    "load_run",
    "merged_rows",
    "outcomes",
    "read_run",
    "side_by_side",
    "summarise",
    "values_of",
]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: `bench --help` needs none of them (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"bench.{_HOME_OF[name]}"), name)
