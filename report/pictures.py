"""The pictures of a run, each with its words and the table that carries the same numbers."""

from __future__ import annotations

import re
import statistics
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.comparing.compare import Comparison
from bench.judging.evidence import Bound
from bench.units import Better, Unit, format_interval, format_value
from report import words
from report.data import FAMILIES, Cell, MetricView, Params, ScenarioView, SubjectView, View, clean
from report.figures import Curve, DotChart, Dots, EcdfChart, ForestChart, RatioRow
from report.guides import guides
from report.model import Figure, Row, Table

FAMILY_TITLES = {
    "process": "processes", "oci": "OCI runtimes", "docker": "Docker", "vm": "virtual machines", "other": "others",
}  # fmt: skip

FEWEST_OF_A_CURVE = 4
"""A cumulative curve of fewer trials tells no more than its points."""

SHAPES = "▲ worse or more, ▼ better or less, ■ equivalent, ○ inconclusive, ✕ failed."
"""What the shapes of a picture of ratios mean."""

READY, INIT = "requested→ready", "requested→init"


def key_of(*words_: str) -> str:
    """Return a word for an HTML id made of others: letters, digits and hyphens.

    Where that loses a sign that no name of ours has, a checksum keeps words apart that only such signs tell apart.
    """
    plain = [re.sub(r"[^a-z0-9]+", "-", word.lower().replace("→", "-to-")).strip("-") or "x" for word in words_]
    lossy = any(not re.fullmatch(r"[a-z0-9@→ .-]+", word) for word in words_)
    return "-".join([*plain, f"{zlib.crc32(repr(words_).encode()):08x}"] if lossy else plain)


def counted(counts: Iterable[int], noun: str = "") -> str:
    """Write on how many values a picture rests, as a sentence: "n = 6.", "n = 4 to 9 blocks."; "" for none."""
    known = sorted(set(counts) - {0})
    ends = " to ".join(map(str, dict.fromkeys((known[0], known[-1])))) if known else ""
    return f"n = {ends}{noun and f' {noun}'}." if known else ""


