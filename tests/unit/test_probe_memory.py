"""The memory probe on real processes that hold known amounts, with smem as the judge."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from bench.backends.base import Agent, DiskUse, Role, Session
from bench.backends.fake import FakeBackend
from bench.clock import Event, Timeline
from bench.collectors.cgroup import Charge, Group
from bench.collectors.meminfo import Settled
from bench.errors import InstanceDied, InstanceError
from bench.plan import Trial
from bench.probes import accounts
from bench.probes import memory as probe
from bench.probes.base import Workbench
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from bench.scenario import Profile, Subject, load
from bench.units import Unit
from tests.waiting import until

MIB = 1 << 20
HELD_MIB = 16
HOLDER = "import sys; held = bytearray(b'x') * (int(sys.argv[1]) << 20); print('held', flush=True); sys.stdin.read()"
GUEST = b"MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\n"


class Answering:
    """Answers every command with the same."""

    def __init__(self, answer: tuple[int, bytes] | InstanceError) -> None:
        self.closed = threading.Event()
        self._answer = answer

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """No marks come from here."""

    def send(self, line: str) -> bool:
        return bool(line)

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        assert command == "cat /proc/meminfo"
        assert timeout_s > 0
        if isinstance(self._answer, InstanceError):
            raise self._answer
        return self._answer


class Holder:
    """An instance of one or two real processes, each holding HELD_MIB."""

    def __init__(self, backend: Holders, roles: Sequence[Role]) -> None:
        self.name = "holder"
        self.timeline = Timeline()
        self.timeline.stamp(Event.REQUESTED)
        self.channel: Agent = Answering(backend.answer)
        self._backend = backend
        self._children = {role: hold() for role in roles}
        self.timeline.stamp(Event.READY)
        backend.live += 1

    def alive(self) -> bool:
        return True

    def last_words(self) -> str:
        return ""

    def stop(self) -> None:
        for child in self._children.values():
            child.communicate(timeout=10)

    def remove(self) -> None:
        self.stop()
        self._backend.live -= 1

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        return {role: (child.pid, *self._backend.extra_pids) for role, child in self._children.items()}

    def cgroup_pid(self) -> int | None:
        return next(iter(self._children.values())).pid if self._backend.grouped else None

    def disk(self) -> DiskUse:
        return DiskUse()


class Holders(FakeBackend):
    """Launches holders."""

    def __init__(self, *roles: Role) -> None:
        super().__init__()
        self.roles = roles or (Role.WORKLOAD,)
        self.answer: tuple[int, bytes] | InstanceError = (0, GUEST)
        self.extra_pids: tuple[int, ...] = ()
        self.daemons: tuple[int, ...] = ()
        self.grouped = False
        self.refuse_from = 99
        self.live = 0

    def launch(self, subject: Subject) -> Holder:  # type: ignore[override]
        del subject
        if self.live + 1 >= self.refuse_from:
            raise InstanceDied("no more")
        return Holder(self, self.roles)

    def control_plane(self) -> tuple[int, ...]:
        return self.daemons


def hold() -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(HELD_MIB)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def trial(*instances: int, rootfs: str = "minimal") -> Trial:
    subject = Subject(name="holder", title="a holder", backend="fake", rootfs=rootfs)
    scenario = load().scenarios["memory"].model_copy(update={"settings": {"load_mib": 0}})
    profile = Profile(name="quick", blocks=1, warmup=0, instances=instances)
    return Trial(
        index=0, scenario=scenario, subject=subject, block=0, position=0, phase=Phase.MEASURE,
        profile=profile, expected_s=1.0,
    )  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)


@pytest.fixture(autouse=True)
def falling(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The host's MemAvailable at each settling, from a list instead of from this busy host."""
    values = [1000 * MIB, 900 * MIB, 830 * MIB, 700 * MIB, 600 * MIB] * 2

    def settled(*reader: Callable[[], int | None], **options: object) -> Settled:
        assert options
        if reader:  # of the instances' own memory
            return Settled(available=reader[0](), calm=True, waited_s=0.0)
        return Settled(available=values.pop(0), calm=True, waited_s=0.0)

    monkeypatch.setattr(probe, "settle", settled)
    return values


def measured(backend: Holders, session: Session, what: Trial) -> list[Sample]:
    return list(probe.memory(Workbench(what, backend, session)))


def value(samples: Sequence[Sample], metric: str, **params: str) -> float:
    [found] = [s for s in samples if s.metric == metric and s.params == params]
    assert found.status is Status.OK, found.reason
    assert found.value is not None
    return found.value


