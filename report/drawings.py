"""Lays out pictures of rows, in pixels: dots, ratios, groups of either, in a form for a desk and one for a phone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from report.axes import (
    MOST_LETTERS,
    NARROW,
    POINTS,
    WIDE,
    Place,
    Ticks,
    cross,
    grid,
    jitter,
    label_above,
    label_left,
    logarithmic,
    room_for,
    short,
    signed,
    thinned,
    value_axis,
)
from report.bars import draw_stacks
from report.charts import Canvas
from report.distributions import draw_drift, draw_ecdf, draw_ramps
from report.figures import (
    Chart,
    DotChart,
    Dots,
    DriftChart,
    EcdfChart,
    ForestChart,
    Group,
    GroupChart,
    Guide,
    RampChart,
    RatioRow,
    StackChart,
    ratio_ticks,
)


def draw(chart: Chart, *, narrow: bool) -> str:
    """Return the chart as matplotlib's SVG."""
    match chart:
        case DotChart():
            canvas = draw_dots(chart, narrow=narrow)
        case ForestChart():
            canvas = draw_forest(chart, narrow=narrow)
        case GroupChart():
            canvas = draw_groups(chart, narrow=narrow)
        case StackChart():
            canvas = draw_stacks(chart, narrow=narrow)
        case EcdfChart():
            canvas = draw_ecdf(chart)
        case DriftChart():
            canvas = draw_drift(chart)
        case RampChart():
            canvas = draw_ramps(chart)
    return canvas.svg()


def _shade(canvas: Canvas, rows: Sequence[Dots | RatioRow], top: float, height: float) -> None:
    """Lay a tint under the rows whose values are bounds and a thin line between all of them."""
    for index, row in enumerate(rows):
        if row.bound:
            canvas.bar(0.0, top + index * height, canvas.width, height, "emulated")
    edges = [top + index * height for index in range(1, len(rows))]
    canvas.lines([(0.0, y, canvas.width, y) for y in edges], "line", alpha=0.7)


# ── rows of dots ──


def draw_dots(chart: DotChart, *, narrow: bool) -> Canvas:
    """Draw one row a subject: its points, its median, its interval, an earlier mark, what failed."""
    notes = [[] if narrow else textwrap.wrap(row.note, 40)[:2] for row in chart.rows]
    height = 46.0 if narrow else 30.0 + 13.0 * max((len(note) for note in notes), default=0)
    width = NARROW if narrow else WIDE
    left, right = (12.0, width - 14.0) if narrow else (276.0, width - room_for((r.text for r in chart.rows), 200.0))
    top = 10.0 + 18.0 * len(chart.guides)
    bottom = top + height * len(chart.rows)
    canvas = Canvas(width, bottom + 24.0)
    values = [v for row in chart.rows for v in (*row.values, row.mark) if v is not None]
    shown = [*values, *(g.value for g in chart.guides)] if values else [1.0, 10.0]
    place, ticks = value_axis(shown, chart.unit, left, right, 5 if narrow else 8)
    _shade(canvas, chart.rows, top, height)
    lane = 24.0 if narrow else height
    # Where a row says why it has no value, no line crosses its words; on a phone none crosses the names above.
    ends = [top + (index + 1) * height for index, row in enumerate(chart.rows) if row.median is not None]
    canvas.lines([(place(v), end - lane, place(v), end) for v, _ in ticks for end in ends], "line")
    guided = [(place(guide.value), end - lane, place(guide.value), end) for guide in chart.guides for end in ends]
    canvas.lines(guided, "accent", width=1.4, dash=(5.0, 4.0))
    grid(canvas, place, ticks, bottom, bottom)
    _guides(canvas, chart.guides, place, top, narrow=narrow)
    for index, row in enumerate(chart.rows):
        y = top + index * height
        if narrow:
            label_above(canvas, row.family, signed(row.label, row.bound), row.text, y + 14.0)
            _dots_row(canvas, row, place, y + 33.0, left, chart.marked)
        else:
            first = y + height / 2.0 - 6.5 * len(notes[index])
            label_left(canvas, row.family, signed(row.label, row.bound), first)
            for line, text in enumerate(notes[index]):
                canvas.text(17.0, first + 15.0 + 13.0 * line, text, "soft", size=11.0)
            _dots_row(canvas, row, place, y + height / 2.0, left, chart.marked)
            canvas.text(right + 14.0, y + height / 2.0, short(row.text, MOST_LETTERS), "ink")
    return canvas


