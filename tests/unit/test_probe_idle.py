"""The idle probe on real processes with known habits."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from bench.backends.base import Role, Session
from bench.collectors.cgroup import Group
from bench.plan import Trial
from bench.probes import idle as probe
from bench.running.runner import run_trial
from bench.sample import Sample, Status
from bench.scenario import load
from tests.unit.children import OBEDIENT, SLEEPER, Keepers, await_done, child, keeper_trial, tell

WINDOW_S = 1.5

Orders = Sequence[tuple[subprocess.Popen[bytes], str]]
InTheWindow = Callable[[Orders], None]


def trial() -> Trial:
    settings = {"window_s": WINDOW_S, "settle_s": 0.0}
    return keeper_trial(load().scenarios["idle"].model_copy(update={"settings": settings}))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)


def measured(backend: Keepers, session: Session) -> dict[tuple[str, str, str], Sample]:
    result = run_trial(trial(), backend, session)
    return {(s.metric, s.params.get("part", ""), s.params.get("instances", "")): s for s in result.samples}


def values(samples: Mapping[tuple[str, str, str], Sample], metric: str) -> dict[tuple[str, str], float]:
    return {
        (part, count): s.value for (name, part, count), s in samples.items() if name == metric and s.value is not None
    }


@pytest.fixture
def in_the_window(monkeypatch: pytest.MonkeyPatch) -> InTheWindow:
    """Return what lets the obedient do something in every window, which is over when they have done it."""

    def instruct(orders: Orders) -> None:
        def sleep(seconds: float) -> None:
            for process, order in orders:
                tell(process, order)
            real(seconds)
            await_done(*(process for process, _ in orders))

        monkeypatch.setattr(time, "sleep", sleep)

    real = time.sleep
    return instruct


def test_each_part_is_charged_what_it_used(session: Session, in_the_window: InTheWindow) -> None:
    began = time.monotonic()
    with child(OBEDIENT) as guest, child(SLEEPER) as shim, child(OBEDIENT) as daemon:
        in_the_window([(guest, "burn 0.3"), (daemon, "burn 0.075")])
        backend = Keepers({Role.VMM: (guest.pid,), Role.SHIM: (shim.pid,)}, [daemon.pid])
        samples = measured(backend, session)
    took, cpu, window = time.monotonic() - began, values(samples, "cpu"), values(samples, "window")["", ""]
    assert cpu["vmm", "1"] * window / 3600 == pytest.approx(0.3, abs=0.02)
    assert cpu["shim", "1"] == 0.0
    assert cpu["total", "1"] == pytest.approx(cpu["vmm", "1"] + cpu["shim", "1"])
    assert cpu["control-plane", "1"] * window / 3600 == pytest.approx(0.075, abs=0.02)
    assert cpu["control-plane", "0"] * (took - window) / 3600 >= 0.075, "its window was no longer than this"
    assert cpu["with-engine", "1"] == pytest.approx(cpu["total", "1"] + cpu["control-plane", "1"], rel=1e-6)
    assert values(samples, "wakeups")["total", "1"] <= values(samples, "switches")["total", "1"]
    assert WINDOW_S <= window < took - WINDOW_S
    assert samples["cpu-group", "", ""].status is Status.UNSUPPORTED
    assert backend.live == 0


def test_without_daemons_the_answer_is_the_instances_own(session: Session, in_the_window: InTheWindow) -> None:
    with child(OBEDIENT) as process:
        in_the_window([(process, "burn 0.1")])
        samples = measured(Keepers({Role.WORKLOAD: (process.pid,)}), session)
    for metric in ("cpu", "wakeups"):
        assert values(samples, metric)["with-engine", "1"] == values(samples, metric)["total", "1"] > 0.0


def test_every_figure_has_bounds_or_a_resolution(session: Session) -> None:
    with child(SLEEPER) as asleep:
        samples = measured(Keepers({Role.WORKLOAD: (asleep.pid,)}), session)
    cpu, resolution = samples["cpu", "total", "1"], samples["cpu-resolution", "total", "1"]
    assert cpu.low == cpu.value == 0.0
    assert cpu.high is not None
    assert resolution.value == pytest.approx(cpu.high)
    assert 0 < cpu.high < 0.36, "0.01 % of a core"
    drift = samples["anon-drift", "total", "1"]
    assert drift.value == 0.0
    assert drift.low is not None
    assert drift.low == pytest.approx(-1024 * 3600 / values(samples, "window")["", ""])


def test_memory_that_grows_is_seen(session: Session, in_the_window: InTheWindow) -> None:
    with child(OBEDIENT) as process:
        in_the_window([(process, f"keep {4 << 20}")])
        samples = measured(Keepers({Role.WORKLOAD: (process.pid,)}), session)
    window = values(samples, "window")["", ""]
    for metric in ("anon-drift", "pss-drift"):
        grown = values(samples, metric)["total", "1"] / 3600 * window
        assert grown == pytest.approx(4 << 20, abs=200_000)


def test_a_process_that_ends_makes_its_parts_fail_and_no_other(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with child(SLEEPER) as stays, child(SLEEPER) as ends:

        def sleep(seconds: float) -> None:
            del seconds
            ends.kill()
            ends.wait()  # as long as nobody has reaped it, its clock tells what it used

        monkeypatch.setattr(time, "sleep", sleep)
        samples = measured(Keepers({Role.VMM: (stays.pid,), Role.WORKLOAD: (ends.pid,)}), session)
    assert samples["cpu", "vmm", "1"].status is Status.OK
    for part in ("workload", "total"):
        assert samples["cpu", part, "1"].status is Status.FAILED
        assert str(ends.pid) in samples["cpu", part, "1"].reason
        assert samples["pss-drift", part, "1"].status is Status.FAILED


def test_an_instance_that_dies_is_no_measurement(session: Session) -> None:
    with child(SLEEPER) as asleep:
        backend = Keepers({Role.WORKLOAD: (asleep.pid,)})
        backend.dead = True
        samples = measured(backend, session)
    assert samples["cpu", "total", "1"].status is Status.FAILED
    assert "it was dead" in samples["cpu", "total", "1"].reason
    assert samples["window", "", ""].status is Status.FAILED


def test_without_daemons_or_processes_it_says_so(session: Session) -> None:
    samples = measured(Keepers(), session)
    assert samples["cpu", "control-plane", "0"].reason == "no daemon of an engine is involved"
    assert samples["cpu", "total", "1"].reason == "it has no process on this host"
    assert {s.metric for s in samples.values()} == {m.name for m in load().scenarios["idle"].metrics}


def test_an_engine_inside_the_suite_is_said_and_bounded(session: Session) -> None:
    class Inside(Keepers):
        def embedded(self) -> bool:
            return True

    with child(SLEEPER) as asleep:
        samples = measured(Inside({Role.VMM: (asleep.pid,)}), session)
    fixed, meanwhile = samples["cpu", "control-plane", "0"], samples["cpu", "control-plane", "1"]
    assert fixed.reason == "libvirt's driver runs inside the suite's own process and idles with it"
    assert (meanwhile.status, meanwhile.value) == (Status.UNSUPPORTED, None)
    [most] = re.findall(r"at most (\S+) CPU s/h", meanwhile.reason)
    assert 0 < float(most) < 1000


def test_the_groups_own_account_stands_beside(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuacct.usage").write_text("5000000000\n")
    group = Group(version=1, name="/own", path=tmp_path)
    monkeypatch.setattr(probe, "cpu_group", lambda pid: group if pid else None)
    with child(SLEEPER) as asleep:
        backend = Keepers({Role.WORKLOAD: (asleep.pid,)})
        backend.grouped = asleep.pid
        samples = measured(backend, session)
    assert values(samples, "cpu-group")["", ""] == 0.0
