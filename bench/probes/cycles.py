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
        looked: the suite looked at its processes before it was removed, which took time.
        status, reason: how it failed, if it did; SKIPPED: there was no room, it was turned away.
    """

    due_ns: int | None = None
    requested_ns: int | None = None
    ready_ns: int | None = None
    removed_ns: int | None = None
    looked: bool = False
    status: Status = Status.OK
    reason: str = ""

    @property
    def turned_away(self) -> bool:
        """Whether there was no room for it."""
        return self.status is Status.SKIPPED

    def seconds(self, start: str, end: str) -> float | None:
        """Return t(end) - t(start) in seconds by the events' names; "arrival" is the instant it was due.

        None where it did not come that far, and for the removal of one that was looked at.
        """
        removed = None if self.looked else self.removed_ns
        instants = {"arrival": self.due_ns, "requested": self.requested_ns, "ready": self.ready_ns, "removed": removed}
        first, last = instants[start], instants[end]
        return None if first is None or last is None else (last - first) / 1e9


def due_at(began_ns: int, rate: float, number: int) -> int:
    """Return when the arrival of this number (from 0) is due: by the clock, whatever became of those before it.

    Latency counted from this instant has the queueing in it; counted from when a busy tester got round to asking,
    it would not (G. Tene, "How NOT to Measure Latency": coordinated omission).
    """
    return began_ns + round(number / rate * 1e9)


def quantile(values: Sequence[float], share: float, beyond: int = 0) -> float | None:
    """Return the smallest value that at least this share of all do not exceed.

    None if they are too few, or if it is one of those of which only that they lie beyond every value is known.

    Args:
        values: those that are known.
        share: 0.5, 0.95 or 0.99.
        beyond: how many more there were whose value is none, and later than any: who was turned away waits for ever.
    """
    count = len(values) + beyond
    place = max(1, math.ceil(share * count))
    return sorted(values)[place - 1] if count >= NEEDED[share] and place <= len(values) else None


def per_second(cycles: Sequence[Cycle], seconds: float) -> float | None:
    """Return whole cycles per second of all the time they took, the failed ones' too; None if none was whole."""
    whole = sum(cycle.removed_ns is not None for cycle in cycles)
    return whole / seconds if whole else None


def drift(values: Sequence[float]) -> float | None:
    """Return the median of the last quarter over that of the first, in the order of time; None if they are too few."""
    if len(values) < DRIFT_NEEDS:
        return None
    quarter = len(values) // 4
    first = statistics.median(values[:quarter])
    return statistics.median(values[-quarter:]) / first if first > 0 else None
