"""The pictures of a run, each with its words and the table that carries the same numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.clock import Event
from bench.compare import Comparison
from bench.stats import estimate
from bench.text import plural
from bench.units import Unit, format_interval, format_value
from report import words
from report.data import FAMILIES, Cell, MetricView, Params, ScenarioView, View
from report.figures import Curve, DotChart, Dots, EcdfChart, ForestChart, Guide, RatioRow, Stack, StackChart
from report.model import Figure, Row, Table

GUIDES = (
    Guide(value=0.05, text="claim: “a container starts in 50 ms”"),
    Guide(value=60.0, text="claim: “a VM takes minutes” (60 s)"),
)
"""The two sentences the ladder is about, as limits in seconds of requested→ready."""

FAMILY_TITLES = {
    "process": "processes", "oci": "OCI runtimes", "docker": "Docker", "vm": "virtual machines", "other": "others",
}  # fmt: skip

READY, INIT = "requested→ready", "requested→init"

PART_TITLES = {
    "workload": "workload", "vmm": "VMM with guest memory", "shim": "shim", "control-plane": "control plane (shared)",
    "shared": "shared by all instances", "unique": "unique to the instances",
}  # fmt: skip


def key_of(*words_: str) -> str:
    """Return a word for an HTML id made of others: letters, digits and hyphens."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", word.lower().replace("→", "-to-")).strip("-") or "x" for word in words_)


def ladder_scenario(view: View) -> ScenarioView | None:
    """Return the scenario whose headline is requested→ready, or None."""
    return next((s for s in view.scenarios.values() if s.headline == READY), None)


def ladder(view: View, scenario: ScenarioView) -> Figure:
    """Return the picture the suite is about: every subject from the process outwards, on one logarithmic clock."""
    params = view.principal(scenario.name, READY)
    rows = _dots(view, scenario, READY, params, mark=INIT)
    said = [words.limit_sentence(view, scenario, params, guide.value, guide.text) for guide in GUIDES]
    emulated = "Shaded rows with ▲ are emulated in software: an upper bound. " if any(r.emulated for r in rows) else ""
    return Figure(
        key="ladder-figure",
        title="The ladder: from the request to the first answer",
        description=f"Median and 95 % interval of requested→ready for each subject. {' '.join(said)}",
        caption="Diamond: median of requested→ready; thick bar: its 95 % interval; upright stroke: median of requested→init; small "
        f"points: every trial. {emulated}The axis is logarithmic. {' '.join(said)}",
        chart=DotChart(unit=Unit.SECONDS, rows=rows, guides=GUIDES),
        table=_estimate_table(
            view, scenario, (READY, INIT), params, f"requested→ready and requested→init, {_scope(scenario)}"
        ),
    )


def dots(view: View, scenario: ScenarioView, params: Params) -> Figure:
    """Return the headline of every subject under one set of parameters."""
    metric = scenario.metrics[scenario.headline]
    rows = _dots(view, scenario, metric.name, params)
    at = f" at {words.conditions(params)}" if params else ""
    return Figure(
        key=key_of(scenario.name, "dots", *(f"{k} {v}" for k, v in params)),
        title=f"{metric.title or metric.name}{at}",
        description=f"{metric.name}{at}: {'; '.join(f'{r.label} {r.text}' for r in rows if r.median is not None)}.",
        caption=f"Diamond: median of {metric.name}{at}; thick bar: its 95 % interval; points: every trial.",
        chart=DotChart(unit=metric.unit, rows=rows),
        table=_estimate_table(view, scenario, (metric.name,), params, f"{words.measured(metric)}{at}"),
    )


def _scope(scenario: ScenarioView) -> str:
    return f"scenario {scenario.name}"


