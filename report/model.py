"""Everything the page says, before it is a page: each sentence, table and picture as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report.figures import Chart


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
        notes: what it says of the claims it shows, and who is not drawn and why, a sentence each.
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
        note: the ratio people ask for, or why there is nothing; sure: it has an interval.
        rests_on: the metric, and in how many blocks it was measured.
    """

    title: str
    question: str
    values: tuple[Value, ...]
    note: str
    sure: bool
    rests_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One subject in one scenario. `verdict` is a word of bench.comparing.compare.Verdict, or "baseline", "missing"."""

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
class Card:
    """One sentence and its verdict.

    Attributes:
        language: of the quotation, as HTML wants it ("zh"); "" where it is not told from English.
        sign, kind: the verdict's shape and class.
        gist: why, in a line: how many subjects say what, and the first number of those that decide.
        numbers: condition by condition what was measured, the rest of it counted; all of it stands in `evidence`.
    """

    key: str
    quotation: str
    language: str
    english: str
    verdict: str
    sign: str
    kind: str
    gist: str
    numbers: tuple[tuple[str, tuple[str, ...]], ...]
    measured: str
    forgets: str
    source: str
    evidence: Table | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All sentences: how many of each verdict as (shape, class, text), the cards judged, and those not measured."""

    counts: tuple[tuple[str, str, str], ...]
    judged: tuple[Card, ...]
    unmeasured: tuple[Card, ...]


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
    host: str
    """On what it was measured, in a line; "" where the run recorded no facts."""
    ending: str
    emulated: bool
    answers: tuple[Answer, ...]
    claims: Claims | None
    matrix: Matrix
    families: tuple[tuple[str, str], ...]
    """(kind of subject, what it is called) of those that there are."""
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


def labelled(figures: Sequence[Figure | None]) -> tuple[Figure, ...]:
    """Return the figures that there are."""
    return tuple(figure for figure in figures if figure is not None)
