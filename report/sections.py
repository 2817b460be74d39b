"""One section a scenario: question, answer, pictures, numbers, failures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bench.summary import WHOLES
from bench.text import plural
from report import growth, pictures, stacks, walls, words
from report.data import ScenarioView, View
from report.figures import ForestChart, StackChart
from report.model import Figure, Row, Section, Table, labelled

ACCOUNTS = {"memavailable-slope": ("pss-slope",)}
"""Beside which headline another account of the same thing is drawn."""

MOST_VARIANTS = 6
"""So many sets of parameters get a picture of their own; the tables have all."""


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
    """Return the figures, all folded but the first and the first that shows what a whole is made of."""
    found = tuple(all_)
    wholes = [f.key for f in found if isinstance(f.chart, StackChart)]
    shown = {f.key for f in found[:1]} | set(wholes[:1])
    return tuple(replace(f, folded=f.key not in shown) for f in found)


def figures(view: View, scenario: ScenarioView, *, on_ladder: bool) -> Iterable[Figure]:
    """Yield the pictures that fit what was measured."""
    if not on_ladder:
        yield from _headline_figures(view, scenario)
        ratios = pictures.forest(view, scenario, f"{scenario.name} forest")
        # Ratios without an interval are figures, not a picture: the headline's table has them.
        if ratios and isinstance(ratios.chart, ForestChart) and any(r.low is not None for r in ratios.chart.rows):
            yield ratios
    owned = stacks.attributed(view, scenario)
    if owned is not None:
        totals = [p for p in view.variants(scenario.name, owned.name) if dict(p).get("part") == "total"]
        ends = dict.fromkeys((totals[0], totals[-1])) if totals else ()
        yield from labelled([stacks.owners(view, scenario, owned, p) for p in ends])
    yield from labelled([stacks.shares(view, scenario), stacks.waterfall(view, scenario)])
    yield from stacks.given_back(view, scenario)
    yield from growth.sides(view, scenario)
    yield from growth.latencies(view, scenario)
    yield from growth.ramps(view, scenario)
    yield from pictures.distributions(view, scenario)


def _headline_figures(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield the headline under each set of parameters; two of them, or two accounts of one thing, share a picture."""
    variants = [p for p in view.variants(scenario.name, scenario.headline) if dict(p).get("part", "total") in WHOLES]
    if len(variants) == 2:
        yield pictures.dots(view, scenario, variants[0], (scenario.headline, variants[1]))
    elif len(variants) == 1:
        account = next((m for m in ACCOUNTS.get(scenario.headline, ()) if m in scenario.metrics), None)
        yield pictures.dots(view, scenario, variants[0], (account, ()) if account else None)
    else:
        yield from (pictures.dots(view, scenario, p) for p in variants[:MOST_VARIANTS] or [()])


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
