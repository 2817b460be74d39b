"""Several runs side by side: what was different about them, which sentences flipped, and every headline's ratio."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.comparing.compare import Comparison
from bench.judging.between import RunComparison, compare_runs, headlines_only
from bench.judging.summary import headlines, wholes
from bench.store import Run
from bench.text import harmless, plural
from bench.units import Unit, format_interval
from report import words
from report.data import Params, View, clean, mapping, view
from report.differing import Differing, differences, verdicts
from report.figures import ForestChart, RatioRow
from report.model import Figure, Row, Table
from report.pictures import key_of

MOST_VARIANTS = 6
"""So many sets of parameters of one headline get a table and a picture."""

Cell = tuple[str, str, Params]
"""Scenario, metric, parameters: what one table compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One headline under one set of parameters: its table over all runs, and the picture of its ratios."""

    table: Table
    figure: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideSection:
    """One scenario in all runs; `alone` says what only some of them tried."""

    key: str
    title: str
    question: str
    pairs: tuple[Pair, ...]
    alone: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BesidePage:
    """The whole comparison. Runs are called A, B, … in the order they were named.

    Attributes:
        flipped, kept: the popular sentences whose verdict is not the same in all runs, and the others; None where
            there is none, or no run carries verdicts.
        lonely: (title, which runs) of the scenarios that fewer than two runs asked, or not the first.
        commands: what makes this page, and what says the same on a terminal.
        foot: by run its id, commit and seed.
    """

    title: str
    lead: str
    runs: Table
    differences: tuple[Differing, ...]
    flipped: Table | None
    kept: Table | None
    sections: tuple[BesideSection, ...]
    lonely: tuple[tuple[str, str], ...]
    csv: str
    commands: tuple[str, ...]
    foot: tuple[tuple[str, str], ...]


def build(runs: Sequence[Run]) -> BesidePage:
    """Return everything the comparison of some runs says. Pure.

    Raises:
        ValueError: fewer than two runs.
    """
    views = [view(run) for run in runs]
    cleaned = [_cleaned(run, seen) for run, seen in zip(runs, views, strict=True)]
    compared = [headlines_only(pair, _headlines(cleaned)) for pair in compare_runs(cleaned)]
    names = [_name(place) for place in range(len(runs))]
    cells = _cells(views)
    shared = {s for s in views[0].scenarios if any(s in seen.scenarios for seen in views[1:])}
    scenarios = dict.fromkeys(scenario for scenario, _, _ in cells if scenario in shared)
    flipped, kept = verdicts(views, names)
    ids, folders = [run.run_id for run in cleaned], [clean(run.path.name, 80) for run in runs]
    return BesidePage(
        title=f"{len(runs)} runs side by side", lead=_lead(compared, flipped), runs=_runs(cleaned, views, names),
        differences=tuple(differences(compared, names)), flipped=flipped, kept=kept,
        sections=tuple(_section(views, compared, names, s, cells) for s in scenarios),
        lonely=tuple(_lonely(views, names, shared)), csv=_csv(views, compared, ids, cells),
        commands=tuple(shlex.join(["bench", verb, *folders]) for verb in ("report", "compare")),
        foot=tuple(_foot(cleaned, names)),
    )  # fmt: skip


def _cleaned(run: Run, seen: View) -> Run:
    """Return a run that bench.judging.between can rely on, whatever its folder held."""
    asked = {clean(name, 120): mapping(told) for name, told in mapping(run.info.get("scenarios")).items()}
    run_id = clean(run.info.get("run_id"), 80) or clean(run.path.name, 80)
    info = {**run.info, "run_id": run_id, "scenarios": asked, "subjects": mapping(run.info.get("subjects"))}
    return replace(run, info=info, facts=seen.facts, rows=tuple(seen.rows))


def _name(place: int) -> str:
    """Return A to Z, then 27, 28 and so on."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _headlines(runs: Sequence[Run]) -> dict[str, str]:
    """Return each scenario's headline, as the first run that asked it tells."""
    return {name: metric for run in reversed(runs) for name, metric in headlines(run).items()}


