"""One section a scenario: question, answer, pictures, numbers, failures."""

from __future__ import annotations

from collections.abc import Iterable

from bench.text import plural
from report import pictures, words
from report.data import ScenarioView, View
from report.model import Figure, Row, Section, Table, labelled

MOST_VARIANTS = 6
"""So many sets of parameters get a picture of their own; the tables have all."""


def section(view: View, scenario: ScenarioView, *, on_ladder: bool) -> Section:
    """Return a scenario's section. What the ladder shows already is not drawn again."""
    return Section(
        key=pictures.key_of("scenario", scenario.name), title=scenario.title, question=scenario.question,
        sentence=words.answer(view, scenario), evidence=words.evidence(view, scenario),
        figures=tuple(figures(view, scenario, on_ladder)) if scenario.headline in scenario.metrics else (),
        headline=headline(view, scenario), details=tuple(details(view, scenario)),
        failures=failures(view, scenario), excluded=tuple(scenario.excluded.items()),
    )  # fmt: skip


def figures(view: View, scenario: ScenarioView, on_ladder: bool) -> Iterable[Figure]:
    """Yield the pictures that fit what was measured."""
    metric = scenario.metrics[scenario.headline]
    variants = view.variants(scenario.name, metric.name)
    wholes = [p for p in variants if dict(p).get("part", "total") == "total"]
    stacked: list[Figure] = []
    if any("part" in dict(p) for p in variants):
        ends = [wholes[0], wholes[-1]] if len(wholes) > 1 else wholes
        stacked += labelled([pictures.parts(view, scenario, metric, p) for p in ends])
    if {"shared", "unique"} <= scenario.metrics.keys():
        stacked += labelled(
            [pictures.shares(view, scenario, p) for p in view.variants(scenario.name, "shared")[:MOST_VARIANTS]]
        )
    if not on_ladder:
        shown = wholes[:1] if stacked else wholes[:MOST_VARIANTS]
        yield from (pictures.dots(view, scenario, p) for p in shown)
        yield from labelled([pictures.forest(view, scenario, f"{scenario.name} forest")])
    yield from stacked
    yield from labelled([pictures.waterfall(view, scenario)])
    yield from pictures.distributions(view, scenario)


def headline(view: View, scenario: ScenarioView) -> Table | None:
    """Return median, interval, ratio, n and failures of the headline."""
    metric = scenario.metrics.get(scenario.headline)
    params = view.principal(scenario.name, scenario.headline)
    cells = view.row(scenario.name, scenario.headline, params)
    if metric is None or not cells:
        return None
    rows = []
    for subject in view.ordered(cells):
        key = (scenario.name, subject.label, metric.name, params)
        found = view.estimates.get(key)
        rows.append(
            Row(
                head=subject.label, note=subject.title, family=subject.family, emulated=subject.emulated,
                cells=(words.estimated(found, metric.unit), words.compared(view.comparisons.get(key)),
                       str(found.n) if found else "0", words.trouble(cells[subject.label]) or "none"),
            )
        )  # fmt: skip
    at = f" at {words.conditions(params)}" if params else ""
    baseline = f"ratio to {scenario.baseline}" if scenario.baseline else "ratio"
    return Table(
        caption=f"{words.measured(metric)}{at}",
        columns=("subject", "median [95 % interval]", baseline, "n", "failures"),
        rows=tuple(rows),
    )


def details(view: View, scenario: ScenarioView) -> Iterable[Table]:
    """Yield one table a metric: every subject under every set of parameters."""
    for metric in scenario.metrics.values():
        variants = view.variants(scenario.name, metric.name)
        labels = {
            label for p in variants for label, cell in view.row(scenario.name, metric.name, p).items() if cell.values
        }
        if not labels:
            continue
        rows = []
        for subject in view.ordered(labels):
            found = [view.estimates.get((scenario.name, subject.label, metric.name, p)) for p in variants]
            counts = sorted({e.n for e in found if e})
            n = "–".join(str(c) for c in dict.fromkeys((counts[0], counts[-1]))) if counts else "0"
            rows.append(
                Row(head=subject.label, family=subject.family, emulated=subject.emulated,
                    cells=(*(words.estimated(e, metric.unit) for e in found), n))
            )  # fmt: skip
        names = tuple(words.conditions(p) or "median [95 % interval]" for p in variants)
        yield Table(caption=words.measured(metric), columns=("subject", *names, "n"), rows=tuple(rows))


def failures(view: View, scenario: ScenarioView) -> Table | None:
    """Return what failed, timed out or was skipped: how many trials, and why."""
    trials: dict[tuple[str, str, str], set[int]] = {}
    for row in view.rows:
        if (
            row["scenario"] == scenario.name
            and row["status"] in ("failed", "timeout", "skipped")
            and row["phase"] != "warmup"
        ):
            trials.setdefault((row["subject"], row["status"], row["reason"]), set()).add(row["trial"])
    if not trials:
        return None
    rows = []
    for subject in view.ordered({label for label, _, _ in trials}):
        for (label, status, reason), found in sorted(trials.items()):
            if label == subject.label:
                # A pairing that was never run stands in the samples as one trial with a negative number.
                count = "not run" if max(found) < 0 else plural(len(found), "trial")
                cells = (status, count, reason or "no reason is given")
                rows.append(Row(head=label, family=subject.family, emulated=subject.emulated, cells=cells))
    return Table(
        caption="What could not be measured, and why",
        columns=("subject", "status", "how often", "reason"),
        rows=tuple(rows),
    )
