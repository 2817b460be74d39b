"""When a subject is measured well enough: a rule fixed before the run, asked at looks fixed before the run.

A scenario's profile names a target `width` and `looks`, numbers of measured blocks. After so many blocks, and at no
other time, every subject is looked at. It leaves if, in each of its parameter cells, the intervals of the headline's
median and of its ratio to the baseline reach no further from their middle than the target. Its later trials are
passed over; the order of the rest stays as the seed drew it.

Ratios need common blocks, so the baseline and every twin with the subject it repeats stay as long as any other stays.

Stopping where an interval happens to be narrow favours intervals that are too narrow. So a look asks for the target at
a higher level (`LOOK_CONFIDENCE`) than the interval that is reported: the simulation shows what coverage is left.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.comparing.compare import paired_ratio
from bench.comparing.ratios import ratios_per_block
from bench.comparing.stats import median_interval, values_needed
from bench.messages import TrialResult
from bench.plan import Plan, Trial
from bench.sample import Phase
from bench.text import plural

LOOK_CONFIDENCE = 0.99
"""The level of the intervals that must be narrow enough at a look."""

Cell = tuple[tuple[str, str], ...]
"""A combination of parameters, as sorted (name, value) pairs."""

Values = Mapping[tuple[str, int], float]
"""Values by (run, block), as bench.comparing.stats has them; here the run is always ""."""


class Rule(StrEnum):
    """What ended the measuring of a subject in a scenario."""

    WIDTH = "width"
    """Its intervals were narrow enough at a look."""
    BLOCKS = "blocks"
    """All planned blocks were measured."""
    FAILURES = "failures"
    """All planned blocks were tried, and some gave no value: such a subject never leaves early."""
    TIME = "time"
    """The time given with --budget was spent."""
    CUT_SHORT = "cut short"
    """The run ended before."""


def half_width(low: float, high: float) -> float:
    """Return how far an interval of positive values reaches from its geometric middle, as a share: √(high/low) − 1.

    0 for low = high; infinite where a bound is 0 or below and they differ.
    """
    if low == high:
        return 0.0
    return math.sqrt(high / low) - 1.0 if low > 0.0 else math.inf


def reached(
    values: Sequence[float], ratios: Sequence[float], width: float, confidence: float = LOOK_CONFIDENCE
) -> bool:
    """Say whether the median's interval, and that of the ratios if there are any, are as narrow as the target."""
    interval = median_interval(values, confidence)
    if interval is None or half_width(*interval) > width:
        return False
    if not ratios:
        return True
    _, low, high = paired_ratio(ratios, confidence)
    return low is not None and high is not None and half_width(low, high) <= width


@dataclass(slots=True)
class _Lane:
    """One subject in one scenario: what it gave so far. `rule` is set when it leaves before its budget."""

    label: str
    original: str
    budget: int
    cells: dict[Cell, dict[tuple[str, int], float]] = field(default_factory=dict)
    blocks: set[int] = field(default_factory=set)
    failed: set[Cell] = field(default_factory=set)
    rule: Rule | None = None