def smem(*pids: int) -> int:
    told = subprocess.run(["smem", "-H", "-c", "pid pss"], capture_output=True, text=True, check=True, timeout=120)
    rows = {int(pid): int(pss) for pid, pss in map(str.split, told.stdout.splitlines())}
    return sum(rows[pid] for pid in pids) * 1024


def test_the_sum_of_two_instances_is_what_smem_says_while_they_live(session: Session) -> None:
    backend = Holders()
    pids: list[int] = []
    launch = backend.launch

    def noting(subject: Subject) -> Holder:
        pids.extend((instance := launch(subject)).processes()[Role.WORKLOAD])
        return instance

    backend.launch = noting  # type: ignore[method-assign]
    judged = 0
    for sample in probe.memory(Workbench(trial(2), backend, session)):
        if sample.metric == "pss" and sample.params == {"instances": "2", "part": "total"}:
            assert sample.value is not None
            assert sample.value == pytest.approx(smem(*pids), rel=0.05)
            assert sample.value >= 2 * HELD_MIB * MIB
            judged += 1

    assert judged == 1
    assert backend.live == 0


def test_the_slope_is_what_one_more_holder_holds(session: Session) -> None:
    samples = measured(Holders(), session, trial(1, 2, 3))

    assert HELD_MIB * MIB <= value(samples, "anon-slope") < (HELD_MIB + 10) * MIB
    assert HELD_MIB * MIB <= value(samples, "pss-slope") < (HELD_MIB + 10) * MIB


def test_the_hosts_own_account_is_the_drop_since_no_instance_and_its_slope_has_that_point(session: Session) -> None:
    samples = measured(Holders(), session, trial(1, 2, 3))

    drops = [value(samples, "memavailable-drop", instances=n, part="total") for n in ("1", "2", "3")]
    assert drops == [100 * MIB, 170 * MIB, 300 * MIB]
    # Least squares through (0, 0), (1, 100), (2, 170), (3, 300), by hand: 97 MiB.
    assert value(samples, "memavailable-slope") == pytest.approx(97 * MIB)


def test_what_the_host_did_not_get_back_is_read_after_all_are_removed(session: Session) -> None:
    backend = Holders()
    living_at_the_end: list[int] = []
    for sample in probe.memory(Workbench(trial(1), backend, session)):
        if sample.metric == "memavailable-left":
            living_at_the_end.append(backend.live)
            assert sample.value == 170 * MIB

    assert living_at_the_end == [0]


def test_parts_are_kept_apart_and_the_total_has_no_control_plane(session: Session) -> None:
    backend = Holders(Role.WORKLOAD, Role.SHIM)
    with hold() as daemon:
        backend.daemons = (daemon.pid,)
        samples = measured(backend, session, trial(1))
        daemon.communicate(timeout=10)

    anon = {part: value(samples, "anon", instances="1", part=part) for part in ("workload", "shim", "total")}
    assert anon["workload"] + anon["shim"] == anon["total"]
    assert min(anon["workload"], anon["shim"]) >= HELD_MIB * MIB
    assert value(samples, "pss", instances="1", part="control-plane") >= HELD_MIB * MIB
    assert value(samples, "control-plane-fixed") >= HELD_MIB * MIB
    assert abs(value(samples, "control-plane-slope")) < 2 * MIB


def test_a_process_that_cannot_be_read_makes_the_sum_unknown_not_smaller(session: Session) -> None:
    backend = Holders()
    with subprocess.Popen(["true"]) as gone:
        until(lambda: psutil.Process(gone.pid).status() == psutil.STATUS_ZOMBIE)
        backend.extra_pids = (gone.pid,)
        samples = measured(backend, session, trial(1, 2))

    for metric in ("pss", "pss-slope", "anon-slope"):
        assert {s.status for s in samples if s.metric == metric} == {Status.FAILED}
    assert str(gone.pid) in next(s.reason for s in samples if s.metric == "pss")
    assert value(samples, "memavailable-slope") > 0


