"""Lays the pictures out, in pixels. Each takes what to show and whether it is for a phone; none knows of matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence

from bench.stats import ecdf
from bench.units import Unit
from report.charts import Anchor, Canvas
from report.figures import (
    Chart,
    Curve,
    DotChart,
    Dots,
    DriftChart,
    EcdfChart,
    ForestChart,
    RatioRow,
    Stack,
    StackChart,
    linear_ticks,
    log_ticks,
    ratio_ticks,
)

WIDE, NARROW = 980.0, 356.0
"""Widths in CSS pixels at which the two forms of a picture are drawn: for a desk and for a phone."""

MOST_POINTS = 240
"""More raw points than this in one row are thinned for the eye: every k-th in order of size is drawn."""

Place = Callable[[float], float]
Ticks = Sequence[tuple[float, str]]


def draw(chart: Chart, *, narrow: bool) -> str:
    """Return the chart as matplotlib's SVG."""
    match chart:
        case DotChart():
            canvas = _dot_chart(chart, narrow)
        case ForestChart():
            canvas = _forest(chart, narrow)
        case StackChart():
            canvas = _stacks(chart, narrow)
        case EcdfChart():
            canvas = _ecdf(chart)
        case DriftChart():
            canvas = _drift(chart)
    return canvas.svg()


def logarithmic(low: float, high: float, left: float, right: float) -> Place:
    """Return the map from positive values to pixels, equal ratios equally far."""
    first, last = math.log(low), math.log(high)
    return lambda value: left + (math.log(value) - first) / (last - first) * (right - left)


def linear(high: float, left: float, right: float) -> Place:
    """Return the map from values to pixels that begins at 0."""
    return lambda value: left + value / high * (right - left)


def value_axis(values: Sequence[float], unit: Unit, left: float, right: float, most: int) -> tuple[Place, Ticks]:
    """Return a place for each value and the ticks: logarithmic over a factor of five, else linear from 0."""
    positive = [v for v in values if v > 0.0]
    if positive and len(positive) == len(values) and max(positive) / min(positive) > 5.0:
        low, high = min(positive) / 1.4, max(positive) * 1.4
        ticks = log_ticks(low, high, unit)
        while len(ticks) > most:
            ticks = ticks[::2]
        return logarithmic(low, high, left, right), ticks
    high = max([*positive, 0.0]) * 1.1 or 1.0
    return linear(high, left, right), linear_ticks(high, unit, most)


def _grid(canvas: Canvas, place: Place, ticks: Ticks, top: float, bottom: float, *, above: bool = False) -> None:
    for value, text in ticks:
        x = place(value)
        canvas.line([x, x], [top, bottom], "line")
        near_edge = x > canvas.width - 24.0
        canvas.text(
            canvas.width if near_edge else x, bottom + 13.0, text, "soft", anchor="right" if near_edge else "center"
        )
        if above:
            canvas.text(x, top - 11.0, text, "soft", anchor="center")


