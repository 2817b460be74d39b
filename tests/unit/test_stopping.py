"""Who leaves when: at declared looks only, by a rule fixed before; the baseline and twins stay for the others."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.backends.base import Session
from bench.backends.fake import FakeBackend
from bench.comparing.stats import values_needed
from bench.comparing.stopping import LOOK_CONFIDENCE, Stopping, half_width, in_a_line, reached
from bench.judging.summary import WHOLES
from bench.messages import Message, TrialFinished, TrialPassedOver
from bench.plan import Plan, make_plan
from bench.running.runner import execute
from bench.sample import Phase
from bench.scenario import Catalogue, Profile, Subject
from bench.screens.course import Course

PROFILE = Profile(name="test", blocks=12, warmup=1, width=0.2, looks=(8, 10))


def fake(name: str, twin_of: str = "", **options: str) -> Subject:
    return Subject(
        name=name, title=name, backend="fake", deadline_s=0.3, twin_of=twin_of,
        options={"seed": "1", "sigma": "0.001", **options},
    )  # fmt: skip


def planned(catalogue: Catalogue, *subjects: Subject, profile: Profile = PROFILE, seed: int = 7) -> Plan:
    names = tuple(subject.name for subject in subjects)
    change = {"subjects": names, "excluded": {}, "baseline": names[0], "profiles": {}}
    scenario = catalogue.scenarios["startup"].model_copy(update=change)
    return make_plan([scenario], {s.name: s for s in subjects}, profile, seed)


def run(plan: Plan, path: Path, budget_s: float | None = None) -> tuple[list[Message], Stopping]:
    session = Session(run_id="20260101-000000-abcdef", directory=path, scratch=path, cache=path)
    made: list[Stopping] = []

    def steer(prepared: Plan) -> Stopping:
        made.append(Stopping(prepared, budget_s))
        return made[0]

    return list(execute(plan, session, {"fake": FakeBackend()}, steer)), made[0]


def measured(messages: list[Message]) -> dict[str, int]:
    """Return in how many measured blocks each subject was tried."""
    trials = [m.result.trial for m in messages if isinstance(m, TrialFinished)]
    names = dict.fromkeys(trial.subject.name for trial in trials)
    return {name: sum(t.subject.name == name and t.phase is Phase.MEASURE for t in trials) for name in names}


def rules(stopping: Stopping) -> dict[str, tuple[str, int, int]]:
    return {e["subject"]: (e["rule"], e["blocks"], e["of"]) for e in stopping.outcomes()}


def test_a_narrow_subject_leaves_and_the_baseline_and_twins_stay(catalogue: Catalogue, tmp_path: Path) -> None:
    subjects = (fake("base"), fake("base-twin", "base"), fake("calm"), fake("wild", sigma="1"))
    messages, stopping = run(planned(catalogue, *subjects), tmp_path)
    assert measured(messages) == {"base": 12, "base-twin": 12, "calm": 8, "wild": 12}
    assert rules(stopping) == {
        "base": ("blocks", 12, 12), "base-twin": ("blocks", 12, 12), "calm": ("width", 8, 12),
        "wild": ("blocks", 12, 12),
    }  # fmt: skip
    assert sum(isinstance(m, TrialPassedOver) for m in messages) == 4
    text = in_a_line({"stopped": stopping.outcomes()})
    assert text.startswith("startup: calm after 8 of 12 blocks (±0")
    assert text.endswith("3 pairings used all their blocks")


def test_all_leave_together_when_nobody_else_stays(catalogue: Catalogue, tmp_path: Path) -> None:
    messages, stopping = run(planned(catalogue, fake("base"), fake("base-twin", "base"), fake("calm")), tmp_path)
    assert set(measured(messages).values()) == {8}
    assert {rule for rule, _, _ in rules(stopping).values()} == {"width"}


def test_a_failure_keeps_its_subject_to_the_end(catalogue: Catalogue, tmp_path: Path) -> None:
    subjects = (fake("base"), fake("calm"), fake("bad", fail="refuse", fail_every="5"))
    messages, stopping = run(planned(catalogue, *subjects), tmp_path)
    assert measured(messages) == {"base": 12, "calm": 8, "bad": 12}
    assert rules(stopping)["bad"] == ("failures", 12, 12)


def test_without_a_width_nobody_leaves(catalogue: Catalogue, tmp_path: Path) -> None:
    profile = PROFILE.model_copy(update={"width": None})
    messages, stopping = run(planned(catalogue, fake("base"), fake("calm"), profile=profile), tmp_path)
    assert measured(messages) == {"base": 12, "calm": 12}
    assert {rule for rule, _, _ in rules(stopping).values()} == {"blocks"}


def test_the_same_seed_passes_over_the_same_trials(catalogue: Catalogue, tmp_path: Path) -> None:
    def order(seed: int) -> list[int]:
        subjects = (fake("base", sigma="0.05"), fake("calm"), fake("wild", sigma="0.3"))
        messages, _ = run(planned(catalogue, *subjects, seed=seed), tmp_path)
        return [m.trial.index for m in messages if isinstance(m, TrialPassedOver)]

    assert order(3) == order(3) != []
    assert order(3) != order(4)


def test_a_spent_budget_ends_a_scenario_once_six_blocks_are_measured(catalogue: Catalogue, tmp_path: Path) -> None:
    messages, stopping = run(planned(catalogue, fake("base"), fake("wild", sigma="1")), tmp_path, budget_s=1e-9)
    assert measured(messages) == {"base": values_needed(), "wild": values_needed()}
    assert rules(stopping)["wild"] == ("time", 6, 12)
    messages, _ = run(planned(catalogue, fake("base"), fake("wild", sigma="1")), tmp_path, budget_s=3600)
    assert measured(messages) == {"base": 12, "wild": 12}


def test_what_is_passed_over_is_counted_and_not_waited_for(catalogue: Catalogue, tmp_path: Path) -> None:
    messages, _ = run(planned(catalogue, fake("base"), fake("calm")), tmp_path)
    course = Course()
    for message in messages:
        course.take(message)
        if isinstance(message, TrialPassedOver):
            assert course.left_s() <= course.expected_s(message.trial) * (course.total - course.place)
    assert (course.done, course.passed_over, course.place) == (18, 8, 26)
    assert course.left_s() == 0


def test_a_run_cut_short_says_so(catalogue: Catalogue) -> None:
    stopping = Stopping(planned(catalogue, fake("base"), fake("calm")))
    assert rules(stopping) == {"base": ("cut short", 0, 12), "calm": ("cut short", 0, 12)}
    assert in_a_line({"stopped": stopping.outcomes()}) == "2 pairings cut short"
    assert in_a_line({}) == ""


def test_the_width_is_that_of_the_wider_interval() -> None:
    assert half_width(1 / 1.1, 1.1) == pytest.approx(0.1)
    assert half_width(0.0, 0.0) == 0.0
    assert half_width(0.0, 1.0) == math.inf
    steady, wild = [1.0] * 8, [0.5, 2.0] * 4
    assert reached(steady, steady, 0.01)
    assert not reached(steady, wild, 0.5)
    assert not reached(wild, steady, 0.5)
    assert not reached(steady[:7], [], 0.5), f"{LOOK_CONFIDENCE:.0%} needs eight values"


def test_the_headline_is_the_whole_that_the_answer_uses(catalogue: Catalogue, tmp_path: Path) -> None:
    messages, _ = run(planned(catalogue, fake("base")), tmp_path)
    result = next(m.result for m in messages if isinstance(m, TrialFinished))
    (whole,) = (s for s in result.samples if s.metric == "requested→ready" and "part" not in s.params)
    parts = tuple(replace(whole, value=float(n), params={"part": part}) for n, part in enumerate(WHOLES))
    assert replace(result, samples=parts[::-1]).headline == 0.0, "the first of bench.judging.summary's wholes"
    assert replace(result, samples=parts[1:]).headline == 1.0
    assert result.headline == whole.value
    assert replace(result, samples=()).headline is None
