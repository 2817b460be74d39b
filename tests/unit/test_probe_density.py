"""The ramp on a made-up host: it stops for the right reason, says so, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.backends.base import Session
from bench.clock import Event
from bench.collectors.meminfo import Settled
from bench.errors import InstanceError
from bench.plan import Trial
from bench.probes import density as probe
from bench.probes.base import Workbench
from bench.probes.density import rule_of
from bench.probes.ramp import State
from bench.running.runner import run_trial
from bench.sample import Sample, Status
from bench.scenario import Subject, load
from tests.unit.children import Keeper, Keepers, keeper_trial

MIB = 1 << 20
TOTAL = 8192 * MIB


class Host:
    """Memory that shrinks by so much with every living instance."""

    def __init__(self, backend: Keepers, each_mib: float, pressure: float = 0.0) -> None:
        self.backend = backend
        self.each_mib = each_mib
        self.pressure = pressure
        self.lowest = TOTAL

    def available(self) -> int:
        left = round(TOTAL - self.backend.live * self.each_mib * MIB)
        self.lowest = min(self.lowest, left)
        return left

    def state(self, **_: object) -> State:
        return State(total=TOTAL, available=self.available(), pressure=self.pressure)

    def settled(self, *_: object, **__: object) -> Settled:
        return Settled(available=self.available(), calm=True, waited_s=0.0)


def trial(**changes: float) -> Trial:
    scenario = load().scenarios["density"]
    settings = {**scenario.settings, "containers": 12, **changes}
    return keeper_trial(scenario.model_copy(update={"settings": settings}))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)


def ramp(
    backend: Keepers, session: Session, monkeypatch: pytest.MonkeyPatch, host: Host, **changes: float
) -> list[Sample]:
    monkeypatch.setattr(probe, "settle", host.settled)
    monkeypatch.setattr(probe, "read_state", host.state)
    return list(run_trial(trial(**changes), backend, session).samples)


def value(samples: list[Sample], metric: str, **params: str) -> float | None:
    found = [s for s in samples if s.metric == metric and s.params == params]
    assert len(found) == 1, (metric, params)
    return found[0].value


def stopped_by(samples: list[Sample]) -> str:
    return next(s.params["stop"] for s in samples if s.metric == "instances-reached" and s.params)


def test_it_stops_above_the_memory_floor(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Keepers()
    host = Host(backend, each_mib=1000)
    samples = ramp(backend, session, monkeypatch, host)
    # 8192 - 6 × 1000 = 2192 MiB are above the floor of a quarter; a seventh would be below it.
    assert value(samples, "instances-reached") == 6
    assert stopped_by(samples) == "memory-floor"
    assert host.lowest >= TOTAL / 4
    assert value(samples, "memory-each") == pytest.approx(1000 * MIB)
    assert value(samples, "memory-step", instances="4") == pytest.approx(1000 * MIB)
    assert value(samples, "memory-taken", instances="4") == pytest.approx(4000 * MIB)
    assert value(samples, "memory-left") == 0
    assert value(samples, "instances-computed") == 6, "what was computed is what was reached"
    assert backend.live == 0


def test_it_stops_under_pressure_before_the_first_start(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Keepers()
    samples = ramp(backend, session, monkeypatch, Host(backend, 1, pressure=0.5))
    assert (value(samples, "instances-reached"), stopped_by(samples)) == (0, "memory-pressure")
    assert backend.most == 1, "the one that does not count"


def test_it_stops_at_the_maximum_and_says_so(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Keepers()
    samples = ramp(backend, session, monkeypatch, Host(backend, 10))
    assert (value(samples, "instances-reached"), stopped_by(samples)) == (12, "maximum")
    assert value(samples, "instances-computed") == 614
    assert backend.most == 12
    assert backend.live == 0
    disk = [s for s in samples if s.metric.startswith("disk")]
    assert {s.metric for s in disk} == {"disk-each", "disk-step", "disk-taken"}
    assert {s.status for s in disk} == {Status.UNSUPPORTED}


def test_it_stops_when_a_start_fails_and_removes_the_others(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Keepers()
    backend.refuse_at = 5
    samples = ramp(backend, session, monkeypatch, Host(backend, 10))
    assert (value(samples, "instances-reached"), stopped_by(samples)) == (3, "failed-start")
    failed = [s for s in samples if s.status is Status.FAILED]
    assert [(s.metric, s.params, s.reason) for s in failed] == [("requested→ready", {"instances": "4"}, "no more")]
    assert backend.live == 0


def test_an_engine_without_addresses_is_named(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow(Keepers):
        def launch(self, subject: Subject) -> Keeper:  # type: ignore[override]
            if self.live == 3:
                raise InstanceError(
                    "docker, starting a container: failed to set up container networking: no available IPv4 addresses "
                    "on this network's address pools: bridge (0a1b)"
                )
            return super().launch(subject)

    backend = Narrow()
    samples = ramp(backend, session, monkeypatch, Host(backend, 10))
    assert (value(samples, "instances-reached"), stopped_by(samples)) == (3, "network-addresses")


def test_it_stops_when_starts_become_slow(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tiring(Keepers):
        def launch(self, subject: Subject) -> Keeper:  # type: ignore[override]
            keeper = super().launch(subject)
            keeper.timeline._stamps[Event.REQUESTED] -= 2_000_000_000 * self.live**2
            return keeper

    backend = Tiring()
    samples = ramp(backend, session, monkeypatch, Host(backend, 10))
    # 2, 8 and 18 s: the third takes more than five times as long as the first.
    assert (value(samples, "instances-reached"), stopped_by(samples)) == (3, "slow-start")
    assert value(samples, "start-slowdown") == pytest.approx(9, rel=0.01)
    assert backend.live == 0


def test_an_abort_removes_everything(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Keepers()
    host = Host(backend, 10)
    monkeypatch.setattr(probe, "settle", host.settled)
    monkeypatch.setattr(probe, "read_state", host.state)
    asked = probe.density(Workbench(trial(), backend, session))
    next(sample for sample in asked if sample.params.get("instances") == "5")
    assert backend.live == 5
    asked.close()  # type: ignore[attr-defined]
    assert backend.live == 0


def test_machines_have_a_maximum_of_their_own() -> None:
    settings = load().scenarios["density"].settings
    assert rule_of(settings, machine=True).maximum == settings["machines"]
    assert rule_of(settings, machine=False).maximum == settings["containers"]
