"""The tools in real instances: every measure gives its figure, and the limits that are stated are the limits."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.clock import Channel, Event
from bench.plan import make_plan
from bench.probes import overhead as probe
from bench.probes.base import Workbench
from bench.sample import Status
from tests.conftest import Engines

MEASURED = ("system-calls", "cpu-integer", "file-read-random", "nginx", "loopback-throughput")
LIMITED = ["process", "namespaces", "oci-runc", "docker", "vm-direct"]


def workbench(engines: Engines, name: str, *measures: str) -> Workbench:
    """Return a workbench for one trial of the scenario, with these measures only."""
    settings = {"seconds": 0, **dict.fromkeys(measures, 1)}
    change = {"subjects": (name,), "excluded": {}, "profiles": {}, "settings": settings}
    scenario = engines.catalogue.scenarios["overhead"].model_copy(update=change)
    subjects = {name: engines.subject(name)}
    trial = make_plan([scenario], subjects, engines.catalogue.profiles["quick"], 1).trials[0]
    return Workbench(trial, engines.backend(trial.subject), engines.session)


@contextlib.contextmanager
def started(engines: Engines, name: str) -> Iterator[int]:
    """Start the subject as the scenario wants it; yield its one process."""
    bench = workbench(engines, name)
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        (pid,) = (pid for pids in instance.processes().values() for pid in pids)
        yield pid


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITED)
def test_all_that_is_asked_for_is_measured(engines: Engines, name: str) -> None:
    samples = list(probe.overhead(workbench(engines, name, *MEASURED)))
    assert {s.metric: s.reason for s in samples if s.status is not Status.OK} == {}
    assert {s.metric for s in samples} == {*MEASURED, "host-cpu", "host-softirq"}
    burnt = {s.params["measure"]: s.value for s in samples if s.metric == "host-cpu"}
    # One CPU for all that belongs to it, a machine's monitor included; a busy host gives less.
    assert 0.1 < (burnt["cpu-integer"] or 0.0) < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["process", "docker"])
def test_fio_and_iperf3_say_the_same_of_themselves(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The sample is what follows from bytes, requests and time, which the tools print beside the rates we read."""
    printed: dict[str, dict[str, Any]] = {}
    run = Channel.run

    def kept(self: Channel, command: str, timeout_s: float) -> tuple[int, bytes]:
        code, output = run(self, command, timeout_s)
        tool = next((t for t in ("--rw=read ", "--rw=randwrite ", "iperf3 -s") if t in command), "")
        if tool:
            printed[tool] = json.loads(output[output.index(b"{") :])
        return code, output

    monkeypatch.setattr(Channel, "run", kept)
    bench = workbench(engines, name, "file-read", "file-write-random", "loopback-throughput")
    found = {s.metric: s.value for s in probe.overhead(bench) if not s.params}
    read = printed["--rw=read "]["jobs"][0]["read"]
    assert found["file-read"] == pytest.approx(read["io_bytes"] / (read["runtime"] / 1000), rel=0.01)
    write = printed["--rw=randwrite "]["jobs"][0]["write"]
    assert write["total_ios"] * 4096 == write["io_bytes"]
    assert found["file-write-random"] == pytest.approx(write["total_ios"] / (write["runtime"] / 1000), rel=0.01)
    received = printed["iperf3 -s"]["end"]["sum_received"]
    assert found["loopback-throughput"] == pytest.approx(received["bytes"] / received["seconds"], rel=0.01)
    sent = printed["iperf3 -s"]["end"]["sum_sent"]
    assert received["bytes"] <= sent["bytes"] * 1.01, "the receiver's bytes, not those the sender still had to deliver"


@pytest.mark.parametrize("name", LIMITED)
def test_one_cpu_is_what_they_see(engines: Engines, name: str) -> None:
    bench = workbench(engines, name)
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert instance.channel.run("nproc", 30.0) == (0, b"1\n")


def test_a_machines_monitor_is_kept_to_the_same_cpu(engines: Engines) -> None:
    with started(engines, "vm-direct") as pid:
        tasks = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        assert len(tasks) > 1
        assert {frozenset(os.sched_getaffinity(task)) for task in tasks} == {frozenset({max(os.sched_getaffinity(0))})}


def test_a_machines_disk_is_read_past_the_hosts_page_cache(engines: Engines) -> None:
    """Else O_DIRECT inside would read what the host has in memory, and outrun the disk that containers wait for."""
    with started(engines, "vm-direct") as pid:
        opened = [path for path in Path(f"/proc/{pid}/fd").iterdir() if path.readlink().suffix == ".qcow2"]
        own = [path.name for path in opened if engines.session.scratch.name in str(path.readlink())]
        flags = [
            int(line.split()[1], 8)
            for line in Path(f"/proc/{pid}/fdinfo/{own[0]}").read_text("ascii").splitlines()
            if line.startswith("flags:")
        ]
        assert flags[0] & os.O_DIRECT


@pytest.mark.parametrize("name", ["process", "namespaces", "oci-runc", "docker"])
def test_memory_beyond_the_limit_is_refused_by_the_kernel(engines: Engines, name: str) -> None:
    subject = engines.subject(name).model_copy(update={"rootfs": "minimal", "options": {
        **engines.subject(name).options, "memory_mib": 32}})  # fmt: skip
    bench = engines.workbench(subject)
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        fill = "head -c {}m /dev/zero | tail -c {}m | wc -c"
        assert instance.channel.run(fill.format(8, 8), 30.0) == (0, b"8388608\n")
        _, output = instance.channel.run(fill.format(96, 96), 30.0)
        assert b"100663296" not in output


@pytest.mark.parametrize("metric", probe.BRIDGED)
def test_only_a_bridge_is_measured_as_one(engines: Engines, metric: str) -> None:
    asked = {"docker": Status.OK, "vm-direct-tuned": Status.OK, "oci-runc": Status.UNSUPPORTED}
    for name, status in asked.items():
        figure, *beside = probe.overhead(workbench(engines, name, metric))
        assert (figure.metric, figure.status) == (metric, status), figure.reason
        assert [s.metric for s in beside] == ["host-cpu", "host-softirq"] * (status is Status.OK)


@pytest.mark.parametrize("name", ["docker", "vm-direct"])
def test_both_figures_of_a_bridge_come_from_one_instance(engines: Engines, name: str) -> None:
    """The second server must not wait for the first one's port."""
    samples = list(probe.overhead(workbench(engines, name, *probe.BRIDGED)))
    assert {s.metric: s.reason for s in samples if s.status is not Status.OK} == {}
    assert {s.metric for s in samples if not s.params} == probe.BRIDGED.keys()
