"""Lays out the small pictures, in pixels: cumulative curves above their raw samples, drift by block, growth."""

from __future__ import annotations

from collections.abc import Sequence

from bench.comparing.stats import ecdf
from bench.units import Unit
from report.axes import POINTS, Place, cross, grid, jitter, linear, logarithmic, short, signed, thinned, value_axis
from report.charts import Canvas
from report.figures import Curve, DriftChart, EcdfChart, Ramp, RampChart, linear_ticks, ratio_ticks

WIDTH = 372.0
"""In CSS pixels: two stand side by side on a desk, one fills a phone."""

DASHES: tuple[tuple[float, ...], ...] = (
    (), (6.0, 3.0), (2.0, 2.0), (9.0, 3.0, 2.0, 3.0), (12.0, 4.0), (4.0, 6.0), (1.5, 4.0),
)  # fmt: skip
"""Line styles that tell subjects apart without colour."""


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
        if not curve.values:
            cross(canvas, left + 4.0, y, curve.trouble or "failed")
            continue
        points = [place(v) for v in thinned(curve.values)]
        shifts = [y + s for s in jitter(len(points), 6.0)]
        canvas.dots(points, shifts, curve.family, size=4.0, shape=POINTS[curve.bound], alpha=0.55)
    return canvas


def _curve(
    canvas: Canvas, curve: Curve, place: Place, box: tuple[float, float, float, float], dash: Sequence[float]
) -> None:
    """Draw the cumulative share; failed trials keep the curve from reaching all, or from rising at all."""
    left, right, base, height = box
    if not curve.values:
        canvas.line([left, right], [base, base], curve.family, width=2.0, dash=dash)
        return
    positions, shares = ecdf(curve.values)
    survived = len(curve.values) / (len(curve.values) + curve.failed)
    xs, ys = [left], [base]
    for value, share in zip(positions, shares, strict=True):
        xs += [place(value), place(value)]
        ys += [ys[-1], base - share * survived * height]
    canvas.line([*xs, right], [*ys, ys[-1]], curve.family, width=2.0, dash=dash)