def _dots(view: View, scenario: ScenarioView, metric: str, params: Params, mark: str = "") -> tuple[Dots, ...]:
    cells = view.row(scenario.name, metric, params)
    unit = scenario.metrics[metric].unit
    rows = []
    for subject in view.ordered(cells):
        if subject.name in scenario.excluded:
            continue
        cell, found = cells[subject.label], view.estimates.get((scenario.name, subject.label, metric, params))
        marked = view.estimates.get((scenario.name, subject.label, mark, params)) if mark else None
        rows.append(
            Dots(
                label=subject.label, note=subject.title, family=subject.family, emulated=subject.emulated,
                values=tuple(cell.numbers), median=found.median if found else None, low=found.low if found else None,
                high=found.high if found else None, mark=marked.median if marked and marked.median > 0.0 else None,
                text=words.estimated(found, unit), trouble=words.trouble(cell),
            )
        )  # fmt: skip
    return tuple(rows)


def _estimate_table(view: View, scenario: ScenarioView, metrics: Sequence[str], params: Params, caption: str) -> Table:
    """Return median, interval, n and failures of each subject, for each of the metrics."""
    cells = view.row(scenario.name, metrics[0], params)
    rows = []
    for subject in view.ordered(cells):
        found = [view.estimates.get((scenario.name, subject.label, metric, params)) for metric in metrics]
        texts = [
            words.estimated(e, scenario.metrics[m].unit)
            for e, m in zip(found, metrics, strict=True)
            if m in scenario.metrics
        ]
        n = str(found[0].n) if found[0] else "0"
        rows.append(
            Row(head=subject.label, note=subject.title, family=subject.family, emulated=subject.emulated,
                cells=(*texts, n, words.trouble(cells[subject.label]) or "none"))
        )  # fmt: skip
    columns = ("subject", *(m for m in metrics if m in scenario.metrics), "n", "failures")
    return Table(caption=f"{caption}: median [95 % interval]", columns=columns, rows=tuple(rows))


# ── ratios ──


def forest(view: View, scenario: ScenarioView, key: str) -> Figure | None:
    """Return the ratios of one scenario's headline to its baseline, or None if there are none."""
    params = view.principal(scenario.name, scenario.headline)
    labels = view.row(scenario.name, scenario.headline, params)
    found = [
        (s, view.comparisons.get((scenario.name, s.label, scenario.headline, params))) for s in view.ordered(labels)
    ]
    compared = [(s, c) for s, c in found if c is not None]
    if not compared:
        return None
    rows = tuple(
        RatioRow(label=s.label, family=s.family, emulated=s.emulated, twin=bool(s.twin_of), ratio=c.ratio, low=c.low, high=c.high,
                 verdict=str(c.verdict), text=c.text if c.ratio else str(c.verdict))
        for s, c in compared
    )  # fmt: skip
    baseline = compared[0][1].baseline
    table_rows = [
        Row(head=s.label, family=s.family, emulated=s.emulated, note=s.title,
            cells=(format_interval(c.ratio, c.low, c.high, Unit.RATIO), words.VERDICT_SIGNS[c.verdict] + " " + c.word,
                   "yes" if c.firm else "no", str(c.blocks), c.reason))
        for s, c in compared
    ]  # fmt: skip
    floor = _floor(view, scenario, params)
    band = f" The band is the noise floor: what the A/A pairs differed by, {floor[1]:.3g}× at most." if floor else ""
    return Figure(
        key=key_of(key, "figure"),
        title=f"{scenario.headline}: how many times {baseline}",
        description=f"Ratios to {baseline}: {'; '.join(f'{r.label} {r.text}' for r in rows)}.",
        caption=f"Ratio of {scenario.headline} to {baseline}, block by block; bar: 95 % interval. The axis is logarithmic, so that "
        f"twice and half are equally far from 1. ▲ worse or more, ▼ better or less, ■ equivalent, ○ inconclusive.{band}",
        chart=ForestChart(baseline=baseline, rows=rows, floor=floor),
        table=Table(
            caption=f"Ratio of {scenario.headline} to {baseline}; firm: the verdict stands for all rows of the table together",
            columns=("subject", "ratio [95 % interval]", "verdict", "firm", "blocks", "why"),
            rows=tuple(table_rows),
        ),
    )


