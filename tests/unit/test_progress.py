"""What is shown while a run runs."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from bench.backends.base import Session
from bench.backends.fake import FakeBackend
from bench.messages import Message, Preparing, TrialFinished, TrialStarted
from bench.plan import make_plan
from bench.running.runner import execute
from bench.sample import Phase
from bench.scenario import Metric, Profile, Scenario, Subject
from bench.screens.course import Course
from bench.screens.progress import JsonLines, Lines, Live, short_time, watcher_for
from bench.units import Unit
from tests.waiting import until

SUBJECTS = {
    "process": Subject(name="process", title="p", backend="fake", cost_s=1, options={"ready_s": "0.001"}),
    "vm": Subject(
        name="vm", title="v", backend="fake", rung=9, cost_s=10, options={"accelerator": "tcg", "ready_s": "9"}
    ),
    "bad": Subject(name="bad", title="b", backend="fake", rung=5, cost_s=1, options={"fail": "refuse"}),
    "gone": Subject(name="gone", title="g", backend="fake", rung=7),
}
SCENARIO = Scenario(
    name="startup", title="Starting", question="How long?", probe="startup", headline="requested→ready",
    subjects=tuple(SUBJECTS), metrics=(Metric(name="requested→ready", unit=Unit.SECONDS),),
)  # fmt: skip


@pytest.fixture
def messages(tmp_path: Path) -> list[Message]:
    """All messages of a run of seven blocks, the first to warm up."""
    plan = make_plan(
        [SCENARIO], SUBJECTS, Profile(name="quick", blocks=6), 3, unavailable={"gone": ("no engine", "get one")}
    )
    session = Session(run_id="r", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    return list(execute(plan, session, {"fake": FakeBackend()}))


def test_the_course_counts_trials_and_knows_what_is_left(messages: list[Message]) -> None:
    course, left = Course(), []
    for message in messages:
        course.take(message)
        left.append(course.left_s())
    assert (course.done, course.total, course.failed, course.left_out) == (21, 21, 7, 1)
    assert left[0] == 7 * 12.0
    assert left[-1] == 0.0
    # Once a subject has been seen, what it really took counts: these take microseconds, not their expected cost.
    assert left[len(left) // 2] < 1.0
    assert [lane.label for lane in course.lanes.values()] == ["process", "bad", "vm@tcg"]
    assert course.lanes["bad", ""].median is None
    assert len(course.lanes["vm", ""].values) == 6


@pytest.fixture
def in_two_modes(tmp_path: Path) -> list[Message]:
    """All messages of a run whose one subject is measured in two modes."""
    parameters = {"mode": ("warm", "cold"), "size": ("one",)}
    scenario = SCENARIO.model_copy(update={"parameters": parameters, "subjects": ("process",)})
    plan = make_plan([scenario], SUBJECTS, Profile(name="quick", blocks=6), 3)
    session = Session(run_id="r", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    return list(execute(plan, session, {"fake": FakeBackend()}))


def test_what_was_measured_in_another_mode_is_another_lane(in_two_modes: list[Message]) -> None:
    course, file = Course(), io.StringIO()
    lines = Lines(file)
    for message in in_two_modes:
        course.take(message)
        lines.show(message)
    assert [lane.label for lane in course.lanes.values()] == ["process[mode=cold]", "process[mode=warm]"]
    values: dict[tuple[str, str], list[float | None]] = {cell: [] for cell in course.lanes}
    for result in (m.result for m in in_two_modes if isinstance(m, TrialFinished)):
        if result.trial.phase is Phase.MEASURE:
            values["process", f"[mode={result.trial.params['mode']}]"].append(result.headline)
    assert {cell: lane.values for cell, lane in course.lanes.items()} == values
    assert {(lane.done, lane.total) for lane in course.lanes.values()} == {(7, 7)}
    assert re.search(r"^\[ 1/14\] startup  process\[mode=(warm|cold)\] ", file.getvalue(), re.MULTILINE)
    assert re.search(r"after block 6 of 6: process\[mode=cold\] \S+ \S+, process\[mode=warm\]", file.getvalue())
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24, color_system=None)
    live = Live(console)
    for message in in_two_modes:
        live.show(message)
    live.close()
    with console.capture() as seen:
        console.print(live._view())
    assert re.search(r"^process\[mode=cold\] .* 7/7 *\nprocess\[mode=warm\] .* 7/7", seen.get(), re.MULTILINE)


def test_lines_say_each_trial_and_the_medians_after_the_first_block_and_the_last(messages: list[Message]) -> None:
    file = io.StringIO()
    lines = Lines(file)
    for message in messages:
        lines.show(message)
    said = file.getvalue().splitlines()
    trials = [line for line in said if line.startswith("[")]
    assert len(trials) == 21
    assert sum("(warm-up)" in line for line in trials) == 3
    assert sum("failed: the fake engine refused" in line for line in trials) == 7
    medians = [line for line in said if " after block " in line]
    assert [line.partition(":")[0] for line in medians] == ["startup after block 1 of 6", "startup after block 6 of 6"]
    assert said.index(medians[0]) < said.index(trials[6])
    assert "vm@tcg" in medians[0]
    # The first of the guest's trials is expected to take ten seconds, the others what the first one took.
    assert [line for line in said if "begins" in line] == ["startup  vm@tcg begins, expected to take 10 s"]


def test_json_lines_are_whole_objects(messages: list[Message]) -> None:
    file = io.StringIO()
    for message in messages:
        JsonLines(file).show(message)
    events = [json.loads(line) for line in file.getvalue().splitlines()]
    finished = [event for event in events if event["event"] == "trial-finished"]
    assert len(finished) == 22
    refused = next(event for event in finished if event["trial"] < 0)
    assert refused["samples"][0] == {
        "metric": "requested→ready", "value": None, "unit": "s", "status": "skipped", "reason": "no engine (get one)",
        "params": {},
    }  # fmt: skip


@pytest.fixture(params=[80, 120])
def drawn(request: pytest.FixtureRequest, messages: list[Message]) -> tuple[int, str]:
    """The width and everything the live view drew."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=request.param, height=24, color_system=None)
    live = Live(console)
    for message in messages:
        live.show(message)
    live.close()
    return request.param, file.getvalue()