def _lead(compared: Sequence[RunComparison], flipped: Table | None) -> str:
    found = [c for pair in compared for c in pair.comparisons]
    counts = {w: sum(c.word == w for c in found) for w in dict.fromkeys(c.word for c in found)}
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    differing = len({d.what for pair in compared for d in pair.differences})
    flips = f"{plural(len(flipped.rows), 'sentence')} judged otherwise. " if flipped else ""
    return (
        f"{plural(len(found), 'headline')} compared with the first run: {told or 'none'}. {flips}"
        f"{plural(differing, 'thing')} beside the measured differ; read them before any ratio."
    )


def _lonely(views: Sequence[View], names: Sequence[str], shared: Collection[str]) -> Iterable[tuple[str, str]]:
    titles = {s.name: s.title for seen in reversed(views) for s in seen.scenarios.values() if s.name not in shared}
    for name, title in sorted(titles.items()):
        asked = [letter for seen, letter in zip(views, names, strict=True) if name in seen.scenarios]
        yield title, f"asked in {words.enumeration(asked)} only"


def _runs(runs: Sequence[Run], views: Sequence[View], names: Sequence[str]) -> Table:
    rows = []
    for run, seen, name in zip(runs, views, names, strict=True):
        info = seen.info
        profile = mapping(info.get("profile")).get("name") or info.get("profile")
        told = (
            run.run_id, clean(info.get("started_utc"), 40),
            clean(info.get("version") or info.get("bench_version"), 40), clean(profile, 40),
            clean(info.get("seed"), 40), clean(info.get("ending"), 120),
            str(len({row["trial"] for row in seen.rows if row["status"] == "ok"})),
        )  # fmt: skip
        rows.append(Row(head=name, cells=tuple(text or "unknown" for text in told)))
    columns = ("name", "run", "begun (UTC)", "bench", "profile", "seed", "ending", "trials with a value")
    return Table(caption="The runs; ratios are of each to A", columns=columns, rows=tuple(rows))


