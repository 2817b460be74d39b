"""The restore probe on an instance whose sleep is a flag: what is refused, what is timed, what is asked afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bench.backends.abilities import Checkpointable, Checkpointer, Pausable, Restartable
from bench.backends.base import Session
from bench.backends.fake import FakeAgent, FakeBackend, FakeInstance
from bench.clock import Channel, Event, Timeline
from bench.collectors.faults import Faults
from bench.errors import InstanceError, Unsupported
from bench.judging.summary import _principal
from bench.plan import Trial
from bench.probes import restore as probe
from bench.probes.base import Workbench
from bench.sample import Phase, Sample, Status
from bench.scenario import Profile, Subject, load


class Slowly(FakeAgent):
    """Answers each PING after a while: the first ones take longer."""

    def __init__(self, waits: list[float]) -> None:
        super().__init__()
        self.waits = waits

    def send(self, line: str) -> bool:
        time.sleep(self.waits.pop(0) if self.waits else 0.001)
        return super().send(line)


class Sleeper(FakeBackend):
    """Launches fake instances and remembers them."""

    def __init__(self, waits: list[float]) -> None:
        super().__init__()
        self.waits = waits
        self.instances: list[FakeInstance] = []

    def launch(self, subject: Subject) -> FakeInstance:
        instance = super().launch(subject)
        instance.channel = Slowly(self.waits)
        self.instances.append(instance)
        return instance


def workbench(place: Path, mode: str, waits: list[float] | None = None, **subject: Any) -> Workbench:
    session = Session(run_id="test-000000", directory=place, scratch=place, cache=place)
    told = Subject.model_validate({"name": "sleeper", "title": "one", "backend": "fake", **subject})
    backend = Sleeper(waits or [])
    backend.open(session)
    backend.prepare(told)
    trial = Trial(
        index=0, scenario=load().scenarios["restore"], subject=told, params={"mode": mode}, block=0, position=0,
        phase=Phase.MEASURE, profile=Profile(name="quick", blocks=1), expected_s=1.0,
    )  # fmt: skip
    return Workbench(trial, backend, session)


def value(samples: list[Sample], metric: str) -> float:
    [found] = [s for s in samples if s.metric == metric]
    assert found.value is not None, found.reason
    return found.value


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_ASLEEP_S", 0.0)
    monkeypatch.setattr(probe, "REQUESTS", 20)


def test_what_the_first_requests_take_beyond_later_ones_is_told(tmp_path: Path) -> None:
    bench = workbench(tmp_path, "unpause", waits=[0.8] + [0.05] * 19)

    samples = list(probe.restore(bench))

    assert value(samples, "first-request") >= 0.8
    assert value(samples, "first-requests") >= 0.8 + 19 * 0.05
    assert 0.001 <= value(samples, "steady-request") < 0.05
    assert value(samples, "requested→ready") < 0.8  # the clock began with the resumption, not with the launch
    faults = [s for s in samples if "faults" in s.metric]
    assert [s.status for s in faults] == [Status.UNSUPPORTED] * 4  # it has no process


def test_hundreds_of_equally_skewed_requests_differ_by_nothing(tmp_path: Path) -> None:
    # One in four takes long: a multiple of the median would leave that out on one side only.
    samples = list(probe.restore(workbench(tmp_path, "unpause", waits=[0.008, 0.008, 0.008, 0.12] * 10)))
    assert value(samples, "first-requests") > 0.64
    assert abs(value(samples, "first-requests-extra")) < 0.32


def test_faults_are_counted_until_it_is_ready_and_among_the_first_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([Faults(minor=100, major=5), Faults(minor=130, major=6), Faults(minor=230, major=6)])
    monkeypatch.setattr(probe, "_faults", lambda _: next(seen))
    samples = list(probe.restore(workbench(tmp_path, "unpause")))
    counted = [value(samples, f"{kind}-faults{when}") for kind in ("minor", "major") for when in ("-waking", "")]
    assert counted == [30, 100, 1, 0]


def test_one_that_begins_when_it_is_woken_counts_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([Faults(minor=130, major=6), Faults(minor=230, major=6)])
    monkeypatch.setattr(probe, "_faults", lambda _: next(seen))
    samples = list(probe.restore(workbench(tmp_path, "restore", options={"boot": "restore"})))
    assert value(samples, "minor-faults-waking") == 130
    assert value(samples, "minor-faults") == 100


def test_a_process_that_ends_between_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None, Faults(minor=1, major=0)]
    monkeypatch.setattr(probe, "read_faults", lambda _: answers.pop(0))
    assert probe._faults(FakeInstance("one", Timeline())) == Faults(minor=1, major=0)
    monkeypatch.setattr(probe, "read_faults", lambda _: None)
    assert probe._faults(FakeInstance("one", Timeline())) is None


def test_every_sample_is_of_a_declared_metric_and_every_metric_has_one(tmp_path: Path) -> None:
    samples = list(probe.restore(workbench(tmp_path, "unpause")))
    assert sorted(s.metric for s in samples) == sorted(m.name for m in load().scenarios["restore"].metrics)


@pytest.mark.parametrize(
    ("mode", "subject", "reason"),
    [
        ("restore", {"backend": "process"}, "saved nowhere"),
        ("restart", {"backend": "process"}, "a process that ended is gone"),
        ("restart", {"backend": "libvirt"}, "boots again"),
        ("unpause", {"backend": "libvirt", "options": {"boot": "restore"}}, "vm-direct"),
        ("criu", {"backend": "libvirt"}, "CRIU saves processes"),
        ("criu", {"backend": "docker"}, "by the runtime below.*see oci-runc"),
        ("criu", {"backend": "process"}, "no runtime is there"),
    ],
)
def test_a_pairing_without_sense_is_refused_before_anything_is_started(
    tmp_path: Path, mode: str, subject: dict[str, Any], reason: str
) -> None:
    bench = workbench(tmp_path, mode, **subject)
    with pytest.raises(Unsupported, match=reason):
        list(probe.restore(bench))
    assert bench.backend.instances == []  # type: ignore[attr-defined]


def test_a_backend_that_can_save_is_asked_whether_it_can_here(tmp_path: Path) -> None:
    class Refusing(Sleeper):
        def require_checkpoints(self, subject: Subject) -> None:
            raise Unsupported(f"no good for {subject.name}")

    bench = workbench(tmp_path, "criu", backend="oci")
    bench.backend = Refusing([])
    with pytest.raises(Unsupported, match="no good for sleeper"):
        list(probe.restore(bench))


def test_what_is_restored_from_files_is_timed_from_the_restoration(tmp_path: Path) -> None:
    class Saved(FakeInstance):
        def checkpoint(self) -> int:
            calls.append("checkpoint")
            return 1

        def restore(self) -> None:
            calls.append("restore")
            self.timeline = Timeline()
            for event in (Event.REQUESTED, Event.STARTED, Event.READY):
                self.timeline.stamp(event)

    class Saving(Sleeper):
        def require_checkpoints(self, subject: Subject) -> None:
            calls.append(f"asked about {subject.name}")

        def launch(self, subject: Subject) -> FakeInstance:
            time.sleep(0.5)
            instance = super().launch(subject)
            instance.__class__ = Saved
            return instance

    calls: list[str] = []
    bench = workbench(tmp_path, "criu", backend="oci")
    bench.backend = Saving([])
    bench.backend.open(bench.session)
    bench.backend.prepare(bench.trial.subject)
    samples = list(probe.restore(bench))
    assert calls == ["asked about sleeper", "checkpoint", "restore"]
    assert 0 <= value(samples, "requested→ready") < 0.5, "the launch is not in it"


def test_an_engine_that_keeps_nothing_cannot_start_again(tmp_path: Path) -> None:
    bench = workbench(tmp_path, "restart", backend="docker")
    with pytest.raises(Unsupported, match="keeps nothing"):
        list(probe.restore(bench))


def test_a_question_without_answer_is_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = workbench(tmp_path, "unpause")
    monkeypatch.setattr(probe, "_ANSWER_S", 0.05)
    with bench.launched() as instance:
        monkeypatch.setattr(instance.channel, "follow", lambda *_: None)
        with pytest.raises(InstanceError, match="no answer within"):
            probe.round_trip(bench, instance)


def test_the_fake_and_real_instances_are_what_the_protocols_say() -> None:
    from bench.backends.docker_instance import DockerInstance
    from bench.backends.oci import OciBackend, OciInstance
    from bench.backends.process import ProcessInstance
    from bench.backends.vm_instance import VmInstance

    for kind in (FakeInstance, ProcessInstance, OciInstance, DockerInstance, VmInstance):
        assert issubclass(kind, Pausable), kind
    assert issubclass(DockerInstance, Restartable)
    assert not issubclass(ProcessInstance, Restartable)
    assert issubclass(OciInstance, Checkpointable)
    assert issubclass(OciBackend, Checkpointer)
    assert not issubclass(DockerInstance, Checkpointable)


def test_a_channel_follows_another_timeline_from_then_on(tmp_path: Path) -> None:
    import socket

    first, second = Timeline(), Timeline()
    channel = Channel(tmp_path / "c", first, "one")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(str(tmp_path / "c"))
        agent.sendall(b"INIT one\nREADY one 5\n")
        assert first.wait(Event.READY, 2.0)
        stamped = first.at(Event.READY)
        channel.follow(second, "two")
        agent.sendall(b"READY one 5\nREADY two 5\n")
        assert second.wait(Event.READY, 2.0)
    channel.close()
    assert first.at(Event.READY) == stamped
    assert second.at(Event.INIT) is None
    assert (second.at(Event.READY) or 0) >= (stamped or 0)


def test_the_mode_that_most_subjects_can_answer_stands_for_the_question() -> None:
    rows: list[dict[str, Any]] = [
        {"subject": subject, "params": {"mode": mode}, "phase": "measure", "status": status}
        for subject, mode, status in [
            ("docker", "restart", "ok"), ("docker", "restart", "ok"), ("process", "restart", "unsupported"),
            ("docker", "unpause", "ok"), ("process", "unpause", "ok"), ("docker", "criu", "unsupported"),
        ]
    ]  # fmt: skip
    first, _ = _principal(rows)
    assert first == (("mode", "unpause"),)
