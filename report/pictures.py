"""The pictures of a run, each with its words and the table that carries the same numbers."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from bench.compare import Comparison
from bench.units import Better, Unit, format_interval, format_value
from report import words
from report.data import FAMILIES, Params, ScenarioView, View
from report.figures import Curve, DotChart, Dots, EcdfChart, ForestChart, Guide, RatioRow
from report.model import Figure, Row, Table

GUIDES = (
    Guide(
        value=0.05, text="claim: “a container needs only 50 ms”", brief="claim: “50 ms”",
        families=("oci", "docker")
    ),
    Guide(value=60.0, text="claim: “a VM takes minutes”, 60 s or more", brief="claim: “minutes”", families=("vm",)),
)  # fmt: skip
"""The two sentences the ladder is about, as limits in seconds of requested→ready."""

FAMILY_TITLES = {
    "process": "processes", "oci": "OCI runtimes", "docker": "Docker", "vm": "virtual machines", "other": "others",
}  # fmt: skip

FEWEST_OF_A_CURVE = 4
"""A cumulative curve of fewer trials tells no more than its points."""

READY, INIT = "requested→ready", "requested→init"


def key_of(*words_: str) -> str:
    """Return a word for an HTML id made of others: letters, digits and hyphens."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", word.lower().replace("→", "-to-")).strip("-") or "x" for word in words_)


def ladder_scenario(view: View) -> ScenarioView | None:
    """Return the scenario whose headline is requested→ready, or None."""
    return next((s for s in view.scenarios.values() if s.headline == READY), None)


def ladder(view: View, scenario: ScenarioView) -> Figure:
    """Return the picture the suite is about: every subject from the process outwards, on one logarithmic clock."""
    params = view.principal(scenario.name, READY)
    rows = rows_of_dots(view, scenario, READY, params, mark=(INIT, params))
    said = tuple(words.limit_sentence(view, scenario, params, guide) for guide in GUIDES)
    emulated = " Shaded rows with ≤ are emulated: an upper bound." if any(r.bound for r in rows) else ""
    return Figure(
        key="ladder-figure", title="From the request to the first answer",
        description=f"Median and 95 % interval of requested→ready for each subject. {' '.join(said)}",
        caption="Diamond: median of requested→ready; thick bar: its 95 % interval; upright stroke: median of "
        f"requested→init; small points: every trial. The axis is logarithmic.{emulated}",
        notes=said, chart=DotChart(unit=Unit.SECONDS, rows=rows, guides=GUIDES, marked="before"),
        table=estimate_table(view, scenario, ((READY, params), (INIT, params)), "requested→ready and requested→init"),
    )  # fmt: skip


def dots(view: View, scenario: ScenarioView, params: Params, beside: tuple[str, Params] | None = None) -> Figure:
    """Return the headline of every subject under one set of parameters, and a second median beside it."""
    metric = scenario.metrics[scenario.headline]
    found = rows_of_dots(view, scenario, metric.name, params, mark=beside)
    senseless = [r for r in found if r.median is None and r.trouble.startswith("unsupported")]
    rows = tuple(r for r in found if r not in senseless) or found
    notes = tuple(dict.fromkeys(f"Not drawn: {r.label}, {r.trouble}." for r in senseless)) if rows != found else ()
    interval = " thick bar: its 95 % interval;" if any(r.low is not None for r in rows) else ""
    second = ""
    if beside:
        other = conditions_of(beside[1]) if beside[0] == metric.name else words.measured(scenario.metrics[beside[0]])
        second = f" upright stroke: median of {other};"
    told = "; ".join(f"{r.label} {r.text}" for r in rows if r.median is not None)
    columns = ((metric.name, params), *((beside,) if beside else ()))
    return Figure(
        key=key_of(scenario.name, "dots", *(f"{k} {v}" for k, v in params)),
        title=f"{capital(metric.title or metric.name)}{words.at(params)}",
        description=f"{metric.name}{words.at(params)}: {told}.",
        caption=f"Diamond: median of {metric.name}{words.at(params)};{interval}{second} points: every trial.",
        notes=notes, chart=DotChart(unit=metric.unit, rows=rows, marked="beside"),
        table=estimate_table(view, scenario, columns, words.measured(metric)),
    )  # fmt: skip


def conditions_of(params: Params) -> str:
    """Write parameters as a noun: "mode warm"."""
    return words.conditions(params) or "the same without parameters"


def capital(text: str) -> str:
    """Return the text with its first letter large, names of events left alone."""
    return text if "→" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def rows_of_dots(
    view: View, scenario: ScenarioView, metric: str, params: Params, mark: tuple[str, Params] | None = None
) -> tuple[Dots, ...]:
    """Return one row a subject for a picture of dots; `mark` names a second median beside the first."""
    cells, declared = view.row(scenario.name, metric, params), scenario.metrics[metric]
    rows = []
    for subject in view.ordered(cells):
        if subject.name in scenario.excluded:
            continue
        cell, found = cells[subject.label], view.estimates.get((scenario.name, subject.label, metric, params))
        marked = view.estimates.get((scenario.name, subject.label, *mark)) if mark else None
        rows.append(
            Dots(
                label=subject.label, note=subject.title, family=subject.family,
                bound=words.sign_of(subject, declared).strip(),
                values=tuple(cell.numbers), median=found.median if found else None, low=found.low if found else None,
                high=found.high if found else None, mark=marked.median if marked and found else None,
                text=words.estimated(found, declared.unit, words.sign_of(subject, declared)) if found else "",
                trouble=words.trouble(cell), broken=cell.broken,
            )
        )  # fmt: skip
    return tuple(rows)


