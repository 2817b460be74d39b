"""Everything the page says, before it is a page: each sentence, table and picture as data."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.compare import Comparison
from bench.store import Run
from bench.text import plural
from bench.units import format_value
from report import glossary, words
from report.data import ScenarioView, View, clean, mapping, view
from report.figures import Chart

if TYPE_CHECKING:
    from report.cards import Claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table: its head and its cells, all text."""

    head: str
    cells: tuple[str, ...]
    note: str = ""
    family: str = ""
    emulated: bool = False
    marked: tuple[int, ...] = ()
    """Places of the cells that differ from what the table calls the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; the first column's head is columns[0]."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture with its words, and beside it the table with the same numbers.

    Attributes:
        key: a word no other figure of the page has; usable as an HTML id.
        description: what it shows, its finding first, for those who do not see it.
        notes: what it says of the claims it shows, a sentence each.
        small: drawn in one form only, two to a row on a desk.
        folded: shown when asked for; the page names it until then.
    """

    key: str
    title: str
    description: str
    caption: str
    chart: Chart
    table: Table | None = None
    notes: tuple[str, ...] = ()
    small: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One subject's headline in an answer; `text` carries the sign of a bound."""

    label: str
    family: str
    emulated: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One scenario's answer at a glance: the question, what each representative has, and the guest beside Docker.

    Attributes:
        note: the ratio people ask for, or why there is nothing.
        rests_on: the metric, and in how many blocks it was measured.
    """

    title: str
    question: str
    values: tuple[Value, ...]
    note: str
    rests_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One subject in one scenario. `verdict` is a word of bench.compare.Verdict, or "baseline", "missing"."""

    value: str
    ratio: str = ""
    verdict: str = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One subject over all scenarios."""

    label: str
    title: str
    family: str
    emulated: bool
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Every subject's headline in every scenario, and its ratio to the baseline."""

    columns: tuple[tuple[str, str, str], ...]
    """(scenario, title, metric and baseline)."""
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A judgement on the host or the run: how grave, what, why it matters, what to do."""

    level: str
    what: str
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far the numbers can be relied on."""

    lines: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]
    figure: Figure | None
    table: Table | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One scenario: its question, answer, pictures, numbers and failures."""

    key: str
    title: str
    question: str
    sentence: str
    evidence: str
    figures: tuple[Figure, ...]
    headline: Table | None
    details: tuple[Table, ...]
    failures: Table | None
    excluded: tuple[tuple[str, str], ...]
    matrices: tuple[Table, ...] = ()
    """What does not scatter, subject by question; after it the same part by part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole report."""

    title: str
    lead: str
    ending: str
    emulated: bool
    answers: tuple[Answer, ...]
    claims: Claims | None
    matrix: Matrix
    ladder: Figure | None
    forest: Figure | None
    trust: Trust
    sections: tuple[Section, ...]
    environment: tuple[Table, ...]
    shared: Table | None
    manifests: tuple[Table, ...]
    events: tuple[tuple[str, str], ...]
    terms: tuple[tuple[str, str], ...]
    summary_csv: str
    command: str
    foot: tuple[tuple[str, str], ...]


def build(run: Run) -> Page:
    """Return everything the report of a run says. Pure: the same run gives the same page."""
    from report import cards, pictures, sections, setting, trust

    seen = view(run)
    first = pictures.ladder_scenario(seen)
    return Page(
        title="Containers and virtual machines on one clock",
        lead=_lead(seen), ending=clean(run.info.get("ending"), 200) or "unknown",
        emulated=any(s.emulated for s in seen.subjects.values()),
        answers=tuple(_answer(seen, scenario) for scenario in seen.scenarios.values()),
        claims=cards.claims(seen), matrix=matrix(seen),
        ladder=pictures.ladder(seen, first) if first else None,
        forest=pictures.forest(seen, first, "forest") if first else None,
        trust=trust.trust(seen),
        sections=tuple(sections.section(seen, s, on_ladder=s is first) for s in seen.scenarios.values()),
        environment=setting.environment(seen), shared=setting.shared(seen), manifests=setting.manifests(seen),
        events=tuple(glossary.events()), terms=glossary.TERMS,
        summary_csv=summary_csv(seen), command=setting.command(seen), foot=_foot(seen),
    )  # fmt: skip


def _lead(seen: View) -> str:
    measured = len({row["trial"] for row in seen.rows if row["status"] == "ok"})
    started = clean(seen.info.get("started_utc") or seen.info.get("started"), 40)
    when = f", begun {started.replace('T', ' ').removesuffix('Z')} UTC" if started else ""
    counts = (plural(len(seen.subjects), "subject"), plural(len(seen.scenarios), "question"), plural(measured, "trial"))
    return f"{', '.join(counts)} with a value{when}."


def _answer(seen: View, scenario: ScenarioView) -> Answer:
    values = tuple(
        Value(label=subject.label, family=subject.family, emulated=subject.emulated, text=text)
        for subject, text in words.values(seen, scenario)
    )
    metric = scenario.metrics.get(scenario.headline)
    beside = (words.guest_beside_container(seen, scenario), words.emulation(seen, scenario)) if values else ()
    return Answer(
        title=", ".join(filter(None, (scenario.title, metric.counted if metric else ""))),
        question=scenario.question, values=values,
        note=" ".join(filter(None, beside)) if values else words.answer(seen, scenario),
        rests_on=words.rests_on(seen, scenario),
    )  # fmt: skip


def matrix(seen: View) -> Matrix:
    """Return every subject's headline in every scenario, twins left out."""
    columns = tuple((s.name, s.title, _column_note(seen, s)) for s in seen.scenarios.values())
    rows = []
    for subject in seen.subjects.values():
        cells = tuple(_matrix_cell(seen, scenario, subject.label) for scenario in seen.scenarios.values())
        if not subject.twin_of and any(cell.value != "–" for cell in cells):
            rows.append(
                MatrixRow(label=subject.label, title=subject.title, family=subject.family, emulated=subject.emulated,
                          cells=cells)
            )  # fmt: skip
    return Matrix(columns=columns, rows=tuple(rows))


