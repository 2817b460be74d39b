"""What trials took makes the next plan: exactly where they were the same, by a factor where they were another form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.history import History, form
from bench.messages import TrialResult
from bench.plan import Trial, guess
from bench.sample import Noise, Phase, Sample, Status
from bench.scenario import Profile, Scenario
from bench.units import Better, Unit
from tests.unit.test_plan import scenario, subject

QUICK = Profile(name="quick", blocks=1, instances=(1, 2))
IDLE = scenario("idle", cost_s=10.0, settings={"window_s": 10})
GUEST = subject("vm", cost_s=2.0)


def took(
    seconds: float, *, asked: Scenario = IDLE, label: str = "vm", failed: bool = False, index: int = 0
) -> TrialResult:
    """Return the result of one trial that took so long."""
    trial = Trial(
        index=index, scenario=asked, subject=GUEST, block=0, position=0, phase=Phase.MEASURE, profile=QUICK,
        expected_s=1.0,
    )  # fmt: skip
    status = Status.FAILED if failed else Status.OK
    value = None if failed else 1.0
    sample = Sample(
        metric="m", value=value, unit=Unit.SECONDS, better=Better.LOWER, status=status, reason="broken" * failed
    )
    return TrialResult(
        trial=trial, label=label, instance="", started_ns=0, elapsed_s=seconds, samples=(sample,), noise=Noise()
    )  # fmt: skip


def expected(path: Path, asked: Scenario = IDLE, profile: Profile = QUICK, **changes: Any) -> float:
    """Return what a history read anew expects."""
    return History(path).expected_s(asked, GUEST.model_copy(update=changes), profile)


def test_without_history_the_files_guess(tmp_path: Path) -> None:
    assert expected(tmp_path) == guess(IDLE, GUEST, QUICK) == 12.0


def test_the_same_form_takes_the_mean_of_what_it_took_failures_left_out(tmp_path: Path) -> None:
    History(tmp_path).add([took(6.0), took(8.0), took(500.0, failed=True), took(500.0, index=-1)])
    assert expected(tmp_path) == pytest.approx(7.0)


def test_an_emulated_guest_counts_for_its_subject_and_the_latest_wins(tmp_path: Path) -> None:
    History(tmp_path).add([took(6.0)])
    History(tmp_path).add([took(30.0, label="vm@tcg")])
    assert expected(tmp_path) == pytest.approx(30.0)


def test_another_form_is_the_guess_times_the_factor_it_was_wrong_by(tmp_path: Path) -> None:
    History(tmp_path).add([took(24.0)])
    longer = IDLE.model_copy(update={"settings": {"window_s": 600}, "cost_s": 600.0})
    assert expected(tmp_path, longer) == pytest.approx(602.0 * 2)


def test_another_backend_or_scenario_was_another_question(tmp_path: Path) -> None:
    History(tmp_path).add([took(24.0)])
    assert expected(tmp_path, backend="docker") == expected(tmp_path, scenario("churn", cost_s=10.0)) == 12.0


def test_the_number_of_instances_makes_a_form_only_where_they_are_started(tmp_path: Path) -> None:
    more = QUICK.model_copy(update={"instances": (1, 8)})
    slope = IDLE.model_copy(update={"starts": "instances"})
    assert form(IDLE, QUICK) == form(IDLE, more)
    assert form(slope, QUICK) != form(slope, more)


@pytest.mark.parametrize("content", ["{ half", "[]", '{"idle fake vm": 3.0}', '{"a b c d": "x"}', '{"a b c d": [1]}'])
def test_a_damaged_or_older_file_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "costs.json").write_text(content, "utf-8")
    assert expected(tmp_path) == 12.0
