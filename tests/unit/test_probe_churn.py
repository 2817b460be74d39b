"""Churn on backends whose service takes a known time: what the clock, the queue and the refusals do."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bench.backends.base import Role, Session
from bench.backends.fake import FakeBackend, FakeInstance
from bench.clock import Event
from bench.errors import InstanceDied
from bench.plan import Trial
from bench.probes import churn, churner, remains
from bench.probes.base import Workbench
from bench.probes.cycles import due_at
from bench.probes.ramp import State
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from bench.scenario import Profile, Subject, load
from tests.unit.children import SLEEPER, Keepers, child

MIB = 1 << 20


class Slow(FakeBackend):
    """Takes `service_s` to start one, `places` at a time; the launches whose numbers are in `dying` fail."""

    def __init__(self, service_s: float, places: int = 100, dying: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.service_s = service_s
        self.dying = dying
        self.asked_at: list[int] = []
        self.threads: set[str] = set()
        self.under_way = self.most = 0
        self._places = threading.Semaphore(places)
        self._lock = threading.Lock()

    def launch(self, subject: Subject) -> FakeInstance:
        with self._lock:
            self.asked_at.append(time.monotonic_ns())
            number = len(self.asked_at)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.threads.add(threading.current_thread().name)
        try:
            with self._places:
                time.sleep(self.service_s)
            if number in self.dying:
                raise InstanceDied("it died young")
            instance = super().launch(subject)
            instance.timeline._stamps[Event.REQUESTED] = self.asked_at[number - 1]
            instance.timeline._stamps[Event.READY] = time.monotonic_ns()
            return instance
        finally:
            with self._lock:
                self.under_way -= 1


@pytest.fixture
def session(tmp_path: Path) -> Session:
    for name in ("run", "scratch"):
        (tmp_path / name).mkdir()
    return Session(run_id="test-000000", directory=tmp_path / "run", scratch=tmp_path / "scratch", cache=tmp_path)


def trial(mode: str, options: Mapping[str, str | int] = MappingProxyType({}), /, **settings: float) -> Trial:
    told = {"one-by-one": 4, "parallel": 8, "scheduled": 8, "rate": 20, "at-once": 16, "warm-up": 0, **settings}
    scenario = load().scenarios["churn"].model_copy(update={"settings": told})
    subject = Subject(name="slow", title="s", backend="fake", options={"ready_s": "0.0001", **options})
    return Trial(
        index=0, scenario=scenario, subject=subject, params={"mode": mode}, block=0, position=0, phase=Phase.MEASURE,
        profile=Profile(name="quick", blocks=1, warmup=0), expected_s=1.0,
    )  # fmt: skip


def run(
    backend: FakeBackend, session: Session, mode: str, options: Mapping[str, str | int] = MappingProxyType({}), /,
    **settings: float,
) -> list[Sample]:  # fmt: skip
    backend.open(session)
    planned = trial(mode, options, **settings)
    backend.prepare(planned.subject)
    return list(run_trial(planned, backend, session).samples)


def values(samples: list[Sample], metric: str, **params: str) -> list[float]:
    def fits(sample: Sample) -> bool:
        return sample.metric == metric and {k: v for k, v in sample.params.items() if k != "rate"} == params

    return [s.value for s in samples if fits(s) and s.value is not None]


def only(samples: list[Sample], metric: str) -> Sample:
    found = [s for s in samples if s.metric == metric]
    assert len(found) == 1, metric
    return found[0]


def test_one_by_one_nobody_waits(session: Session) -> None:
    backend, began = Slow(0.05), time.monotonic()
    samples = run(backend, session, "one-by-one", **{"one-by-one": 6})
    took, starts = time.monotonic() - began, values(samples, "requested→ready")
    assert backend.most == 1
    assert len(starts) == 6
    assert min(starts) >= 0.05
    assert sum(starts) < took
    assert 6 / took < values(samples, "cycles-per-second")[0] <= 20.0
    assert values(samples, "requested→ready", part="p50")
    tail = next(s for s in samples if s.metric == "requested→ready" and s.params == {"part": "p95"})
    assert (tail.status, tail.reason) == (Status.UNSUPPORTED, "p95 needs 20 cycles, there were 6")
    assert only(samples, "arrival→ready").reason == "no arrival was due in this mode"
    assert only(samples, "ready-drift").status is Status.UNSUPPORTED
    assert (only(samples, "cycles").value, only(samples, "failures").value, only(samples, "leftovers").value) == (
        6,
        0,
        0,
    )


def test_so_many_work_in_parallel_and_no_more(session: Session) -> None:
    backend, began = Slow(0.05), time.monotonic()
    samples = run(backend, session, "parallel-3", parallel=9)
    took = time.monotonic() - began
    assert backend.most == 3
    assert only(samples, "at-once").value == 3
    assert len(backend.threads) == 3
    # Three at a time: three rounds of 50 ms.
    assert 9 / took < values(samples, "cycles-per-second")[0] <= 60.0


def test_arrivals_come_by_the_clock_whether_or_not_others_are_done(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody, came, due = threading.Barrier(8), list[int](), list[int]()

    def noted(began_ns: int, rate: float, number: int) -> int:
        due.append(due_at(began_ns, rate, number))
        return due[-1]

    class Patient(Slow):
        def launch(self, subject: Subject) -> FakeInstance:
            came.append(time.monotonic_ns())
            everybody.wait(timeout=60)  # none is done before the last one has come
            return super().launch(subject)

    monkeypatch.setattr(churner, "due_at", noted)
    samples = run(Patient(0.001), session, "scheduled", scheduled=8, rate=20)
    assert only(samples, "failures").value == 0
    assert [later - sooner for sooner, later in pairwise(due)] == [50_000_000] * 7
    assert all(at >= planned for at, planned in zip(sorted(came), due, strict=True))
    # Each is told from the time at which it was due: in the mean they waited half of what lay between first and last.
    assert statistics.fmean(values(samples, "arrival→ready")) >= 0.35 / 2


def test_waiting_in_the_queue_is_in_the_latency(session: Session) -> None:
    # One place, 100 ms each, one arrival every 50 ms: in the mean each waits 50 ms longer than the one before it,
    # whoever is let in first. A busy host makes all of it longer, never shorter.
    began = time.monotonic()
    samples = run(Slow(0.1, places=1), session, "scheduled", scheduled=8, rate=20)
    took, waited = time.monotonic() - began, values(samples, "arrival→ready")
    assert len(waited) == 8
    assert max(waited) < took
    assert statistics.fmean(waited) > 0.1 + 0.05 * 3.5 - 0.01
    assert max(waited) > 8 * 0.1 - 7 * 0.05 - 0.01, "the last one is done after all the others and came at 350 ms"


def test_where_there_is_no_room_an_arrival_is_turned_away_and_counted(session: Session) -> None:
    backend = Slow(0.12)
    samples = run(backend, session, "scheduled", scheduled=6, rate=20, **{"at-once": 1})
    refused = [s for s in samples if s.reason == "turned away: 1 were under way"]
    assert only(samples, "turned-away").value == len(refused) > 0
    assert {(s.metric, s.status) for s in refused} == {("arrival→removed", Status.SKIPPED)}
    assert only(samples, "failures").value == 0, "it is what was found, no failure"
    assert len(backend.asked_at) + len(refused) == 6


def test_who_was_turned_away_is_in_the_quantiles(session: Session) -> None:
    # Each takes the time of six arrivals: of every seven or so, one is let in.
    samples = run(Slow(0.3), session, "scheduled", scheduled=8, rate=20, **{"at-once": 1})
    median = next(s for s in samples if s.metric == "arrival→ready" and s.params.get("part") == "p50")
    assert (median.status, median.value) == (Status.SKIPPED, None)
    assert "of 8 arrivals were turned away" in median.reason


def test_the_rate_is_said_and_machines_have_their_own(session: Session) -> None:
    none, machine = dict[str, str](), {"accelerator": "tcg"}
    rates = {"machine-rate": 10, "machine-scheduled": 2}
    for options, rate in ((none, "20"), (machine, "10")):
        samples = run(Slow(0.001), session, "scheduled", options, scheduled=2, **rates)
        assert {s.params.get("rate") for s in samples} == {rate}
    assert {s.params.get("rate") for s in run(Slow(0.001), session, "one-by-one")} == {None}


def test_a_host_without_memory_turns_arrivals_away(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(churner, "read_state", lambda: State(total=1000 * MIB, available=900 * MIB, pressure=0.0))
    backend = Slow(0.01)
    samples = run(backend, session, "scheduled", scheduled=3)
    assert backend.asked_at == []
    assert only(samples, "turned-away").value == 3
    assert only(samples, "cycles-per-second").status is Status.FAILED
    turned_away = [s.reason for s in samples if s.metric == "arrival→removed" and s.reason.startswith("turned away")]
    assert turned_away == ["turned away: one more would leave less than 1024 MiB of memory available"] * 3


def test_workers_side_by_side_ask_for_room_too(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(total=4096 * MIB, available=2200 * MIB, pressure=0.0)
    monkeypatch.setattr(churner, "read_state", lambda: state)
    backend = Slow(0.1)
    guest: Mapping[str, str | int] = {"accelerator": "kvm", "memory_mib": 512}
    samples = run(backend, session, "parallel-4", guest, **{"machine-parallel": 8})
    # The floor is 1024 MiB; two guests may take 1024 MiB, a third one would reach below it.
    assert backend.most == 2
    assert only(samples, "turned-away").value == 8 - len(backend.asked_at) > 0
    assert "less than 1024 MiB" in next(s.reason for s in samples if s.status is Status.SKIPPED)


def test_there_are_no_more_workers_than_cycles(session: Session) -> None:
    assert only(run(Slow(0.001), session, "parallel-64", parallel=3), "at-once").value == 3


def test_the_time_of_a_cycle_that_fails_counts(session: Session) -> None:
    samples = run(Slow(0.1, dying=(3, 4, 5, 6)), session, "one-by-one", **{"one-by-one": 6})
    assert only(samples, "failures").value == 4
    assert values(samples, "cycles-per-second")[0] < 2 / 0.6 + 0.01, "two whole ones in the time of six"


def test_the_first_cycles_of_an_engine_with_daemons_do_not_count(session: Session) -> None:
    with child(SLEEPER) as daemon:
        backend = Keepers(daemons=[daemon.pid])
        samples = run(backend, session, "one-by-one", **{"warm-up": 3})
    assert (backend.launched, only(samples, "cycles").value) == (7, 4)
    backend = Keepers()
    assert only(run(backend, session, "one-by-one", **{"warm-up": 3}), "cycles").value == backend.launched == 4


def test_the_suites_own_looking_is_in_no_latency(session: Session) -> None:
    class Shown(Slow):
        looks = 0

        def launch(self, subject: Subject) -> FakeInstance:
            instance = super().launch(subject)

            def processes() -> Mapping[Role, tuple[int, ...]]:
                self.looks += 1
                time.sleep(0.5)
                return {}

            instance.processes = processes  # type: ignore[method-assign]
            return instance

    backend = Shown(0.001)
    samples = run(backend, session, "one-by-one", **{"one-by-one": 11})
    assert backend.looks == 2
    assert len(values(samples, "requested→ready")) == 11
    whole = values(samples, "requested→removed")
    assert len(whole) == 9
    assert max(whole) < 0.5


def test_failures_are_kept_beside_the_others(session: Session) -> None:
    samples = run(Slow(0.01, dying=(2, 3)), session, "one-by-one", **{"one-by-one": 5})
    lost = [s for s in samples if s.metric == "requested→removed" and s.status is Status.FAILED]
    assert [s.reason for s in lost] == ["it died young"] * 2
    assert only(samples, "failures").value == 2
    assert len(values(samples, "requested→ready")) == 3


def test_a_drift_is_told_of_enough_cycles(session: Session) -> None:
    class Tiring(Slow):
        def launch(self, subject: Subject) -> FakeInstance:
            self.service_s += 0.001
            return super().launch(subject)

    samples = run(Tiring(0.004), session, "one-by-one", **{"one-by-one": 24})
    assert values(samples, "ready-drift")[0] > 1.8
    assert values(samples, "requested→ready", part="p95")


@pytest.mark.parametrize("mode", ["one-by-one", "parallel-2"])
def test_the_daemons_pay_for_each_cycle(session: Session, mode: str) -> None:
    with child(SLEEPER) as daemon:
        samples = run(Keepers(daemons=[daemon.pid]), session, mode, **{"one-by-one": 20, "parallel": 20})
    assert only(samples, "control-plane-cpu").value == 0.0
    assert only(samples, "control-plane-growth").value == 0.0
    assert only(run(Keepers(), session, mode), "control-plane-cpu").reason == "no daemon of an engine is involved"


def test_what_stays_behind_is_counted_and_named(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class Messy(Keepers):
        def launch(self, subject: Subject) -> Any:
            (session.directory / f"bench-000000-{self.launched}").mkdir()
            return super().launch(subject)

    monkeypatch.setattr(remains, "_LINGER_S", 0.1)
    with child(SLEEPER) as survivor:
        samples = run(Messy({Role.WORKLOAD: (survivor.pid,)}), session, "one-by-one", **{"one-by-one": 5})
    left = only(samples, "leftovers")
    assert left.value == 6, "five directories and a process"
    assert f"process {survivor.pid}" in left.reason
    assert "bench-000000-1" in left.reason


class Forgetful(FakeBackend):
    """Its engine still has what it names."""

    still: tuple[str, ...] = ()

    def kept(self) -> tuple[str, ...]:
        return self.still


def test_groups_devices_and_engines_are_asked_too(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remains, "_LINGER_S", 0.1)
    ports = tmp_path / "sys/class/net/bench000000/brif"
    ports.mkdir(parents=True)
    (ports / "veth-before").touch()
    group(tmp_path, "cpu/bench-000000-1")
    backend = Forgetful()
    traces = remains.Remains(session, backend, tmp_path)
    assert traces.left() == []
    backend.still = ("container bench-000000-2",)
    (ports / "veth-after").touch()
    scope = "machine-qemu\\x2d1\\x2dbench\\x2d000000\\x2d3.scope"
    for name in ("cpu/bench-000000-2", "memory/bench-000000-2", scope, "bench-999999-1"):
        group(tmp_path, name)
    litter = tmp_path / "sys/fs/cgroup/unified/bench-000000-4"
    litter.mkdir(parents=True)
    (litter / "cgroup.procs").touch()  # no group: a directory in which somebody wrote
    assert traces.left() == [
        "container bench-000000-2", "control group bench-000000-2",
        "control group machine-qemu-1-bench-000000-3.scope", "network device veth-after",
    ]  # fmt: skip


def group(root: Path, name: str) -> None:
    place = root / "sys/fs/cgroup" / name
    place.mkdir(parents=True)
    (place / ("cgroup.controllers" if name.startswith("machine") else "cgroup.clone_children")).touch()


def test_what_vanishes_in_time_is_not_left_over(session: Session) -> None:
    traces = remains.Remains(session, FakeBackend())
    late = session.directory / "bench-000000-1"
    late.mkdir()
    threading.Timer(0.3, late.rmdir).start()
    assert traces.left() == []


def test_an_interrupted_run_starts_nothing_more(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Slow(0.05)
    planned = trial("scheduled", scheduled=50)
    backend.open(session)
    backend.prepare(planned.subject)

    def interrupted(count: int) -> str:
        if len(backend.asked_at) >= 2:
            raise KeyboardInterrupt
        return ""

    work = churner.Churn(Workbench(planned, backend, session))
    monkeypatch.setattr(work, "_refusal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        work.run("scheduled")
    seen = len(backend.asked_at)
    assert seen <= 4
    time.sleep(0.2)
    assert len(backend.asked_at) == seen
    assert backend.under_way == 0


def test_names_stay_unique_among_threads(session: Session) -> None:
    names: list[str] = []

    def take() -> None:
        names.extend(session.next_name() for _ in range(2000))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == len(names) == 8000


def test_an_unknown_mode_is_refused(session: Session) -> None:
    samples = run(FakeBackend(), session, "sideways")
    assert {s.status for s in samples} == {Status.UNSUPPORTED}


def test_every_latency_is_declared_with_both_its_names() -> None:
    metrics: Mapping[str, Any] = {m.name: m for m in load().scenarios["churn"].metrics}
    assert {f"{first}→{second}" for first, second in churn.LATENCIES} <= metrics.keys()
