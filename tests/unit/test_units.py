"""Numbers as they are printed: never 0 for what is not 0, never "–" for 0, one scale in a column."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.units import (
    Unit,
    digits_for,
    format_interval,
    format_together,
    format_value,
    scale_for,
    significant,
)

numbers = st.floats(min_value=1e-9, max_value=1e15).flatmap(lambda v: st.sampled_from([v, -v]))
units = st.sampled_from(list(Unit))


def digits_of(text: str) -> int:
    """Return how many significant digits a written number claims; zeros before the point may be padding."""
    whole = text.lstrip("-").lstrip("0.")
    return len(whole.replace(".", "")) if "." in text else len(whole.rstrip("0"))


@given(numbers, st.integers(2, 6))
def test_a_number_keeps_its_digits(value: float, digits: int) -> None:
    text = significant(value, digits)
    assert "e" not in text
    assert math.isclose(float(text), value, rel_tol=0.5000001 * 10.0 ** (1 - digits))
    assert digits_of(text) <= digits


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 3, "0"), (0.0123, 3, "0.0123"), (1.234, 3, "1.23"), (12.34, 3, "12.3"), (1234.0, 3, "1230"),
        (0.9999, 3, "1.00"), (9.999, 3, "10.0"), (99.99, 3, "100"), (999.9, 3, "1000"), (-0.9999, 3, "-1.00"),
        (1.0, 2, "1.0"), (94.5, 2, "94"), (1.23456, 4, "1.235"), (math.inf, 3, "inf"),
    ],
)  # fmt: skip
def test_numbers_as_they_are_written(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text


@given(numbers, units)
def test_what_is_not_zero_is_never_written_as_zero(value: float, unit: Unit) -> None:
    text = format_value(value, unit)
    number = re.match(r"-?[0-9.]+", text)
    assert number is not None
    assert float(number[0]) != 0.0
    assert (float(number[0]) < 0.0) == (value < 0.0)


@given(units)
def test_missing_is_a_dash_and_zero_is_zero(unit: Unit) -> None:
    assert format_value(None, unit) == format_interval(None, 1.0, 2.0, unit) == "–"
    assert format_value(0.0, unit).startswith("0")


@given(st.floats(min_value=1e-9, max_value=1e15), units)
def test_the_scale_suits_the_value(value: float, unit: Unit) -> None:
    divisor, suffix = scale_for(unit, value)
    assert (divisor, suffix) == scale_for(unit, -value)
    scaled = value / divisor
    assert suffix or unit is Unit.COUNT
    match unit:
        case Unit.SECONDS:
            assert 0.995 <= scaled < 1000.0 or suffix in ("h", "ns")
        case Unit.BYTES | Unit.BYTES_PER_SECOND:
            assert 0.995 <= scaled < 1024.0 or suffix.startswith(("TiB", "B"))
        case _:
            assert scaled > 0.0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.2234, Unit.SECONDS, "223 ms"),
        (95.0, Unit.SECONDS, "95.0 s"),
        (120.0, Unit.SECONDS, "2.00 min"),
        (7200.0, Unit.SECONDS, "2.00 h"),
        (2.5e-6, Unit.SECONDS, "2.50 µs"),
        (0.99999, Unit.SECONDS, "1.00 s"),
        (0.0, Unit.SECONDS, "0 s"),
        (1023.0, Unit.BYTES, "1020 B"),
        (1048575.0, Unit.BYTES, "1.00 MiB"),
        (3 * 2**30, Unit.BYTES, "3.00 GiB"),
        (2**20, Unit.BYTES_PER_SECOND, "1.00 MiB/s"),
        (14.63, Unit.RATIO, "14.6×"),
        (3, Unit.COUNT, "3"),
        (2.5, Unit.COUNT, "2.50"),
        (9990, Unit.COUNT, "9990"),
        (2_500_000, Unit.COUNT, "2.50 M"),
        (20000, Unit.PER_SECOND, "20.0 k/s"),
        (12.0, Unit.CPU_SECONDS_PER_HOUR, "12.0 CPU s/h"),
    ],
)
def test_values_as_they_are_written(value: float, unit: Unit, text: str) -> None:
    assert format_value(value, unit) == text


@given(st.lists(st.one_of(st.none(), st.just(0.0), numbers), min_size=1, max_size=12), units)
def test_a_column_has_one_scale(values: list[float | None], unit: Unit) -> None:
    texts = format_together(values, unit)
    assert len(texts) == len(values)
    suffixes = set()
    for value, text in zip(values, texts, strict=True):
        if value is None:
            assert text == "–"
            continue
        match = re.fullmatch(r"(-?[0-9.]+)(.*)", text)
        assert match is not None
        assert (float(match[1]) == 0.0) == (value == 0.0)
        suffixes.add(match[2])
    assert len(suffixes) <= 1


def test_a_column_takes_the_scale_of_what_is_in_it() -> None:
    assert format_together([0.2, None, 0.4, 21.0], Unit.SECONDS) == ["200 ms", "–", "400 ms", "21000 ms"]
    assert format_together([0.0, 0.0, 5e6], Unit.BYTES) == ["0 MiB", "0 MiB", "4.77 MiB"]
    assert format_together([1.5, 2.0], Unit.RATIO) == ["1.50×", "2.00×"]
    assert format_together([None, None], Unit.BYTES) == ["–", "–"]


@pytest.mark.parametrize(
    ("value", "low", "high", "digits"),
    [(1.0, 0.5, 2.0, 2), (1.0, 0.98, 1.02, 3), (1.0, 0.999, 1.001, 4), (1.0, None, None, 3), (1.0, 1.0, 1.0, 3)],
)
def test_the_interval_chooses_the_digits(value: float, low: float | None, high: float | None, digits: int) -> None:
    assert digits_for(value, low, high) == digits


def test_intervals_as_they_are_written() -> None:
    assert format_interval(0.223, 0.218, 0.231, Unit.SECONDS) == "223 ms [218–231]"
    assert format_interval(14.63, 13.9, 15.2, Unit.RATIO) == "14.6× [13.9–15.2]"
    assert format_interval(1.4, 0.7, 3.1, Unit.SECONDS) == "1.4 s [0.70–3.1]"
    assert format_interval(1.4, None, None, Unit.SECONDS) == "1.40 s"
    assert format_interval(6200.0, 2700.0, 6900.0, Unit.COUNT) == "6200 [2700–6900]"


@given(st.floats(min_value=1e-6, max_value=1e6), st.floats(min_value=0.0, max_value=3.0), units)
def test_an_interval_is_written_on_the_scale_of_its_value(value: float, width: float, unit: Unit) -> None:
    text = format_interval(value, value / (1.0 + width), value * (1.0 + width), unit)
    match = re.fullmatch(r"([0-9.]+)( ?[^\[\]0-9]*)\[([0-9.]+)–([0-9.]+)\]", text)
    assert match is not None
    middle, low, high = float(match[1]), float(match[3]), float(match[4])
    assert low <= middle <= high
    assert low > 0.0