def not_drawn(absent: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Say who is missing in a picture and why, from (who, why): a sentence for each reason."""
    found: dict[str, dict[str, None]] = {}
    for who, why in absent:
        found.setdefault(clean(why, 200).rstrip(".") or "it has no value", {})[who] = None
    return tuple(f"Not drawn: {words.enumeration(list(named))}, {why}." for why, named in found.items())


def ladder_scenario(view: View) -> ScenarioView | None:
    """Return the scenario whose headline is requested→ready, or None."""
    return next((s for s in view.scenarios.values() if s.headline == READY), None)


def ladder(view: View, scenario: ScenarioView) -> Figure:
    """Return the picture the suite is about: every subject from the process outwards, on one logarithmic clock."""
    params = view.principal(scenario.name, READY)
    rows = rows_of_dots(view, scenario, READY, params, mark=(INIT, params))
    limits = guides(view, scenario)
    said = tuple(sentence for _, sentence in limits)
    emulated = " Shaded rows with ≤ are emulated: an upper bound." if any(r.bound for r in rows) else ""
    return Figure(
        key="ladder-figure", title="From the request to the first answer",
        description=" ".join(("Median and 95 % interval of requested→ready for each subject.", *said)),
        caption="Diamond: median of requested→ready; thick bar: its 95 % interval; upright stroke: median of "
        "requested→init; small points: every trial; cross: failed. The axis is logarithmic."
        f"{emulated} {counted(len(r.values) for r in rows)}",
        notes=said, chart=DotChart(unit=Unit.SECONDS, rows=rows, guides=tuple(g for g, _ in limits), marked="before"),
        table=estimate_table(view, scenario, ((READY, params), (INIT, params)), "requested→ready and requested→init"),
    )  # fmt: skip


def dots(view: View, scenario: ScenarioView, params: Params, beside: tuple[str, Params] | None = None) -> Figure:
    """Return the headline of every subject under one set of parameters, and a second median beside it."""
    metric = scenario.metrics[scenario.headline]
    found = rows_of_dots(view, scenario, metric.name, params, mark=beside)
    rows = tuple(r for r in found if r.median is not None or not r.trouble.startswith("unsupported")) or found
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
        caption=f"Diamond: median of {metric.name}{words.at(params)};{interval}{second} points: every trial. "
        f"{counted(len(r.values) for r in rows)}",
        notes=(*not_drawn((r.label, r.trouble) for r in found if r not in rows),
               *_told(view, view.row(scenario.name, metric.name, params))),
        chart=DotChart(unit=metric.unit, rows=rows, marked="beside"),
        table=estimate_table(view, scenario, columns, words.measured(metric)),
    )  # fmt: skip


def _told(view: View, cells: Mapping[str, Cell]) -> Iterable[str]:
    """Yield what was said beside values, of whom, and of how many values if not of all."""
    found: dict[str, list[str]] = {}
    for subject in view.ordered(cells):
        told = cells[subject.label].told
        for text, count in Counter(filter(None, told)).items():
            share = f" ({count} of {len(told)})" if count < len(told) else ""
            found.setdefault(clean(text, 200).rstrip("."), []).append(f"{subject.label}{share}")
    return (f"{capital(text)}: {words.enumeration(labels)}." for text, labels in found.items())


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
    metric, params = scenario.metrics[scenario.headline], view.principal(scenario.name, scenario.headline)
    cells = view.row(scenario.name, scenario.headline, params)
    found = [
        (s, view.comparisons.get((scenario.name, s.label, scenario.headline, params))) for s in view.ordered(cells)
    ]
    compared = [(s, c) for s, c in found if c is not None]
    if not compared:
        return None
    baseline = compared[0][1].baseline
    rows = tuple(ratio_row(s, c, cells[s.label], bound_of(s, metric)) for s, c in compared)
    apart = [s.label for s, c in found if c is None and s.label != baseline and s.name not in scenario.excluded]
    table_rows = [
        Row(head=s.label, family=s.family, emulated=s.emulated, note=s.title,
            cells=((words.sign_of(s, metric) if c.ratio else "") + format_interval(c.ratio, c.low, c.high, Unit.RATIO),
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
        f"logarithmic: twice and half are equally far from 1. {SHAPES}{band} "
        f"{counted((c.blocks for _, c in compared), 'blocks')}",
        notes=not_drawn((label, words.trouble(cells[label])) for label in apart),
        chart=ForestChart(baseline=baseline, rows=rows, floor=floor),
        table=Table(
            caption=f"Ratio of {scenario.headline} to {baseline}; firm: the verdict holds for all rows together",
            columns=("subject", "ratio [95 % interval]", "verdict", "firm", "blocks", "why"),
            rows=tuple(table_rows),
        ),
    )  # fmt: skip


def bound_of(subject: SubjectView, metric: MetricView) -> Bound:
    """Return what emulation makes of a subject's value, and so of its ratio to an exact one."""
    return Bound.of(metric.better, emulated=subject.emulated, exact=metric.exact)


def ratio_row(subject: SubjectView, c: Comparison, cell: Cell, bound: Bound) -> RatioRow:
    """Return one subject's comparison as a row; where there is no ratio, with the reason."""
    row = RatioRow(label=subject.label, family=subject.family, twin=bool(subject.twin_of), verdict=str(c.verdict))
    if not c.ratio:
        return replace(row, text=str(c.verdict), trouble=words.trouble(cell) or c.reason, broken=cell.broken)
    # The words turn a speed below 1 into so many times slower: then the bound turns too.
    return replace(
        row, bound=bound.sign.strip(), ratio=c.ratio, low=c.low, high=c.high,
        text=(bound.turned if c.turned else bound).sign + c.text,
    )  # fmt: skip


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
        tried = [s for s in view.ordered(cells) if cells[s.label].values or cells[s.label].lost]
        members = [s for s in tried if s.family == family]
        numbers = [cells[s.label].numbers for s in members]
        if not any(len(set(of_one)) > 1 and len(of_one) >= FEWEST_OF_A_CURVE for of_one in numbers):
            continue
        curves = tuple(
            Curve(label=s.label, family=family, bound=words.sign_of(s, metric).strip(),
                  values=tuple(cells[s.label].numbers), failed=len(cells[s.label].failed),
                  trouble="" if cells[s.label].values else words.trouble(cells[s.label]))
            for s in members
        )  # fmt: skip
        spans = [
            f"{c.label} from {format_value(min(c.values), metric.unit)} to {format_value(max(c.values), metric.unit)}"
            for c in curves
            if c.values
        ]
        counts = ", ".join(
            f"{c.label} n = {len(c.values)}{f' and {c.failed} failed' if c.failed else ''}" for c in curves
        )
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
        many = len(curve.values) > 1
        quarters = statistics.quantiles(curve.values, n=4, method="inclusive") if many else curve.values * 3
        marks = [min(curve.values), *quarters, max(curve.values)] if curve.values else [None] * 5
        cells = (*(format_value(mark, unit) for mark in marks), str(len(curve.values)), str(curve.failed))
        rows.append(Row(head=curve.label, family=curve.family, emulated=bool(curve.bound), cells=cells))
    columns = ("subject", "least", "a quarter", "half", "three quarters", "most", "n", "failed")
    return Table(caption="Values that so many of the measured trials did not exceed", columns=columns, rows=tuple(rows))