def _guides(canvas: Canvas, guides: Sequence[Guide], place: Place, top: float, *, narrow: bool) -> None:
    """Write each claim over its dashed line, on the side that has room; no line crosses the words of another."""
    spans = []
    for index, guide in enumerate(guides):
        x, text = place(guide.value), guide.brief if narrow else guide.text
        rightwards = canvas.width - x > min(x, len(text) * 7.2 + 10.0)
        text = short(text, int(((canvas.width - x if rightwards else x) - 10.0) / 6.6))
        at = x + 6.0 if rightwards else x - 6.0
        canvas.text(at, 9.0 + 18.0 * index, text, "accent", anchor="left" if rightwards else "right")
        spans.append((at, at + 6.6 * len(text)) if rightwards else (at - 6.6 * len(text), at))
    for index, guide in enumerate(guides):
        x = place(guide.value)
        free = [line for line in range(index, len(guides)) if not spans[line][0] < x < spans[line][1]]
        ends = [(x, 18.0 * line + (9.0 if line == index else 0.0), x, 18.0 * (line + 1)) for line in free]
        canvas.lines([*ends, (x, 18.0 * len(guides), x, top)], "accent", width=1.4, dash=(5.0, 4.0))


def _dots_row(canvas: Canvas, row: Dots, place: Place, y: float, left: float, marked: str) -> None:
    if row.median is None:
        cross(canvas, left + 4.0, y, row.trouble or "no value", broken=row.broken)
        return
    points = [place(value) for value in thinned(row.values)]
    if row.mark is not None and marked == "before":
        canvas.line([place(row.mark), place(row.median)], [y, y], row.family, width=1.2, alpha=0.7)
    shifts = [y + shift for shift in jitter(len(points), 7.0)]
    canvas.dots(points, shifts, row.family, size=4.5, shape=POINTS[row.bound], alpha=0.45)
    if row.low is not None and row.high is not None:
        canvas.line([place(row.low), place(row.high)], [y, y], row.family, width=5.0)
    if row.mark is not None:
        canvas.dots([place(row.mark)], [y], row.family, shape="|", size=14.0)
    canvas.dots([place(row.median)], [y], "paper", shape="D", size=9.5)
    canvas.dots([place(row.median)], [y], row.family, shape="D", size=7.0)
    if row.trouble:
        end = max([*points, place(row.median)]) + 12.0
        over = end + len(row.trouble) * 6.6 > canvas.width
        at = min([*points, place(row.median)]) - 12.0 if over else end
        canvas.dots([at], [y], "alarm", shape="x", size=7.0)
        canvas.text(
            at - 8.0 if over else at + 8.0, y, row.trouble, "alarm", size=11.0, anchor="right" if over else "left"
        )


# ── ratios ──

Span = tuple[float, float]

_SHAPES = {"better": "v", "worse": "^", "less": "v", "more": "^", "equivalent": "s", "inconclusive": "o"}


def draw_forest(chart: ForestChart, *, narrow: bool) -> Canvas:
    """Draw ratios with their intervals on a logarithmic axis, 1 marked, the noise floor as a band."""
    height, width = (44.0 if narrow else 28.0), (NARROW if narrow else WIDE)
    left, right = (
        (14.0, width - 14.0) if narrow else (232.0, width - room_for((r.text[:38] for r in chart.rows), 200.0))
    )
    top = 8.0
    bottom = top + height * len(chart.rows)
    canvas = Canvas(width, bottom + 24.0)
    reached = [v for row in chart.rows for v in (row.ratio, row.low, row.high) if v]
    place, ticks, (low, high) = _ratio_axis(reached, left, right, 5 if narrow else 9)
    _shade(canvas, chart.rows, top, height)
    lane = 25.0 if narrow else height
    ends = [top + (index + 1) * height for index, row in enumerate(chart.rows) if row.ratio is not None]
    canvas.lines([(place(v), end - lane, place(v), end) for v, _ in ticks for end in ends], "line")
    grid(canvas, place, ticks, bottom, bottom)
    if chart.floor:
        first, last = (place(min(max(edge, low), high)) for edge in chart.floor)
        for end in ends:
            canvas.bar(first, end - lane, max(last - first, 1.0), lane, "accent", alpha=0.18)
    canvas.lines([(place(1.0), end - lane, place(1.0), end) for end in ends], "ink", width=1.4)
    for index, row in enumerate(chart.rows):
        y = top + index * height
        label = f"{row.label} (A/A)" if row.twin else row.label
        if narrow:
            label_above(canvas, row.family, signed(label, row.bound), row.text, y + 13.0)
            _ratio_row(canvas, row, place, y + 31.0, left)
        else:
            label_left(canvas, row.family, signed(label, row.bound), y + height / 2.0)
            _ratio_row(canvas, row, place, y + height / 2.0, left)
            canvas.text(right + 14.0, y + height / 2.0, short(row.text, 38) if row.ratio else "", "ink")
    return canvas


