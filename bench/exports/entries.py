"""What all formats are made of: one entry a cell, its values, its estimate, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.comparing.compare import Params
from bench.comparing.stats import Estimate, Row, estimates, groups
from bench.sample import Phase, Status
from bench.soundness import finite
from bench.store import Run
from bench.text import plural
from bench.units import Better, Unit

_FAILED = (Status.FAILED, Status.TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One subject in one metric under one set of parameters, as it was measured.

    Attributes:
        values: every measured value, unscaled, in the order of the run; warm-up is not among them.
        estimate: None where there is no value.
        missing: how often it has no value, by status.
        reasons: why, each once.
    """

    scenario: str
    subject: str
    backend: str
    metric: str
    params: Params
    unit: Unit
    better: Better
    values: tuple[float, ...]
    estimate: Estimate | None
    missing: Mapping[str, int]
    reasons: tuple[str, ...]

    @property
    def cell(self) -> str:
        """The name without the metric: "startup/docker[mode=warm]". It depends on nothing but the cell."""
        told = ",".join(f"{key}={value}" for key, value in self.params)
        return f"{self.scenario}/{self.subject}" + (f"[{told}]" if told else "")

    @property
    def name(self) -> str:
        """The name with the metric: "startup/docker[mode=warm] requested→ready"."""
        return f"{self.cell} {self.metric}"

    @property
    def failures(self) -> int:
        """How many measurements failed or timed out."""
        return sum(self.missing.get(status, 0) for status in _FAILED)


def entries(run: Run) -> list[Entry]:
    """Return every cell of a run, in the order of the run's scenarios and the ladder; the phases of starts left out."""
    rows = [row for row in run.rows if row["params"].get("part") != "phase"]
    columns = ("scenario", "subject", "metric")
    estimated = estimates(rows, by=columns)
    found = [_entry(key, group, estimated.get(key)) for key, group in groups(rows, by=columns).items()]
    scenarios = list(dict.fromkeys(entry.scenario for entry in found))
    return sorted(found, key=lambda e: (scenarios.index(e.scenario), _rung(run, e.subject), e.subject))


def _rung(run: Run, label: str) -> int:
    rung = run.info.get("subjects", {}).get(label, {}).get("rung")
    return rung if isinstance(rung, int) else 1 << 30


def _entry(key: tuple[Any, ...], rows: list[Row], estimate: Estimate | None) -> Entry:
    missing: dict[str, int] = {}
    for row in rows:
        if row["status"] != Status.OK:
            missing[str(row["status"])] = missing.get(str(row["status"]), 0) + 1
    return Entry(
        scenario=str(key[0]), subject=str(key[1]), metric=str(key[2]), params=key[3],
        backend=str(rows[0].get("backend") or ""), unit=Unit(rows[0]["unit"]), better=Better(rows[0]["better"]),
        values=tuple(float(row["value"]) for row in rows if row["status"] == Status.OK), estimate=estimate,
        missing=missing, reasons=tuple(dict.fromkeys(str(r["reason"]) for r in rows if r["status"] != Status.OK)),
    )  # fmt: skip


def failed_trials(run: Run) -> dict[tuple[str, str], int]:
    """Return how many measured trials of each (scenario, subject) failed; who was never tried is not in it."""
    tried: dict[tuple[str, str], dict[int, bool]] = {}
    for row in run.rows:
        if row["phase"] == Phase.MEASURE and row["status"] in (Status.OK, *_FAILED):
            trials = tried.setdefault((str(row["scenario"]), str(row["subject"])), {})
            trials[row["trial"]] = trials.get(row["trial"], False) or row["status"] in _FAILED
    return {cell: sum(trials.values()) for cell, trials in tried.items()}


def left_out(found: Iterable[Entry], why: str) -> tuple[str, ...]:
    """Return a note on what a format cannot hold: "12 values left out, this format holds times only: pss, uss"."""
    metrics = [entry.metric for entry in found]
    if not metrics:
        return ()
    return (f"{plural(len(metrics), 'estimate')} left out, {why}: {', '.join(dict.fromkeys(metrics))}",)


def without_value(found: Iterable[Entry]) -> tuple[str, ...]:
    """Return a note on what has no value at all: "requested→kernel (startup/process, startup/docker)"."""
    none: dict[str, list[str]] = {}
    for entry in found:
        if entry.estimate is None:
            none.setdefault(entry.metric, []).append(f"{entry.scenario}/{entry.subject}")
    told = (f"{metric} ({', '.join(dict.fromkeys(cells))})" for metric, cells in none.items())
    return (f"no value, so left out: {', '.join(told)}",) if none else ()


def dump(content: Any) -> str:
    """Write JSON that ends with a line end, letters as they are; what is not finite is null."""
    return json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"