def test_slopes_say_when_equal_pages_may_not_have_been_merged_yet(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = iter([10, 13])
    monkeypatch.setattr(probe, "merging_scans", lambda: next(scans))
    samples = measured(Holders(), session, trial(1, 2))
    [slope] = [s for s in samples if s.metric == "pss-slope"]
    assert slope.status is Status.OK
    assert slope.reason.startswith("KSM runs on this host and looked through all memory 3 times meanwhile, where 4")
    assert probe.merging_note(10, 14, 2) == probe.merging_note(None, 3, 2) == probe.merging_note(3, None, 2) == ""


def test_one_number_of_instances_gives_no_slope_of_processes(session: Session) -> None:
    samples = measured(Holders(), session, trial(1))

    [slope] = [s for s in samples if s.metric == "pss-slope"]
    assert (slope.status, slope.value) == (Status.UNSUPPORTED, None)
    assert value(samples, "memavailable-slope") == 100 * MIB


def test_a_control_group_is_told_of_the_first_instance_and_of_all(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    charges = iter([Charge(current=5, anon=3), Charge(current=5, anon=3), Charge(current=2, anon=1)])
    group = Group(version=2, name="/made/up", path=Path("/nowhere"))
    monkeypatch.setattr(accounts, "own_group", lambda pid: group if pid else None)
    monkeypatch.setattr(accounts, "read_charge", lambda _: next(charges))
    backend = Holders()
    backend.grouped = True

    samples = measured(backend, session, trial(1, 2))

    assert value(samples, "cgroup-current", instances="2", part="first") == 5
    assert value(samples, "cgroup-current", instances="2", part="sum") == 7
    assert value(samples, "cgroup-anon", instances="2", part="sum") == 4
    assert {s.status for s in samples if s.metric == "cgroup-kernel"} == {Status.UNSUPPORTED}


def test_without_a_group_of_its_own_nothing_is_charged(session: Session) -> None:
    backend = Holders()
    backend.grouped = True  # but its processes stand in this test's own group

    samples = measured(backend, session, trial(1))

    charged = [s for s in samples if s.metric.startswith("cgroup-")]
    assert {(s.status, s.value) for s in charged} == {(Status.UNSUPPORTED, None)}
    assert len(charged) == 4


def test_an_emulators_translated_code_is_told_apart_for_machines_only(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "translated_code", lambda pid: 40 * MIB if pid else None)

    machine = measured(Holders(Role.VMM), session, trial(1, 2))
    process = measured(Holders(Role.WORKLOAD), session, trial(1))

    assert value(machine, "translated", instances="2", part="vmm") == 80 * MIB
    assert value(machine, "translated-slope") == 40 * MIB
    told = [s.status for s in process if s.metric.startswith("translated")]
    assert told == [Status.UNSUPPORTED, Status.UNSUPPORTED]


@pytest.mark.parametrize(
    ("role", "rootfs", "answer", "status"),
    [
        (Role.VMM, "minimal", (0, GUEST), Status.OK),
        (Role.WORKLOAD, "minimal", (0, GUEST), Status.UNSUPPORTED),
        (Role.VMM, "none", (0, GUEST), Status.UNSUPPORTED),
        (Role.VMM, "minimal", (1, b"cat: no such file"), Status.FAILED),
        (Role.VMM, "minimal", (0, b"garbage"), Status.FAILED),
        (Role.VMM, "minimal", InstanceDied("the agent went away"), Status.FAILED),
    ],
)
def test_the_guest_view_is_a_guests_alone(
    session: Session, role: Role, rootfs: str, answer: tuple[int, bytes] | InstanceError, status: Status
) -> None:
    backend = Holders(role)
    backend.answer = answer

    samples = measured(backend, session, trial(1, rootfs=rootfs))

    used, total = (next(s for s in samples if s.metric == name) for name in ("guest-used", "guest-total"))
    assert (used.status, total.status) == (status, status)
    if status is Status.OK:
        assert (used.value, total.value) == (600 * 1024, 1000 * 1024)
        assert used.params == {"part": "guest"}


def test_when_an_instance_fails_the_others_are_removed_and_the_slopes_are_missing(session: Session) -> None:
    backend = Holders()
    backend.refuse_from = 3

    result = run_trial(trial(1, 2, 3), backend, session)

    assert backend.live == 0
    assert value(result.samples, "memavailable-drop", instances="2", part="total") == 170 * MIB
    [slope] = [s for s in result.samples if s.metric == "memavailable-slope"]
    assert (slope.status, slope.reason) == (Status.FAILED, "no more")


def test_every_sample_is_of_a_declared_metric_in_bytes(session: Session) -> None:
    what = trial(1, 2)
    samples = measured(Holders(Role.VMM), session, what)

    declared = {metric.name for metric in what.scenario.metrics}
    assert {s.metric for s in samples} == declared
    assert {s.unit for s in samples} == {Unit.BYTES}
