"""Units and directions: they belong to the metric, and so does the way it is printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum


class Unit(StrEnum):
    """The unit of a stored value. Values are always stored unscaled: seconds, bytes, counts."""

    SECONDS = "s"
    BYTES = "B"
    COUNT = "1"
    RATIO = "ratio"
    CPU_SECONDS_PER_HOUR = "cpu-s/h"
    PER_SECOND = "1/s"
    BYTES_PER_SECOND = "B/s"
    BYTES_PER_HOUR = "B/h"


class Better(StrEnum):
    """Which way a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


_TIME_SCALES: tuple[tuple[float, str], ...] = (
    (3600.0, "h"),
    (60.0, "min"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "µs"),
    (1e-9, "ns"),
)
_BYTE_SCALES: tuple[tuple[float, str], ...] = (
    (2.0**40, "TiB"),
    (2.0**30, "GiB"),
    (2.0**20, "MiB"),
    (2.0**10, "KiB"),
    (1.0, "B"),
)
_COUNT_SCALES: tuple[tuple[float, str], ...] = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def scale_for(unit: Unit, typical: float) -> tuple[float, str]:
    """Return (divisor, suffix) that suits a typical value, so that a whole table shares one scale.

    Minutes begin at 120 s and hours at 120 min: "95 s" reads better than "1.58 min". Thousands begin at 10 000.
    """
    size = abs(typical)
    match unit:
        case Unit.SECONDS:
            scales = [(d * (2.0 if d >= 60.0 else 1.0), d, s) for d, s in _TIME_SCALES]
        case Unit.BYTES | Unit.BYTES_PER_SECOND | Unit.BYTES_PER_HOUR:
            tail = unit.removeprefix("B")
            scales = [(d, d, s + tail) for d, s in _BYTE_SCALES]
        case Unit.RATIO:
            return 1.0, "×"
        case Unit.CPU_SECONDS_PER_HOUR:
            return 1.0, "CPU s/h"
        case Unit.COUNT | Unit.PER_SECOND:
            tail = "/s" if unit is Unit.PER_SECOND else ""
            scales = [(d * (10.0 if d == 1e3 else 1.0), d, s + tail) for d, s in _COUNT_SCALES]
    for threshold, divisor, suffix in scales:
        # As it will be written: 0.9999 s is "1.00 s", not "1000 ms".
        if float(f"{size / divisor:.2e}") >= threshold / divisor:
            return divisor, suffix
    _, divisor, suffix = scales[-1]
    if size == 0.0 and unit is Unit.SECONDS:
        return 1.0, "s"
    return divisor, suffix


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and no exponent: 0.0123, 1.23, 12.3, 1230."""
    if value == 0.0 or not math.isfinite(value):
        return "0" if value == 0.0 else str(value)
    return f"{Decimal(f'{value:.{digits - 1}e}'):f}"


def digits_for(value: float, low: float | None, high: float | None) -> int:
    """Choose 2 to 4 significant digits from the width of the interval: no false precision."""
    if low is None or high is None or high <= low or value == 0.0:
        return 3
    relative = (high - low) / abs(value)
    return 2 if relative > 0.1 else 3 if relative > 0.005 else 4


def format_value(value: float | None, unit: Unit, *, digits: int = 3) -> str:
    """Write one value with the unit that suits it; "–" for a value that is missing, never 0."""
    if value is None:
        return "–"
    if unit is Unit.COUNT and abs(value) < 1000.0 and float(value).is_integer():
        return f"{value:.0f}"
    divisor, suffix = scale_for(unit, value)
    number = significant(value / divisor, digits)
    return f"{number}{suffix}" if suffix == "×" else f"{number} {suffix}".rstrip()


def format_interval(value: float | None, low: float | None, high: float | None, unit: Unit) -> str:
    """Write a value with its interval on one scale: "223 ms [218–231]"."""
    if value is None:
        return "–"
    digits = digits_for(value, low, high)
    if low is None or high is None:
        return format_value(value, unit, digits=digits)
    divisor, suffix = scale_for(unit, value)
    span = f"[{significant(low / divisor, digits)}–{significant(high / divisor, digits)}]"
    number = significant(value / divisor, digits)
    head = f"{number}{suffix}" if suffix == "×" else f"{number} {suffix}".rstrip()
    return f"{head} {span}"


def format_together(values: Sequence[float | None], unit: Unit) -> list[str]:
    """Write a column of values on the one scale of their median, so that they can be compared by eye.

    Zeros have no say in the scale: they look the same on every one.
    """
    known = sorted(abs(v) for v in values if v)
    divisor, suffix = scale_for(unit, known[len(known) // 2] if known else 0.0)
    gap = "" if suffix == "×" else " "
    return ["–" if v is None else f"{significant(v / divisor)}{gap}{suffix}".rstrip() for v in values]
