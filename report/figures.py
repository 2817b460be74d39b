"""What each picture shows, as data: the model fills these, drawings lay them out, nothing here knows of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.units import Unit, scale_for, significant

SHADES = 8
"""So many colours there are for the parts of a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """A vertical line at a value, with the claim it stands for, and the same in few words for narrow pictures."""

    value: float
    text: str
    brief: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """One subject: its raw values and their estimate.

    Attributes:
        bound: the sign of what emulation makes of its values, "" for none; as in all the pictures below.
        mark: a second median beside the first (of an earlier event, another condition); None if there is none.
        text: the estimate in words, written beside the row.
        trouble: what failed, written in the row; where there are no values, why not.
        broken: the values are missing because something failed, not because it was not asked or not here.
    """

    label: str
    note: str = ""
    family: str = "other"
    bound: str = ""
    values: tuple[float, ...] = ()
    median: float | None = None
    low: float | None = None
    high: float | None = None
    mark: float | None = None
    text: str = ""
    trouble: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DotChart:
    """One row a subject: raw points, median, interval. Times and bytes over a decade stand on a log axis."""

    unit: Unit
    rows: tuple[Dots, ...]
    guides: tuple[Guide, ...] = ()
    marked: str = ""
    """"before": the mark is an earlier instant of the same start; "beside": something else of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioRow:
    """One subject's ratio to the baseline with its interval; None where it cannot be told: `trouble` says why.

    `broken`: it cannot be told because something failed.
    """

    label: str
    family: str = "other"
    bound: str = ""
    twin: bool = False
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    text: str = ""
    verdict: str = ""
    trouble: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestChart:
    """Ratios to one baseline on a log axis. `floor` is the span within which the A/A pairs fell."""

    baseline: str
    rows: tuple[RatioRow, ...]
    floor: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows under one head: the modes of a subject, the accounts of its memory, the subjects that ran one tool."""

    label: str
    rows: tuple[Dots | RatioRow, ...]
    family: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChart:
    """Groups of rows on one axis: that of their unit, or of ratios about 1. Values of 0 and below stand at its edge."""

    unit: Unit
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One subject's parts, in order; `total` is measured by itself, not the parts' sum.

    `trouble`: why it has no parts, if it failed.
    """

    label: str
    family: str = "other"
    bound: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    total: float | None = None
    text: str = ""
    trouble: str = ""

    @property
    def length(self) -> float:
        """How far the drawn bar reaches."""
        return max(math.fsum(max(v, 0.0) for _, v in self.parts), self.total or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of part of a stacked bar; `shade` is below SHADES."""

    key: str
    title: str
    shade: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackChart:
    """Stacked bars in panels: each panel has a linear scale of its own, stated. `parts` in the order of drawing."""

    unit: Unit
    parts: tuple[Part, ...]
    stacks: tuple[Stack, ...]
    total_text: str = ""

    def panels(self, spread: float = 6.0) -> list[list[Stack]]:
        """Group the bars so that within a panel none is more than `spread` times as long as another.

        A bar of ten seconds and one of four milliseconds do not fit one linear axis; parts of a bar do not add up
        on a logarithmic one.
        """
        groups: list[list[Stack]] = []
        least = 0.0
        for stack in sorted((s for s in self.stacks if not s.trouble), key=lambda s: s.length):
            # What has no length at all fits every scale.
            if not groups or stack.length > least * spread > 0.0:
                groups.append([])
                least = 0.0
            least = least or stack.length
            groups[-1].append(stack)
        # Within a panel the bars keep the order in which they were given: the ladder's.
        return [[stack for stack in self.stacks if stack in group] for group in groups]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One subject's values for a cumulative curve, and how many trials failed; `trouble`: why there is no value."""

    label: str
    family: str = "other"
    bound: str = ""
    values: tuple[float, ...] = ()
    failed: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfChart:
    """Cumulative share of trials over the value, the raw samples in strips below it."""

    unit: Unit
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One subject's samples as (block, ratio to its median), in order; `lost`: the blocks in which a trial failed."""

    label: str
    family: str = "other"
    points: tuple[tuple[int, float], ...] = ()
    lost: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftChart:
    """Every sample as a ratio to its subject's median, by block: what wanders, wanders here."""

    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """One subject's medians by the number of instances, (number, median), in order.

    Attributes:
        spans: (number, low, high) of the medians that have an interval.
        raw: (number, value) of every value where there is none.
        lost: the numbers at which trials failed.
        ending: how far it went and why no further, in few words.
    """

    label: str
    family: str = "other"
    bound: str = ""
    points: tuple[tuple[float, float], ...] = ()
    spans: tuple[tuple[float, float, float], ...] = ()
    raw: tuple[tuple[float, float], ...] = ()
    lost: tuple[float, ...] = ()
    ending: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampChart:
    """Values upright over the number of instances: logarithmic where they span more than a factor of five."""

    unit: Unit
    ramps: tuple[Ramp, ...]


