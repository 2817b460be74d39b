"""The load of the memory probe: on a real shell that really holds memory, and on instances made up."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.backends.base import Agent, Role, Session
from bench.backends.fake import FakeBackend, FakeInstance
from bench.clock import Timeline
from bench.collectors.meminfo import Settled
from bench.collectors.procfs import Memory, MemoryOf, descendants
from bench.errors import InstanceDied, InstanceError, StartTimeout, Unsupported
from bench.plan import Trial
from bench.probes import memory_load as probe
from bench.probes.accounts import pss_of
from bench.probes.base import Workbench
from bench.sample import Phase, Sample, Status
from bench.scenario import Profile, Subject, load

MIB = 1 << 20
LOAD_MIB = 32


class Shell:
    """Runs commands in a real shell, its files in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.closed = threading.Event()
        self.directory = directory
        self.broken = ""

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """No marks come from here."""

    def send(self, line: str) -> bool:
        return bool(line)

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        if self.broken and self.broken in command:
            raise InstanceDied("it went away")
        here = command.replace("/bench-load", str(self.directory / "load"))
        done = subprocess.run(["sh", "-c", here], capture_output=True, timeout=timeout_s, check=False)
        return done.returncode, done.stdout


class Sheltering(FakeInstance):
    """An instance whose processes are all that descend from a helper which takes in orphans, as the agent does."""

    def __init__(self, shell: Shell, role: Role) -> None:
        super().__init__("sheltering", Timeline())
        self.shell = shell
        self.channel: Agent = shell
        self.role = role
        self.pid = 0

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        return {self.role: descendants(self.pid)}


class Ballooned(Sheltering):
    """One whose balloon does as it is told, or does nothing."""

    given = 100 * MIB
    obedient = True

    def set_memory(self, size: int) -> None:
        self.asked = size
        self.given = size if self.obedient else self.given

    def given_memory(self) -> int | None:
        return self.given


HELPER = """
import contextlib, ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
print("ready", flush=True)
for line in sys.stdin:
    done = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(0.1)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # as the agent does, it takes in whoever ended
            pass
    print(done.returncode, " ".join(done.stdout.decode("utf-8", "replace").split()), flush=True)
"""


class Helped(Shell):
    """A shell below a helper that takes in orphans."""

    def __init__(self, directory: Path, helper: subprocess.Popen[str]) -> None:
        super().__init__(directory)
        self._helper = helper

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        print(command.replace("/bench-load", str(self.directory / "load")), file=self._helper.stdin, flush=True)
        code, _, text = self._helper.stdout.readline().strip().partition(" ")
        return int(code), text.encode()


@pytest.fixture
def helper() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The host's MemAvailable at each reading."""
    values = [1000 * MIB, 900 * MIB, 970 * MIB, 995 * MIB]
    monkeypatch.setattr(probe, "settle", lambda **_: Settled(available=values.pop(0), calm=True, waited_s=0.0))
    return values


def bench_of(tmp_path: Path, rootfs: str = "minimal", load_mib: int = LOAD_MIB, inflate_s: float = 1.0) -> Workbench:
    subject = Subject(name="made-up", title="made up", backend="fake", rootfs=rootfs)
    settings = {"load_mib": load_mib, "file_mib": 2, "return_s": 0.5, "inflate_s": inflate_s}
    trial = Trial(
        index=0, scenario=load().scenarios["memory"].model_copy(update={"settings": settings}), subject=subject,
        block=0, position=0, phase=Phase.MEASURE, profile=Profile(name="quick", blocks=1), expected_s=1.0,
    )  # fmt: skip
    session = Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    return Workbench(trial, FakeBackend(), session)


def the(samples: list[Sample], metric: str, **params: str) -> Sample:
    [found] = [s for s in samples if s.metric == metric and s.params == params]
    return found


def value(samples: list[Sample], metric: str, **params: str) -> float:
    found = the(samples, metric, **params)
    assert found.status is Status.OK, found.reason
    assert found.value is not None
    return found.value


def test_the_load_is_really_held_and_really_comes_back(tmp_path: Path, helper: subprocess.Popen[str]) -> None:
    instance = Sheltering(Helped(tmp_path, helper), Role.WORKLOAD)
    instance.pid = helper.pid

    samples = list(probe.load(bench_of(tmp_path), instance))

    assert value(samples, "load-taken") == pytest.approx(LOAD_MIB * MIB, rel=0.2)
    assert value(samples, "load-pss", state="loaded") - value(samples, "load-pss", state="idle") > 0.8 * LOAD_MIB * MIB
    assert abs(value(samples, "load-kept", state="after")) < 3 * MIB
    assert value(samples, "load-returned", state="after") > 0.8 * LOAD_MIB * MIB
    drops = [value(samples, "load-memavailable", state=s) for s in ("idle", "loaded", "after")]
    assert drops == [0, 100 * MIB, 30 * MIB]
    assert {s.reason for s in samples if s.metric == "load-guest-used"} == {
        "no guest: it lives in the host's own memory"
    }
    assert the(samples, "load-kept", state="inflated").reason == "it has no memory balloon"
    assert list(tmp_path.iterdir()) == [], "the file is gone"