def _floor(view: View, scenario: ScenarioView, params: Params) -> tuple[float, float] | None:
    def fits(c: Comparison) -> bool:
        return (c.scenario, c.metric, c.params) == (scenario.name, scenario.headline, params)

    most = max((c.deviation for c in view.floors if fits(c) and c.deviation), default=None)
    return (1.0 / most, most) if most else None


# ── phases and parts ──


def waterfall(view: View, scenario: ScenarioView) -> Figure | None:
    """Return the median phases of each subject, chained, in panels that each have a scale of their own."""
    phases = [(m, p) for (m, p) in view.cells.get(scenario.name, {}) if dict(p).get("part") == "phase"]
    totals = view.row(scenario.name, scenario.headline, view.principal(scenario.name, scenario.headline))
    medians: dict[str, list[tuple[str, float]]] = {}
    for metric, params in sorted(phases, key=lambda found: _first_place(found[0])):
        for label, cell in view.row(scenario.name, metric, params).items():
            if found := estimate(cell.numbers):
                medians.setdefault(label, []).append((metric, found.median))
    if not medians:
        return None
    stacks = []
    for subject in view.ordered(medians):
        total = estimate(totals[subject.label].numbers) if subject.label in totals else None
        text = format_value(total.median if total else None, Unit.SECONDS)
        stacks.append(
            Stack(label=subject.label, family=subject.family, emulated=subject.emulated, parts=tuple(medians[subject.label]),
                  total=total.median if total else None, text=text)
        )  # fmt: skip
    names = list(dict.fromkeys(m for m, _ in sorted(phases, key=lambda f: _first_place(f[0]))))
    chart = StackChart(
        unit=Unit.SECONDS, parts=tuple((n, n) for n in names), stacks=tuple(stacks), total_text=f"median of {scenario.headline}"
    )  # fmt: skip
    longest = [f"{s.label} spends most in {max(s.parts, key=lambda p: p[1])[0]}" for s in stacks]
    return _stack_figure(
        view, scenario, chart, key_of(scenario.name, "phases"), "Where the time goes",
        f"{'; '.join(longest)}.",
        "Median of each phase, one after another; each panel has its own linear scale, fitting for its bars. Medians of parts need not "
        "add up to the median of the whole (◆).",
    )  # fmt: skip


def _first_place(metric: str) -> tuple[float, str]:
    """Return where a phase stands in the longest chain it occurs in."""
    names = [str(event) for event in Event]
    first, _, second = metric.partition("→")
    place = names.index(first) if first in names else len(names)
    return place + (names.index(second) if second in names else 0) / 100.0, metric


