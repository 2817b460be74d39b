"""Where a value stands on a picture, and what pictures have in common: grids, labels, points kept apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from bench.units import Unit
from report.charts import Canvas
from report.figures import linear_ticks, log_ticks

WIDE, NARROW = 980.0, 356.0
"""Widths in CSS pixels at which the two forms of a picture are drawn: for a desk and for a phone."""

MOST_POINTS = 240
"""More raw points than this in one row are thinned for the eye: every k-th in order of size is drawn."""

POINTS = {"": "o", "≤": "<", "≥": ">", "~": "o"}
"""The shape of a raw value: a round point, or an arrow to where a virtualised guest's would lie."""

MOST_LETTERS = 60
"""A longer text beside a row gets no more room: it would leave none for the picture."""

Place = Callable[[float], float]
Ticks = Sequence[tuple[float, str]]


def logarithmic(low: float, high: float, left: float, right: float) -> Place:
    """Return the map from positive values to pixels, equal ratios equally far."""
    first, last = math.log(low), math.log(high)
    return lambda value: left + (math.log(value) - first) / (last - first) * (right - left)


def linear(low: float, high: float, left: float, right: float) -> Place:
    """Return the map from values to pixels, equal differences equally far."""
    return lambda value: left + (value - low) / (high - low) * (right - left)


def value_axis(
    values: Sequence[float], unit: Unit, left: float, right: float, most: int, *, close: bool = False
) -> tuple[Place, Ticks]:
    """Return a place for each value and at most about `most` ticks.

    Logarithmic where all values are positive and differ by more than a factor of five; else linear, from 0 unless
    the view is to be `close` on the values.
    """
    low, high = min(values), max(values)
    if low > 0.0 and high / low > 5.0:
        low, high = low / 1.4, high * 1.4
        ticks = log_ticks(low, high, unit)
        while len(ticks) > most:
            ticks = ticks[::2]
        return logarithmic(low, high, left, right), ticks
    if not close:
        low, high = min(low, 0.0), max(high, 0.0)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = (low - margin if low < 0.0 or close else 0.0), high + margin
    low = max(low, 0.0) if min(values) >= 0.0 else low
    return linear(low, high, left, right), linear_ticks(low, high, unit, most)


def room_for(texts: Iterable[str], least: float) -> float:
    """Return how many pixels the longest of some texts of 12 pixels takes with its margins; `least` at least."""
    return max([least, *(min(len(text), MOST_LETTERS) * 7.0 + 24.0 for text in texts)])


def _spaced(places: Sequence[tuple[float, str]]) -> Sequence[tuple[float, str]]:
    """Return every k-th of the words at their places so that none covers another; "0" and "1×" stay if there."""
    for step in range(1, len(places)):
        kept = [places[first::step] for first in range(step)]
        kept.sort(key=lambda some: not any(text in ("0", "1×") for _, text in some))
        for some in kept:
            reaches = [(x - len(text) * 3.8, x + len(text) * 3.8) for x, text in some]
            if all(end < begin for (_, end), (begin, _) in itertools.pairwise(reaches)):
                return some
    return places[:1]


def grid(canvas: Canvas, place: Place, ticks: Ticks, top: float, bottom: float) -> None:
    """Draw an upright line for each tick, and its words below."""
    if bottom > top:
        canvas.lines([(place(value), top, place(value), bottom) for value, _ in ticks], "line")
    words = []
    for value, text in sorted(ticks):
        reach = len(text) * 3.8
        words.append((min(max(place(value), reach), canvas.width - reach), text))
    for x, text in _spaced(words):  # words that would cover their neighbour's are left out; the line stays
        canvas.text(x, bottom + 13.0, text, "soft", anchor="center")


def thinned(values: Sequence[float]) -> list[float]:
    """Return the values in order of size, every k-th where there are too many to be told apart."""
    ordered = sorted(values)
    return ordered[:: max(1, math.ceil(len(ordered) / MOST_POINTS))]


def jitter(count: int, reach: float) -> list[float]:
    """Return offsets that keep neighbours apart: the golden ratio's sequence, the same in every run."""
    return [((place * 0.618034) % 1.0 - 0.5) * 2.0 * reach for place in range(count)]


def short(text: str, longest: int) -> str:
    """Return the text, or its beginning with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def signed(label: str, bound: str) -> str:
    """Return a subject's label with the sign of its bound, if its values are bounds."""
    return f"{label} {bound}".rstrip()


def cross(canvas: Canvas, x: float, y: float, why: str, *, broken: bool = True) -> None:
    """Draw a cross for what has no value, the reason behind it; pale where nothing failed."""
    canvas.dots([x], [y], "alarm" if broken else "faint", shape="x", size=7.0)
    room = int((canvas.width - x - 16.0) / 6.4)
    canvas.text(x + 10.0, y, short(why, min(room, 84)), "soft", size=11.0)


_FIGURE_PIXELS, _LABEL_PIXELS = 6.4, 7.6
"""How wide a character is at most in a value and in a bold label, on the mean of a line."""


def label_above(canvas: Canvas, family: str, label: str, text: str, y: float) -> None:
    """Write a row's name at the left and its value at the right, for narrow pictures: the name yields to the value."""
    canvas.bar(2.0, y - 5.0, 8.0, 10.0, family)
    room = int((canvas.width - 22.0 - _FIGURE_PIXELS * len(text)) / _LABEL_PIXELS)
    canvas.text(15.0, y, short(label, max(8, min(22, room))), "ink", bold=True)
    canvas.text(canvas.width - 2.0, y, text, "ink", anchor="right", size=11.5)


def label_left(canvas: Canvas, family: str, label: str, y: float, longest: int = 27) -> None:
    """Write a row's name at the left, the family's colour before it; "" is no family."""
    if family:
        canvas.bar(2.0, y - 5.0, 8.0, 10.0, family)
    canvas.text(17.0 if family else 2.0, y, short(label, longest), "ink", size=12.5, bold=True)
