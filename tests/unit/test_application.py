"""A run as it is conducted: what is shown while a trial is measured, and what is kept when it ends badly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.backends import BACKENDS
from bench.backends.base import Unguarded
from bench.backends.fake import FakeBackend, FakeInstance
from bench.errors import StoreError, UsageError
from bench.messages import Message, Preparing, TrialFinished, TrialStarted
from bench.running.application import availability, bury, check_ground, conduct, lay_out
from bench.running.request import Request, choose
from bench.scenario import Subject
from bench.store import Recorder

SCENARIO = """
title = "Starting"
question = "How long?"
probe = "startup"
headline = "requested→ready"
subjects = ["process"]
[[metrics]]
name = "requested→ready"
unit = "s"
"""
RUN_ID = "20261123-221450-a1b2c3"


class Talkative(FakeBackend):
    """Says something whenever something is started."""

    def launch(self, subject: Subject) -> FakeInstance:
        assert self._session is not None
        self._session.say("so far it is alive")
        return super().launch(subject)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A request for two blocks of one subject whose backend talks."""
    monkeypatch.setitem(BACKENDS, "talkative", f"{__name__}:Talkative")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "startup.toml").write_text(SCENARIO, "utf-8")
    (scenarios / "subjects.toml").write_text('[subjects.process]\ntitle = "p"\nbackend = "talkative"\n', "utf-8")
    (scenarios / "profiles.toml").write_text("[profiles.quick]\nblocks = 1\n", "utf-8")
    return Request(names=("all",), scenarios=scenarios, results=tmp_path / "results", scratch=tmp_path, seed=1)


class Conducted(NamedTuple):
    """What can be seen of a run afterwards."""

    shown: list[Message]
    raised: BaseException | None
    info: Mapping[str, Any]
    log: str


def conducted(request: Request, show: Callable[[Message], None] = lambda _: None) -> Conducted:
    """Conduct a run and return what was shown, raised and kept."""
    shown: list[Message] = []

    def both(message: Message) -> None:
        shown.append(message)
        show(message)

    choice, raised = choose(request), None
    plan = lay_out(choice, availability(choice.subjects))
    try:
        conduct(request, choice, plan, RUN_ID, Unguarded(), both)
    except BaseException as error:  # noqa: BLE001
        raised = error
    path = request.results / RUN_ID
    log = path / "log.txt"
    info = json.loads((path / "run.json").read_text("utf-8"))
    return Conducted(shown, raised, info, log.read_text("utf-8") if log.exists() else "")


def interrupt(message: Message) -> None:
    """Be a Ctrl-C after the first trial."""
    if isinstance(message, TrialFinished):
        raise KeyboardInterrupt


def test_while_a_trial_is_under_way_what_is_said_goes_into_the_log_alone(request_: Request) -> None:
    seen = conducted(request_)
    assert seen.raised is None
    assert seen.log.count("so far it is alive") == 2
    following = [after for m, after in zip(seen.shown, seen.shown[1:], strict=False) if isinstance(m, TrialStarted)]
    assert [type(message) for message in following] == [TrialFinished, TrialFinished]
    assert not any(isinstance(m, Preparing) and "alive" in m.text for m in seen.shown)


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first thing that is written at the end of a run find no room."""
    real = Recorder.describe

    def describe(self: Recorder, info: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
        if "ended_utc" in info:
            raise StoreError("no space left on device")
        real(self, info, facts)

    monkeypatch.setattr(Recorder, "describe", describe)


def test_a_full_disk_at_the_end_hides_neither_the_interrupt_nor_what_was_learnt(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch)
    seen = conducted(request_, interrupt)
    assert isinstance(seen.raised, KeyboardInterrupt)
    assert seen.info["ending"] == "interrupted"
    assert (request_.results / RUN_ID / "samples" / "samples.parquet").exists()
    assert "startup" in (request_.results.parent / "cache" / "costs.json").read_text("utf-8")


def test_a_full_disk_at_the_end_of_a_whole_run_is_told(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch)
    seen = conducted(request_)
    assert isinstance(seen.raised, StoreError)
    assert seen.info["ending"] == "complete"


def test_the_ending_is_written_where_there_is_no_room_to_merge(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    def merge(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.store._merge", merge)
    seen = conducted(request_)
    assert isinstance(seen.raised, StoreError)
    assert seen.info["ending"] == "complete"


@pytest.mark.parametrize(
    ("before", "code", "after"),
    [
        ("", 137, "killed"),
        ("", 1, "failed"),
        ("", 130, "interrupted"),
        ("", 143, "terminated"),
        ("complete", 137, "complete"),
    ],
)
def test_only_a_run_that_a_signal_killed_is_called_killed(tmp_path: Path, before: str, code: int, after: str) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"ending": before}), "utf-8")
    bury(tmp_path, code)
    assert json.loads((tmp_path / "run.json").read_text("utf-8")) == {"ending": after}
    bury(tmp_path / "nowhere", code)


@pytest.mark.parametrize(("full_one", "remedy"), [("scratch", "--scratch"), ("cache", "BENCH_CACHE")])
def test_room_is_needed_for_the_work_and_in_the_cache(
    request_: Request, monkeypatch: pytest.MonkeyPatch, full_one: str, remedy: str
) -> None:
    check_ground(request_)
    scratch = request_.results.parent.resolve()
    narrow = {"scratch": scratch, "cache": scratch / "cache"}[full_one]
    real = shutil.disk_usage(scratch)
    monkeypatch.setattr(
        "bench.running.application.shutil.disk_usage",
        lambda path: real._replace(free=(1 << 30) if Path(path) == narrow else (3 << 30)),
    )
    with pytest.raises(UsageError, match=r"only 1\.0 GiB are free") as refused:
        check_ground(request_)
    assert remedy in refused.value.hint
