"""What each subject of a run says of one condition: the value, how far it can be trusted, and what it decides. Pure.

A condition is tried on each of its subjects; for a comparison on each pair, block by block, within this run and this
scenario. It holds if the whole interval in which the true value may lie is on its side of the threshold, fails if all
of it is on the other, and is undecided otherwise. That interval is wider than the median's:

    emulated guests      a cost is an upper bound (a speed a lower one): the interval is open towards the better side;
                         a ratio is a bound where only one of the two is one, or each in the opposite way
    failed trials        their values could be anything: they count once as the smallest and once as the largest
    fewer than 6 blocks  there is no interval; a metric that is `constant` needs one block, and all of them equal
    noise                a median no further from the threshold than the same subject was from itself decides nothing
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.comparing.compare import Comparison, compare_cell, floor_of, noise_floor, twins
from bench.comparing.ratios import ratios_per_block
from bench.comparing.stats import Row, block_medians, median_interval, values_needed
from bench.judging.claims import GROUPS, Condition
from bench.judging.evidence import Bound, Doubt, Evidence, Outcome, Params, is_emulated, outcome_of
from bench.sample import Phase, Status
from bench.soundness import sound
from bench.store import Run
from bench.text import did_you_mean, plural
from bench.units import Better

_SERIOUS = (Status.FAILED, Status.TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What judging needs of a run: its measured rows by scenario, the order of its subjects, its noise."""

    rows: Mapping[str, Sequence[Row]]
    asked: Collection[str]
    known: Collection[str]
    rungs: Mapping[str, int]
    twin_of: Mapping[str, str]
    exact: Collection[tuple[str, str]]
    """(scenario, metric) in which an emulated guest's value is as good as a virtualised one's."""
    constant: Collection[tuple[str, str]]
    """(scenario, metric) that does not scatter."""
    floors: Sequence[Comparison] = field(repr=False)

    @classmethod
    def of(cls, run: Run, known: Collection[str]) -> Seen:
        """Return what a run has to say."""
        run = sound(run)
        rows: dict[str, list[Row]] = {}
        for row in run.rows:
            if row["phase"] == Phase.MEASURE:
                rows.setdefault(row["scenario"], []).append(row)
        rungs = {label: told.get("rung") for label, told in run.info["subjects"].items()}
        asked, twin_of = run.info["scenarios"], twins(run.info)
        return cls(
            rows=rows, known=known, asked=tuple(asked), twin_of=twin_of,
            rungs={label: rung for label, rung in rungs.items() if isinstance(rung, int)},
            exact=frozenset(_marked(asked, "exact")), constant=frozenset(_marked(asked, "constant")),
            floors=noise_floor((row for of_one in rows.values() for row in of_one), twin_of),
        )  # fmt: skip

    def labels(self, rows: Sequence[Row], name: str) -> list[str]:
        """Return the labels that a name or a group stands for, by rung."""
        if name in GROUPS:
            found = {str(r["subject"]) for r in rows if r["backend"] in GROUPS[name]} - self.twin_of.keys()
        else:
            found = {str(r["subject"]) for r in rows if str(r["subject"]).partition("@")[0] == name}
        return sorted(found, key=lambda label: (self.rungs.get(label, 1 << 30), label))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """One value a block, and in how many blocks there is none because the trial failed or timed out."""

    by_block: Mapping[tuple[str, int], float]
    failed: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Values:
        by_block = block_medians(rows)
        failed = {(str(r.get("run_id", "")), r["block"]) for r in rows if r["status"] in _SERIOUS}
        return cls(by_block=by_block, failed=frozenset(failed - by_block.keys()))

    def over(self, other: _Values) -> _Values:
        """Return the ratios, block by block. A block in which either failed has none, and could have any.

        Raises:
            ValueError: values below 0 have no ratio.
        """
        ratios = ratios_per_block(self.by_block, other.by_block)
        return _Values(by_block=ratios, failed=(self.failed | other.failed) - ratios.keys())

    def interval(self) -> tuple[float, float] | None:
        """Return in which interval the median lies, whatever the failed ones were; None: too few blocks."""
        blocks = sorted(self.by_block.keys() | self.failed)
        low = median_interval([self.by_block.get(block, -math.inf) for block in blocks])
        high = median_interval([self.by_block.get(block, math.inf) for block in blocks])
        return (low[0], high[1]) if low and high and len(self.by_block) >= values_needed() else None

    def agreed(self) -> tuple[float, float] | None:
        """Return the one value that all blocks have, as both ends; None if they differ, or if one failed."""
        values = set(self.by_block.values())
        return (min(values), max(values)) if len(values) == 1 and not self.failed else None


