"""Memory on real engines: our figures beside those of tools nobody here wrote, and what the host gets back."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from bench.backends.docker import DockerBackend
from bench.backends.docker_instance import DockerInstance
from bench.backends.vm_instance import VmInstance
from bench.collectors.procfs import read_memory
from bench.plan import Trial
from bench.probes.accounts import charge_of, memory_of
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from tests.conftest import Engines

MIB = 1 << 20
LOAD_MIB = 64
PAGES_IN_FLIGHT = 64 * 4096
"""What a group's counter may lag behind: a batch of pages per CPU (MEMCG_CHARGE_BATCH)."""
SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def loaded(engines: Engines, name: str) -> list[Sample]:
    """Run the memory scenario's probe on one instance of a subject."""
    subject = engines.subject(name)
    scenario, quick = engines.catalogue.scenarios["memory"], engines.catalogue.profiles["quick"]
    trial = Trial(
        index=0, scenario=scenario, subject=subject, block=0, position=0, phase=Phase.MEASURE,
        profile=quick.model_copy(update={"instances": (1,)}), expected_s=1.0,
    )  # fmt: skip
    return list(run_trial(trial, engines.backend(subject), engines.session).samples)


def the(samples: list[Sample], metric: str, **params: str) -> float:
    """Return the one value of a metric under these parameters."""
    [found] = [s for s in samples if s.metric == metric and s.params == params]
    assert found.status is Status.OK, found.reason
    assert found.value is not None
    return found.value


@pytest.mark.parametrize("name", ["process", "oci-runc", "docker"])
def test_a_containers_memory_comes_back_at_once(engines: Engines, name: str) -> None:
    samples = loaded(engines, name)
    assert the(samples, "load-taken") == pytest.approx(LOAD_MIB * MIB, rel=0.1)
    assert the(samples, "load-returned", state="after") == pytest.approx(LOAD_MIB * MIB, rel=0.1)
    assert abs(the(samples, "load-kept", state="after")) < 2 * MIB
    [inflated] = [s for s in samples if s.metric == "load-kept" and s.params == {"state": "inflated"}]
    assert (inflated.status, inflated.reason) == (Status.UNSUPPORTED, "it has no memory balloon")


@pytest.mark.slow
def test_a_guest_keeps_what_it_once_touched(engines: Engines) -> None:
    samples = loaded(engines, "vm-direct-tuned")
    # The file is in the guest's page cache: memory of the host as well.
    assert the(samples, "load-taken") > LOAD_MIB * MIB
    assert the(samples, "load-kept", state="after") > 0.8 * LOAD_MIB * MIB
    used = {state: the(samples, "load-guest-used", state=state) for state in ("idle", "loaded", "after")}
    assert used["loaded"] - used["idle"] == pytest.approx(LOAD_MIB * MIB, rel=0.2)
    assert used["after"] - used["idle"] < 0.2 * LOAD_MIB * MIB, "the guest itself knows that it is free"
    [inflated] = [s for s in samples if s.metric == "load-kept" and s.params == {"state": "inflated"}]
    assert (inflated.status, inflated.reason) == (Status.UNSUPPORTED, "it has no memory balloon")


@pytest.mark.slow
def test_a_balloon_brings_it_back_when_it_is_inflated(engines: Engines) -> None:
    samples = loaded(engines, "vm-direct-balloon")
    assert the(samples, "load-kept", state="after") > 0.8 * LOAD_MIB * MIB
    assert the(samples, "load-kept", state="inflated") < 0.5 * the(samples, "load-kept", state="after")


@pytest.mark.slow
def test_a_guest_that_reports_free_pages_gives_most_of_it_back_by_itself(engines: Engines) -> None:
    samples = loaded(engines, "vm-direct-reporting")
    assert the(samples, "load-kept", state="after") < 0.5 * the(samples, "load-taken")


@pytest.mark.parametrize("name", ["process", "docker", "vm-bare"])
def test_pss_is_what_smem_says(engines: Engines, name: str) -> None:
    bench = engines.workbench(engines.subject(name))
    instance = engines.ready(bench)
    try:
        told = subprocess.run(["smem", "-H", "-c", "pid pss uss rss"], capture_output=True, text=True, check=True)
        found = memory_of([instance])
        pids = {pid for of_role in instance.processes().values() for pid in of_role}
    finally:
        instance.remove()
    rows = [list(map(int, line.split())) for line in told.stdout.splitlines()]
    mine = [row for row in rows if row[0] in pids]
    ours = found.memory
    assert ours is not None
    assert found.unread == ()
    assert {row[0] for row in mine} == pids
    for column, figure in ((1, ours.pss), (2, ours.uss), (3, ours.rss)):
        assert figure == pytest.approx(sum(row[column] for row in mine) * 1024, rel=0.05, abs=128 * 1024)


def test_a_containers_charge_is_the_kernels_own_and_docker_stats(engines: Engines) -> None:
    bench = engines.workbench(engines.subject("docker"))
    instance, backend = engines.ready(bench), bench.backend
    assert isinstance(instance, DockerInstance)
    assert isinstance(backend, DockerBackend)
    command = ["docker", "--host", backend.engine.address]
    try:
        number = subprocess.run(
            [*command, "inspect", "--format", "{{.Id}}", instance.name], capture_output=True, text=True, check=True
        ).stdout.strip()
        ours = charge_of(instance)
        [kernels] = [
            int(file.read_text())
            for name in ("memory.usage_in_bytes", "memory.current")
            for file in Path("/sys/fs/cgroup").glob(f"**/*{number}*/{name}")
        ]
        told = subprocess.run(
            [*command, "stats", "--no-stream", "--format", "{{json .}}", instance.name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        instance.remove()
    assert ours is not None
    assert ours.current is not None
    assert ours.inactive_file is not None
    assert ours.current == pytest.approx(kernels, abs=PAGES_IN_FLIGHT)
    size = re.match(r"([\d.]+)(\w+) /", json.loads(told.stdout)["MemUsage"])
    assert size is not None
    # Its documented definition: the charge without the page cache that was not used lately.
    stats = float(size[1]) * SIZES[size[2]]
    assert ours.current - ours.inactive_file == pytest.approx(stats, rel=0.02, abs=PAGES_IN_FLIGHT)


def test_a_machines_resident_size_is_libvirts(engines: Engines) -> None:
    bench = engines.workbench(engines.subject("vm-bare"))
    instance = engines.ready(bench)
    assert isinstance(instance, VmInstance)
    try:
        told = instance.memory_figures()
        [pid] = next(iter(instance.processes().values()))
        ours, status = read_memory(pid), Path(f"/proc/{pid}/status").read_text()
    finally:
        instance.remove()
    [resident] = re.findall(r"VmRSS:\s+(\d+) kB", status)
    assert ours is not None
    assert ours.rss == pytest.approx(told["rss"], rel=0.03)
    assert int(resident) * 1024 == pytest.approx(told["rss"], rel=0.03)
