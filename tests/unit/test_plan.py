"""The plan: every cell once a block, positions and predecessors balanced, everything decided by the seed."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan import Plan, balanced_orders, make_plan
from bench.sample import Phase
from bench.scenario import Metric, Profile, Scenario, Subject
from bench.units import Unit


def subject(name: str, **fields: Any) -> Subject:
    """Return a subject of the fake backend."""
    return Subject(**{"name": name, "title": name, "backend": "fake", **fields})


def scenario(name: str = "startup", **fields: Any) -> Scenario:
    """Return a scenario over a, b and c."""
    base = {
        "name": name, "title": name, "question": "?", "probe": "startup", "baseline": "a", "headline": "m",
        "subjects": ("a", "b", "c"), "metrics": (Metric(name="m", unit=Unit.SECONDS),),
    }  # fmt: skip
    return Scenario(**{**base, **fields})


SUBJECTS = {name: subject(name) for name in ("a", "b", "c")} | {"a-twin": subject("a-twin", twin_of="a", rung=1)}
PROFILE = Profile(name="quick", blocks=6, warmup=2)


def plan(*scenarios: Scenario, seed: int = 1, **options: Any) -> Plan:
    """Plan the scenarios under PROFILE."""
    return make_plan(scenarios or (scenario(),), SUBJECTS, options.pop("profile", PROFILE), seed, **options)


def names(made: Plan) -> set[str]:
    """Return which subjects are run."""
    return {trial.subject.name for trial in made.trials}


@given(st.integers(0, 9), st.integers(0, 30), st.integers(0, 99))
def test_every_block_has_every_cell_once(cells: int, blocks: int, seed: int) -> None:
    orders = balanced_orders(cells, blocks, random.Random(seed))
    assert len(orders) == (blocks if cells else 0)
    assert all(sorted(order) == list(range(cells)) for order in orders)


@given(st.integers(1, 11), st.integers(1, 2), st.integers(0, 99))
def test_a_full_set_balances_positions_and_predecessors(cells: int, sets: int, seed: int) -> None:
    size = cells * (1 + cells % 2)
    orders = balanced_orders(cells, size * sets, random.Random(seed))
    places = Counter((cell, place) for order in orders for place, cell in enumerate(order))
    assert set(places.values()) == {size * sets // cells}
    assert len(places) == cells * cells
    pairs = Counter(pair for order in orders for pair in itertools.pairwise(order))
    assert len(set(pairs.values())) <= 1
    assert len(pairs) == cells * (cells - 1)


def test_warm_up_takes_nothing_from_the_balance() -> None:
    six = tuple(f"s{number}" for number in range(6))
    made = make_plan([scenario(subjects=six, baseline="s0")], {n: subject(n) for n in six}, PROFILE, 5)
    measured = [t for t in made.trials if t.phase is Phase.MEASURE]
    assert set(Counter((t.subject.name, t.position) for t in measured).values()) == {1}


def test_blocks_and_phases_and_places() -> None:
    made = plan()
    assert [trial.index for trial in made.trials] == list(range(8 * 3))
    assert [trial.phase for trial in made.trials] == [Phase.WARMUP] * 6 + [Phase.MEASURE] * 18
    for block, trials in itertools.groupby(made.trials, key=lambda trial: trial.block):
        content = list(trials)
        assert [trial.position for trial in content] == [0, 1, 2]
        assert {trial.subject.name for trial in content} == {"a", "b", "c"}
        assert block in range(8)


@given(st.integers(0, 2**32))
def test_the_seed_decides(seed: int) -> None:
    assert plan(seed=seed) == plan(seed=seed)


def test_other_seeds_give_other_orders() -> None:
    orders = {tuple(trial.subject.name for trial in plan(seed=seed).trials) for seed in range(20)}
    assert len(orders) == 20


def test_scenarios_are_not_mixed() -> None:
    made = plan(scenario("first"), scenario("second"))
    assert [key for key, _ in itertools.groupby(t.scenario.name for t in made.trials)] == ["first", "second"]
    assert [t.index for t in made.trials] == list(range(48))


def test_parameters_are_cells_of_the_block() -> None:
    made = plan(scenario(parameters={"size": ("1", "2"), "mode": ("x", "y")}))
    first = [trial for trial in made.trials if trial.block == 0]
    cells = Counter((t.subject.name, t.params["size"], t.params["mode"]) for t in first)
    assert len(cells) == 12
    assert set(cells.values()) == {1}


def test_a_twin_comes_along_with_the_chosen() -> None:
    asked = scenario(subjects=("a", "a-twin", "b", "c"))
    assert names(plan(asked, only=("a",))) == {"a", "a-twin"}
    assert names(plan(asked, only=("b",))) == {"b"}
    assert names(plan(asked, only=("a-twin",))) == {"a-twin"}
    assert [s.name for s in plan(asked).subjects] == ["a", "b", "c", "a-twin"] or plan(asked).subjects[-1].rung == 1


def test_what_makes_no_sense_is_not_what_is_missing() -> None:
    made = plan(
        scenario(excluded={"b": "it has no disk"}), unavailable={"c": ("no daemon", "start it"), "b": ("absent", "")}
    )
    assert names(made) == {"a"}
    told = {refusal.subject.name: (refusal.missing, refusal.reason, refusal.hint) for refusal in made.refusals}
    assert told == {"b": (False, "it has no disk", ""), "c": (True, "no daemon", "start it")}
    assert len(made.refusals) == 2


def test_refusals_are_about_what_was_asked_for() -> None:
    asked = scenario(excluded={"b": "no"})
    assert plan(asked, only=("a",), unavailable={"c": ("gone", "")}).refusals == ()


def test_a_scenario_changes_the_profile_for_itself() -> None:
    changed = scenario(profiles={"quick": {"blocks": 2, "warmup": 0, "subjects": ("a", "c")}})
    made = plan(changed, scenario("other"))
    own = [trial for trial in made.trials if trial.scenario.name == "startup"]
    assert {t.subject.name for t in own} == {"a", "c"}
    assert len(own) == 4
    assert all(t.phase is Phase.MEASURE and t.profile.blocks == 2 for t in own)
    assert len(made.trials) == 4 + 24
    untouched = plan(changed, profile=Profile(name="standard", blocks=3, warmup=1))
    assert len(untouched.trials) == 12


def test_the_expected_time_is_the_measured_one_where_known() -> None:
    guessed = plan(scenario(cost_s=2.0, starts="instances"), profile=Profile(name="p", blocks=1, warmup=0))
    assert [trial.expected_s for trial in guessed.trials] == [2.0 + 3 * 1.0] * 3
    took = {"a": 10.0, "b": 1.0, "c": 1.0}
    made = plan(expected_s=lambda _, asked, __: took[asked.name], profile=Profile(name="p", blocks=1, warmup=0))
    assert made.expected_s == pytest.approx(12.0)


def test_nothing_to_run_is_an_empty_plan() -> None:
    made = plan(unavailable=dict.fromkeys("abc", ("no", "")))
    assert (made.trials, made.expected_s, made.subjects, len(made.refusals)) == ((), 0, (), 3)


def test_a_scenario_is_another_under_a_profile() -> None:
    changed = scenario(
        settings={"window_s": 60, "rate": 2}, parameters={"mode": ("x", "y")}, cost_s=60.0,
        profiles={"quick": {"settings": {"window_s": 10}, "parameters": {"mode": ("x",)}, "cost_s": 10}},
    )  # fmt: skip
    quick, other = plan(changed), plan(changed, profile=Profile(name="other", blocks=1, warmup=0))
    assert {t.params["mode"] for t in quick.trials} == {"x"}
    assert {t.params["mode"] for t in other.trials} == {"x", "y"}
    assert dict(quick.trials[0].scenario.settings) == {"window_s": 10, "rate": 2}
    assert dict(other.trials[0].scenario.settings) == {"window_s": 60, "rate": 2}
    assert other.trials[0].expected_s - quick.trials[0].expected_s == 50


def test_a_scenario_fits_its_subjects_and_no_other_s() -> None:
    wanting = scenario("inside", rootfs="tools", options={"cpus": 1})
    known = {name: s.model_copy(update={"options": {"cpus": 4, "own": "kept"}}) for name, s in SUBJECTS.items()}
    made = make_plan((scenario(), wanting), known, PROFILE, 5)
    assert {t.subject.option("own") for t in made.trials} == {"kept"}
    forms = {(t.scenario.name, t.subject.rootfs, t.subject.option("cpus")) for t in made.trials}
    assert forms == {("startup", "minimal", "4"), ("inside", "tools", "1")}
    assert names(made) == {"a", "b", "c"}
    assert len(made.subjects) == 3
    assert {s.rootfs for s in made.subjects} == {"minimal"}
    assert len({s.key for _, s in made.fitted}) == len(made.fitted) == 6
    assert {(where, s.rootfs) for where, s in made.fitted} == {("startup", "minimal"), ("inside", "tools")}
    assert {t.seed for t in made.trials} == {5}
