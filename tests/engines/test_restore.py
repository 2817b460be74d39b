"""Pausing, resuming and starting again with real engines: what sleeps answers nothing, what woke answers."""

from __future__ import annotations

import time

import pytest

from bench.backends.base import Pausable, Restartable
from bench.clock import Event, Timeline
from bench.probes.restore import round_trip
from tests.conftest import Engines

PAUSABLE = ["process", "namespaces", "oci-runc", "oci-crun", "docker", "vm-direct-tuned"]


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
        instance.resume()
        bench.wait(instance, Event.READY)
        assert instance.timeline is not launched
        ready = instance.timeline.seconds(Event.REQUESTED, Event.READY)
        assert ready is not None
        assert 0 < ready < 5
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
