"""What a run says, in a few sentences and one table: the model of the closing screen. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.comparing.compare import Comparison, Params, compare, compare_cell, noise_floor, twins
from bench.comparing.stats import Estimate, Row, estimates
from bench.errors import ExitCode
from bench.judging.evidence import Bound, is_emulated
from bench.sample import Phase, Status
from bench.soundness import sound
from bench.store import Run
from bench.units import Better, Unit, digits_for, format_interval, format_value

_SERIOUS = (Status.FAILED, Status.TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One subject in one scenario's headline metric.

    Attributes:
        estimate: None when nothing was measured; then `note` says why.
        ratio: to the scenario's baseline; None for the baseline itself and where there is none.
        note: "failed 2 of 7", "skipped", "unsupported", or empty.
        bound: the sign of what emulation makes of the value (evidence.Bound); "" where it is the value itself.
    """

    estimate: Estimate | None
    ratio: Comparison | None
    note: str
    bound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One scenario: its sentence and its cells by subject label, all under the one set of parameters shown first."""

    scenario: str
    title: str
    metric: str
    unit: Unit
    baseline: str
    sentence: str
    cells: Mapping[str, Cell]
    params: Params = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One reason for missing numbers, and whom it hit, scenario by scenario."""

    status: str
    reason: str
    subjects: tuple[str, ...]
    scenarios: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The whole closing screen."""

    answers: tuple[Answer, ...]
    subjects: tuple[str, ...]
    troubles: tuple[Trouble, ...]
    exit_code: ExitCode


def _place(known: Mapping[str, Any], scenario: str) -> float:
    """Return where the scenario stands in a run; a stranger's nonsense comes last."""
    order = known.get(scenario, {}).get("order")
    return float(order) if isinstance(order, int) else 1e9


def summarise(run: Run) -> Summary:
    """Return what the run says. Never raises for what a run's folder holds or leaves out."""
    run = sound(run)
    known: Mapping[str, Any] = run.info["scenarios"]
    told = _with_userland(run.info)
    labels = dict.fromkeys(row["subject"] for row in run.rows)
    ordered = tuple(sorted(labels, key=lambda label: _rung(told, label)))
    # Rows begin with the pairings that were refused: the scenarios' own order is that of the run.
    names = sorted(dict.fromkeys(row["scenario"] for row in run.rows), key=lambda name: _place(known, name))
    ratios = {(c.scenario, c.metric, c.subject, c.params): c for c in comparisons(run)}
    answers = tuple(_answer(n, known.get(n, {}), told, ordered, run.rows, ratios) for n in names)
    return Summary(answers=answers, subjects=ordered, troubles=_troubles(run.rows, told), exit_code=exit_code(run.rows))