def _thinned(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return ordered[:: max(1, math.ceil(len(ordered) / MOST_POINTS))]


def _jitter(count: int, reach: float) -> list[float]:
    """Return offsets that keep neighbours apart: the golden ratio's sequence, the same in every run."""
    return [((place * 0.618034) % 1.0 - 0.5) * 2.0 * reach for place in range(count)]


# ── rows of dots ──


def _dot_chart(chart: DotChart, narrow: bool) -> Canvas:
    notes = [] if narrow else [textwrap.wrap(row.note, 44)[:2] for row in chart.rows]
    height = 46.0 if narrow else 44.0 if any(len(note) > 1 for note in notes) else 36.0 if any(notes) else 28.0
    width = NARROW if narrow else WIDE
    left, right = (8.0, width - 10.0) if narrow else (272.0, width - 172.0)
    top = 12.0 + 18.0 * len(chart.guides)
    bottom = top + height * len(chart.rows)
    canvas = Canvas(width, bottom + 24.0)
    values = [v for row in chart.rows for v in (*row.values, row.mark) if v is not None]
    axis_values = [*values, *(g.value for g in chart.guides)] if values else [1.0, 10.0]
    place, ticks = value_axis(axis_values, chart.unit, left, right, 5 if narrow else 8)
    for index, row in enumerate(chart.rows):
        if row.emulated:
            canvas.bar(0.0, top + index * height, width, height, "emulated")
    _grid(canvas, place, ticks, top, bottom)
    for index, guide in enumerate(chart.guides):
        _guide(canvas, place(guide.value), 12.0 + 18.0 * index, bottom, guide.text)
    for index, row in enumerate(chart.rows):
        y = top + index * height
        if index:
            canvas.line([0.0, width], [y, y], "line", alpha=0.6)
        if narrow:
            _row_label_above(canvas, row.label, row.emulated, row.text, y + 14.0)
            _dots_row(canvas, row, place, y + 32.0, left)
        else:
            _row_label_left(canvas, row.label, row.emulated, notes[index], y, height)
            _dots_row(canvas, row, place, y + height / 2.0, left)
            canvas.text(right + 14.0, y + height / 2.0, row.text, "ink")
    return canvas


def _guide(canvas: Canvas, x: float, y: float, bottom: float, text: str) -> None:
    """Draw a claim as a dashed line with its words on the side that has room."""
    canvas.line([x, x], [y, bottom], "accent", width=1.4, dash=(5.0, 4.0))
    room_right = canvas.width - x > len(text) * 7.0 + 10.0
    canvas.text(x + 6.0 if room_right else x - 6.0, y, text, "accent", anchor="left" if room_right else "right")


def _row_label_left(canvas: Canvas, label: str, emulated: bool, note: Sequence[str], y: float, height: float) -> None:
    lines = len(note)
    first = y + height / 2.0 - 6.5 * lines
    canvas.text(2.0, first, _short(label, 26), "ink", size=12.5, bold=True)
    if emulated:
        canvas.text(262.0, first, "emulated ▲", "soft", size=11.0, anchor="right")
    for place, text in enumerate(note):
        canvas.text(2.0, first + 15.0 + 13.0 * place, text, "soft", size=11.0)


def _row_label_above(canvas: Canvas, label: str, emulated: bool, text: str, y: float) -> None:
    canvas.text(2.0, y, _short(f"{label} ▲" if emulated else label, 24), "ink", bold=True)
    canvas.text(canvas.width - 2.0, y, text, "ink", anchor="right", size=11.5)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _dots_row(canvas: Canvas, row: Dots, place: Place, y: float, left: float) -> None:
    shape = "^" if row.emulated else "o"
    if row.median is None:
        canvas.dots([left + 6.0], [y], "alarm" if row.trouble else "faint", shape="x", size=7.0)
        canvas.text(left + 16.0, y, _short(row.trouble or "no value", 44), "soft", size=11.0)
        return
    points = [place(value) for value in _thinned(row.values)]
    if row.mark is not None:
        canvas.line([place(row.mark), place(row.median)], [y, y], f"{row.family}", width=1.2, alpha=0.7)
    canvas.dots(
        points, [y + shift for shift in _jitter(len(points), 5.0)], row.family, size=4.0, shape=shape, alpha=0.35
    )
    if row.low is not None and row.high is not None:
        canvas.line([place(row.low), place(row.high)], [y, y], row.family, width=5.0)
    if row.mark is not None:
        canvas.dots([place(row.mark)], [y], row.family, shape="|", size=13.0)
    canvas.dots([place(row.median)], [y], "paper", shape="D", size=9.5)
    canvas.dots([place(row.median)], [y], row.family, shape="D", size=7.0)
    if row.trouble:
        end = max([*points, place(row.median)]) + 12.0
        canvas.dots([end], [y], "alarm", shape="x", size=7.0)
        canvas.text(end + 8.0, y, _short(row.trouble, 30), "alarm", size=11.0)


# ── ratios ──


_SHAPES = {"better": "v", "worse": "^", "less": "v", "more": "^", "equivalent": "s", "inconclusive": "o"}


def _forest(chart: ForestChart, narrow: bool) -> Canvas:
    height, width = (42.0 if narrow else 28.0), (NARROW if narrow else WIDE)
    left, right = (8.0, width - 10.0) if narrow else (190.0, width - 232.0)
    top = 10.0
    bottom = top + height * len(chart.rows)
    canvas = Canvas(width, bottom + 24.0)
    ends = [v for row in chart.rows for v in (row.ratio, row.low, row.high) if v] + [1.0]
    low, high = min(*ends, 0.9) / 1.15, max(*ends, 1.1) * 1.15
    place = logarithmic(low, high, left, right)
    ticks = ratio_ticks(low, high)
    while len(ticks) > (5 if narrow else 9):
        ticks = [tick for index, tick in enumerate(ticks) if index % 2 == 0 or tick[0] == 1.0]
    for index, row in enumerate(chart.rows):
        if row.emulated:
            canvas.bar(0.0, top + index * height, width, height, "emulated")
    if chart.floor:
        first, last = (place(min(max(end, low), high)) for end in chart.floor)
        canvas.bar(first, top, max(last - first, 1.0), bottom - top, "accent", alpha=0.16)
    _grid(canvas, place, ticks, top, bottom)
    canvas.line([place(1.0)] * 2, [top, bottom], "ink", width=1.4)
    for index, row in enumerate(chart.rows):
        y = top + index * height
        label = f"{row.label} (A/A)" if row.twin else row.label
        if narrow:
            _row_label_above(canvas, label, row.emulated, row.text, y + 12.0)
            _ratio_row(canvas, row, place, y + 29.0)
        else:
            canvas.text(2.0, y + height / 2.0, _short(label + (" ▲" if row.emulated else ""), 28), "ink", bold=True)
            _ratio_row(canvas, row, place, y + height / 2.0)
            canvas.text(right + 14.0, y + height / 2.0, _short(row.text, 34), "ink")
    return canvas


def _ratio_row(canvas: Canvas, row: RatioRow, place: Place, y: float) -> None:
    if row.ratio is None:
        canvas.text(place(1.0) + 8.0, y, "no ratio", "soft", size=11.0)
        return
    if row.low is not None and row.high is not None:
        canvas.line([place(row.low), place(row.high)], [y, y], row.family, width=3.0)
        for end in (row.low, row.high):
            canvas.line([place(end)] * 2, [y - 4.0, y + 4.0], row.family, width=1.4)
    unsure = row.verdict == "inconclusive"
    canvas.dots([place(row.ratio)], [y], row.family, shape=_SHAPES.get(row.verdict, "o"), size=8.0, hollow=unsure)


# ── stacks ──


def _stacks(chart: StackChart, narrow: bool) -> Canvas:
    panels = chart.panels()
    width, row, gap = (NARROW if narrow else WIDE), (46.0 if narrow else 32.0), 46.0
    left, right = (4.0, width - 8.0) if narrow else (190.0, width - 172.0)
    keys, key_height = _key_places(chart, width, narrow)
    height = key_height + sum(len(panel) * row + gap for panel in panels)
    canvas = Canvas(width, height)
    for (x, y), (index, (_, title)) in zip(keys, enumerate(chart.parts), strict=True):
        canvas.bar(x, y - 6.0, 12.0, 12.0, f"part-{index % 6}", edge="soft")
        canvas.text(x + 18.0, y, title, "ink")
    if chart.total_text:
        x, y = keys[-1] if keys else (0.0, 12.0)
        canvas.dots([7.0], [key_height - 12.0], "ink", shape="D", size=7.0)
        canvas.text(18.0, key_height - 12.0, chart.total_text, "ink")
    y = key_height
    for panel in panels:
        high = max(stack.length for stack in panel) * 1.04
        place = linear(high, left, right)
        bottom = y + 8.0 + len(panel) * row
        _grid(canvas, place, linear_ticks(high, chart.unit, 4 if narrow else 6), y + 8.0, bottom)
        canvas.line([left, left], [y + 8.0, bottom], "soft")
        for index, stack in enumerate(panel):
            _stack_row(canvas, chart, stack, place, y + 8.0 + index * row, row, narrow)
        y = bottom + gap - 8.0
    return canvas


def _key_places(chart: StackChart, width: float, narrow: bool) -> tuple[list[tuple[float, float]], float]:
    """Return where each part's key stands, in as many lines as it takes, and the height of them all."""
    places, x, y = [], 2.0, 12.0
    for _, title in chart.parts:
        length = 18.0 + len(title) * 7.4 + 18.0
        if x + length > width and x > 2.0:
            x, y = 2.0, y + 20.0
        places.append((x, y))
        x += length
    return places, y + (34.0 if chart.total_text else 14.0) + (4.0 if narrow else 0.0)


def _stack_row(
    canvas: Canvas, chart: StackChart, stack: Stack, place: Place, y: float, row: float, narrow: bool
) -> None:  # fmt: skip
    middle = y + (32.0 if narrow else row / 2.0)
    if narrow:
        _row_label_above(canvas, stack.label, stack.emulated, stack.text, y + 12.0)
    else:
        label = stack.label + (" ▲" if stack.emulated else "")
        canvas.text(2.0, middle, _short(label, 26), "ink", bold=True)
        canvas.text(canvas.width - 158.0, middle, stack.text, "ink")
    places = {key: index for index, (key, _) in enumerate(chart.parts)}
    begin = 0.0
    for key, value in stack.parts:
        x, end = place(begin), place(begin + max(value, 0.0))
        if end - x > 0.2:
            role = f"part-{places.get(key, 0) % 6}"
            canvas.bar(x, middle - 9.0, end - x, 18.0, role, edge="paper" if end - x > 3.0 else "")
        begin += max(value, 0.0)
    canvas.line([place(0.0) + 1.5] * 2, [middle - 9.0, middle + 9.0], stack.family, width=4.0)
    if stack.total is not None:
        canvas.dots([place(stack.total)], [middle], "paper", shape="D", size=9.5)
        canvas.dots([place(stack.total)], [middle], "ink", shape="D", size=7.0)


# ── distributions ──


DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (6.0, 3.0),
    (2.0, 2.0),
    (9.0, 3.0, 2.0, 3.0),
    (12.0, 4.0),
    (4.0, 6.0),
    (1.5, 4.0),
)
"""Line styles that tell subjects of one family apart without colour."""


