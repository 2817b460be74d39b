"""Processes with known habits, for tests: they idle, or do as they are told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

from bench.backends.base import Agent, DiskUse, Role
from bench.backends.fake import FakeAgent, FakeBackend
from bench.clock import Event, Timeline
from bench.errors import InstanceDied
from bench.plan import Trial
from bench.sample import Phase
from bench.scenario import Profile, Scenario, Subject
from tests.waiting import until

SLEEPER = "print('here', flush=True); import sys; sys.stdin.read()"

OBEDIENT = """
import sys, threading, time
def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
kept = []
print("here", flush=True)
for line in sys.stdin:
    what, amount = line.split()
    if what == "burn":  # in a thread of its own, which is gone afterwards
        thread = threading.Thread(target=burn, args=[float(amount)])
        thread.start()
        thread.join()
    elif what == "nap":
        for _ in range(int(amount)):
            time.sleep(0.01)
    elif what == "keep":
        kept.append(b"x" * int(amount))
    print("done", flush=True)
"""
"""Burns so much CPU time, naps so often, keeps so many bytes: as told, however busy the host is, and says when."""


@contextmanager
def child(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python program that says "here" when it is there, and wait until it waits too; end it afterwards."""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        try:
            until(lambda: psutil.Process(process.pid).status() != psutil.STATUS_RUNNING)
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[bytes], order: str) -> None:
    """Tell an obedient one what to do, as "burn 0.2"."""
    assert process.stdin is not None
    process.stdin.write(f"{order}\n".encode())
    process.stdin.flush()


def await_done(*processes: subprocess.Popen[bytes]) -> None:
    """Wait until each has done what it was told."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"


class Keeper:
    """An instance of real processes that somebody else started."""

    def __init__(self, backend: Keepers) -> None:
        self.name = f"keeper-{backend.launched}"
        self.timeline = Timeline()
        self.timeline.stamp(Event.REQUESTED)
        self.channel: Agent = FakeAgent()
        self.timeline.stamp(Event.READY)
        self._backend = backend

    def alive(self) -> bool:
        return not self._backend.dead

    def last_words(self) -> str:
        return "it was dead"

    def stop(self) -> None:
        self.timeline.stamp(Event.STOPPED)

    def remove(self) -> None:
        if self.timeline.at(Event.REMOVED) is None:
            self._backend.live -= 1
        self.timeline.stamp(Event.REMOVED)

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        return self._backend.members

    def cgroup_pid(self) -> int | None:
        return self._backend.grouped

    def disk(self) -> DiskUse:
        return DiskUse()


class Keepers(FakeBackend):
    """Launches keepers; `refuse_at` is the launch that fails."""

    def __init__(self, members: Mapping[Role, tuple[int, ...]] | None = None, daemons: Sequence[int] = ()) -> None:
        super().__init__()
        self.members = members or {}
        self.daemons = tuple(daemons)
        self.grouped: int | None = None
        self.dead = False
        self.refuse_at = 0
        self.launched = self.live = self.most = 0

    def launch(self, subject: Subject) -> Keeper:  # type: ignore[override]
        del subject
        self.launched += 1
        if self.launched == self.refuse_at:
            raise InstanceDied("no more")
        self.live += 1
        self.most = max(self.most, self.live)
        return Keeper(self)

    def control_plane(self) -> tuple[int, ...]:
        return self.daemons


def keeper_trial(scenario: Scenario) -> Trial:
    """Return one measured trial of a scenario with a subject of the keepers."""
    return Trial(
        index=0, scenario=scenario, subject=Subject(name="keeper", title="k", backend="fake"), block=0, position=0,
        phase=Phase.MEASURE, profile=Profile(name="quick", blocks=1, warmup=0), expected_s=1.0,
    )  # fmt: skip