def test_the_live_view_fits_its_terminal(drawn: tuple[int, str]) -> None:
    width, text = drawn
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in text.splitlines()]
    assert max(len(line) for line in lines) <= width
    last = ("trial 21 of 21, 6 failed", "trial 21 of 21, 7 failed")
    assert any(line.startswith(last) and line.endswith(" to go") and "━" in line for line in lines)
    assert any(re.match(r"vm@tcg +\S+ s +6/7", line) for line in lines)


@pytest.mark.parametrize(("width", "bar"), [(70, False), (80, True), (120, True)])
def test_the_bar_takes_the_room_that_the_words_leave(messages: list[Message], width: int, *, bar: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=24, color_system=None)
    live = Live(console)
    for message in messages:
        live.show(message)
    live.close()
    live._course.passed_over = 1040
    with console.capture() as seen:
        console.print(live._bar())
    (line,) = seen.get().splitlines()
    assert re.match(r"trial 21 of 21, 7 failed, 1040 not needed .*gone, about 0:00 to go$", line)
    assert ("━" in line) == bar


def test_while_nothing_is_measured_the_clock_of_the_live_view_runs(messages: list[Message]) -> None:
    file = io.StringIO()
    live = Live(Console(file=file, force_terminal=True, width=80, height=24, color_system=None))
    try:
        live.show(Preparing(text="looking at this host"))
        time.sleep(0.1)
        before = file.tell()
        shown = re.compile(r"0:0[1-9] gone.*looking at this host, since \d\d:\d\d:\d\d", re.DOTALL)
        assert until(lambda: shown.search(file.getvalue()[before:]))
        live.show(messages[0])
        live.show(Preparing(text="opening docker"))
        assert "21 trials planned" in file.getvalue()
        assert "opening docker, since" in file.getvalue()
    finally:
        live.close()


def test_the_live_view_draws_between_trials_only(messages: list[Message]) -> None:
    file = io.StringIO()
    live = Live(Console(file=file, force_terminal=True, width=80, height=24))
    try:
        started = next(i for i, m in enumerate(messages) if isinstance(m, TrialStarted))
        for message in messages[: started + 1]:
            live.show(message)
        before = file.tell()
        time.sleep(0.6)
        assert file.tell() == before
        assert not any("refresh" in type(thread).__name__.lower() for thread in threading.enumerate())
    finally:
        live.close()


def test_without_a_terminal_there_are_lines() -> None:
    assert isinstance(watcher_for("", err=io.StringIO()), Lines)
    assert isinstance(watcher_for("json", out=io.StringIO()), JsonLines)


def test_preparing_is_said_before_the_trials(messages: list[Message]) -> None:
    first = next(i for i, m in enumerate(messages) if isinstance(m, TrialStarted))
    assert any(isinstance(m, Preparing) for m in messages[:first])


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (750, "12:30"), (3723, "1:02:03")])
def test_waiting_is_told_like_a_clock(seconds: float, text: str) -> None:
    assert short_time(seconds) == text