def test_the_load_is_held_until_it_is_told_to_end(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    code, output = shell.run(probe.hold_command(LOAD_MIB, 2), 60)
    holder = output.split()[-1].decode()
    try:
        assert code == 0
        assert Path(f"/proc/{holder}/comm").read_text() == "sleep\n"
        assert (tmp_path / "load").stat().st_size == 2 * MIB
    finally:
        assert shell.run(probe.release_command([holder]), 10)[0] == 0
    assert not (tmp_path / "load").exists()


def test_a_profile_that_inflates_no_balloon_says_so(tmp_path: Path, helper: subprocess.Popen[str]) -> None:
    instance = Ballooned(Helped(tmp_path, helper), Role.WORKLOAD)
    instance.pid = helper.pid

    samples = list(probe.load(bench_of(tmp_path, inflate_s=0.0), instance))

    assert the(samples, "load-kept", state="inflated").reason == "this profile inflates no balloon"


@pytest.mark.parametrize("said", [[], ["12a"], ["no"]])
def test_a_load_that_nobody_holds_is_an_error(said: list[str]) -> None:
    with pytest.raises(InstanceError, match="did not say which process holds it"):
        probe.release_command(said)


@pytest.mark.parametrize(
    ("rootfs", "load_mib", "reason"),
    [("none", LOAD_MIB, "no operating system"), ("minimal", 0, "puts no load on")],
)
def test_where_there_is_no_load_everything_says_so(tmp_path: Path, rootfs: str, load_mib: int, reason: str) -> None:
    instance = Sheltering(Shell(tmp_path), Role.VMM)

    samples = list(probe.load(bench_of(tmp_path, rootfs, load_mib), instance))

    assert [s.metric for s in samples] == list(probe.METRICS)
    assert {s.status for s in samples} == {Status.UNSUPPORTED}
    assert all(reason in s.reason for s in samples)


def test_a_load_that_fails_is_a_failure_and_no_zero(tmp_path: Path, helper: subprocess.Popen[str]) -> None:
    shell = Shell(tmp_path)
    shell.broken = "dd"
    instance = Sheltering(shell, Role.WORKLOAD)
    instance.pid = helper.pid

    samples = list(probe.load(bench_of(tmp_path), instance))

    results = [the(samples, name) for name in ("load-taken", "load-kept", "load-returned")]
    assert {(s.status, s.value, s.reason) for s in results} == {(Status.FAILED, None, "it went away")}


def readings(pss: int, translated: int | None, state: probe.State) -> probe.Reading:
    sample = bench_of(Path()).missing("load-guest-used", "made up")
    return probe.Reading(state=state, pss=pss, available=0, charge=None, translated=translated, guest=sample)


def test_a_process_that_cannot_be_read_makes_the_sum_unknown_not_smaller(
    tmp_path: Path, helper: subprocess.Popen[str]
) -> None:
    class Shaded(Sheltering):
        def processes(self) -> Mapping[Role, tuple[int, ...]]:
            return {Role.WORKLOAD: (*descendants(self.pid), gone.pid)}

    with subprocess.Popen(["true"]) as gone:
        gone.wait()
        instance = Shaded(Helped(tmp_path, helper), Role.WORKLOAD)
        instance.pid = helper.pid
        samples = list(probe.load(bench_of(tmp_path), instance))
    sums = [s for s in samples if s.metric in ("load-pss", "load-taken", "load-kept", "load-returned")]
    failed = [s for s in sums if s.status is Status.FAILED]
    assert len(failed) == 6
    assert all(s.reason.endswith(f"may not be read without root: {gone.pid}") for s in failed)
    assert value(samples, "load-memavailable", state="loaded") == 100 * MIB
    assert pss_of(MemoryOf(memory=Memory(pss=5), unread=(7,))) is None
    assert pss_of(MemoryOf(memory=Memory(pss=5))) == 5


def test_translated_code_is_no_memory_of_the_load(tmp_path: Path) -> None:
    idle = readings(100, 20, probe.State.IDLE)
    loaded = readings(190, 50, probe.State.LOADED)
    after = readings(180, 50, probe.State.AFTER)

    samples = list(probe._balance(bench_of(tmp_path), idle, loaded, after))

    assert (value(samples, "load-kept", state="after"), value(samples, "load-returned", state="after")) == (50, 10)


def test_a_balloon_is_inflated_over_what_is_free_but_a_reserve() -> None:
    instance = Ballooned(Shell(Path()), Role.VMM)
    probe.shrink(instance, 30 * MIB + 5, 1.0)
    assert instance.asked == 70 * MIB
    probe.shrink(instance, -4 * MIB, 1.0)
    assert instance.asked == 70 * MIB, "nothing is given to it"


def test_a_balloon_that_nobody_drives_is_a_timeout() -> None:
    instance = Ballooned(Shell(Path()), Role.VMM)
    instance.obedient = False
    with pytest.raises(StartTimeout, match=r"was not inflated within 0\.1 s"):
        probe.shrink(instance, 30 * MIB, 0.1)


def test_an_engine_that_does_not_tell_is_no_failure() -> None:
    instance = Ballooned(Shell(Path()), Role.VMM)
    instance.given = None  # type: ignore[assignment]
    with pytest.raises(Unsupported):
        probe.shrink(instance, 30 * MIB, 1.0)
