"""Tools that know times only: pytest-benchmark's and hyperfine's JSON, with every single value."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from bench.exports import Export
from bench.exports.entries import Entry, dump, entries, left_out, without_value
from bench.store import Run
from bench.units import Unit

_ONLY_TIMES = "this format holds times only"


def pytest_benchmark(run: Run) -> Export:
    """Return what `pytest --benchmark-json` writes, its statistics computed by pytest-benchmark itself.

    Its median is that of all values; ours, with its interval, the number of values and of failures, is in
    `extra_info`. `ops` is not taken as a rate: starts are not repeated back to back.
    """
    times, notes = _times(run)
    content = {
        "machine_info": _machine(run),
        "commit_info": {
            "id": str(run.info.get("git_commit") or "unversioned"), "time": None, "author_time": None,
            "dirty": "+" in str(run.info.get("git_commit") or ""), "project": "ms-vs-minutes", "branch": None,
        },
        "benchmarks": [_benchmark(run, entry) for entry in times],
        "datetime": run.info.get("started_utc"),
        "version": _version(),
    }  # fmt: skip
    return Export(text=dump(content), count=len(times), notes=notes)


def _benchmark(run: Run, entry: Entry) -> dict[str, Any]:
    from pytest_benchmark import stats as theirs

    make: Any = theirs.Stats  # published without types
    stats = make()
    for value in entry.values:
        stats.update(value)
    found = entry.estimate
    bounds = (found.median, found.low, found.high, found.confidence) if found else (None,) * 4
    told = dict(zip(("median", "low", "high", "confidence"), bounds, strict=True))
    return {
        "group": f"{entry.scenario} {entry.metric}", "name": entry.cell, "fullname": entry.name,
        "params": dict(entry.params) or None, "param": None,
        "extra_info": {
            "run_id": run.run_id, "scenario": entry.scenario, "subject": entry.subject, "metric": entry.metric, **told,
            "n": len(entry.values), "failures": entry.failures, "interleaved": True,
        },
        "options": {},
        "stats": {**stats.as_dict(), "data": list(entry.values), "iterations": 1},
    }  # fmt: skip


def _machine(run: Run) -> dict[str, Any]:
    """Return what is known of the host under pytest-benchmark's names; what is unknown is not there."""
    cpu, kernel, software = (_table(run.facts.get(name)) for name in ("cpu", "kernel", "software"))
    known = {
        "node": run.facts.get("host_id"), "machine": kernel.get("architecture"), "release": kernel.get("release"),
        "system": "Linux", "python_version": software.get("python"), "processor": cpu.get("model"),
        "cpu": {k: v for k, v in {"brand_raw": cpu.get("model"), "count": cpu.get("count")}.items() if v is not None},
    }  # fmt: skip
    return {key: value for key, value in known.items() if value is not None}


def _table(content: Any) -> Mapping[str, Any]:
    return content if isinstance(content, Mapping) else {}


def _version() -> str:
    from importlib.metadata import version

    return version("pytest-benchmark")


def hyperfine(run: Run) -> Export:
    """Return what `hyperfine --export-json` writes: its plotting scripts read `command` and `times`.

    `user`, `system` and the exit codes are null: nothing was run that hyperfine would have waited for. A failed
    trial has no time; how many there were stands in `failures`, which hyperfine itself does not write.
    """
    times, notes = _times(run)
    results = [
        {
            "command": entry.name, "mean": statistics.fmean(entry.values),
            "stddev": statistics.stdev(entry.values) if len(entry.values) > 1 else None,
            "median": statistics.median(entry.values), "user": None, "system": None, "min": min(entry.values),
            "max": max(entry.values), "times": list(entry.values), "exit_codes": [None] * len(entry.values),
            "parameters": dict(entry.params), "failures": entry.failures,
        }
        for entry in times
    ]  # fmt: skip
    return Export(text=dump({"results": results}), count=len(results), notes=notes)


def _times(run: Run) -> tuple[list[Entry], tuple[str, ...]]:
    """Return the entries that are times and have values, and what had to be left out."""
    times = [entry for entry in entries(run) if entry.unit is Unit.SECONDS]
    others = [entry for entry in entries(run) if entry.unit is not Unit.SECONDS and entry.estimate]
    return [e for e in times if e.values], (*left_out(others, _ONLY_TIMES), *without_value(times))
