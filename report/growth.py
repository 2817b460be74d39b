"""Pictures of what changes with how many there are, of single cycles' latencies, and of many tools at once."""

from __future__ import annotations

from collections.abc import Iterable

from bench.compare import Comparison
from bench.evidence import Bound
from bench.units import Better, Unit, format_interval, format_value
from report import pictures, words
from report.data import Params, ScenarioView, View
from report.figures import DotChart, ForestChart, Ramp, RampChart, RatioRow
from report.model import Figure, Row, Table

FEWEST_LEVELS = 3
"""Fewer numbers of instances than this are no curve."""

FEWEST_TOOLS = 4
"""So many metrics of a rate are worth one picture of all of them."""

_QUANTILES = ("p50", "p95", "p99")


def ramps(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield each metric over the number of instances, where at least three numbers of them were alive."""
    for metric in scenario.metrics.values():
        levels = {p: int(dict(p)["instances"]) for p in view.variants(scenario.name, metric.name) if _is_level(p)}
        # What one step took is the slope of what all took, and mostly noise.
        if len(levels) < FEWEST_LEVELS or metric.name.endswith("-step"):
            continue
        found: dict[str, list[tuple[float, float]]] = {}
        for params, level in sorted(levels.items(), key=lambda item: item[1]):
            for label in view.row(scenario.name, metric.name, params):
                estimate = view.estimates.get((scenario.name, label, metric.name, params))
                if estimate is not None:
                    found.setdefault(label, []).append((float(level), estimate.median))
        chosen = [s for s in view.ordered(found) if not s.twin_of]
        series = tuple(
            Ramp(label=s.label, family=s.family, bound=words.sign_of(s, metric).strip(), points=tuple(found[s.label]))
            for s in chosen
        )
        ends = [
            f"{r.label} from {format_value(r.points[0][1], metric.unit)} at {r.points[0][0]:.0f} "
            f"to {format_value(r.points[-1][1], metric.unit)} at {r.points[-1][0]:.0f}"
            for r in series
        ]
        yield Figure(
            key=pictures.key_of(scenario.name, "ramp", metric.name), title=f"{metric.name} over instances", small=True,
            description=f"Medians by the number of instances: {'; '.join(ends)}.",
            caption=f"{pictures.capital(metric.title or metric.name)}: medians by the number of instances.",
            chart=RampChart(unit=metric.unit, ramps=series), table=_ramp_table(series, metric.unit),
        )  # fmt: skip


def _is_level(params: Params) -> bool:
    return [key for key, _ in params] == ["instances"] and params[0][1].isdecimal()


def _ramp_table(series: Iterable[Ramp], unit: Unit) -> Table:
    rows = [
        Row(head=r.label, family=r.family, emulated=bool(r.bound), cells=(f"{x:.0f}", format_value(y, unit)))
        for r in series
        for x, y in r.points
    ]
    return Table(caption="Medians by the number of instances", columns=("subject", "instances", "median"),
                 rows=tuple(rows))  # fmt: skip


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
                "thick bar: its 95 % interval; upright stroke: the 95th percentile, where a trial has 20 cycles.",
                chart=DotChart(unit=metric.unit, rows=rows, marked="beside"),
                table=pictures.estimate_table(view, scenario, columns, words.measured(metric)),
            )


def sides(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield one picture a subject: each tool's result beside the baseline's, what is worse to the right."""
    headline = scenario.metrics.get(scenario.headline)
    if headline is None or headline.unit not in (Unit.PER_SECOND, Unit.BYTES_PER_SECOND):
        return
    found: dict[str, list[Comparison]] = {}
    for metric in scenario.metrics.values():
        for (name, label, of_metric, params), c in view.comparisons.items():
            if (name, of_metric, params) == (scenario.name, metric.name, ()) and c.ratio:
                found.setdefault(label, []).append(c)
    for subject in view.ordered(label for label, tools in found.items() if len(tools) >= FEWEST_TOOLS):
        cost = Bound.of(Better.LOWER, emulated=subject.emulated, exact=False)
        tools = [c for c in found[subject.label] if c.better is not Better.NEITHER]
        rows = tuple(
            RatioRow(label=c.metric, family=subject.family, bound=cost.sign.strip(),
                     verdict=str(c.verdict),
                     ratio=ratio, low=low, high=high,
                     text=words.bounded(c, words.sign_of(subject, scenario.metrics[c.metric])))
            for c in tools
            for ratio, low, high in [_cost(c)]
        )  # fmt: skip
        baseline = tools[0].baseline if tools else scenario.baseline
        yield Figure(
            key=pictures.key_of(scenario.name, "tools", subject.label),
            title=f"{subject.label}: every tool beside {baseline}",
            description=f"{subject.label} beside {baseline}: {'; '.join(f'{r.label} {r.text}' for r in rows)}.",
            caption=f"How many times {baseline}'s cost, block by block, with 95 % intervals; rates are turned, so that "
            "right is worse for every tool. ▲ worse, ▼ better, ■ equivalent, ○ inconclusive.",
            chart=ForestChart(baseline=baseline, rows=rows), table=_tools_table(subject.label, tools),
        )  # fmt: skip


def _cost(c: Comparison) -> tuple[float | None, float | None, float | None]:
    """Return ratio, low and high, turned so that above 1 is worse."""
    if c.better is not Better.HIGHER:
        return c.ratio, c.low, c.high
    ratio, low, high = (1.0 / value if value else None for value in (c.ratio, c.high, c.low))
    return ratio, low, high


def _tools_table(label: str, tools: Iterable[Comparison]) -> Table:
    rows = [
        Row(head=c.metric, cells=(format_interval(c.ratio, c.low, c.high, Unit.RATIO),
                                  f"{words.VERDICT_SIGNS[c.verdict]} {c.word}", str(c.blocks), c.reason))
        for c in tools
    ]  # fmt: skip
    return Table(caption=f"{label} / baseline, as measured; for a rate more is better",
                 columns=("tool", "ratio [95 % interval]", "verdict", "blocks", "why"), rows=tuple(rows))  # fmt: skip