def _marked(asked: Mapping[str, Mapping[str, Any]], mark: str) -> Iterator[tuple[str, str]]:
    """Yield the (scenario, metric) that have this mark, as run.json tells it."""
    for name, scenario in asked.items():
        for metric in scenario["metrics"]:
            if metric.get(mark) is True:
                yield name, str(metric.get("name"))


def gather(seen: Seen, condition: Condition) -> tuple[list[Evidence], str]:
    """Return what every subject says of the condition; or nothing, and why it was not measured."""
    rows = seen.rows.get(condition.scenario, ())
    if not rows:
        return [], _not_run(seen, condition.scenario)
    of_metric = [row for row in rows if row["metric"] == condition.metric]
    if not of_metric:
        guess = did_you_mean(condition.metric, {str(row["metric"]) for row in rows})
        return [], f'{condition.scenario} has no metric "{condition.metric}" in this run; {guess}'
    unit, wanted = str(of_metric[0]["unit"]), condition.threshold[1]
    if not condition.relative and unit != wanted:
        return [], f"{condition.metric} is in {unit}, the threshold in {wanted}"
    pairs = list(_pairs(seen, condition, of_metric))
    measured = {str(row["subject"]) for row in of_metric}
    if not any({own, other or own} <= measured for own, other in pairs):
        names = ", ".join(dict.fromkeys((*condition.subjects, *condition.than)))
        return [], f"this run of {condition.scenario} lacks {names}: bench run {condition.scenario}"
    return [e for own, other in pairs for e in _of_pair(seen, condition, of_metric, own, other)], ""


def _not_run(seen: Seen, scenario: str) -> str:
    if scenario in seen.asked:
        return f"{scenario} was cut short before its first measured block: bench run {scenario}"
    if scenario in seen.known:
        return f"{scenario} is not in this run: bench run {scenario}"
    return f"no scenario asks this yet: {scenario}, in a later version"


