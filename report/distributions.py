"""Lays out the small pictures, in pixels: cumulative curves above their raw samples, drift by block, growth."""

from __future__ import annotations

from collections.abc import Sequence

from bench.stats import ecdf
from bench.units import Unit
from report.axes import POINTS, Place, grid, jitter, linear, logarithmic, short, signed, thinned, value_axis
from report.charts import Canvas
from report.figures import Curve, DriftChart, EcdfChart, RampChart, linear_ticks, ratio_ticks

WIDTH = 372.0
"""In CSS pixels: two stand side by side on a desk, one fills a phone."""

DASHES: tuple[tuple[float, ...], ...] = (
    (), (6.0, 3.0), (2.0, 2.0), (9.0, 3.0, 2.0, 3.0), (12.0, 4.0), (4.0, 6.0), (1.5, 4.0),
)  # fmt: skip
"""Line styles that tell subjects of one family apart without colour."""


def draw_ecdf(chart: EcdfChart) -> Canvas:
    """Draw the share of trials that needed no more than a value; a strip of every trial below, named."""
    left, right, top, height, strip = 134.0, WIDTH - 8.0, 12.0, 150.0, 24.0
    base = top + height
    bottom = base + 12.0 + strip * len(chart.curves)
    canvas = Canvas(WIDTH, bottom + 24.0)
    values = [v for curve in chart.curves for v in curve.values] or [1.0]
    place, ticks = value_axis(values, chart.unit, left, right, 4, close=True)
    grid(canvas, place, ticks, top, bottom)
    for share, text in ((0.0, "none"), (0.5, "half"), (1.0, "all trials")):
        y = base - share * height
        canvas.line([left, right], [y, y], "line")
        canvas.text(left - 8.0, y, text, "soft", anchor="right")
    for index, curve in enumerate(chart.curves):
        dash, y = DASHES[index % len(DASHES)], base + 12.0 + strip * (index + 0.5)
        _curve(canvas, curve, place, (left, right, base, height), dash)
        canvas.line([2.0, 22.0], [y, y], curve.family, width=2.0, dash=dash)
        name = curve.label.partition("@")[0]
        canvas.text(27.0, y, short(signed(name, curve.bound), 17), size=11.0)
        points = [place(v) for v in thinned(curve.values)]
        shifts = [y + s for s in jitter(len(points), 6.0)]
        canvas.dots(points, shifts, curve.family, size=4.0, shape=POINTS[curve.bound], alpha=0.55)
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


def draw_drift(chart: DriftChart) -> Canvas:
    """Draw each trial as a ratio to its subject's median, by block."""
    left, right, top, height = 52.0, WIDTH - 8.0, 12.0, 200.0
    canvas = Canvas(WIDTH, top + height + 42.0)
    ratios = [r for _, _, points in chart.series for _, r in points if r > 0.0] or [1.0]
    reach = max(1.1, *(max(r, 1.0 / r) for r in ratios)) * 1.02
    blocks = [b for _, _, points in chart.series for b, _ in points] or [0]
    first, last = min(blocks), max(*blocks, min(blocks) + 1)
    upright = logarithmic(1.0 / reach, reach, top + height, top)
    for value, text in [*(t for t in ratio_ticks(1.0 / reach, reach) if t[0] != 1.0), (1.0, "1×")]:
        canvas.line([left, right], [upright(value)] * 2, "ink" if value == 1.0 else "line")
        canvas.text(left - 8.0, upright(value), text, "soft", anchor="right")
    step = (right - left - 24.0) / (last - first)
    for place, (_, family, points) in enumerate(chart.series):
        # Subjects of one block stand a little apart, in the order of the ladder.
        shift = (place + 0.5) / len(chart.series) * 0.6 - 0.3
        kept = [(b, r) for b, r in points if r > 0.0]
        xs = [left + 12.0 + (b - first + shift) * step for b, _ in kept]
        canvas.dots(xs, [upright(r) for _, r in kept], family, size=4.0, alpha=0.6)
    for block in range(first, last + 1, max(1, (last - first) // 5)):
        canvas.text(left + 12.0 + (block - first) * step, top + height + 13.0, str(block), "soft", anchor="center")
    canvas.text((left + right) / 2.0, top + height + 31.0, "block", "soft", anchor="center")
    return canvas


_MARKS = ("o", "s", "^", "D", "v", "<", ">")
"""Shapes that tell the ramps of one family apart beside their dashes."""


def draw_ramps(chart: RampChart) -> Canvas:
    """Draw each subject's values over the number of instances, the names with their lines below."""
    left, right, top, height, line = 76.0, WIDTH - 12.0, 12.0, 210.0, 19.0
    base = top + height
    canvas = Canvas(WIDTH, base + 52.0 + line * len(chart.ramps))
    points = [point for ramp in chart.ramps for point in ramp.points] or [(0.0, 1.0)]
    upright, levels = value_axis([y for _, y in points], chart.unit, base, top, 6)
    most = max(*(x for x, _ in points), 2.0)
    place = linear(0.0, most * 1.04, left, right)
    for value, text in levels:
        canvas.line([left, right], [upright(value)] * 2, "line")
        canvas.text(left - 8.0, upright(value), text, "soft", anchor="right")
    whole = [(x, text) for x, text in linear_ticks(0.0, most, Unit.COUNT) if x == int(x)]
    grid(canvas, place, whole, base, base)
    canvas.text((left + right) / 2.0, base + 31.0, "instances", "soft", anchor="center")
    seen: dict[str, int] = {}
    for index, ramp in enumerate(chart.ramps):
        turn = seen[ramp.family] = seen.get(ramp.family, -1) + 1
        dash, shape = DASHES[turn % len(DASHES)], _MARKS[turn % len(_MARKS)]
        xs, ys = [place(x) for x, _ in ramp.points], [upright(y) for _, y in ramp.points]
        canvas.line(xs, ys, ramp.family, width=2.0, dash=dash)
        canvas.dots(xs, ys, ramp.family, size=4.5 if len(xs) <= 30 else 2.0, shape=shape)
        y = base + 52.0 + line * index
        canvas.line([left, left + 26.0], [y, y], ramp.family, width=2.0, dash=dash)
        canvas.dots([left + 13.0], [y], ramp.family, size=4.5, shape=shape)
        canvas.text(left + 34.0, y, short(signed(ramp.label, ramp.bound), 34), size=11.0)
    return canvas