def _ratio_axis(reached: Sequence[float], left: float, right: float, most: int) -> tuple[Place, Ticks, Span]:
    """Return a logarithmic place for ratios about 1, at most so many ticks, and the axis' ends."""
    low, high = min([*reached, 0.9]) / 1.15, max([*reached, 1.1]) * 1.15
    ticks = ratio_ticks(low, high)
    while len(ticks) > most:
        ticks = [tick for index, tick in enumerate(ticks) if index % 2 == 0 or tick[0] == 1.0]
    return logarithmic(low, high, left, right), ticks, (low, high)


def _ratio_row(canvas: Canvas, row: RatioRow, place: Place, y: float, left: float) -> None:
    if row.ratio is None:
        cross(canvas, left + 4.0, y, row.trouble or "no ratio", broken=row.broken)
        return
    if row.low is not None and row.high is not None:
        canvas.line([place(row.low), place(row.high)], [y, y], row.family, width=3.0)
        canvas.lines([(place(x), y - 5.0, place(x), y + 5.0) for x in (row.low, row.high)], row.family, width=1.6)
    unsure = row.verdict == "inconclusive"
    canvas.dots([place(row.ratio)], [y], row.family, shape=_SHAPES.get(row.verdict, "o"), size=9.0, hollow=unsure)


# ── groups ──

_HEAD, _LINE, _GAP = 22.0, 18.0, 8.0
"""Heights of a group's head, of each of its rows, and of the gap before the next, in pixels."""


def draw_groups(chart: GroupChart, *, narrow: bool) -> Canvas:
    """Draw groups of rows under their heads on one axis; on a phone without the values in words."""
    rows = [row for group in chart.groups for row in group.rows]
    width = NARROW if narrow else WIDE
    left, right = (152.0, width - 10.0) if narrow else (276.0, width - room_for((_words(r) for r in rows), 200.0))
    tops, y = [], 4.0
    for group in chart.groups:
        tops.append(y)
        y += _HEAD + _LINE * len(group.rows) + _GAP
    canvas = Canvas(width, y + 20.0)
    place, ticks = _group_axis(chart, rows, left, right, 4 if narrow else 8)
    for group, top in zip(chart.groups, tops, strict=True):
        first = top + _HEAD
        canvas.line([0.0, width], [top, top], "line", alpha=0.7)
        known = [first + _LINE * i for i, row in enumerate(group.rows) if _reached(row)]
        for i, row in enumerate(group.rows):
            if row.bound:
                canvas.bar(left, first + _LINE * i, right - left, _LINE, "emulated")
        canvas.lines([(place(v), at, place(v), at + _LINE) for v, _ in ticks for at in known], "line")
        if isinstance(group.rows[0], RatioRow):
            canvas.lines([(place(1.0), at, place(1.0), at + _LINE) for at in known], "ink", width=1.4)
        _group(canvas, group, place, top, (left, right), narrow=narrow)
    grid(canvas, place, ticks, y, y)
    return canvas


def _group(canvas: Canvas, group: Group, place: Place, top: float, span: Span, *, narrow: bool) -> None:
    left, right = span
    label_left(canvas, group.family, group.label, top + _HEAD / 2.0 + 2.0, 44)
    for index, row in enumerate(group.rows):
        y = top + _HEAD + _LINE * (index + 0.5)
        canvas.bar(17.0, y - 3.5, 5.0, 7.0, row.family)
        canvas.text(27.0, y, short(signed(row.label, row.bound), 20 if narrow else 40), "ink", size=11.0)
        if isinstance(row, Dots):
            _dots_row(canvas, row, place, y, left, "beside")
        else:
            _ratio_row(canvas, row, place, y, left)
        if not narrow:
            canvas.text(right + 14.0, y, _words(row), "ink", size=11.5)


def _words(row: Dots | RatioRow) -> str:
    """Return what is written beside a row of a group."""
    if isinstance(row, Dots):
        return short(row.text, MOST_LETTERS)
    return short(row.text, 44) if row.ratio else ""


def _reached(row: Dots | RatioRow) -> list[float]:
    """Return every value that a row shows."""
    shown = (*row.values, row.median, row.mark) if isinstance(row, Dots) else (row.ratio, row.low, row.high)
    return [value for value in shown if value is not None]


def _group_axis(
    chart: GroupChart, rows: Sequence[Dots | RatioRow], left: float, right: float, most: int
) -> tuple[Place, Ticks]:  # fmt: skip
    reached = [value for row in rows for value in _reached(row)]
    if rows and isinstance(rows[0], RatioRow):
        place, ticks, _ = _ratio_axis([value for value in reached if value > 0.0], left, right, most)
        return place, ticks
    positive = [value for value in reached if value > 0.0] or [1.0]
    place, ticks = value_axis(positive, chart.unit, left, right, most)
    return lambda value: place(value) if value > 0.0 else left, ticks
