"""The matrix of yes and no: what each subject sees and reaches, in signs and words, never in colour alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.units import Better
from report.data import Cell, MetricView, Params, ScenarioView, View
from report.model import Row, Table

NONE, SOME, ALL = "○", "◐", "●"

_YES_OR_NO = (f"{NONE} no", f"{ALL} yes")
WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("own-kernel", "root-is-hosts", "no-new-privileges", "init", "neighbour-unharmed"), _YES_OR_NO),
    "seccomp": (f"{NONE} none", f"{SOME} strict", f"{ALL} a filter"),
}
"""What the values of a metric mean, from 0 on; other metrics are counts."""

APART = "apart"
"""What the safer answer means, where a metric says which one it is."""

LEAKS: Mapping[str, str] = {
    "own-kernel": "shared", "root-is-hosts": "shared", "port-reached": "reached", "neighbour-unharmed": "harmed",
}  # fmt: skip
"""What the other answer means, where it is not that something leaks."""

_FEWEST = 3
"""Fewer facts than these are no matrix."""


def matrices(view: View, scenario: ScenarioView) -> tuple[Table, ...]:
    """Return what does not scatter, question by question, and the same part by part; nothing where there is little."""
    metrics = [m for m in scenario.metrics.values() if m.constant and view.variants(scenario.name, m.name)]
    if len(metrics) < _FEWEST:
        return ()
    labels = {
        label
        for metric in metrics
        for params in view.variants(scenario.name, metric.name)
        for label, cell in view.row(scenario.name, metric.name, params).items()
        if cell.values
    }
    subjects = [subject.label for subject in view.ordered(labels)]
    whole = tuple(_question(view, scenario, metric, subjects) for metric in metrics)
    parts = tuple(row for metric in metrics for row in _parts(view, scenario, metric, subjects))
    found = (Table(caption="What was found, question by question", columns=("question", *subjects), rows=whole),)
    return (*found, Table(caption="The same part by part", columns=("part", *subjects), rows=parts)) if parts else found


def _question(view: View, scenario: ScenarioView, metric: MetricView, subjects: Iterable[str]) -> Row:
    parts = _by_part(view, scenario, metric)
    total = view.row(scenario.name, metric.name, view.principal(scenario.name, metric.name))
    cells = []
    for label in subjects:
        known = sum(bool(row[label].values) for row in parts.values() if label in row)
        cells.append(_meant(metric, total.get(label), _text(metric.name, total.get(label), known), known))
    title = metric.title or metric.name
    return Row(head=title[:1].upper() + title[1:], cells=tuple(cells))


def _parts(view: View, scenario: ScenarioView, metric: MetricView, subjects: Iterable[str]) -> Iterable[Row]:
    for part, row in _by_part(view, scenario, metric).items():
        cells = [_meant(metric, row.get(label), _word(_YES_OR_NO, row.get(label)), 0) for label in subjects]
        yield Row(head=f"{metric.name}: {part.replace('-', ' ')}", cells=tuple(cells))


def _by_part(view: View, scenario: ScenarioView, metric: MetricView) -> dict[str, Mapping[str, Cell]]:
    """Return the cells of every part of a whole, by the part's name, in the order in which they were asked."""
    found: list[Params] = [p for name, p in view.cells.get(scenario.name, {}) if name == metric.name]
    parts = {dict(p).get("part", "total"): p for p in found}
    return {part: view.row(scenario.name, metric.name, p) for part, p in parts.items() if part != "total"}


def _text(metric: str, cell: Cell | None, parts: int) -> str:
    """Write one answer: of yes and no the word, of a whole how many of its parts, else the number."""
    if metric in WORDS or cell is None or not cell.values:
        return _word(WORDS.get(metric, ()), cell)
    low, high = min(cell.numbers), max(cell.numbers)
    if not parts:
        return _number(low, high)
    sign = NONE if high == 0 else ALL if low == parts else SOME
    return f"{sign} {_number(low, high)} of {parts}"


def _meant(metric: MetricView, cell: Cell | None, text: str, parts: int) -> str:
    """Return the answer with what it means: a sign says yes or no, and only the metric knows which is the safer."""
    if cell is None or not cell.values or metric.better is Better.NEITHER:
        return text
    most = parts or 1
    apart = max(cell.numbers) == 0 if metric.better is Better.LOWER else min(cell.numbers) >= most
    return f"{text}, {APART if apart else LEAKS.get(metric.name, 'leaks')}"


def _number(low: float, high: float) -> str:
    """Write a number, or the two between which the blocks lay."""
    return "–".join(dict.fromkeys(f"{value:g}" for value in (low, high)))


def _word(words: tuple[str, ...], cell: Cell | None) -> str:
    if cell is None or not cell.values:
        return "failed" if cell is not None and cell.broken else "–"
    values = sorted(set(cell.numbers))
    known = [words[int(v)] if v in range(len(words)) else f"{v:g}" for v in values]
    return known[0] if len(known) == 1 else f"{SOME} {' or '.join(word.rpartition(' ')[2] for word in known)}"
