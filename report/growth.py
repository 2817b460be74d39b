"""Pictures of what changes with how many there are, and of single cycles' latencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from bench.units import Unit, format_interval, format_value
from report import pictures, words
from report.data import Cell, MetricView, Params, ScenarioView, SubjectView, View
from report.figures import DotChart, Ramp, RampChart
from report.model import Figure, Row, Table

FEWEST_LEVELS = 3
"""Fewer numbers of instances than this are no curve."""

REACHED = "instances-reached"
"""The metric of which each value says why there were no more: "maximum: 20 were asked for"."""

_QUANTILES = ("p50", "p95", "p99")


def ramps(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield each metric over the number of instances, where at least three numbers of them were alive."""
    lost, ends = _lost(view, scenario), endings(view, scenario)
    for metric in scenario.metrics.values():
        levels = {p: int(dict(p)["instances"]) for p in view.variants(scenario.name, metric.name) if _is_level(p)}
        # What one step took is the slope of what all took, and mostly noise.
        if len(levels) < FEWEST_LEVELS or metric.name.endswith("-step"):
            continue
        cells = {label: cell for p in levels for label, cell in view.row(scenario.name, metric.name, p).items()}
        asked = [s for s in view.ordered(cells) if not s.twin_of and s.name not in scenario.excluded]
        tried = [_ramp(view, scenario, metric, s, levels, lost.get(s.label, {}), ends.get(s.label, "")) for s in asked]
        series = tuple(r for r in tried if r.points or r.lost)
        absent = [(r.label, words.trouble(cells[r.label])) for r in tried if r not in series]
        failed = [f"{r.label} at {n}: {text}." for r in series for n, text in lost.get(r.label, {}).items()]
        told = [
            f"{r.label} from {format_value(r.points[0][1], metric.unit)} at {r.points[0][0]:.0f} "
            f"to {format_value(r.points[-1][1], metric.unit)} at {r.points[-1][0]:.0f}"
            for r in series
            if r.points
        ]
        counts = [len(cell.values) for p in levels for cell in view.row(scenario.name, metric.name, p).values()]
        yield Figure(
            key=pictures.key_of(scenario.name, "ramp", metric.name), title=f"{metric.name} over instances", small=True,
            description=f"Medians by the number of instances: {'; '.join(told)}.",
            caption=f"{pictures.capital(metric.title or metric.name)}: medians by the number of instances; upright "
            f"bars: 95 % intervals, or small points: every trial; cross: failed. {pictures.counted(counts)}",
            notes=(*failed, *pictures.not_drawn(absent)),
            chart=RampChart(unit=metric.unit, ramps=series), table=_ramp_table(series, metric.unit),
        )  # fmt: skip


def _is_level(params: Params) -> bool:
    return [key for key, _ in params] == ["instances"] and params[0][1].isdecimal()


def _lost(view: View, scenario: ScenarioView) -> dict[str, dict[int, str]]:
    """Return at which numbers of instances trials failed, and how often and why, by label."""
    found: dict[str, dict[int, str]] = {}
    for (_, params), cells in view.cells.get(scenario.name, {}).items():
        for label, cell in cells.items() if _is_level(params) else ():
            if cell.failed:
                tries = len(cell.values) + len(cell.missing)
                text = f"{len(cell.failed)} of {tries} failed, {cell.failed[0].rstrip('.')}"
                found.setdefault(label, {})[int(params[0][1])] = text
    return found


def _ramp(
    view: View, scenario: ScenarioView, metric: MetricView, subject: SubjectView, levels: Mapping[Params, int],
    lost: Collection[int], ending: str,
) -> Ramp:  # fmt: skip
    points, spans, raw = [], [], []
    for params, level in sorted(levels.items(), key=lambda item: item[1]):
        found = view.estimates.get((scenario.name, subject.label, metric.name, params))
        if found is None:
            continue
        points.append((float(level), found.median))
        if found.low is not None and found.high is not None:
            spans.append((float(level), found.low, found.high))
        else:
            cell = view.cells[scenario.name][metric.name, params][subject.label]
            raw += [(float(level), value) for value in cell.numbers]
    return Ramp(
        label=subject.label, family=subject.family, bound=words.sign_of(subject, metric).strip(),
        points=tuple(points), spans=tuple(spans), raw=tuple(raw), lost=tuple(map(float, lost)),
        ending=ending or words.enumeration([f"failed at {level}" for level in lost]),
    )  # fmt: skip