class Stopping:
    """The rule at work in one run: is asked before each trial, and is told each result.

    Args:
        plan: all trials. Their profiles name the looks and the targets.
        budget_s: how long the run's trials may take, seconds; None: as long as planned. Each scenario gets its
            share by the plan. Six blocks are always measured: less would give no interval.
    """

    def __init__(self, plan: Plan, budget_s: float | None = None) -> None:
        self._lanes: dict[str, dict[str, _Lane]] = {}
        self._looked: set[tuple[str, int]] = set()
        self._began = time.monotonic()
        self._deadlines: dict[str, float] = {}
        spent = 0.0
        for trial in plan.trials:
            subject, lanes = trial.subject, self._lanes.setdefault(trial.scenario.name, {})
            lanes.setdefault(subject.name, _Lane(subject.name, subject.twin_of, trial.profile.blocks))
            spent += trial.expected_s
            if budget_s is not None:
                self._deadlines[trial.scenario.name] = budget_s * spent / (plan.expected_s or 1.0)

    def passed_over(self, trial: Trial) -> bool:
        """Say whether the trial's subject has left. The first trial of a block is where a look happens."""
        done = trial.block - trial.profile.warmup
        scenario = trial.scenario.name
        if trial.index >= 0 and done > 0 and (scenario, done) not in self._looked:
            self._looked.add((scenario, done))
            self._look(trial, done)
        return self._lanes[scenario][trial.subject.name].rule is not None

    def take(self, result: TrialResult) -> None:
        """Take a trial's headline; warm-up tells nothing, a pairing that is not run neither."""
        trial = result.trial
        if trial.index < 0:
            return
        lane = self._lanes[trial.scenario.name][trial.subject.name]
        lane.label = result.label
        if trial.phase is Phase.WARMUP:
            return
        cell = tuple(sorted(trial.params.items()))
        lane.blocks.add(trial.block)
        value = result.headline
        if value is not None:
            lane.cells.setdefault(cell, {})["", trial.block] = value
        elif result.failed:
            lane.failed.add(cell)

    def _look(self, trial: Trial, done: int) -> None:
        """Let those leave who have reached their target, or everybody if the scenario's time is spent."""
        lanes, profile = self._lanes[trial.scenario.name], trial.profile
        elapsed = time.monotonic() - self._began
        if done >= values_needed() and elapsed > self._deadlines.get(trial.scenario.name, math.inf):
            _leave(lanes.values(), Rule.TIME)
        if profile.width is None or done not in profile.looks:
            return
        twins = {name for name, lane in lanes.items() if lane.original}
        anchors = {trial.scenario.baseline} | twins | {lanes[name].original for name in twins}
        present = {name for name, lane in lanes.items() if lane.rule is None}
        met = {name for name in present if self._met(lanes, name, trial.scenario.baseline, profile.width)}
        _leave((lanes[name] for name in met - anchors), Rule.WIDTH)
        if present - anchors <= met and present & anchors <= met:
            _leave((lanes[name] for name in present), Rule.WIDTH)

    @staticmethod
    def _met(lanes: Mapping[str, _Lane], name: str, baseline: str, width: float) -> bool:
        """Say whether every measured cell of a subject is narrow enough, without a block that gave no value."""
        lane = lanes[name]
        base = lanes.get(lane.original or baseline)
        if lane.failed or not lane.cells or any(len(found) < len(lane.blocks) for found in lane.cells.values()):
            return False
        return all(
            reached(list(values.values()), ratios, width)
            for cell, values in lane.cells.items()
            for ratios in [_ratios(values, base.cells.get(cell, {}) if base and base is not lane else {})]
        )

    def outcomes(self) -> list[dict[str, Any]]:
        """Return for each scenario and subject which rule ended it: what run.json keeps as "stopped".

        Keys: scenario, subject (its label), rule, blocks (measured), of (the budget), half_width (of the headline's
        median at 95 %, the widest of its cells, as a share; None without an interval).
        """
        return [
            {
                "scenario": scenario, "subject": lane.label, "rule": str(_rule_of(lane)),
                "blocks": len(lane.blocks), "of": lane.budget, "half_width": _widest(lane),
            }
            for scenario, lanes in self._lanes.items() for lane in lanes.values()
        ]  # fmt: skip


def _leave(lanes: Iterable[_Lane], rule: Rule) -> None:
    for lane in lanes:
        lane.rule = lane.rule or rule


def _ratios(values: Values, base: Values) -> list[float]:
    """Return the ratios of the common blocks; an infinite one where a value has none, so that nothing is narrow."""
    try:
        ratios = list(ratios_per_block(values, base).values())
    except ValueError:
        return [math.inf]
    return ratios if all(ratios) else [math.inf]


def _rule_of(lane: _Lane) -> Rule:
    if lane.rule is not None:
        return lane.rule
    if len(lane.blocks) < lane.budget:
        return Rule.CUT_SHORT
    return Rule.FAILURES if lane.failed else Rule.BLOCKS


def _widest(lane: _Lane) -> float | None:
    intervals = [median_interval(list(values.values())) for values in lane.cells.values()]
    widths = [half_width(*interval) if interval else math.inf for interval in intervals]
    widest = max(widths, default=math.inf)
    return widest if math.isfinite(widest) else None


def in_a_line(info: Mapping[str, Any]) -> str:
    """Return what a run's run.json says of who stopped when, as a sentence; "" for a run that does not tell."""
    stopped = info.get("stopped")
    told = [entry for entry in stopped if isinstance(entry, Mapping)] if isinstance(stopped, list) else []
    if not told:
        return ""
    early: dict[str, list[str]] = {}
    for entry in told:
        if entry.get("rule") in (Rule.WIDTH, Rule.TIME):
            why = " (time spent)" if entry.get("rule") == Rule.TIME else _reach(entry.get("half_width"))
            text = f"{entry.get('subject')} after {entry.get('blocks')} of {entry.get('of')} blocks{why}"
            early.setdefault(str(entry.get("scenario")), []).append(text)
    counts = Counter(str(entry.get("rule")) for entry in told)
    rest = {Rule.BLOCKS: "used all their blocks", Rule.FAILURES: "used them with failures", Rule.CUT_SHORT: "cut short"}
    parts = [f"{scenario}: {', '.join(texts)}" for scenario, texts in early.items()]
    parts += [f"{plural(counts[rule], 'pairing')} {words}" for rule, words in rest.items() if counts[rule]]
    return "; ".join(parts)


def _reach(width: object) -> str:
    return f" (±{width:.1%})" if isinstance(width, float) else ""
