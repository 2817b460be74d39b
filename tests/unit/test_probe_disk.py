"""The disk probe on instances that are directories, with du as the judge."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.backends.base import Agent, DiskUse, Role, Session
from bench.backends.fake import FakeBackend
from bench.clock import Event, Timeline
from bench.collectors.pool import flush, tree_use
from bench.errors import InstanceError, StartTimeout
from bench.plan import Trial
from bench.probes import disk as probe
from bench.probes.base import Workbench
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from bench.scenario import Profile, Subject, load
from bench.units import Unit

MIB = 1 << 20
WRITTEN = 16 * MIB


class Shell:
    """Runs the probe's commands in a directory of this host that plays the instance's disk."""

    def __init__(self, directory: Path, failing: str) -> None:
        self.closed = threading.Event()
        self._directory = directory
        self._failing = failing

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """No marks come from here."""

    def send(self, line: str) -> bool:
        return bool(line)

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        if self._failing and command.startswith(self._failing):
            raise StartTimeout("no answer")
        # A global sync would wait for everybody on this host; the probe flushes the pool itself.
        here = command.replace("/bench-written", str(self._directory / "written")).replace("&& sync", "")
        done = subprocess.run(["sh", "-c", here], capture_output=True, timeout=timeout_s, check=False)
        return done.returncode, done.stdout


class Folder:
    """An instance that is a directory with one MiB of its own."""

    def __init__(self, backend: Folders, directory: Path) -> None:
        directory.mkdir()
        (directory / "own").write_bytes(b"x" * MIB)
        self.name = directory.name
        self.directory = directory
        self.timeline = Timeline()
        self.timeline.stamp(Event.REQUESTED)
        self.timeline.stamp(Event.READY)
        self.channel: Agent = Shell(directory, backend.failing)
        self.layer = 0
        self._backend = backend
        backend.folders.append(self)

    def alive(self) -> bool:
        return True

    def last_words(self) -> str:
        return ""

    def stop(self) -> None:
        """Nothing runs."""

    def remove(self) -> None:
        shutil.rmtree(self.directory)
        self._backend.folders.remove(self)

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        return {}

    def cgroup_pid(self) -> int | None:
        return None

    def disk(self) -> DiskUse:
        flush(self.directory)
        use = tree_use(self.directory)
        assert use is not None
        shared = 10 * MIB if self._backend.telling else None
        return DiskUse(
            download=7, download_own=2, unpacked=30, image=9 * MIB, shared=shared, layer=self.layer,
            unique=use.allocated, virtual=1 << 30,
        )  # fmt: skip


class Folders(FakeBackend):
    """Launches folders."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place
        self.on_this_host = True
        self.telling = True
        self.failing = ""
        self.refuse_from = 99
        self.folders: list[Folder] = []
        self._numbers = itertools.count(1)

    def launch(self, subject: Subject) -> Folder:  # type: ignore[override]
        number = next(self._numbers)
        if number >= self.refuse_from:
            raise InstanceError("the disk is full")
        folder = Folder(self, self.place / f"instance-{number}")
        folder.layer = {"python": 2 * MIB, "ruby": 3 * MIB, "node": 5 * MIB}.get(subject.rootfs, 0)
        return folder

    def pool(self, subject: Subject) -> Path | None:
        del subject
        return self.place if self.on_this_host else None