def _csv(views: Sequence[View], compared: Sequence[RunComparison], ids: Sequence[str], cells: Iterable[Cell]) -> str:
    """Return every headline of every run as CSV, values unscaled, with its ratio to the first run."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(
        ("run", "scenario", "metric", "params", "subject", "unit", "median", "low", "high", "n", "failures", "ratio",
         "ratio_low", "ratio_high", "verdict", "reason")
    )  # fmt: skip
    ratios = [{}, *({(*_cell_of(c), c.subject): c for c in pair.comparisons} for pair in compared)]
    for cell in cells:
        scenario, metric, params = cell
        for seen, run_id, of_run in zip(views, ids, ratios, strict=True):
            for subject in seen.ordered(seen.row(scenario, metric, params)):
                e = seen.estimates.get((scenario, subject.label, metric, params))
                c = of_run.get((*cell, subject.label))
                unit = seen.scenarios[scenario].metrics[metric].unit
                told = (run_id, scenario, metric, words.conditions(params), subject.label, str(unit))
                estimate = (e.median, e.low, e.high, e.n, e.failures) if e else (None, None, None, 0, None)
                ratio = (c.ratio, c.low, c.high, str(c.verdict), c.reason) if c else (None,) * 5
                writer.writerow(map(harmless, (*told, *estimate, *ratio)))
    return sheet.getvalue()


def _foot(runs: Sequence[Run], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for run, name in zip(runs, names, strict=True):
        told = (f"{word} {clean(run.info.get(key), 40) or 'unknown'}" for word, key in
                (("commit", "git_commit"), ("seed", "seed")))  # fmt: skip
        yield name, f"{run.run_id}, {', '.join(told)}"


def _cells(views: Sequence[View]) -> list[Cell]:
    """Return every headline under every set of parameters that any run has, in the order of the scenarios."""
    found: dict[Cell, None] = {}
    for seen in views:
        for scenario in seen.scenarios.values():
            variants = seen.variants(scenario.name, scenario.headline)
            shown = wholes(variants)
            whole = [p for p in variants if p in shown]
            found |= dict.fromkeys((scenario.name, scenario.headline, p) for p in whole[:MOST_VARIANTS])
    return list(found)


def _section(
    views: Sequence[View], compared: Sequence[RunComparison], names: Sequence[str], name: str, cells: Iterable[Cell]
) -> BesideSection:
    scenario = next(seen.scenarios[name] for seen in views if name in seen.scenarios)
    alone = []
    for place, pair in enumerate(compared):
        for run, letter in ((pair.first, names[0]), (pair.second, names[place + 1])):
            told = [f"{a.subject}{words.at(a.params)}" for a in pair.alone if a.scenario == name and a.run == run]
            other = names[place + 1] if letter == names[0] else names[0]
            # A run beside itself has one id for both sides; then nothing is alone.
            alone += [f"Only in {letter}, not in {other}: {words.enumeration(told)}."] if told else []
    return BesideSection(
        key=key_of("scenario", name), title=scenario.title, question=scenario.question,
        pairs=tuple(_pair(views, compared, names, cell) for cell in cells if cell[0] == name), alone=tuple(alone),
    )  # fmt: skip


def _pair(views: Sequence[View], compared: Sequence[RunComparison], names: Sequence[str], cell: Cell) -> Pair:
    scenario, metric, params = cell
    ratios = [{c.subject: c for c in pair.comparisons if _cell_of(c) == cell} for pair in compared]
    known = {label: seen for seen in reversed(views) for label in seen.row(scenario, metric, params)}
    subjects = sorted((seen.subject(label) for label, seen in known.items()), key=lambda s: s.order)
    declared = next(seen.scenarios[scenario].metrics[metric] for seen in views if scenario in seen.scenarios)
    rows = []
    for subject in subjects:
        medians = [
            words.estimated(
                seen.estimates.get((scenario, subject.label, metric, params)),
                declared.unit, words.sign_of(subject, declared),
            )
            for seen in views
        ]  # fmt: skip
        told = [words.compared(of_run.get(subject.label)) for of_run in ratios]
        rows.append(
            Row(head=subject.label, note=subject.title, family=subject.family, emulated=subject.emulated,
                cells=(*medians, *told))
        )  # fmt: skip
    title = f"{words.measured(declared)}{words.at(params)}"
    columns = ("subject", *names, *(f"{name} beside {names[0]}" for name in names[1:]))
    return Pair(
        table=Table(caption=f"{title}: median [95 % interval], and the ratio", columns=columns, rows=tuple(rows)),
        figure=_forest(views, ratios, names, cell),
    )


def _cell_of(c: Comparison) -> Cell:
    return c.scenario, c.metric, tuple((k, v) for k, v in c.params if k != "place")


def _forest(
    views: Sequence[View], ratios: Sequence[dict[str, Comparison]], names: Sequence[str], cell: Cell
) -> Figure | None:
    """Return the picture of the ratios to the first run, or None where none has an interval: the table has them."""
    scenario, metric, params = cell
    labels = dict.fromkeys(label for of_run in ratios for label in of_run)
    known = {s.label: s for seen in reversed(views) for s in seen.subjects.values()}
    rows = []
    for label in sorted(labels, key=lambda one: known[one].order):
        for place, of_run in enumerate(ratios):
            c = of_run.get(label)
            if c is not None and c.ratio is not None:
                name = f"{label} {names[place + 1]}" if len(ratios) > 1 else label
                rows.append(
                    RatioRow(label=name, family=known[label].family, ratio=c.ratio,
                             low=c.low, high=c.high, verdict=str(c.verdict), text=c.text)
                )  # fmt: skip
    if not any(row.low is not None for row in rows):
        return None
    told = "; ".join(f"{row.label} {format_interval(row.ratio, row.low, row.high, Unit.RATIO)}" for row in rows)
    return Figure(
        key=key_of(scenario, metric, "beside", *(f"{k} {v}" for k, v in params)),
        title=f"{metric}{words.at(params)}: how many times run {names[0]}",
        description=f"Ratios to run {names[0]}: {told}.",
        caption=f"Ratio to the same subject in run {names[0]}; bar: 95 % interval. It covers the noise inside the "
        "runs, not what changed between them for a whole run (a reboot, a neighbour): only more runs can. "
        "▲ worse or more, ▼ better or less, ■ equivalent, ○ inconclusive.",
        chart=ForestChart(baseline=f"run {names[0]}", rows=tuple(rows)),
    )  # fmt: skip