def _with_userland(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of each subject, with the name of the root file system it ran."""
    return {label: {**subject, "userland": userland(info, label)} for label, subject in info["subjects"].items()}


def userland(info: Mapping[str, Any], label: str) -> str:
    """Return the name of the root file system a subject ran ("debian"); "" where run.json does not tell."""
    manifests = info.get("manifests")
    told = manifests.get(label) if isinstance(manifests, Mapping) else None
    rootfs = told.get("rootfs") or told.get("root file system") if isinstance(told, Mapping) else ""
    return str(rootfs or "").partition(" ")[0]


def headlines(run: Run) -> dict[str, str]:
    """Return the headline metric by scenario, as far as run.json tells."""
    return {name: str(scenario.get("headline", "")) for name, scenario in sound(run).info["scenarios"].items()}


def comparisons(run: Run) -> list[Comparison]:
    """Compare every subject with its scenario's baseline, in every metric, above the run's noise floor.

    The phases of a start (`part=phase`) are left out: they explain, they are not compared.
    """
    run = sound(run)
    rows = [row for row in run.rows if (row.get("params") or {}).get("part") != "phase"]
    labels = dict.fromkeys(row["subject"] for row in rows)
    named = {name: str(scenario.get("baseline") or "") for name, scenario in run.info["scenarios"].items()}
    baselines = {name: label for name, wanted in named.items() for label in labels if label.partition("@")[0] == wanted}
    return compare(rows, baselines, floors=noise_floor(rows, twins(run.info)))


WHOLES: Mapping[str, int] = {"with-engine": 0, "total": 1}
"""The parts that are no parts, by which is shown first."""


def telling(params: Params) -> tuple[int, float, Params]:
    """Return by what sets of parameters are sorted, the one that is shown first at the front.

    The whole comes before its parts, and what an engine's daemons are part of before the whole without them; few
    instances before many.
    """
    table = dict(params)
    instances = table.get("instances", "")
    return (
        WHOLES.get(table.get("part", "total"), len(WHOLES)),
        float(instances) if instances.isdecimal() else 0.0,
        params,
    )


def wholes(sets: Iterable[Params]) -> frozenset[Params]:
    """Return the sets of parameters that are no parts; of several wholes of one thing the one that is shown first."""
    first: dict[Params, Params] = {}
    for params in sorted(sets, key=telling):
        rest = dict(params)
        if rest.pop("part", "total") in WHOLES:
            first.setdefault(tuple(rest.items()), params)
    return frozenset(first.values())


def exit_code(rows: Iterable[Row]) -> ExitCode:
    """Return how a run ended: 0, 1 if some trial failed, 3 if there is not one number. Skipping is no failure."""
    statuses = {row["status"] for row in rows}
    if Status.OK not in statuses:
        return ExitCode.NOTHING_MEASURED
    return ExitCode.SOME_TRIALS_FAILED if statuses & set(_SERIOUS) else ExitCode.DONE


def _rung(told: Mapping[str, Any], label: str) -> tuple[int, str]:
    rung = (told.get(label) or {}).get("rung")
    return (rung if isinstance(rung, int) else 1 << 30, label)


def _answer(
    name: str, scenario: Mapping[str, Any], told: Mapping[str, Any], labels: Sequence[str], rows: Sequence[Row],
    ratios: Mapping[tuple[str, str, str, Params], Comparison],
) -> Answer:  # fmt: skip
    """Return one scenario's answer from the rows of its headline metric."""
    metric = str(scenario.get("headline") or next((row["metric"] for row in rows if row["scenario"] == name), ""))
    params, mine = _principal([row for row in rows if row["scenario"] == name and row["metric"] == metric])
    by_label = {label: [row for row in mine if row["subject"] == label] for label in labels}
    by_label = {label: found for label, found in by_label.items() if found}
    base = next((b for b in by_label if b.partition("@")[0] == scenario.get("baseline")), "")
    cells = {
        label: _cell(rows, ratios.get((name, metric, label, params)), _bound(scenario, metric, label))
        for label, rows in by_label.items()
    }
    unit = Unit(mine[0]["unit"]) if mine else Unit.COUNT
    title = str(scenario.get("title") or name)
    counted = next((str(m.get("counted") or "") for m in scenario.get("metrics", ()) if m.get("name") == metric), "")
    asides = _asides([row for row in rows if row["scenario"] == name], scenario.get("emulation"), unit)
    sentence = f"{', '.join(filter(None, (title, counted)))}: {_sentence(cells, by_label, told, unit, asides)}"
    return Answer(
        scenario=name, title=title, metric=metric, unit=unit, baseline=base, sentence=sentence, cells=cells,
        params=params,
    )  # fmt: skip


def _principal(rows: Sequence[Row]) -> tuple[Params, list[Row]]:
    """Return the one set of parameters that is shown first, and the rows under it."""
    kept = [row for row in rows if row["phase"] == Phase.MEASURE]
    answered = {_params(row) for row in kept if row["status"] == Status.OK} or {_params(row) for row in kept}
    tried = {(_params(row), row["subject"]) for row in kept if row["status"] in (Status.OK, *_SERIOUS)}
    subjects = Counter(dict.fromkeys(answered, 0))
    subjects.update(params for params, _ in tried if params in answered)
    # Where a question is put in several ways, the one that most subjects were tried in stands for it: one that failed
    # was tried, one for which it makes no sense was not.
    first = min(subjects, key=lambda params: (-subjects[params], telling(params)), default=())
    # A pairing that was refused, or failed as a whole, has no parameters: it belongs to every choice of them.
    return first, [row for row in kept if _params(row) == first or (row["status"] != Status.OK and not _params(row))]


def _params(row: Row) -> Params:
    return tuple(sorted((row.get("params") or {}).items()))


def _bound(scenario: Mapping[str, Any], metric: str, label: str) -> str:
    """Return the sign before a subject's value: what an emulated one's is, where the metric is not exact."""
    told: Mapping[str, Any] = next((m for m in scenario.get("metrics", ()) if m.get("name") == metric), {})
    better = next((b for b in Better if b == told.get("better")), Better.LOWER)
    return Bound.of(better, emulated=is_emulated(label), exact=told.get("exact") is True).sign


def _cell(rows: Sequence[Row], ratio: Comparison | None, bound: str) -> Cell:
    found = next(iter(estimates(rows, params=False).values()), None)
    return Cell(estimate=found, ratio=ratio if found else None, note=_note(rows), bound=bound)


def _note(rows: Sequence[Row]) -> str:
    serious = sum(row["status"] in _SERIOUS for row in rows)
    if serious:
        return f"{serious} of {len(rows)} failed"
    return next((str(row["status"]) for row in rows if row["status"] != Status.OK), "")


def emulators_own(median: float, unit: Unit, noun: str) -> str:
    """Write what of an emulated guest's figure is the emulator's own: "32 MiB of it translated code"."""
    return f"{format_value(median, unit)} of it {noun}"


def _asides(rows: Sequence[Row], emulation: Any, unit: Unit) -> dict[str, str]:
    """Return what is said behind an emulated guest's headline, by label: nobody shall take it for the guest's."""
    if not isinstance(emulation, Mapping):
        return {}
    metric, noun = str(emulation.get("metric", "")), str(emulation.get("noun", ""))
    found = estimates([row for row in rows if row["metric"] == metric], by=("subject",), params=False)
    medians = {str(label): estimate.median for (label, *_), estimate in found.items()}
    return {label: f" ({emulators_own(median, unit, noun)})" for label, median in medians.items() if is_emulated(label)}


def _sentence(
    cells: Mapping[str, Cell], rows: Mapping[str, Sequence[Row]], told: Mapping[str, Any], unit: Unit,
    asides: Mapping[str, str],
) -> str:  # fmt: skip
    """Name the lowest rung of every backend and the top of the ladder, and how far the last two are apart."""
    measured = [label for label, cell in cells.items() if cell.estimate and not (told.get(label) or {}).get("twin_of")]
    if not measured:
        return "nothing could be measured" if cells else "nothing was measured yet beyond warming up"
    firsts = {rows[label][0]["backend"]: label for label in reversed(measured)}
    named = [label for label in measured if label in firsts.values() or label == measured[-1]]
    texts = []
    for label in named:
        found = cells[label].estimate
        figure = f" {cells[label].bound}{format_interval(found.median, found.low, found.high, unit)}" if found else ""
        texts.append(f"{label}{figure}{asides.get(label, '')}")
    text = ", ".join(texts)
    others = [label for label in named[:-1] if rows[label][0]["backend"] != rows[named[-1]][0]["backend"]]
    if not others:
        return text
    # Beside one of the same userland, where the run tells and there is one: else contents would be compared.
    kind, userland = rows[others[-1]][0]["backend"], (told.get(named[-1]) or {}).get("userland")
    same = [b for b in measured if rows[b][0]["backend"] == kind and (told.get(b) or {}).get("userland") == userland]
    others += same[:1] if userland else []
    apart = compare_cell(rows[named[-1]], rows[others[-1]])
    if apart.ratio is None:
        return text
    return f"{text}; {named[-1]} is {cells[named[-1]].bound}{format_ratio(apart)} {others[-1]}"


def format_ratio(comparison: Comparison) -> str:
    """Write a ratio with its interval and its verdict's doubt: "89× [85–93]"."""
    if comparison.ratio is None:
        return "–"
    return format_interval(comparison.ratio, comparison.low, comparison.high, Unit.RATIO)


def format_cell(cell: Cell | None, unit: Unit, *, interval: bool = True) -> str:
    """Write one cell: its estimate, or why there is none."""
    if cell is None:
        return ""
    if cell.estimate is None:
        return cell.note or "–"
    found = cell.estimate
    digits = digits_for(found.median, found.low, found.high)
    median = format_value(found.median, unit, digits=digits)
    text = format_interval(found.median, found.low, found.high, unit) if interval else median
    return f"{cell.bound}{text} ({cell.note})" if cell.note else f"{cell.bound}{text}"


_INSTANCE = re.compile(r"bench-[0-9a-f]{6}-\d+")


def _troubles(rows: Iterable[Row], told: Mapping[str, Any]) -> tuple[Trouble, ...]:
    """Group everything that has no value by its reason: forty refusals of one missing engine are one line.

    A single metric that a subject does not have (a container has no guest kernel) is no trouble and left out:
    only failures, and pairings that were not run at all, count.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["status"] in _SERIOUS or (row["status"] != Status.OK and row["block"] < 0):
            reason = _INSTANCE.sub("an instance", str(row["reason"]))
            groups.setdefault((str(row["status"]), reason), []).append(row)
    return tuple(
        Trouble(
            status=status, reason=reason, count=len({(r["scenario"], r["trial"]) for r in found}),
            subjects=tuple(sorted({str(r["subject"]) for r in found}, key=lambda label: _rung(told, label))),
            scenarios=tuple(dict.fromkeys(str(r["scenario"]) for r in found)),
        )
        for (status, reason), found in sorted(groups.items(), key=lambda item: item[0][0])
    )  # fmt: skip
