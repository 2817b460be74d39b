"""Lays out stacked bars, in pixels: panels each with a scale of its own, letters on the parts, below what failed."""

from __future__ import annotations

from report.axes import (
    MOST_LETTERS,
    NARROW,
    WIDE,
    Place,
    cross,
    grid,
    label_above,
    label_left,
    linear,
    room_for,
    short,
    signed,
)
from report.charts import Canvas
from report.figures import Stack, StackChart, linear_ticks

_WIDE_ENOUGH = 20.0
"""A part of so many pixels has room for its letter."""

_MARK = -1
"""Stands for a shade where a key explains the mark of the whole."""


def draw_stacks(chart: StackChart, *, narrow: bool) -> Canvas:
    """Draw stacked bars in panels, each on a linear scale of its own."""
    panels = chart.panels()
    width, row, gap = (NARROW if narrow else WIDE), (48.0 if narrow else 32.0), 44.0
    left, right = (4.0, width - 10.0) if narrow else (232.0, width - room_for((s.text for s in chart.stacks), 190.0))
    keys, head = _keys(chart, width)
    failed = [stack for stack in chart.stacks if stack.trouble]
    canvas = Canvas(width, head + sum(len(panel) * row + gap for panel in panels) + len(failed) * row)
    for (x, y), (shade, letter, title) in keys:
        if shade == _MARK:
            canvas.dots([x + 8.0], [y], "ink", shape="D", size=7.0)
        else:
            canvas.bar(x, y - 8.0, 16.0, 16.0, f"part-{shade}")
            _letter(canvas, letter, x + 8.0, y)
        canvas.text(x + 22.0, y, title, "ink")
    y = head
    for panel in panels:
        high = max(stack.length for stack in panel) * 1.04 or 1.0
        place = linear(0.0, high, left, right)
        top, bottom = y + 6.0, y + 6.0 + len(panel) * row
        grid(canvas, place, linear_ticks(0.0, high, chart.unit, 4 if narrow else 6), top, bottom)
        for index, stack in enumerate(panel):
            _stack_row(canvas, chart, stack, place, top + index * row, row, right, narrow=narrow)
        canvas.line([left, left], [top, bottom], "soft")
        y = bottom + gap - 6.0
    for index, stack in enumerate(failed):
        _failed_row(canvas, stack, left, y + index * row, row, narrow=narrow)
    return canvas


def _letter(canvas: Canvas, letter: str, x: float, y: float) -> None:
    """Write a part's letter on a patch of paper: it is legible on every colour."""
    canvas.bar(x - 6.0, y - 6.5, 12.0, 13.0, "paper", alpha=0.85)
    canvas.text(x, y, letter, "ink", size=11.0, anchor="center", bold=True)


def _letters(chart: StackChart) -> dict[str, str]:
    """Return a letter for each part: colour is never the only sign."""
    return {part.key: chr(ord("A") + place % 26) for place, part in enumerate(chart.parts)}


def _keys(chart: StackChart, width: float) -> tuple[list[tuple[tuple[float, float], tuple[int, str, str]]], float]:
    """Return where each key (shade, letter, title) stands, in as many lines as they take, and the height of them."""
    letters = _letters(chart)
    entries = [(part.shade, letters[part.key], part.title) for part in chart.parts]
    entries += [(_MARK, "", chart.total_text)] if chart.total_text else []
    keys, x, y = [], 2.0, 10.0
    for entry in entries:
        length = 22.0 + len(entry[2]) * 7.4 + 16.0
        if x + length > width and x > 2.0:
            x, y = 2.0, y + 22.0
        keys.append(((x, y), entry))
        x += length
    return keys, y + 20.0


def _stack_row(
    canvas: Canvas, chart: StackChart, stack: Stack, place: Place, y: float, row: float, right: float, *, narrow: bool
) -> None:  # fmt: skip
    middle = y + (33.0 if narrow else row / 2.0)
    if narrow:
        label_above(canvas, stack.family, signed(stack.label, stack.bound), stack.text, y + 13.0)
    else:
        label_left(canvas, stack.family, signed(stack.label, stack.bound), middle)
        canvas.text(right + 14.0, middle, short(stack.text, MOST_LETTERS), "ink")
    shades, letters = {part.key: part.shade for part in chart.parts}, _letters(chart)
    begin = 0.0
    for key, value in stack.parts:
        x, end = place(begin), place(begin + max(value, 0.0))
        if end - x > 0.2:
            # A sliver of paper parts neighbours; a part too thin for it keeps its whole width.
            canvas.bar(x, middle - 9.0, end - x - (1.0 if end - x > 3.0 else 0.0), 18.0, f"part-{shades.get(key, 0)}")
        if end - x > _WIDE_ENOUGH:
            _letter(canvas, letters.get(key, ""), (x + end) / 2.0, middle)
        begin += max(value, 0.0)
    if stack.total is not None:
        canvas.dots([place(stack.total)], [middle], "paper", shape="D", size=10.0)
        canvas.dots([place(stack.total)], [middle], "ink", shape="D", size=7.0)


def _failed_row(canvas: Canvas, stack: Stack, left: float, y: float, row: float, *, narrow: bool) -> None:
    middle = y + (33.0 if narrow else row / 2.0)
    if narrow:
        label_above(canvas, stack.family, stack.label, "", y + 13.0)
    else:
        label_left(canvas, stack.family, stack.label, middle)
    cross(canvas, left + 8.0, middle, stack.trouble)