def estimate_table(
    view: View, scenario: ScenarioView, columns: Sequence[tuple[str, Params]], caption: str
) -> Table:  # fmt: skip
    """Return median, interval, n and failures of each subject, one column for each metric and its parameters."""
    kept = [(m, p) for m, p in columns if m in scenario.metrics]
    cells = view.row(scenario.name, *kept[0])
    rows = []
    for subject in view.ordered(cells):
        if subject.name in scenario.excluded:
            continue
        texts = [
            words.estimated(
                view.estimates.get((scenario.name, subject.label, m, p)), scenario.metrics[m].unit,
                words.sign_of(subject, scenario.metrics[m]),
            )
            for m, p in kept
        ]  # fmt: skip
        first = view.estimates.get((scenario.name, subject.label, *kept[0]))
        rows.append(
            Row(head=subject.label, note=subject.title, family=subject.family, emulated=subject.emulated,
                cells=(*texts, str(first.n) if first else "0", words.trouble(cells[subject.label]) or "none"))
        )  # fmt: skip
    heads = (f"{m}{words.at(p)}" for m, p in kept)
    return Table(
        caption=f"{caption}: median [95 % interval]", columns=("subject", *heads, "n", "failures"), rows=tuple(rows)
    )


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
    metric = scenario.metrics[scenario.headline]
    signs = {s.label: words.sign_of(s, metric) if c.ratio else "" for s, c in compared}
    rows = tuple(
        RatioRow(label=s.label, family=s.family, bound=signs[s.label].strip(), twin=bool(s.twin_of),
                 ratio=c.ratio, low=c.low,
                 high=c.high, verdict=str(c.verdict),
                 text=words.bounded(c, signs[s.label]) if c.ratio else str(c.verdict))
        for s, c in compared
    )  # fmt: skip
    baseline = compared[0][1].baseline
    table_rows = [
        Row(head=s.label, family=s.family, emulated=s.emulated, note=s.title,
            cells=(signs[s.label] + format_interval(c.ratio, c.low, c.high, Unit.RATIO),
                   f"{words.VERDICT_SIGNS[c.verdict]} {c.word}", "yes" if c.firm else "no", str(c.blocks), c.reason))
        for s, c in compared
    ]  # fmt: skip
    floor = _floor(view, scenario, params)
    band = f" The band is the noise floor: what the A/A pairs differed by, {floor[1]:.3g}× at most." if floor else ""
    return Figure(
        key=key_of(key, "figure"),
        title=f"{scenario.headline}: how many times {baseline}",
        description=f"Ratios to {baseline}: {'; '.join(f'{r.label} {r.text}' for r in rows)}.",
        caption=f"Ratio of {scenario.headline} to {baseline}, block by block; bar: 95 % interval. The axis is "
        "logarithmic: twice and half are equally far from 1. ▲ worse or more, ▼ better or less, ■ equivalent, "
        "○ inconclusive."
        f"{band}",
        chart=ForestChart(baseline=baseline, rows=rows, floor=floor),
        table=Table(
            caption=f"Ratio of {scenario.headline} to {baseline}; firm: the verdict holds for all rows together",
            columns=("subject", "ratio [95 % interval]", "verdict", "firm", "blocks", "why"),
            rows=tuple(table_rows),
        ),
    )


def _floor(view: View, scenario: ScenarioView, params: Params) -> tuple[float, float] | None:
    def fits(c: Comparison) -> bool:
        return (c.scenario, c.metric, c.params) == (scenario.name, scenario.headline, params)

    most = max((c.deviation for c in view.floors if fits(c) and c.deviation), default=None)
    return (1.0 / most, most) if most else None


# ── distributions ──


def distributions(view: View, scenario: ScenarioView) -> list[Figure]:
    """Return one cumulative picture a family of the headline, where anything varies."""
    metric, params = scenario.metrics[scenario.headline], view.principal(scenario.name, scenario.headline)
    cells = view.row(scenario.name, scenario.headline, params)
    figures, needed = [], "reached" if metric.better is Better.HIGHER else "needed"
    for family in FAMILIES:
        members = [s for s in view.ordered(cells) if s.family == family and cells[s.label].values]
        numbers = [cells[s.label].numbers for s in members]
        if not any(len(set(of_one)) > 1 and len(of_one) >= FEWEST_OF_A_CURVE for of_one in numbers):
            continue
        curves = tuple(
            Curve(label=s.label, family=family, bound=words.sign_of(s, metric).strip(),
                  values=tuple(cells[s.label].numbers),
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
                description=f"Share of trials that {needed} no more than the value: {'; '.join(spans)}.",
                caption=f"Share of the trials that {needed} no more, and every trial below. {counts}.",
                chart=EcdfChart(unit=metric.unit, curves=curves), small=True, table=_spread(curves, metric.unit),
            )
        )  # fmt: skip
    return figures


def _spread(curves: Sequence[Curve], unit: Unit) -> Table:
    """Return the values at which each curve begins, passes a quarter, the half and three quarters, and ends."""
    rows = []
    for curve in curves:
        quarters = (
            statistics.quantiles(curve.values, n=4, method="inclusive") if len(curve.values) > 1 else curve.values * 3
        )
        marks = [min(curve.values), *quarters, max(curve.values)]
        cells = (*(format_value(mark, unit) for mark in marks), str(len(curve.values)), str(curve.failed))
        rows.append(Row(head=curve.label, family=curve.family, emulated=bool(curve.bound), cells=cells))
    columns = ("subject", "least", "a quarter", "half", "three quarters", "most", "n", "failed")
    return Table(caption="Values that so many of the measured trials did not exceed", columns=columns, rows=tuple(rows))
