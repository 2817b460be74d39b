"""Follows a run's messages: where it stands, what each subject's median is so far, how long the rest will take."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

from bench.messages import (
    Message,
    Prepared,
    Preparing,
    RunFinished,
    RunStarted,
    TrialFinished,
    TrialPassedOver,
    TrialResult,
    TrialStarted,
)
from bench.plan import Plan, Trial
from bench.sample import Phase
from bench.units import Unit

Cell = tuple[str, str]
"""A subject's name, and in brackets the parameters that tell its trials apart: ("docker", "[mode=cold]")."""


def cell_of(trial: Trial) -> Cell:
    """Return whose value a trial gives: what was measured under other parameters is never pooled with it."""
    known = trial.scenario.parameters
    varied = [f"{key}={value}" for key, value in trial.params.items() if len(known.get(key, ())) > 1]
    return trial.subject.name, f"[{','.join(varied)}]" if varied else ""


@dataclass(slots=True)
class Lane:
    """What is known of one subject under one set of parameters in the current scenario."""

    label: str
    total: int
    done: int = 0
    failed: int = 0
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float | None:
        """The median of the headline metric so far; None before the first value."""
        return statistics.median(self.values) if self.values else None


@dataclass(slots=True)
class Course:
    """Follows the messages: where the run stands. `trial` is the one under way, None between trials."""

    plan: Plan | None = None
    trial: Trial | None = None
    done: int = 0
    failed: int = 0
    left_out: int = 0
    passed_over: int = 0
    """Planned trials that were not needed, their subjects being measured well enough, or the time being spent."""
    text: str = ""
    text_began: float = 0.0
    began: float = field(default_factory=time.monotonic)
    trial_began: float = 0.0
    lanes: dict[Cell, Lane] = field(default_factory=dict)
    block_ended: bool = False
    _scenario: str = ""
    _gone: set[tuple[str, str]] = field(default_factory=set)
    _seen: dict[tuple[str, Cell], list[float]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many trials are planned."""
        return len(self.plan.trials) if self.plan else 0

    def take(self, message: Message) -> None:
        """Follow one message."""
        self.block_ended = False
        match message:
            case RunStarted(plan=plan) | Prepared(plan=plan):
                self.plan, self.text = plan, ""
            case Preparing(text=text):
                self.text, self.text_began = text, time.time()
            case TrialStarted(trial=trial):
                self.trial, self.trial_began, self.text = trial, time.time(), ""
                self._enter(trial)
            case TrialFinished(result=result):
                self._finish(result)
            case TrialPassedOver(trial=trial):
                self._pass_over(trial)
            case RunFinished():
                self.trial = None

    def _enter(self, trial: Trial) -> None:
        if trial.scenario.name != self._scenario and self.plan is not None:
            self._scenario = trial.scenario.name
            mine = [t for t in self.plan.trials if t.scenario.name == trial.scenario.name]
            totals, ladder = Counter(map(cell_of, mine)), [subject.name for subject in self.plan.subjects]
            cells = sorted(totals, key=lambda cell: (ladder.index(cell[0]), cell[1]))
            self.lanes = {cell: Lane("".join(cell), totals[cell]) for cell in cells}

    def _finish(self, result: TrialResult) -> None:
        if result.trial.index < 0:
            self.left_out += 1
            return
        self.done += 1
        self.failed += result.failed
        cell = cell_of(result.trial)
        self._seen.setdefault((result.trial.scenario.name, cell), []).append(result.elapsed_s)
        lane = self.lanes[cell]
        lane.label = result.label + cell[1]
        lane.done += 1
        lane.failed += result.failed
        value = result.headline
        if value is not None and result.trial.phase is Phase.MEASURE:
            lane.values.append(value)
        self._close(result.trial)

    def _pass_over(self, trial: Trial) -> None:
        """Count a trial that was not needed: whoever has left does not come back."""
        self._enter(trial)
        self.passed_over += 1
        self._gone.add((trial.scenario.name, trial.subject.name))
        if cell_of(trial) in self.lanes:
            self.lanes[cell_of(trial)].total -= 1
        self._close(trial)

    def _close(self, trial: Trial) -> None:
        """See whether a block ended with this trial."""
        if self.plan is not None:
            following = self.plan.trials[self.place] if self.place < self.total else None
            self.block_ended = following is None or (
                (following.scenario.name, following.block) != (trial.scenario.name, trial.block)
            )
        self.trial = None

    @property
    def place(self) -> int:
        """How many of the planned trials are behind: done or not needed."""
        return self.done + self.passed_over

    def expected_s(self, trial: Trial) -> float:
        """Return how long a trial will take, seconds: as those like it took so far in this run, else as planned."""
        seen = self._seen.get((trial.scenario.name, cell_of(trial)))
        return statistics.median(seen) if seen else trial.expected_s

    def left_s(self) -> float:
        """Return how long the trials that are left will take, seconds."""
        coming = self.plan.trials[self.place :] if self.plan else ()
        return sum(self.expected_s(t) for t in coming if (t.scenario.name, t.subject.name) not in self._gone)


def headline_unit(trial: Trial) -> Unit:
    """Return the unit of the trial's headline metric."""
    metric = trial.scenario.metric(trial.scenario.headline)
    return metric.unit if metric else Unit.COUNT