def _column_note(seen: View, scenario: ScenarioView) -> str:
    params = seen.principal(scenario.name, scenario.headline)
    return ", ".join(filter(None, (scenario.headline, words.conditions(params))))


def _matrix_cell(seen: View, scenario: ScenarioView, label: str) -> MatrixCell:
    params = seen.principal(scenario.name, scenario.headline)
    key = (scenario.name, label, scenario.headline, params)
    estimate = seen.estimates.get(key)
    if estimate is None:
        cell = seen.row(scenario.name, scenario.headline, params).get(label) or seen.row(
            scenario.name, scenario.headline, ()
        ).get(label)
        return MatrixCell(value=cell.missing[0][0] if cell and cell.missing else "–")
    comparison = seen.comparisons.get(key)
    verdict = str(comparison.verdict) if comparison else "baseline" if _is_baseline(seen, scenario, label) else "alone"
    metric = scenario.metrics[scenario.headline]
    sign = words.sign_of(seen.subject(label), metric)
    ratio = _ratio(comparison, sign) if comparison else "baseline" if verdict == "baseline" else ""
    return MatrixCell(value=sign + format_value(estimate.median, metric.unit), ratio=ratio, verdict=verdict)


def _ratio(comparison: Comparison, sign: str) -> str:
    """Return the ratio for a narrow cell: it may break before its interval and its verdict, nowhere else."""
    if not comparison.ratio:
        return f"{words.VERDICT_SIGNS[comparison.verdict]}\u00a0no ratio"
    return words.tight(words.compared(comparison, sign)).replace("\u00a0[", " [").replace(",\u00a0", ", ")


def _is_baseline(seen: View, scenario: ScenarioView, label: str) -> bool:
    return seen.subject(label).name == scenario.baseline


def summary_csv(seen: View) -> str:
    """Return every estimate as CSV, values unscaled. A text that a spreadsheet would run begins with an apostrophe."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(
        ("scenario", "subject", "emulated", "metric", "params", "unit", "median", "low", "high", "n", "blocks",
         "failures",         "ratio", "ratio_low", "ratio_high", "verdict")
    )  # fmt: skip
    units = {(s.name, m.name): str(m.unit) for s in seen.scenarios.values() for m in s.metrics.values()}
    for (scenario, label, metric, params), e in sorted(seen.estimates.items()):
        c = seen.comparisons.get((scenario, label, metric, params))
        writer.writerow(
            _harmless(x)
            for x in (
                scenario, label, seen.subject(label).emulated, metric, words.conditions(params),
                units.get((scenario, metric), "s"), e.median, e.low, e.high, e.n, e.blocks, e.failures,
                *((c.ratio, c.low, c.high, c.verdict) if c else (None, None, None, None)),
            )
        )  # fmt: skip
    return sheet.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _foot(seen: View) -> tuple[tuple[str, str], ...]:
    info, profile = seen.info, seen.info.get("profile")
    told = {
        "run": info.get("run_id"), "bench": info.get("version") or info.get("bench_version"),
        "commit": info.get("git_commit"),
        "schema": info.get("schema_version"), "profile": mapping(profile).get("name") if mapping(profile) else profile,
        "seed": info.get("seed"), "host": next((row["host_id"] for row in seen.rows if row["host_id"]), None),
    }  # fmt: skip
    return tuple((title, clean(value, 80) or "unknown") for title, value in told.items())


def labelled(figures: Sequence[Figure | None]) -> tuple[Figure, ...]:
    """Return the figures that there are."""
    return tuple(figure for figure in figures if figure is not None)