@pytest.fixture
def backend(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.fixture
def bench(backend: Folders, tmp_path: Path) -> Workbench:
    session = Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    subject = Subject(name="folder", title="a folder", backend="fake")
    profile = Profile(name="quick", blocks=1, warmup=0)
    scenario = load().scenarios["disk"].model_copy(update={"settings": {"written-mb": WRITTEN / 1e6}})
    trial = Trial(
        index=0, scenario=scenario, subject=subject, block=0, position=0, phase=Phase.MEASURE,
        profile=profile, expected_s=1.0,
    )  # fmt: skip
    return Workbench(trial, backend, session)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the pool give these values one after another: this host's own pool is everybody's."""

    def script(*values: int) -> None:
        left: Iterator[int] = iter(values)
        monkeypatch.setattr(probe, "pool_used", lambda _: next(left))

    return script


def value(samples: Sequence[Sample], metric: str, **params: str) -> float:
    [found] = [s for s in samples if s.metric == metric and s.params == params]
    assert found.value is not None, found.reason
    return found.value


def test_shared_bytes_are_counted_once_or_for_each(bench: Workbench) -> None:
    samples = list(probe.disk(bench))

    unique = [value(samples, "unique", instance=n) for n in ("1", "2", "3")]
    assert unique == pytest.approx([MIB] * 3, abs=16384)
    assert value(samples, "one-instance") == 10 * MIB + unique[0]
    assert value(samples, "three-instances") == 10 * MIB + sum(unique)
    assert value(samples, "three-full-copies") == 30 * MIB + sum(unique)
    assert value(samples, "virtual") == 1 << 30
    assert value(samples, "layers") == 0
    assert value(samples, "download") == 7, "three of one application fetch it once"


def test_three_applications_share_their_base_and_nothing_else(bench: Workbench, backend: Folders) -> None:
    scenario = bench.trial.scenario.model_copy(update={"apps": ("python", "ruby", "node")})
    subject = scenario.fitted(bench.trial.subject)
    several = Workbench(replace(bench.trial, scenario=scenario, subject=subject), backend, bench.session)
    samples = list(probe.disk(several))

    unique = {app: value(samples, "unique", app=app) for app in ("python", "ruby", "node")}
    assert unique == pytest.approx({"python": 3 * MIB, "ruby": 4 * MIB, "node": 6 * MIB}, abs=16384)
    assert value(samples, "layers") == 10 * MIB
    assert value(samples, "one-instance") == 10 * MIB + unique["python"]
    assert value(samples, "three-instances") == 10 * MIB + sum(unique.values())
    assert value(samples, "three-full-copies") == 30 * MIB + sum(unique.values())
    assert value(samples, "download") == 5 + 3 * 2


def test_an_instance_grows_by_what_du_says_was_written_and_shrinks_again(bench: Workbench, backend: Folders) -> None:
    judged = 0
    samples = []
    for sample in probe.disk(bench):
        samples.append(sample)
        if sample.metric == "grown":
            told = subprocess.run(["du", "-sB1", backend.folders[0].directory / "written"], capture_output=True,
                                  text=True, check=True)  # fmt: skip
            assert sample.value == pytest.approx(int(told.stdout.split()[0]), abs=16384)
            judged += 1

    assert judged == 1
    assert value(samples, "grown") == pytest.approx(WRITTEN, abs=16384)
    assert value(samples, "freed") == pytest.approx(WRITTEN, abs=16384)
    assert backend.folders == []


def test_the_pool_is_read_before_with_one_with_three_around_the_writing_and_after_all(
    bench: Workbench, scripted: Callable[..., None]
) -> None:
    scripted(1000, 1100, 1250, 1300, 1900, 1450, 1007)

    samples = list(probe.disk(bench))

    assert value(samples, "pool-delta", instances="1") == 100
    assert value(samples, "pool-delta", instances="3") == 250
    assert value(samples, "grown-pool") == 600
    assert value(samples, "freed-pool") == 450
    assert value(samples, "pool-left") == 7


def test_a_pool_on_another_host_is_unsupported_and_costs_nothing_else(bench: Workbench, backend: Folders) -> None:
    backend.on_this_host = False

    samples = list(probe.disk(bench))

    pool = [s for s in samples if "pool" in s.metric]
    assert {(s.status, s.value) for s in pool} == {(Status.UNSUPPORTED, None)}
    assert len(pool) == 5
    assert value(samples, "grown") > 0


def test_what_an_engine_does_not_tell_is_unknown_in_every_sum(bench: Workbench, backend: Folders) -> None:
    backend.telling = False

    samples = list(probe.disk(bench))

    unknown = {s.metric for s in samples if s.status is Status.UNSUPPORTED}
    assert unknown == {"shared", "one-instance", "three-instances", "three-full-copies"}


def test_the_engines_own_reason_stands_where_it_does_not_tell(
    bench: Workbench, backend: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "its driver keeps layers where this suite cannot weigh them"
    monkeypatch.setattr(Folder, "disk", lambda _: DiskUse(layer=None, download=7, download_own=2, unknown=said))

    samples = list(probe.disk(bench))

    silent = {s.metric for s in samples if s.reason == said}
    sums = {"one-instance", "three-instances", "three-full-copies"}
    assert silent == sums | {"image", "shared", "layers", "unique", "unpacked", "virtual", "grown", "freed"}
    assert value(samples, "download") == 7


@pytest.mark.parametrize(("failing", "lost"), [("dd", 4), ("rm", 2)])
def test_a_command_without_answer_costs_its_own_figures(
    bench: Workbench, backend: Folders, failing: str, lost: int
) -> None:
    backend.failing = failing

    samples = list(probe.disk(bench))

    late = [s for s in samples if s.status is Status.TIMEOUT]
    assert len(late) == lost
    assert value(samples, "three-instances") > 0
    assert value(samples, "pool-left") is not None


def test_a_command_that_fails_says_why(bench: Workbench, backend: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_write", lambda blocks: f"dd if=/nothing of=/bench-written count={blocks} 2>&1")

    samples = list(probe.disk(bench))

    failed = [s for s in samples if s.status is Status.FAILED]
    assert [s.metric for s in failed] == ["grown", "grown-pool", "freed", "freed-pool"]
    assert "/nothing" in failed[0].reason
    assert backend.folders == []


def test_when_an_instance_fails_the_others_are_removed_and_the_rest_is_missing(
    bench: Workbench, backend: Folders
) -> None:
    backend.refuse_from = 2

    result = run_trial(bench.trial, backend, bench.session)

    assert backend.folders == []
    assert value(result.samples, "one-instance") > 0
    [lost] = [s for s in result.samples if s.metric == "three-instances"]
    assert (lost.status, lost.reason) == (Status.FAILED, "the disk is full")


def test_every_sample_is_of_a_declared_metric_in_bytes(bench: Workbench) -> None:
    samples = list(probe.disk(bench))

    assert {s.metric for s in samples} == {metric.name for metric in bench.trial.scenario.metrics}
    assert {s.unit for s in samples} == {Unit.BYTES}
