"""What services that watch numbers over time take: Bencher's metric format, and github-action-benchmark's JSON."""

from __future__ import annotations

from typing import Any

from bench.exports import Export
from bench.exports.entries import Entry, dump, entries, failed_trials, left_out, without_value
from bench.store import Run
from bench.units import Better, Unit, significant

_NAME_MOST = 64
"""How many characters Bencher allows a measure's name."""


def bmf(run: Run) -> Export:
    """Return Bencher's metric format (bencher.dev, "Bencher Metric Format"): benchmark → measure → value and bounds.

    The measure's name carries its unit, for the format has no place for it. The bounds are those of the 95 %
    interval and are left out where there is none. "failed trials" is a measure of its own.
    """
    found = entries(run)
    content: dict[str, dict[str, dict[str, float]]] = {}
    for entry in found:
        if entry.estimate is not None:
            measure = f"{entry.metric} ({_unit(entry.unit)})"[:_NAME_MOST]
            bounds = {"lower_value": entry.estimate.low, "upper_value": entry.estimate.high}
            known = {name: value for name, value in bounds.items() if value is not None}
            content.setdefault(entry.cell, {})[measure] = {"value": entry.estimate.median, **known}
    count = sum(map(len, content.values()))
    for (scenario, subject), failed in failed_trials(run).items():
        content.setdefault(f"{scenario}/{subject}", {})["failed trials"] = {"value": failed}
    return Export(text=dump(content), count=count, notes=without_value(found))


def smaller_is_better(run: Run) -> Export:
    """Return the JSON for github-action-benchmark's tool `customSmallerIsBetter`, failed trials among it."""
    made = [
        {"name": f"{scenario}/{subject} failed trials", "unit": "trials", "value": failed}
        for (scenario, subject), failed in failed_trials(run).items()
    ]
    return _one_direction(run, Better.LOWER, made, "github-action-bigger")


def bigger_is_better(run: Run) -> Export:
    """Return the JSON for the tool `customBiggerIsBetter`: one direction a file, as the action wants it."""
    return _one_direction(run, Better.HIGHER, [], "github-action")


def _one_direction(run: Run, better: Better, made: list[dict[str, Any]], other_format: str) -> Export:
    found = entries(run)
    fitting = [entry for entry in found if entry.better is better]
    others = [entry for entry in found if entry.better not in (better, Better.NEITHER) and entry.estimate]
    neither = [entry for entry in found if entry.better is Better.NEITHER and entry.estimate]
    content = [_tracked(run, entry) for entry in fitting if entry.estimate]
    notes = (
        *left_out(others, f"the other direction has a file of its own (--format {other_format})"),
        *left_out(neither, "neither direction is better"),
        *without_value(fitting),
    )
    return Export(text=dump([*content, *made]), count=len(content), notes=notes)


def _tracked(run: Run, entry: Entry) -> dict[str, Any]:
    """Return one entry. `range` is the larger half of the interval: the format knows no lopsided one."""
    estimate = entry.estimate
    if estimate is None:
        raise ValueError(f"{entry.name} has no estimate")
    extra = [f"n: {estimate.n}", f"failed: {entry.failures}", f"run: {run.run_id}"]
    found: dict[str, Any] = {"name": entry.name, "unit": _unit(entry.unit), "value": estimate.median}
    if estimate.low is not None and estimate.high is not None:
        half = max(estimate.high - estimate.median, estimate.median - estimate.low)
        found["range"] = f"± {significant(half)}"
        extra.insert(0, f"{estimate.confidence:.0%} interval of the median: {estimate.low:.6g} to {estimate.high:.6g}")
    host = run.facts.get("host_id")
    return {**found, "extra": "\n".join([*extra, *([f"host: {host}"] if host else [])])}


def _unit(unit: Unit) -> str:
    return "count" if unit is Unit.COUNT else str(unit)
