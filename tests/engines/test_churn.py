"""Churn on real engines, from several threads at once: everything succeeds and nothing stays behind."""

from __future__ import annotations

import subprocess

import pytest

from bench.backends.docker import DockerBackend
from bench.plan import Trial
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from tests.conftest import Engines

FEW = {"one-by-one": 2, "parallel": 6, "scheduled": 3, "rate": 4, "warm-up": 1}


def churned(engines: Engines, name: str, mode: str) -> list[Sample]:
    """Run a few cycles of a subject in a mode."""
    subject = engines.subject(name)
    settings = {**FEW, **{f"machine-{key}": min(count, 3) for key, count in FEW.items()}, "at-once": 8}
    trial = Trial(
        index=0, scenario=engines.catalogue.scenarios["churn"].model_copy(update={"settings": settings}),
        subject=subject, params={"mode": mode}, block=0, position=0, phase=Phase.MEASURE,
        profile=engines.catalogue.profiles["quick"], expected_s=1.0,
    )  # fmt: skip
    return list(run_trial(trial, engines.backend(subject), engines.session).samples)


def rate(name: str) -> str:
    return "3" if name.startswith("vm-") else "4"


def value(samples: list[Sample], metric: str) -> float:
    found = [s for s in samples if s.metric == metric and "part" not in s.params]
    assert found, metric
    assert found[0].value is not None, found[0].reason
    return found[0].value


# crun sees another mount namespace than the rest of the suite: the threads that start it have to be in it.
@pytest.mark.parametrize("mode", ["one-by-one", "parallel-3", "scheduled"])
@pytest.mark.parametrize("name", ["process", "namespaces", "oci-runc", "oci-crun", "docker", "vm-bare"])
def test_cycles_are_whole_and_leave_nothing(engines: Engines, name: str, mode: str) -> None:
    samples = churned(engines, name, mode)
    assert [s.reason for s in samples if s.status in (Status.FAILED, Status.TIMEOUT)] == []
    assert value(samples, "failures") == 0
    assert value(samples, "leftovers") == 0, next(s.reason for s in samples if s.metric == "leftovers")
    assert value(samples, "cycles-per-second") > 0
    ready, whole = (
        [s.value for s in samples if s.metric == metric and s.value and "part" not in s.params]
        for metric in ("requested→ready", "requested→removed")
    )
    # One of five was looked at: how long it took to remove is not told.
    assert len(ready) == value(samples, "cycles") <= len(whole) + 2
    assert max(ready) < max(whole)
    assert {s.params.get("rate") for s in samples} == {{"scheduled": rate(name)}.get(mode)}


@pytest.mark.slow
def test_guests_come_and_go_side_by_side(engines: Engines) -> None:
    samples = churned(engines, "vm-direct-tuned", "parallel-2")
    assert value(samples, "failures") == 0
    assert value(samples, "leftovers") == 0


def test_the_engine_remembers_no_container(engines: Engines) -> None:
    samples = churned(engines, "docker", "parallel-4")
    assert value(samples, "failures") == 0
    backend = engines.backend(engines.subject("docker"))
    assert isinstance(backend, DockerBackend)
    command = ["docker", "--host", backend.engine.address, "ps", "--all", "--quiet"]
    command += ["--filter", f"label=bench.run={engines.session.run_id}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    assert value(samples, "control-plane-cpu") > 0
