"""What is seen from inside real instances: the same search finds everything in a process and little behind walls."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bench.clock import Event
from bench.errors import InstanceError
from bench.plan import make_plan
from bench.probes import isolation as probe
from bench.probes.base import Workbench
from bench.rootfs.agent import look_binary
from bench.rootfs.build import build_tree
from bench.rootfs.recipe import load_recipe
from bench.sample import Sample, Status
from tests.conftest import Engines

Found = dict[tuple[str, str], float | None]


def workbench(engines: Engines, name: str) -> Workbench:
    """Return a workbench for one trial of the scenario."""
    change = {"subjects": (name,), "excluded": {}, "profiles": {}}
    scenario = engines.catalogue.scenarios["isolation"].model_copy(update=change)
    trial = make_plan([scenario], {name: engines.subject(name)}, engines.catalogue.profiles["quick"], 1).trials[0]
    return Workbench(trial, engines.backend(trial.subject), engines.session)


def asked(engines: Engines, name: str) -> tuple[Found, list[Sample]]:
    """Return one trial's values by (metric, part), and its samples."""
    bench = workbench(engines, name)
    samples = list(probe.isolation(bench))
    assert [s.reason for s in samples if s.status in (Status.FAILED, Status.TIMEOUT)] == []
    assert {s.metric for s in samples} == {m.name for m in bench.trial.scenario.metrics}
    left = [path.name for path in engines.session.scratch.iterdir() if path.name.startswith("marker-")]
    assert left == [], "the planted file is still there"
    assert probe._numbers("hold") == [], "a planted process still lives"
    return {(s.metric, s.params.get("part", "")): s.value for s in samples}, samples


def test_without_walls_everything_is_found(engines: Engines) -> None:
    """The proof that the search can find: a changed root hides nothing from root."""
    shared = build_tree(load_recipe(engines.subject("process").rootfs), engines.session.cache).directory / "tmp"
    before = set(shared.iterdir())
    found, _ = asked(engines, "process")
    assert set(shared.iterdir()) == before, "the searching programs, in the directory that every process shares"
    assert found["host-file", "process-root"] == found["host-file", "second-root"] == 1
    assert found["host-memory", "total"] == found["neighbour-memory", "total"] == 3
    facts = {part: value for (metric, part), value in found.items() if metric == "host-facts" and part != "total"}
    known = {part for part, value in facts.items() if value is not None}
    assert known >= {"kernel-release", "boot-id", "uptime", "processor", "memory-size", "processes"}
    assert {part for part in known if facts[part] != 1} == set()
    assert (found["own-kernel", ""], found["root-is-hosts", ""]) == (0, 1)
    assert found["port-reached", "host-loopback"] == 1
    assert found["neighbour-unharmed", ""] == 1


def test_docker_hides_files_and_memory_and_shares_the_kernel(engines: Engines) -> None:
    found, _ = asked(engines, "docker")
    assert found["host-file", "total"] == found["host-memory", "total"] == found["neighbour-memory", "total"] == 0
    assert (found["host-facts", "boot-id"], found["host-facts", "processes"]) == (1, 0)
    assert (found["own-kernel", ""], found["root-is-hosts", ""]) == (0, 1)
    assert found["capabilities", ""] == 14, "moby, oci/caps/defaults.go"
    assert (found["capabilities-nobody", ""], found["seccomp", ""], found["writable-settings", ""]) == (0, 2, 0)
    ports = {part: value for (metric, part), value in found.items() if metric == "port-reached"}
    assert ports == {"address": 1, "neighbour": 1, "host-loopback": 0, "host-addresses": 0, "total": 2}
    assert found["neighbour-unharmed", ""] == 1


def test_on_the_hosts_network_the_port_is_the_hosts(engines: Engines) -> None:
    found, _ = asked(engines, "docker-hostnet")
    ports = {part: value for (metric, part), value in found.items() if metric == "port-reached"}
    assert ports["host-loopback"] == 1
    assert ports["host-addresses"] in (1, None), "no engine's bridge: nothing else may be opened"


def test_a_guest_has_a_kernel_of_its_own(engines: Engines) -> None:
    found, samples = asked(engines, "vm-direct-tuned")
    assert (found["own-kernel", ""], found["root-is-hosts", ""]) == (1, 0)
    assert found["host-facts", "total"] is not None
    assert found["host-facts", "total"] <= 2
    assert found["host-facts", "boot-id"] == found["host-memory", "total"] == found["neighbour-memory", "total"] == 0
    [reason] = {s.reason for s in samples if s.metric == "port-reached" and s.status is Status.UNSUPPORTED}
    assert reason == "there is no address by which the host could reach it"
    assert found["neighbour-unharmed", ""] == 1


def test_a_search_that_cannot_find_fails(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file inside is not planted: the answer is no 0, and the other questions are asked all the same."""
    really = probe.Lookout.shell
    monkeypatch.setattr(
        probe.Lookout, "shell", lambda self, c: "" if c.startswith("echo found") else really(self, c)
    )  # fmt: skip
    samples = list(probe.isolation(workbench(engines, "namespaces")))
    failed = {s.metric: s.reason for s in samples if s.status is Status.FAILED}
    assert set(failed) == {"host-file", "mounts", "devices", "userland-files", "userland-bytes"}
    assert "did not even find" in failed["host-file"]
    assert {s.metric for s in samples if s.status is Status.OK} >= {"host-facts", "init", "neighbour-unharmed"}


def test_a_port_that_is_taken_is_no_failure(engines: Engines) -> None:
    with socket.create_server(("127.0.0.1", probe.BACKDOOR)):
        samples = [s for s in probe.isolation(workbench(engines, "process")) if s.metric == "port-reached"]
    assert [(s.status, s.reason) for s in samples] == [
        (Status.UNSUPPORTED, "somebody listens on port 31337 of that network already")
    ]


def test_a_killed_neighbour_is_not_called_unharmed(engines: Engines) -> None:
    bench = workbench(engines, "process")
    with bench.launched() as first, bench.launched() as second:
        for instance in (first, second):
            bench.wait(instance, Event.READY)
        program = look_binary(engines.session.cache).read_bytes()
        one, other = probe.Lookout(first, program), probe.Lookout(second, program)
        other.leave()
        second.stop()
        scene = probe.Scene(
            bench=bench, program=Path(), word="", marker=Path(), secret=probe.Secret("", "", ""), instance=one,
            neighbour=other, host=None, inside=None,  # type: ignore[arg-type]
        )  # fmt: skip
        assert [s.value for s in probe._failure(scene)] == [0.0]


def test_a_command_that_fails_inside_is_told(engines: Engines) -> None:
    bench = workbench(engines, "process")
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        place = probe.Lookout(instance, look_binary(engines.session.cache).read_bytes())
        with pytest.raises(InstanceError, match="inside ended with 2"):
            place.look("dance")
        place.leave()
        assert place.shell("ls /tmp").split() == []