def _pairs(seen: Seen, condition: Condition, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield (label, label it is divided by, or ""). A name that is not in the run is yielded as it is."""

    def labels(names: Sequence[str]) -> list[str]:
        found = [seen.labels(rows, name) or [name] * (name not in GROUPS) for name in names]
        return list(dict.fromkeys(label for of_name in found for label in of_name))

    own = labels(condition.subjects)
    if condition.step_by_step:
        # A rung without a value decides nothing about its step, and the next one is compared with the last that has.
        there = {str(row["subject"]) for row in rows if row["status"] == Status.OK}
        lower = ""
        for label in own:
            if lower:
                yield label, lower
            lower = label if label in there else lower
    elif condition.than:
        yield from ((label, other) for label in own for other in labels(condition.than) if label != other)
    else:
        yield from ((label, "") for label in own)


def _of_pair(seen: Seen, condition: Condition, rows: Sequence[Row], own: str, other: str) -> list[Evidence]:
    """Return one piece of evidence for each set of parameters that the subject was measured under."""
    cells = _cells([row for row in rows if row["subject"] == own], condition.params)
    asked = {**condition.params, **condition.than_params}
    others = _cells([row for row in rows if row["subject"] == other], asked) if other else {}
    found = []
    for params, of_own in cells.items():
        turned = tuple(sorted({**dict(params), **condition.than_params}.items()))
        of_other = others.get(turned) or others.get(()) or []
        plain = Evidence(condition=condition, subject=own, than=other, params=params, unit=condition.threshold[1])
        found.append(_without_value(plain, of_own, of_other) or _tried(seen, plain, of_own, of_other))
    return found


def _cells(rows: Sequence[Row], wanted: Mapping[str, str]) -> dict[Params, list[Row]]:
    """Return the rows by parameters, those of parts of a whole left out; one empty cell where nothing has a value.

    A trial that failed as a whole has the trial's parameters only: it counts in every cell it could have been in.
    """
    with_params = [({k: v for k, v in (row.get("params") or {}).items() if k != "place"}, row) for row in rows]
    whole = [(params, row) for params, row in with_params if "part" in wanted or params.get("part", "total") == "total"]
    cells: dict[Params, list[Row]] = {}
    for params, row in whole:
        if row["status"] == Status.OK and wanted.items() <= params.items():
            cells.setdefault(tuple(sorted(params.items())), []).append(row)
    cells = cells or {(): []}
    for key, of_cell in cells.items():
        known = {**wanted, **dict(key)}
        of_cell += [
            row
            for params, row in whole
            if row["status"] != Status.OK and all(known.get(k, v) == v for k, v in params.items())
        ]
    return cells


def _without_value(plain: Evidence, own: Sequence[Row], other: Sequence[Row]) -> Evidence | None:
    """Return what can be said where a subject, or the one it is compared with, has no value at all; else None."""
    sides = [own, other] if plain.than else [own]
    empty = [rows for rows in sides if not any(row["status"] == Status.OK for row in rows)]
    if not empty:
        return None
    rows = next((rows for rows in empty if _statuses(rows) == {Status.UNSUPPORTED}), empty[0])
    failures = sum(row["status"] in _SERIOUS for row in rows)
    doubt = Doubt.FAILURES if failures else Doubt.NO_VALUE
    if not rows:
        doubt = Doubt.ABSENT
    elif _statuses(rows) == {Status.UNSUPPORTED}:
        doubt = Doubt.SENSELESS
    reason = next((f"{row['status']}: {row['reason']}" for row in rows), str(doubt))
    return replace(plain, doubt=doubt, failures=failures, reason=reason)


def _statuses(rows: Sequence[Row]) -> set[str]:
    return {str(row["status"]) for row in rows}


def _tried(seen: Seen, plain: Evidence, own: Sequence[Row], other: Sequence[Row]) -> Evidence:
    """Return what the values say."""
    condition, (threshold, _) = plain.condition, plain.condition.threshold
    values, bound = _Values.of(own), _bound(seen, own[0])
    if plain.than:
        try:
            values = values.over(_Values.of(other))
        except ValueError as error:
            return replace(plain, doubt=Doubt.NO_VALUE, reason=str(error))
        bound = bound.times(_bound(seen, other[0]).turned)
    count, lost = len(values.by_block), len(values.failed)
    plain = replace(plain, bound=bound, blocks=count, failures=lost)
    if not count:
        return replace(plain, doubt=Doubt.TOO_FEW, reason="no block has a value of both")
    plain = replace(plain, value=_figure(statistics.median(values.by_block.values())))
    agreed = values.agreed() if _is_constant(seen, own[0]) else None
    interval = agreed or values.interval()
    if interval is None:
        doubt = Doubt.FAILURES if count + lost >= values_needed() else Doubt.TOO_FEW
        text = f"{plural(count, 'block')}; a verdict needs {values_needed()} (--profile standard)"
        return replace(plain, doubt=doubt, reason=f"{lost} failed, {text}" if lost else text)
    low, high = interval
    if not agreed:
        plain = replace(plain, low=_figure(low), high=_figure(high))
    outcome = outcome_of(condition.side, threshold, low, high, bound)
    if outcome is Outcome.UNDECIDED:
        return _undecided(plain, values, threshold, low, high)
    floor = _floor(seen, own, other)
    distance = _distance(plain.value, threshold)
    if floor is not None and distance is not None and distance <= floor:
        return replace(plain, doubt=Doubt.NOISE, reason=f"{Doubt.NOISE} ({floor - 1.0:.1%})")
    return replace(plain, outcome=outcome)


def _figure(value: float) -> float | None:
    """Return a value that can be written; None for what is infinite: beyond every threshold, but no number."""
    return value if math.isfinite(value) else None


def _undecided(plain: Evidence, values: _Values, threshold: float, low: float, high: float) -> Evidence:
    """Return it with the reason: would the values have decided without failures, or without the emulator?"""
    side = plain.condition.side
    if outcome_of(side, threshold, low, high, Bound.EXACT) is not Outcome.UNDECIDED:
        return replace(plain, doubt=Doubt.EMULATED, reason=str(Doubt.EMULATED))
    alone = replace(values, failed=frozenset()).interval()
    if alone and plain.failures and outcome_of(side, threshold, *alone, plain.bound) is not Outcome.UNDECIDED:
        reason = f"{plain.failures} of {plain.blocks + plain.failures} failed, and their values could be anything"
        return replace(plain, doubt=Doubt.FAILURES, reason=reason)
    return replace(plain, doubt=Doubt.INTERVAL, reason=str(Doubt.INTERVAL))


def _bound(seen: Seen, row: Row) -> Bound:
    exact = (row["scenario"], row["metric"]) in seen.exact
    return Bound.of(Better(row["better"]), emulated=is_emulated(str(row["subject"])), exact=exact)


def _is_constant(seen: Seen, row: Row) -> bool:
    return (str(row["scenario"]), str(row["metric"])) in seen.constant


def _floor(seen: Seen, own: Sequence[Row], other: Sequence[Row]) -> float | None:
    """Return by which factor the subject, or the other, or whoever has a twin, differed from itself."""
    fine = [row for row in own if row["status"] == Status.OK]
    return floor_of(compare_cell(fine, [row for row in other if row["status"] == Status.OK] or fine), seen.floors)


def _distance(value: float | None, threshold: float) -> float | None:
    """Return how far a value is from the threshold, as a factor of at least 1; None where one of them is 0."""
    return max(value / threshold, threshold / value) if value and value > 0.0 and threshold > 0.0 else None
