"""Idle cost on real engines: our clocks against the control group's account, and how finely they tell."""

from __future__ import annotations

import functools
import time

import pytest

from bench.backends.base import Role
from bench.clock import Event
from bench.collectors.cgroup import cpu_group, read_cpu_ns
from bench.collectors.cpu import between, read_use
from bench.plan import Trial
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from tests.conftest import Engines

FINE = 0.36
"""0.01 % of a core, CPU seconds an hour."""

BURN = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 60' >/dev/null 2>&1 &"


@functools.cache
def idled(engines: Engines, name: str, window_s: float = 5.0) -> list[Sample]:
    """Run the idle scenario's probe on a subject, with a short window; once, whoever asks."""
    subject = engines.subject(name)
    settings = {"window_s": window_s, "settle_s": 15.0}
    trial = Trial(
        index=0, scenario=engines.catalogue.scenarios["idle"].model_copy(update={"settings": settings}),
        subject=subject, block=0, position=0, phase=Phase.MEASURE, profile=engines.catalogue.profiles["quick"],
        expected_s=1.0,
    )  # fmt: skip
    return list(run_trial(trial, engines.backend(subject), engines.session).samples)


def the(samples: list[Sample], metric: str, part: str = "", instances: str = "1") -> Sample:
    """Return the one sample of a metric and a part."""
    wanted = {"part": part, "instances": instances} if part else {}
    found = [s for s in samples if s.metric == metric and s.params == wanted]
    assert len(found) == 1, (metric, wanted, [s.params for s in samples if s.metric == metric])
    return found[0]


@pytest.mark.parametrize("name", ["process", "oci-runc", "docker", "vm-bare"])
def test_doing_nothing_is_told_from_a_hundredth_of_a_percent(engines: Engines, name: str) -> None:
    samples = idled(engines, name)
    cpu, resolution = the(samples, "cpu", "total"), the(samples, "cpu-resolution", "total")
    assert cpu.status is Status.OK, cpu.reason
    assert cpu.value is not None
    assert resolution.value is not None
    assert 0 < resolution.value < FINE
    assert cpu.value < 36.0, "an idle instance uses less than 1 % of a core"
    assert (cpu.low or 0.0) <= cpu.value <= (cpu.high or 0.0)
    assert the(samples, "anon-drift", "total").status is Status.OK


def test_the_engines_daemons_cost_something_with_no_instance_at_all(engines: Engines) -> None:
    samples = idled(engines, "docker")
    fixed = the(samples, "cpu", "control-plane", "0").value
    whole, own = the(samples, "cpu", "with-engine").value, the(samples, "cpu", "total").value
    assert fixed is not None
    assert whole is not None
    assert own is not None
    assert fixed > 0
    assert whole > own
    assert the(samples, "cpu-group").value == pytest.approx(the(samples, "cpu", "workload").value, abs=FINE)


@pytest.mark.parametrize("name", ["docker", "oci-runc"])
def test_the_clocks_agree_with_the_control_group(engines: Engines, name: str) -> None:
    workbench = engines.workbench(engines.subject(name))
    with workbench.launched() as instance:
        workbench.wait(instance, Event.READY)
        pid = instance.cgroup_pid()
        assert pid is not None
        group = cpu_group(pid)
        assert group is not None
        before_group, before = read_cpu_ns(group), read_use([*instance.processes()[Role.WORKLOAD]])
        code, _ = instance.channel.run(BURN, 20.0)
        assert code == 0
        # Until it sleeps: a running thread's time reaches neither account before the scheduler's tick.
        time.sleep(3.0)
        use = between(before, read_use([*instance.processes()[Role.WORKLOAD]]))
        after_group = read_cpu_ns(group)
    assert before_group is not None
    assert after_group is not None
    burnt = (after_group - before_group) / 1e9
    assert burnt > 0.1
    assert use.cpu.value * use.seconds == pytest.approx(burnt, rel=0.02, abs=0.02)


@pytest.mark.slow
def test_an_idle_guest_costs_something_and_wakes(engines: Engines) -> None:
    samples = idled(engines, "vm-direct-tuned")
    cpu, wakeups = the(samples, "cpu", "vmm").value, the(samples, "wakeups", "vmm").value
    assert cpu is not None
    assert wakeups is not None
    assert 0 < cpu < 720, "less than a fifth of a core"
    assert wakeups > 0
    assert the(samples, "cpu", "control-plane", "0").status in (Status.OK, Status.UNSUPPORTED)
