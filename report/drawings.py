"""Lays out pictures of rows, in pixels: dots, ratios, stacks. Each exists in a form for a desk and one for a phone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from report.axes import (
    NARROW,
    POINTS,
    WIDE,
    Place,
    grid,
    jitter,
    label_above,
    label_left,
    linear,
    logarithmic,
    room_for,
    short,
    signed,
    thinned,
    value_axis,
)
from report.charts import Canvas
from report.distributions import draw_drift, draw_ecdf, draw_ramps
from report.figures import (
    Chart,
    DotChart,
    Dots,
    DriftChart,
    EcdfChart,
    ForestChart,
    Guide,
    RampChart,
    RatioRow,
    Stack,
    StackChart,
    linear_ticks,
    ratio_ticks,
)


def draw(chart: Chart, *, narrow: bool) -> str:
    """Return the chart as matplotlib's SVG."""
    match chart:
        case DotChart():
            canvas = draw_dots(chart, narrow=narrow)
        case ForestChart():
            canvas = draw_forest(chart, narrow=narrow)
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
    for index, guide in enumerate(chart.guides):
        _guide(canvas, guide, place(guide.value), 9.0 + 18.0 * index, top, narrow=narrow)
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
            canvas.text(right + 14.0, y + height / 2.0, row.text, "ink")
    return canvas


def _guide(canvas: Canvas, guide: Guide, x: float, y: float, top: float, *, narrow: bool) -> None:
    """Write a claim over its dashed line, on the side that has room."""
    canvas.line([x, x], [y, top], "accent", width=1.4, dash=(5.0, 4.0))
    text = guide.brief if narrow else guide.text
    room = canvas.width - x > len(text) * 7.2 + 10.0
    canvas.text(x + 6.0 if room else x - 6.0, y, text, "accent", anchor="left" if room else "right")


def _dots_row(canvas: Canvas, row: Dots, place: Place, y: float, left: float, marked: str) -> None:
    if row.median is None:
        canvas.dots([left + 4.0], [y], "alarm" if row.broken else "faint", shape="x", size=7.0)
        room = int((canvas.width - left - 20.0) / 6.4)
        canvas.text(left + 14.0, y, short(row.trouble or "no value", min(room, 84)), "soft", size=11.0)
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
    low, high = min([*reached, 0.9]) / 1.15, max([*reached, 1.1]) * 1.15
    place = logarithmic(low, high, left, right)
    ticks = ratio_ticks(low, high)
    while len(ticks) > (5 if narrow else 9):
        ticks = [tick for index, tick in enumerate(ticks) if index % 2 == 0 or tick[0] == 1.0]
    _shade(canvas, chart.rows, top, height)
    lane = 25.0 if narrow else height
    ends = [top + (index + 1) * height for index in range(len(chart.rows))]
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
            _ratio_row(canvas, row, place, y + 31.0)
        else:
            label_left(canvas, row.family, signed(label, row.bound), y + height / 2.0)
            _ratio_row(canvas, row, place, y + height / 2.0)
            canvas.text(right + 14.0, y + height / 2.0, short(row.text, 38), "ink")
    return canvas


def _ratio_row(canvas: Canvas, row: RatioRow, place: Place, y: float) -> None:
    if row.ratio is None:
        canvas.text(place(1.0) + 8.0, y, "no ratio", "soft", size=11.0)
        return
    if row.low is not None and row.high is not None:
        canvas.line([place(row.low), place(row.high)], [y, y], row.family, width=3.0)
        canvas.lines([(place(x), y - 5.0, place(x), y + 5.0) for x in (row.low, row.high)], row.family, width=1.6)
    unsure = row.verdict == "inconclusive"
    canvas.dots([place(row.ratio)], [y], row.family, shape=_SHAPES.get(row.verdict, "o"), size=9.0, hollow=unsure)


# ── stacks ──


def draw_stacks(chart: StackChart, *, narrow: bool) -> Canvas:
    """Draw stacked bars in panels, each on a linear scale of its own."""
    panels = chart.panels()
    width, row, gap = (NARROW if narrow else WIDE), (48.0 if narrow else 32.0), 44.0
    left, right = (4.0, width - 10.0) if narrow else (232.0, width - room_for((s.text for s in chart.stacks), 190.0))
    keys, head = _keys(chart, width)
    canvas = Canvas(width, head + sum(len(panel) * row + gap for panel in panels))
    for (x, y), (shade, title) in keys:
        if shade < 0:
            canvas.dots([x + 6.0], [y], "ink", shape="D", size=7.0)
        else:
            canvas.bar(x, y - 6.0, 12.0, 12.0, f"part-{shade}")
        canvas.text(x + 18.0, y, title, "ink")
    y = head
    for panel in panels:
        high = max(stack.length for stack in panel) * 1.04
        place = linear(0.0, high, left, right)
        top, bottom = y + 6.0, y + 6.0 + len(panel) * row
        grid(canvas, place, linear_ticks(0.0, high, chart.unit, 4 if narrow else 6), top, bottom)
        for index, stack in enumerate(panel):
            _stack_row(canvas, chart, stack, place, top + index * row, row, right, narrow=narrow)
        canvas.line([left, left], [top, bottom], "soft")
        y = bottom + gap - 6.0
    return canvas


def _keys(chart: StackChart, width: float) -> tuple[list[tuple[tuple[float, float], tuple[int, str]]], float]:
    """Return where each key stands, in as many lines as they take, and the height of them all. Shade -1: the mark."""
    entries = [(part.shade, part.title) for part in chart.parts]
    entries += [(-1, chart.total_text)] if chart.total_text else []
    keys, x, y = [], 2.0, 10.0
    for entry in entries:
        length = 18.0 + len(entry[1]) * 7.4 + 16.0
        if x + length > width and x > 2.0:
            x, y = 2.0, y + 20.0
        keys.append(((x, y), entry))
        x += length
    return keys, y + 18.0


def _stack_row(
    canvas: Canvas, chart: StackChart, stack: Stack, place: Place, y: float, row: float, right: float, *, narrow: bool
) -> None:  # fmt: skip
    middle = y + (33.0 if narrow else row / 2.0)
    if narrow:
        label_above(canvas, stack.family, signed(stack.label, stack.bound), stack.text, y + 13.0)
    else:
        label_left(canvas, stack.family, signed(stack.label, stack.bound), middle)
        canvas.text(right + 14.0, middle, stack.text, "ink")
    shades = {part.key: part.shade for part in chart.parts}
    begin = 0.0
    for key, value in stack.parts:
        x, end = place(begin), place(begin + max(value, 0.0))
        if end - x > 0.2:
            # A sliver of paper parts neighbours; a part too thin for it keeps its whole width.
            canvas.bar(x, middle - 9.0, end - x - (1.0 if end - x > 3.0 else 0.0), 18.0, f"part-{shades.get(key, 0)}")
        begin += max(value, 0.0)
    if stack.total is not None:
        canvas.dots([place(stack.total)], [middle], "paper", shape="D", size=10.0)
        canvas.dots([place(stack.total)], [middle], "ink", shape="D", size=7.0)