def _ecdf(chart: EcdfChart) -> Canvas:
    width, left, right, top, height, strip = 384.0, 128.0, 372.0, 12.0, 150.0, 24.0
    base = top + height
    bottom = base + 12.0 + strip * len(chart.curves)
    canvas = Canvas(width, bottom + 24.0)
    values = [v for curve in chart.curves for v in curve.values] or [1.0]
    place, ticks = value_axis(values, chart.unit, left, right, 4)
    _grid(canvas, place, ticks, top, bottom)
    for share, text in ((0.0, "0"), (0.5, "half"), (1.0, "all")):
        y = base - share * height
        canvas.line([left, right], [y, y], "line")
        canvas.text(left - 8.0, y, text, "soft", anchor="right")
    canvas.text(2.0, top + 2.0, "of the trials", "soft", size=11.0)
    for index, curve in enumerate(chart.curves):
        dash, y = DASHES[index % len(DASHES)], base + 12.0 + strip * (index + 0.5)
        _curve(canvas, curve, place, (left, right, base, height), dash)
        canvas.line([2.0, 22.0], [y, y], curve.family, width=2.0, dash=dash)
        canvas.text(27.0, y, _short(curve.label.removesuffix("@tcg") + (" ▲" if curve.emulated else ""), 16), size=11.0)
        points = [place(v) for v in _thinned(curve.values)]
        shifts = [y + s for s in _jitter(len(points), 6.0)]
        canvas.dots(points, shifts, curve.family, size=4.0, shape="^" if curve.emulated else "o", alpha=0.55)
    return canvas