Chart = DotChart | ForestChart | GroupChart | StackChart | EcdfChart | DriftChart | RampChart

_TIME_TICKS = (
    (1e-6, "1 µs"), (1e-5, "10 µs"), (1e-4, "100 µs"), (1e-3, "1 ms"), (1e-2, "10 ms"), (0.1, "100 ms"),
    (1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (36000.0, "10 h"),
)  # fmt: skip


def log_ticks(low: float, high: float, unit: Unit) -> list[tuple[float, str]]:
    """Return (value, label) of ticks people read between two positive values: 1 ms, 10 ms, … 10 s, 1 min.

    Over less than two decades, and where fewer than two of them lie between, 1-2-5 steps are given instead: one label
    is no scale.
    """
    if high / low > 50.0:
        coarse = _TIME_TICKS if unit is Unit.SECONDS else _decades(unit, (1.0,))
        if len(between := _between(coarse, low, high)) >= 2:
            return between
    return _between(_decades(unit, (1.0, 2.0, 5.0)), low, high)


def _decades(unit: Unit, steps: Sequence[float]) -> list[tuple[float, str]]:
    """Return every (value, label) of these steps, by the unit's own thousand (1024 for bytes)."""
    base = 1024.0 if unit in (Unit.BYTES, Unit.BYTES_PER_SECOND, Unit.BYTES_PER_HOUR) else 1000.0
    heads = [size * step for size in (1.0, 10.0, 100.0) for step in steps]
    values = [base**power * head for power in range(-4, 6) for head in heads if head < base]
    return [(value, tick_text(value, unit)) for value in values]


def _between(ticks: Sequence[tuple[float, str]], low: float, high: float) -> list[tuple[float, str]]:
    return [(value, text) for value, text in ticks if low * 0.999 <= value <= high * 1.001]


def linear_ticks(low: float, high: float, unit: Unit, most: int = 5) -> list[tuple[float, str]]:
    """Return (value, label) of about `most` even ticks between two values, in the unit that suits the larger."""
    divisor, suffix = scale_for(unit, max(abs(low), abs(high)))
    rough = (high - low) / divisor / most
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0.0 else 1.0
    step = next((s * power for s in (1.0, 2.0, 5.0, 10.0) if s * power >= rough), 10.0 * power)
    first, last = math.ceil(low / divisor / step - 1e-9), math.floor(high / divisor / step + 1e-9)
    return [(i * step * divisor, "0" if i == 0 else _joined(i * step, suffix)) for i in range(first, last + 1)]


def tick_text(value: float, unit: Unit) -> str:
    """Write a tick's round value: "20 ms", "1 MiB", "0.5×"."""
    divisor, suffix = scale_for(unit, value)
    return _joined(value / divisor, suffix)


def _joined(value: float, suffix: str) -> str:
    number = f"{value:.6g}" if 1e-4 <= abs(value) < 1e6 else significant(value)
    return f"{number}{suffix}" if suffix in ("×", "") else f"{number} {suffix}"


def ratio_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return (value, label) for a ratio axis: 0.1, 0.5, 1, 2, 10, 100, 1000 and so on."""
    wide = high / low > 200.0
    ticks = []
    for power in range(-9, 10):
        for step in (1.0,) if wide else (1.0, 2.0, 5.0):
            value = step * 10.0**power
            if low * 0.999 <= value <= high * 1.001:
                ticks.append((value, f"{value:,.10g}×"))
    return ticks
