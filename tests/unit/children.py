"""Processes with known habits, for tests: they idle, burn a known share of a core, or end by themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.backends.base import Agent, DiskUse, Role
from bench.backends.fake import FakeAgent, FakeBackend
from bench.clock import Event, Timeline
from bench.errors import InstanceDied
from bench.plan import Trial
from bench.sample import Phase
from bench.scenario import Profile, Scenario, Subject

SLEEPER = "print('here', flush=True); import sys; sys.stdin.read()"

BURNER = """
import sys, time
share, step = float(sys.argv[1]), 0.05
print("here", flush=True)
began, burnt = time.monotonic(), time.process_time()
while True:
    # It owes so much CPU time by now, whatever the scheduler did: the share is kept over any long window.
    if time.process_time() - burnt < (time.monotonic() - began) * share:
        sum(range(2000))
    else:
        time.sleep(step)
"""

THREADED = """
import sys, threading, time
print("here", flush=True)
def burn():
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
sys.stdin.readline()
thread = threading.Thread(target=burn)
thread.start()
thread.join()
print("burnt", flush=True)
sys.stdin.read()
"""


@contextmanager
def child(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python program that says "here" when it is there; end it afterwards."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        try:
            yield process
        finally:
            process.kill()


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