def _curve(
    canvas: Canvas, curve: Curve, place: Place, box: tuple[float, float, float, float], dash: Sequence[float]
) -> None:
    """Draw the cumulative share; failed trials keep the curve from reaching all."""
    if not curve.values:
        return
    left, right, base, height = box
    positions, shares = ecdf(curve.values)
    survived = len(curve.values) / (len(curve.values) + curve.failed)
    xs, ys = [left], [base]
    for value, share in zip(positions, shares, strict=True):
        xs += [place(value), place(value)]
        ys += [ys[-1], base - share * survived * height]
    canvas.line([*xs, right], [*ys, ys[-1]], curve.family, width=2.0, dash=dash)


def _drift(chart: DriftChart) -> Canvas:
    width, left, right, top, height = 384.0, 52.0, 372.0, 12.0, 200.0
    canvas = Canvas(width, top + height + 42.0)
    ratios = [r for _, _, points in chart.series for _, r in points if r > 0.0] or [1.0]
    reach = max(1.1, *(max(r, 1.0 / r) for r in ratios)) * 1.02
    blocks = [b for _, _, points in chart.series for b, _ in points] or [0]
    first, last = min(blocks), max(max(blocks), min(blocks) + 1)
    upright = logarithmic(1.0 / reach, reach, top + height, top)
    for value, text in [t for t in ratio_ticks(1.0 / reach, reach) if t[0] != 1.0] + [(1.0, "1×")]:
        canvas.line([left, right], [upright(value)] * 2, "ink" if value == 1.0 else "line")
        canvas.text(left - 8.0, upright(value), text, "soft", anchor="right")
    for label, family, points in chart.series:
        shift = sum(map(ord, label)) % 7 / 12.0 - 0.25
        xs = [left + 12.0 + (b - first + shift) / (last - first) * (right - left - 24.0) for b, _ in points]
        canvas.dots(xs, [upright(r) for _, r in points], family, size=4.0, alpha=0.6)
    step = max(1, (last - first) // 5)
    anchor: Anchor = "center"
    for block in range(first, last + 1, step):
        x = left + 12.0 + (block - first) / (last - first) * (right - left - 24.0)
        canvas.text(x, top + height + 13.0, str(block), "soft", anchor=anchor)
    canvas.text((left + right) / 2.0, top + height + 31.0, "block", "soft", anchor="center")
    return canvas