def endings(view: View, scenario: ScenarioView) -> dict[str, str]:
    """Return how far each subject's ramp went and why no further: "6, the profile's maximum"; empty without ramps."""
    cells = view.cells.get(scenario.name, {}).get((REACHED, ()), {})
    return {s.label: _ending(cells[s.label]) for s in view.ordered(cells) if cells[s.label].values}


def _ending(cell: Cell) -> str:
    reached = Counter(zip(cell.numbers, map(_stop, cell.told), strict=True)).most_common()
    several = len(reached) > 1
    return "; ".join(
        f"{number:g}, {why}{f' ({count} of {len(cell.values)})' if several else ''}" for (number, why), count in reached
    )


def _stop(reason: str) -> str:
    """Return a stop rule's reason for a reader who must not take a declared maximum for a limit of the host."""
    rule, _, text = reason.partition(": ")
    return "the profile's maximum" if rule == "maximum" else text or rule or "for an unknown reason"


def stops(view: View, scenario: ScenarioView) -> tuple[str, ...]:
    """Return how far each subject went and why no further, as sentences; none without ramps."""
    ends = endings(view, scenario)
    if not ends:
        return ()
    told = "; ".join(f"{label}: {text}" for label, text in ends.items())
    limit = " A profile's maximum is no limit of the host." if "the profile's maximum" in told else ""
    return (f"Reached, and why no more: {told}.{limit}",)


def _ramp_table(series: Iterable[Ramp], unit: Unit) -> Table:
    rows = []
    for r in series:
        lows, highs = {n: low for n, low, _ in r.spans}, {n: high for n, _, high in r.spans}
        for number, median in r.points:
            text = format_interval(median, lows.get(number), highs.get(number), unit)
            rows.append(Row(head=r.label, family=r.family, emulated=bool(r.bound), cells=(f"{number:.0f}", text)))
    columns = ("subject", "instances", "median [95 % interval]")
    return Table(caption="Medians by the number of instances", columns=columns, rows=tuple(rows))


def latencies(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield every single cycle of each latency until ready, in each mode, its 95th percentile marked."""
    for metric in scenario.metrics.values():
        variants = view.variants(scenario.name, metric.name)
        modes = {p for p in variants if (*p, ("part", "p50")) in map(tuple, variants)}
        if metric.name == scenario.headline or not metric.name.endswith("→ready"):
            continue
        for params in (p for p in variants if p in modes):
            quantiles = [(metric.name, (*params, ("part", q))) for q in _QUANTILES]
            rows = pictures.rows_of_dots(view, scenario, metric.name, params, mark=quantiles[1])
            told = "; ".join(f"{r.label} {r.text}" for r in rows if r.median is not None)
            columns = ((metric.name, params), *(q for q in quantiles if q[1] in variants))
            yield Figure(
                key=pictures.key_of(scenario.name, "latency", metric.name, *(f"{k} {v}" for k, v in params)),
                title=f"{metric.name}, every cycle{words.at(params)}",
                description=f"Latency of every cycle{words.at(params)}: {told}.",
                caption=f"{pictures.capital(words.measured(metric))}. Points: every cycle; diamond: their median; "
                "thick bar: its 95 % interval; upright stroke: the 95th percentile, where a trial has 20 cycles; "
                f"cross: failed. {pictures.counted((len(r.values) for r in rows), 'cycles')}",
                chart=DotChart(unit=metric.unit, rows=rows, marked="beside"),
                table=pictures.estimate_table(view, scenario, columns, words.measured(metric)),
            )
