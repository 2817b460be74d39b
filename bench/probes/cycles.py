"""The arithmetic of churn: when arrivals are due, quantiles that are not claimed from too few values, drift. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.sample import Status

NEEDED = {0.5: 1, 0.95: 20, 0.99: 100}
"""How many values a quantile needs: below 1 / (1 - q) values it is simply the maximum."""

DRIFT_NEEDS = 20
"""Below this many cycles the first and the last quarter say nothing about a drift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One instance from its request to its removal. Instants are CLOCK_MONOTONIC nanoseconds.

    Attributes:
        due_ns: when it was due to arrive; None where each cycle waits for another one to end.
        requested_ns, ready_ns, removed_ns: None where it did not come that far.
        status, reason: how it failed, if it did.
    """

    due_ns: int | None = None
    requested_ns: int | None = None
    ready_ns: int | None = None
    removed_ns: int | None = None
    status: Status = Status.OK
    reason: str = ""

    def seconds(self, start: str, end: str) -> float | None:
        """Return t(end) - t(start) in seconds by the events' names; "arrival" is the instant it was due."""
        instants = {
            "arrival": self.due_ns, "requested": self.requested_ns, "ready": self.ready_ns, "removed": self.removed_ns,
        }  # fmt: skip
        first, last = instants[start], instants[end]
        return None if first is None or last is None else (last - first) / 1e9


def due_at(began_ns: int, rate: float, number: int) -> int:
    """Return when the arrival of this number (from 0) is due: by the clock, whatever became of those before it.

    Latency counted from this instant has the queueing in it; counted from when a busy tester got round to asking,
    it would not (G. Tene, "How NOT to Measure Latency": coordinated omission).
    """
    return began_ns + round(number / rate * 1e9)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values do not exceed; None if they are too few."""
    if len(values) < NEEDED[share]:
        return None
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def per_second(cycles: Sequence[Cycle]) -> float | None:
    """Return whole cycles per second, from the first request to the last removal; None if there is none."""
    whole = [c for c in cycles if c.status is Status.OK and c.removed_ns is not None]
    asked = [c.requested_ns for c in cycles if c.requested_ns is not None]
    ended = [c.removed_ns for c in whole if c.removed_ns is not None]
    if not ended or max(ended) <= min(asked):
        return None
    return len(whole) / ((max(ended) - min(asked)) / 1e9)


def drift(values: Sequence[float]) -> float | None:
    """Return the median of the last quarter over that of the first, in the order of time; None if they are too few."""
    if len(values) < DRIFT_NEEDS:
        return None
    quarter = len(values) // 4
    first = statistics.median(values[:quarter])
    return statistics.median(values[-quarter:]) / first if first > 0 else None