def draw_drift(chart: DriftChart) -> Canvas:
    """Draw each trial as a ratio to its subject's median, by block; failed ones as crosses at the foot; a key below."""
    left, right, top, height, line = 52.0, WIDTH - 8.0, 12.0, 200.0, 18.0
    foot = top + height + 56.0
    canvas = Canvas(WIDTH, foot + line * ((len(chart.tracks) + 1) // 2))
    ratios = [r for track in chart.tracks for _, r in track.points if r > 0.0] or [1.0]
    reach = max(1.1, *(max(r, 1.0 / r) for r in ratios)) * 1.02
    blocks = [b for track in chart.tracks for b in (*(b for b, _ in track.points), *track.lost)] or [0]
    first, last = min(blocks), max(*blocks, min(blocks) + 1)
    upright = logarithmic(1.0 / reach, reach, top + height - 12.0, top)
    ticks = ratio_ticks(1.0 / reach, reach) if reach > _NEAR[-1] else [(v, f"{v:g}×") for v in _NEAR]
    for value, text in [*(t for t in ticks if 1.0 / reach < t[0] < reach and t[0] != 1.0), (1.0, "1×")]:
        canvas.line([left, right], [upright(value)] * 2, "ink" if value == 1.0 else "line")
        canvas.text(left - 8.0, upright(value), text, "soft", anchor="right")
    step = (right - left - 24.0) / (last - first)
    for place, track in enumerate(chart.tracks):
        # Subjects of one block stand a little apart, in the order of the ladder.
        shift = (place + 0.5) / len(chart.tracks) * 0.6 - 0.3
        kept, shape = [(b, r) for b, r in track.points if r > 0.0], _MARKS[place % len(_MARKS)]
        xs = [left + 12.0 + (b - first + shift) * step for b, _ in kept]
        canvas.dots(xs, [upright(r) for _, r in kept], track.family, size=4.5, shape=shape, alpha=0.65)
        lost = [left + 12.0 + (b - first + shift) * step for b in track.lost]
        canvas.dots(lost, [top + height - 4.0] * len(lost), "alarm", shape="x", size=5.0)
        x, y = (2.0, WIDTH / 2.0)[place % 2], foot + line * (place // 2)
        canvas.dots([x + 6.0], [y], track.family, size=5.5, shape=shape)
        canvas.text(x + 16.0, y, short(track.label, 24), size=11.0)
    for block in range(first, last + 1, max(1, (last - first) // 5)):
        canvas.text(left + 12.0 + (block - first) * step, top + height + 13.0, str(block), "soft", anchor="center")
    canvas.text((left + right) / 2.0, top + height + 31.0, "block", "soft", anchor="center")
    return canvas


_NEAR = (0.33, 0.5, 0.67, 0.8, 1.25, 1.5, 2.0, 3.0)
"""Ratios that are marked where none lies further from 1."""

_MARKS = ("o", "s", "^", "D", "v", "<", ">")
"""Shapes that tell subjects apart without colour."""


def draw_ramps(chart: RampChart) -> Canvas:
    """Draw each subject's values over the number of instances, the names with their lines below."""
    left, right, top, height, line = 76.0, WIDTH - 12.0, 12.0, 210.0, 19.0
    base = top + height
    canvas = Canvas(WIDTH, base + 52.0 + line * len(chart.ramps))
    values = [y for r in chart.ramps for _, y in (*r.points, *r.raw)]
    values += [y for r in chart.ramps for _, low, high in r.spans for y in (low, high)]
    upright, levels = value_axis(values or [0.0, 1.0], chart.unit, base, top, 6)
    most = max([2.0, *(x for r in chart.ramps for x in (*(x for x, _ in r.points), *r.lost))])
    place = linear(0.0, most * 1.04, left, right)
    for value, text in levels:
        canvas.line([left, right], [upright(value)] * 2, "line")
        canvas.text(left - 8.0, upright(value), text, "soft", anchor="right")
    whole = [(x, text) for x, text in linear_ticks(0.0, most, Unit.COUNT) if x == int(x)]
    grid(canvas, place, whole, base, base)
    canvas.text((left + right) / 2.0, base + 31.0, "instances", "soft", anchor="center")
    for index, ramp in enumerate(chart.ramps):
        dash, shape = DASHES[index % len(DASHES)], _MARKS[index % len(_MARKS)]
        _ramp(canvas, ramp, place, upright, base, dash, shape)
        y = base + 52.0 + line * index
        canvas.line([left - 74.0, left - 48.0], [y, y], ramp.family, width=2.0, dash=dash)
        canvas.dots([left - 61.0], [y], ramp.family, size=4.5, shape=shape)
        name = signed(ramp.label, ramp.bound)
        canvas.text(left - 42.0, y, short(f"{name}: {ramp.ending}" if ramp.ending else name, 54), size=11.0)
    return canvas


def _ramp(
    canvas: Canvas, ramp: Ramp, place: Place, upright: Place, base: float, dash: Sequence[float], shape: str
) -> None:  # fmt: skip
    """Draw medians on a line, their intervals or all values about them, and a cross where trials failed."""
    xs, ys = [place(x) for x, _ in ramp.points], [upright(y) for _, y in ramp.points]
    canvas.lines([(place(x), upright(low), place(x), upright(high)) for x, low, high in ramp.spans], ramp.family,
                 width=3.0, alpha=0.45)  # fmt: skip
    raw = [(place(x), upright(y)) for x, y in ramp.raw]
    if len(raw) > len(xs):
        canvas.dots([x for x, _ in raw], [y for _, y in raw], ramp.family, size=3.0, alpha=0.45)
    canvas.line(xs, ys, ramp.family, width=2.0, dash=dash)
    canvas.dots(xs, ys, ramp.family, size=4.5 if len(xs) <= 30 else 2.0, shape=shape)
    for level in ramp.lost:
        # At the height of the last value before it, at the foot if there was none.
        before = [upright(y) for x, y in ramp.points if x <= level]
        canvas.dots([place(level)], [before[-1] if before else base - 8.0], "alarm", shape="x", size=7.0)