def parts(view: View, scenario: ScenarioView, metric: MetricView, params: Params) -> Figure | None:
    """Return who uses how much of a metric (its samples carry `part`), stacked, for otherwise equal parameters."""
    rest = tuple(item for item in params if item[0] != "part")
    found = [p for p in view.variants(scenario.name, metric.name) if tuple(i for i in p if i[0] != "part") == rest]
    named = sorted((dict(p)["part"], p) for p in found if dict(p).get("part", "total") != "total")
    order = [*PART_TITLES]
    named.sort(key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    totals = view.row(scenario.name, metric.name, tuple(sorted((*rest, ("part", "total")))))
    columns = [(part, view.row(scenario.name, metric.name, p)) for part, p in named]
    at = f" at {words.conditions(rest)}" if rest else ""
    return _stacked(
        view, scenario, metric.unit, columns, totals, key_of(scenario.name, "parts", metric.name, *(f"{k} {v}" for k, v in rest)),
        f"Whose {metric.name} it is{at}", f"median of {metric.name}, all parts",
    )  # fmt: skip


def shares(view: View, scenario: ScenarioView, params: Params) -> Figure | None:
    """Return shared and unique bytes side by side, the pool's growth as the referee."""
    columns = [(m, view.row(scenario.name, m, params)) for m in ("shared", "unique") if m in scenario.metrics]
    totals = view.row(scenario.name, "pool-delta", params)
    at = f" at {words.conditions(params)}" if params else ""
    return _stacked(
        view, scenario, Unit.BYTES, columns, totals, key_of(scenario.name, "shares", *(f"{k} {v}" for k, v in params)),
        f"Disk, shared and unique{at}", "median of pool-delta: what the file system really grew by",
    )  # fmt: skip


def _stacked(
    view: View, scenario: ScenarioView, unit: Unit, columns: Sequence[tuple[str, dict[str, Cell] | object]],
    totals: object, key: str, title: str, total_text: str,
) -> Figure | None:  # fmt: skip
    cells_of = [(part, dict(cells)) for part, cells in columns if isinstance(cells, dict)]
    whole = totals if isinstance(totals, dict) else {}
    stacks = []
    for subject in view.ordered({label for _, cells in cells_of for label in cells}):
        medians = [(part, estimate(cells[subject.label].numbers)) for part, cells in cells_of if subject.label in cells]
        shown = tuple((part, e.median) for part, e in medians if e)
        total = estimate(whole[subject.label].numbers) if subject.label in whole else None
        if shown:
            text = format_value(total.median if total else sum(v for _, v in shown), unit)
            stacks.append(
                Stack(label=subject.label, family=subject.family, emulated=subject.emulated, parts=shown,
                      total=total.median if total else None, text=text)
            )  # fmt: skip
    if not stacks:
        return None
    chart = StackChart(
        unit=unit, parts=tuple((part, PART_TITLES.get(part, part)) for part, _ in cells_of), stacks=tuple(stacks),
        total_text=total_text if any(s.total is not None for s in stacks) else "",
    )  # fmt: skip
    said = "; ".join(f"{s.label} {s.text}" for s in stacks)
    return _stack_figure(
        view,
        scenario,
        chart,
        key,
        title,
        f"{said}.",
        "Medians; each panel has its own linear scale, fitting for its bars.",
    )


def _stack_figure(
    view: View, scenario: ScenarioView, chart: StackChart, key: str, title: str, said: str, caption: str
) -> Figure:
    rows = []
    for stack in chart.stacks:
        parts_of = dict(stack.parts)
        texts = [format_value(parts_of.get(part), chart.unit) for part, _ in chart.parts]
        rows.append(
            Row(head=stack.label, family=stack.family, emulated=stack.emulated, note=view.subject(stack.label).title,
                cells=(*texts, format_value(stack.total, chart.unit)))
        )  # fmt: skip
    columns = ("subject", *(t for _, t in chart.parts), "whole")
    count = plural(len(chart.panels()), "panel")
    return Figure(
        key=key, title=title, description=f"{count}. {said}", caption=caption, chart=chart,
        table=Table(caption=f"{title}: medians, {_scope(scenario)}; whole: measured by itself", columns=columns, rows=tuple(rows)),
    )  # fmt: skip


# ── distributions ──


def distributions(view: View, scenario: ScenarioView) -> list[Figure]:
    """Return one cumulative picture a family of the headline, where anything varies."""
    metric, params = scenario.metrics[scenario.headline], view.principal(scenario.name, scenario.headline)
    cells = view.row(scenario.name, scenario.headline, params)
    figures = []
    for family in FAMILIES:
        members = [s for s in view.ordered(cells) if s.family == family and len(cells[s.label].values) > 1]
        if not any(len(set(cells[s.label].numbers)) > 1 for s in members):
            continue
        curves = tuple(
            Curve(label=s.label, family=family, emulated=s.emulated, values=tuple(cells[s.label].numbers),
                  failed=len(cells[s.label].failed))
            for s in members
        )  # fmt: skip
        spans = [
            f"{c.label} from {format_value(min(c.values), metric.unit)} to {format_value(max(c.values), metric.unit)}"
            for c in curves
        ]
        counts = ", ".join(f"{c.label} n = {len(c.values)}" for c in curves)
        figures.append(
            Figure(
                key=key_of(scenario.name, "ecdf", family), title=f"{scenario.headline}, {FAMILY_TITLES[family]}",
                description=f"Share of trials that needed no more than the value: {'; '.join(spans)}.",
                caption=f"Share of the trials that needed no more, and every trial below. {counts}.",
                chart=EcdfChart(unit=metric.unit, curves=curves), small=True,
            )
        )  # fmt: skip
    return figures
