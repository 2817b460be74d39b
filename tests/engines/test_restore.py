"""Pausing, resuming and starting again with real engines: what sleeps answers nothing, what woke answers."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from bench.backends.abilities import Pausable, Restartable
from bench.backends.criu import bring_loopback_up
from bench.backends.oci import OciInstance
from bench.clock import Event, Timeline
from bench.errors import InstanceError
from bench.probes.restore import round_trip
from tests.conftest import Engines

PAUSABLE = ["process", "namespaces", "oci-runc", "oci-crun", "docker", "vm-direct-tuned"]


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    return sum(str(path.readlink()).startswith("socket:") for path in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.parametrize("name", PAUSABLE)
def test_what_is_paused_answers_nothing_until_it_is_resumed(engines: Engines, name: str) -> None:
    bench = engines.workbench(engines.subject(name))
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert isinstance(instance, Pausable)
        launched = instance.timeline
        assert round_trip(bench, instance) > 0
        instance.pause()
        asleep = Timeline()
        instance.channel.follow(asleep, "asleep")
        assert instance.channel.send("PING asleep")
        assert not asleep.wait(Event.READY, 0.4)
        began = time.monotonic()
        instance.resume()
        bench.wait(instance, Event.READY)
        took = time.monotonic() - began
        assert instance.timeline is not launched
        ready = instance.timeline.seconds(Event.REQUESTED, Event.READY)
        assert ready is not None
        assert 0 < ready < took, "neither the launch nor the sleep is in it"
        assert instance.channel.run("echo awake", 20.0) == (0, b"awake\n")
        instance.stop()
        assert instance.timeline.at(Event.STOPPED) is not None


@pytest.mark.parametrize("name", ["oci-runc", "docker", "vm-direct-tuned", "process"])
def test_what_is_paused_can_be_removed(engines: Engines, name: str) -> None:
    bench = engines.workbench(engines.subject(name))
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert isinstance(instance, Pausable)
        instance.pause()
        began = time.monotonic()
    assert time.monotonic() - began < 8
    assert instance.timeline.at(Event.REMOVED) is not None


def test_a_stopped_container_starts_again_with_what_it_wrote(engines: Engines) -> None:
    bench = engines.workbench(engines.subject("docker"))
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert isinstance(instance, Restartable)
        assert instance.channel.run("echo kept >/kept", 20.0) == (0, b"")
        first = instance.processes()
        instance.stop()
        assert not instance.alive()
        instance.start_again()
        bench.wait(instance, Event.READY)
        assert instance.timeline.at(Event.INIT) is not None
        assert instance.timeline.at(Event.STOPPING) is None
        assert instance.channel.run("cat /kept", 20.0) == (0, b"kept\n")
        assert instance.processes() != first


@pytest.mark.parametrize("name", ["oci-runc", "oci-crun"])
def test_an_agent_that_was_parked_finds_who_listens_anew(engines: Engines, name: str) -> None:
    """What a checkpoint asks of the agent, without the checkpoint: no connection in between, and one afterwards."""
    bench = engines.workbench(engines.subject(name))
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert isinstance(instance, OciInstance)
        pid = instance.cgroup_pid()
        assert sockets(pid) == 1, "the channel"
        instance._nest.park()
        assert sockets(pid) == 0
        assert instance.alive()
        time.sleep(0.1)
        instance._nest.reopen("PING {nonce}")
        instance.timeline, instance.channel = instance._nest.timeline, instance._nest.channel
        bench.wait(instance, Event.READY)
        assert instance.channel.run("echo back", 20.0) == (0, b"back\n")
        assert round_trip(bench, instance) > 0


def test_a_loopback_interface_is_brought_up_in_another_network_namespace() -> None:
    def is_up() -> bool:
        look = ["nsenter", "--target", str(sleeper.pid), "--net", "ip", "-o", "link", "show", "lo", "up"]
        return bool(subprocess.run(look, capture_output=True, check=True).stdout)

    own = Path("/proc/self/ns/net").readlink()
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as sleeper:
        try:
            assert sleeper.stdout
            sleeper.stdout.readline()
            assert not is_up()
            bring_loopback_up(sleeper.pid)
            assert is_up()
        finally:
            sleeper.kill()
    assert Path("/proc/self/ns/net").readlink() == own
    with pytest.raises(InstanceError, match="loopback interface stays down"):
        bring_loopback_up(sleeper.pid)
