"""One number, measured once, and the plan's cell it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bench.units import Better, Unit


class Status(StrEnum):
    """How a measurement ended. Anything but OK has no value and a reason."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"


class Phase(StrEnum):
    """Whether a sample counts. Warm-up samples are kept and never pooled with measured ones."""

    WARMUP = "warmup"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number. A failed measurement is a sample too: value is None and status says why.

    Attributes:
        metric: the metric's name; a duration between events is named by both ("requested→ready").
        value: unscaled, in `unit`; None if and only if status is not OK.
        event_from, event_to: the two events of a duration, else empty.
        params: what tells this number from its neighbours in the trial (part, instances, rootfs).
        low, high: bounds within which the true value lies where it was only seen by polling.
    """

    metric: str
    unit: Unit
    better: Better
    value: float | None = None
    status: Status = Status.OK
    reason: str = ""
    event_from: str = ""
    event_to: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Hold the rule that a value is missing exactly when the status says so."""
        if (self.value is None) == (self.status is Status.OK):
            raise ValueError(f"{self.metric}: value {self.value!r} does not go with status {self.status}")
        if self.status is not Status.OK and not self.reason:
            raise ValueError(f"{self.metric}: status {self.status} needs a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What the host did beside the trial, read before and after it. None where it cannot be read.

    Attributes:
        steal_s: CPU time the hypervisor above took away, seconds summed over all CPUs (/proc/stat).
        pressure_cpu_s, pressure_io_s, pressure_memory_s: stall time "some", seconds (/proc/pressure).
        load: run-queue load average over the last minute, at the end.
    """

    steal_s: float | None = None
    pressure_cpu_s: float | None = None
    pressure_io_s: float | None = None
    pressure_memory_s: float | None = None
    load: float | None = None
