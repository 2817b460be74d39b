"""What will be run, in which order: a pure function of the catalogue, the profile and the seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.sample import Phase
from bench.scenario import Profile, Scenario, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One planned execution: scenario × subject × parameters × block.

    Attributes:
        index: its place in the whole run, from 0.
        block: which round of the scenario it belongs to, from 0; warm-up blocks come first.
        position: its place in the block, from 0.
        expected_s: how long it is expected to take, seconds.
        seed: the run's; what a probe draws by it and the block is the same for every subject of the block.
    """

    index: int
    scenario: Scenario
    subject: Subject
    params: Mapping[str, str] = field(default_factory=dict)
    block: int
    position: int
    phase: Phase
    profile: Profile
    expected_s: float
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A pairing that is not run, and why: it appears in the results as `unsupported` or `skipped`."""

    scenario: Scenario
    subject: Subject
    reason: str
    hint: str = ""
    missing: bool = False
    """True when this host lacks something (skipped); False when the question makes no sense (unsupported)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All trials of a run in their order, and the pairings left out."""

    seed: int
    profile: Profile
    trials: tuple[Trial, ...]
    refusals: tuple[Refusal, ...] = ()

    @property
    def expected_s(self) -> float:
        """The whole run's expected time, seconds, preparation not counted."""
        return sum(trial.expected_s for trial in self.trials)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Every subject that is run, once, by rung."""
        unique = {trial.subject.name: trial.subject for trial in reversed(self.trials)}
        return tuple(sorted(unique.values(), key=lambda subject: subject.rung))

    @property
    def fitted(self) -> tuple[tuple[str, Subject], ...]:
        """Every subject in every form its scenarios want it in, with the first such scenario: what is prepared."""
        unique = {trial.subject.key: (trial.scenario.name, trial.subject) for trial in reversed(self.trials)}
        return tuple(sorted(unique.values(), key=lambda pair: (pair[1].rung, pair[1].key)))


def make_plan(
    scenarios: Sequence[Scenario],
    subjects: Mapping[str, Subject],
    profile: Profile,
    seed: int,
    *,
    unavailable: Mapping[str, tuple[str, str]] | None = None,
    only: Sequence[str] = (),
    expected_s: Callable[[Scenario, Subject, Profile], float] | None = None,
) -> Plan:
    """Lay out interleaved randomised blocks: every cell once per block, positions balanced.

    Args:
        scenarios: in the order in which they shall run; one after another, never mixed.
        subjects: all declared subjects by name.
        profile: how many blocks; a scenario's own [profiles.NAME] table may change it.
        seed: decides every order.
        unavailable: (reason, hint) by subject that this host cannot run.
        only: restrict to these subjects (empty: all). A twin of a chosen subject comes along.
        expected_s: tells how long one trial of a scenario and a subject will take under a profile, seconds; by
            default what the files guess.
    """
    chance = random.Random(seed)
    unavailable = unavailable or {}
    expected_s = expected_s or guess
    trials: list[Trial] = []
    refusals: list[Refusal] = []
    for scenario in scenarios:
        adapted, scenario = _adapt(scenario, profile)  # noqa: PLW2901  # from here on it is the one that is run
        wanted = [subjects[n] for n in scenario.subjects if not only or n in only or subjects[n].twin_of in only]
        excluded = [subjects[n] for n in scenario.excluded if not only or n in only]
        refusals += [Refusal(scenario=scenario, subject=s, reason=scenario.excluded[s.name]) for s in excluded]
        refusals += _missing(scenario, wanted, unavailable)
        runnable = [s for s in wanted if s.name not in unavailable and s.name not in scenario.excluded]
        cells = [(scenario.fitted(s), params) for s in runnable for params in _products(scenario.parameters)]
        # Warm-up has orders of its own: it must not take some away from the balance of the measured blocks.
        orders = [o for n in (adapted.warmup, adapted.blocks) for o in balanced_orders(len(cells), n, chance)]
        for block, order in enumerate(orders):
            for position, cell in enumerate(order):
                subject, params = cells[cell]
                trials.append(
                    Trial(
                        index=len(trials),
                        scenario=scenario,
                        subject=subject,
                        params=params,
                        block=block,
                        position=position,
                        phase=Phase.WARMUP if block < adapted.warmup else Phase.MEASURE,
                        profile=adapted,
                        expected_s=expected_s(scenario, subject, adapted),
                        seed=seed,
                    )
                )
    return Plan(seed=seed, profile=profile, trials=tuple(trials), refusals=tuple(refusals))


def _missing(
    scenario: Scenario, wanted: Sequence[Subject], unavailable: Mapping[str, tuple[str, str]]
) -> list[Refusal]:
    """Return a refusal for each wanted subject that this host cannot run, if the question makes sense for it."""
    asked = [s for s in wanted if s.name not in scenario.excluded]
    lacking = [(s, *unavailable[s.name]) for s in asked if s.name in unavailable]
    return [Refusal(scenario=scenario, subject=s, reason=r, hint=hint, missing=True) for s, r, hint in lacking]


def _adapt(scenario: Scenario, profile: Profile) -> tuple[Profile, Scenario]:
    """Return the profile as this scenario changes it, and the scenario as it is under that profile."""
    change = scenario.profiles.get(profile.name)
    if change is None:
        return profile, scenario
    given = {key: value for key, value in change.model_dump().items() if value not in (None, ())}
    own = {key: given.pop(key) for key in list(given) if key in Profile.model_fields}
    given["settings"] = {**scenario.settings, **given.get("settings", {})}
    return profile.model_copy(update=own), scenario.model_copy(update=given)


def guess(scenario: Scenario, subject: Subject, profile: Profile) -> float:
    """Return the seconds one trial may take, from the two files' first guesses.

    Args:
        scenario: as the profile has changed it, like the profile itself.
    """
    starts = max(profile.instances, default=1) if scenario.starts == "instances" else scenario.starts
    return scenario.cost_s + starts * subject.cost_s


def _products(parameters: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return every combination of parameter values; one empty combination when there are none."""
    keys = list(parameters)
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*parameters.values())]


def balanced_orders(cells: int, blocks: int, chance: random.Random) -> list[list[int]]:
    """Return one order of the cells for each block, balanced for position and for predecessor.

    A Williams design (E. J. Williams, 1949, "Experimental designs balanced for the estimation of residual
    effects of treatments") over randomly relabelled cells, its rows in random order: within every full set
    of rows each cell stands once in every position and follows every other cell equally often. For an odd
    number of cells the mirrored rows are needed too, so the set has twice as many rows.
    """
    if cells == 0:
        return []
    first = [0]
    low, high = 1, cells - 1
    while len(first) < cells:
        first.append(low)
        low += 1
        if len(first) < cells:
            first.append(high)
            high -= 1
    square = [[(value + shift) % cells for value in first] for shift in range(cells)]
    orders: list[list[int]] = []
    while len(orders) < blocks:
        labels = chance.sample(range(cells), cells)
        rows = [[labels[value] for value in row] for row in square]
        rows_in_order = chance.sample(rows, cells)
        if cells % 2:
            mirrored = [row[::-1] for row in rows]
            rows_in_order += chance.sample(mirrored, cells)
        orders += rows_in_order
    return orders[:blocks]
