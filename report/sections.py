"""One section a scenario: question, answer, pictures, numbers, failures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bench.judging.summary import WHOLES
from bench.text import plural
from report import groups, growth, pictures, stacks, walls, words
from report.data import ScenarioView, View
from report.figures import ForestChart, GroupChart, StackChart
from report.model import Figure, Row, Section, Table, labelled

MOST_VARIANTS = 6
"""So many sets of parameters stand side by side in one picture; the tables have all."""


def section(view: View, scenario: ScenarioView, *, on_ladder: bool) -> Section:
    """Return a scenario's section. What the ladder shows already is not drawn again."""
    return Section(
        key=pictures.key_of("scenario", scenario.name), title=scenario.title, question=scenario.question,
        sentence=words.answer(view, scenario), evidence=words.evidence(view, scenario),
        figures=folded(figures(view, scenario, on_ladder=on_ladder)) if scenario.headline in scenario.metrics else (),
        headline=headline(view, scenario), details=tuple(details(view, scenario)),
        failures=failures(view, scenario), excluded=tuple(scenario.excluded.items()),
        matrices=walls.matrices(view, scenario),
    )  # fmt: skip


def folded(all_: Iterable[Figure]) -> tuple[Figure, ...]:
    """Return the figures, all folded but the first, those with all rows of several kinds, and the first of a whole."""
    found = tuple(all_)
    wholes = [f.key for f in found if isinstance(f.chart, StackChart)]
    groups_ = [f.key for f in found if isinstance(f.chart, GroupChart)]
    shown = {*(f.key for f in found[:1]), *wholes[:1], *groups_}
    return tuple(replace(f, folded=f.key not in shown) for f in found)


def figures(view: View, scenario: ScenarioView, *, on_ladder: bool) -> Iterable[Figure]:
    """Yield the pictures that fit what was measured."""
    yield from labelled([groups.cold_over_warm(view, scenario)])
    if not on_ladder:
        yield from _headline_figures(view, scenario)
        ratios = pictures.forest(view, scenario, f"{scenario.name} forest")
        # Ratios without an interval are figures, not a picture: the headline's table has them.
        if ratios and isinstance(ratios.chart, ForestChart) and any(r.low is not None for r in ratios.chart.rows):
            yield ratios
    yield from labelled([groups.tools(view, scenario), groups.accounts(view, scenario)])
    owned = stacks.attributed(view, scenario)
    if owned is not None:
        totals = [p for p in view.variants(scenario.name, owned.name) if dict(p).get("part") == "total"]
        ends = dict.fromkeys((totals[0], totals[-1])) if totals else ()
        yield from labelled([stacks.owners(view, scenario, owned, p) for p in ends])
    yield from labelled([stacks.shares(view, scenario), stacks.waterfall(view, scenario)])
    yield from stacks.given_back(view, scenario)
    yield from growth.latencies(view, scenario)
    yield from growth.ramps(view, scenario)
    yield from pictures.distributions(view, scenario)


def _headline_figures(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield the headline: under one set of parameters or two in rows of dots, under more of them in groups."""
    variants = [p for p in view.variants(scenario.name, scenario.headline) if dict(p).get("part", "total") in WHOLES]
    if len(variants) > 2:
        yield groups.modes(view, scenario, variants[:MOST_VARIANTS])
        return
    beside = (scenario.headline, variants[1]) if len(variants) == 2 else None
    figure = pictures.dots(view, scenario, variants[0] if variants else (), beside)
    yield replace(figure, notes=(*figure.notes, *growth.stops(view, scenario)))


def headline(view: View, scenario: ScenarioView) -> Table | None:
    """Return median, interval, ratio, n and failures of the headline."""
    metric = scenario.metrics.get(scenario.headline)
    params = view.principal(scenario.name, scenario.headline)
    cells = view.row(scenario.name, scenario.headline, params)
    if metric is None or not cells:
        return None
    rows = []
    for subject in view.ordered(cells):
        if subject.name in scenario.excluded:
            continue
        key = (scenario.name, subject.label, metric.name, params)
        found = view.estimates.get(key)
        rows.append(
            Row(
                head=subject.label, note=subject.title, family=subject.family, emulated=subject.emulated,
                cells=(words.estimated(found, metric.unit, words.sign_of(subject, metric)),
                       words.compared(view.comparisons.get(key), words.sign_of(subject, metric)),
                       str(found.n) if found else "0", words.trouble(cells[subject.label]) or "none"),
            )
        )  # fmt: skip
    baseline = f"ratio to {scenario.baseline}" if scenario.baseline else "ratio"
    return Table(
        caption=f"{words.measured(metric)}{words.at(params)}",
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
    unnamed = re.compile(r"\bbench-[0-9a-z-]+-\d+\b")
    for row in view.rows:
        if (
            row["scenario"] == scenario.name
            and row["status"] in ("failed", "timeout", "skipped")
            and row["phase"] != "warmup"
        ):
            reason = unnamed.sub("an instance", row["reason"])
            trials.setdefault((row["subject"], row["status"], reason), set()).add(row["trial"])
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
