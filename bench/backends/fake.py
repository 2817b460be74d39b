"""A backend without engines: seeded start times, and every failure on demand. For tests, simulations and a first look.

Nothing sleeps: the stamps are drawn, not waited for, so a thousand runs take seconds. Options of a subject:

    ready_s   median of requested→ready, seconds (lognormal)          sigma    its spread on the log scale
    drift     added per start, as a share of ready_s                  modes    share of starts that take twice as long
    outliers  share of starts that take five times as long
    memory    how much a start resembles the one before: the lag-1 correlation of the lognormal's logarithms
    fail      "refuse", "die" or "hang"                               fail_every  which starts fail (1: all)
    seed      the first state of its random numbers
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from bench.backends.base import Agent, Availability, DiskUse, Role, Session
from bench.clock import Event, Timeline
from bench.errors import InstanceDied, InstanceError
from bench.scenario import Subject

_SHARES = ((Event.CREATED, 0.1), (Event.STARTED, 0.3), (Event.INIT, 0.8), (Event.READY, 1.0))


SLOW_MODE = 2.0
"""How many times as long a start of the second mode takes."""

OUTLIER = 5.0
"""How many times as long an outlier takes."""


class Draws:
    """A subject's start times, seconds, one after another: what `launch` stamps, and what a simulation judges.

    Attributes:
        ready_s, sigma, drift, modes, outliers, memory: the subject's options, as numbers.
        start: how many were drawn.
    """

    def __init__(self, subject: Subject) -> None:
        self.ready_s = float(subject.option("ready_s", "0.1"))
        self.sigma = float(subject.option("sigma", "0.1"))
        self.drift, self.modes, self.outliers, self.memory = (
            float(subject.option(name, "0")) for name in ("drift", "modes", "outliers", "memory")
        )
        self.start = 0
        self._chance = random.Random(f"{subject.option('seed', '0')} {subject.name}")
        self._state = 0.0

    def skip(self) -> None:
        """Count a start that takes no time: it failed before it was drawn."""
        self.start += 1

    def next(self) -> float:
        """Draw one start: a stationary first-order autoregression on the log scale, times modes, plus drift."""
        chance, fresh = self._chance, self.start == 0
        self.start += 1
        news = chance.normalvariate(0.0, 1.0)
        self._state = news if fresh else self.memory * self._state + math.sqrt(1.0 - self.memory**2) * news
        value = self.ready_s * math.exp(self.sigma * self._state)
        value *= SLOW_MODE if chance.random() < self.modes else 1.0
        value *= OUTLIER if self.outliers and chance.random() < self.outliers else 1.0
        return value + self.ready_s * self.drift * self.start


class FakeAgent:
    """An agent that answers every command with its own text."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._timeline: Timeline | None = None
        self._nonce = ""

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """Stamp the next answer there."""
        self._timeline, self._nonce = timeline, nonce

    def send(self, line: str) -> bool:
        """Accept any line while alive; a PING with the nonce that is followed is answered at once."""
        if line == f"PING {self._nonce}" and self._timeline is not None and not self.closed.is_set():
            self._timeline.stamp(Event.READY)
        return bool(line) and not self.closed.is_set()

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        """Return (0, the command)."""
        if self.closed.is_set() or timeout_s <= 0:
            raise InstanceDied("the fake instance is gone")
        return 0, command.encode()


class FakeInstance:
    """An instance whose whole life is drawn when it is launched."""

    def __init__(self, name: str, timeline: Timeline) -> None:
        self.name = name
        self.timeline = timeline
        self.channel: Agent = FakeAgent()

    def alive(self) -> bool:
        """Say whether it has neither died nor been stopped."""
        return not self.channel.closed.is_set()

    def last_words(self) -> str:
        """Return what a dead one said."""
        return "" if self.alive() else "fake: killed on request"

    def pause(self) -> None:
        """Do nothing: nothing runs."""

    def resume(self) -> None:
        """Answer at once, on a timeline of its own."""
        self.timeline = Timeline()
        for event in (Event.REQUESTED, Event.STARTED, Event.READY):
            self.timeline.stamp(event)

    def stop(self) -> None:
        """End it, once."""
        # Its life was drawn, not waited for: READY may lie in the future.
        began = self.timeline.stamp(Event.STOPPING, max(time.monotonic_ns(), *self.timeline.as_dict().values()))
        self.timeline.stamp(Event.STOPPED, began + 1_000_000)
        self.channel.closed.set()

    def remove(self) -> None:
        """Stop it if need be and forget it."""
        self.stop()
        stopped = self.timeline.at(Event.STOPPED) or time.monotonic_ns()
        self.timeline.stamp(Event.REMOVED, stopped + 1_000_000)

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        """Return no process: there is none."""
        return {}

    def cgroup_pid(self) -> int | None:
        """Return None: there is no process."""
        return None

    def disk(self) -> DiskUse:
        """Return figures of no real disk."""
        return DiskUse(
            download=1 << 20, unpacked=3 << 20, image=2 << 20, shared=2 << 20, unique=1 << 12, virtual=1 << 30
        )


class FakeBackend:
    """Draws instances from distributions its subjects' options name."""

    def __init__(self) -> None:
        self._draws: dict[str, Draws] = {}
        self._session: Session | None = None
        self.live = 0

    def check(self, subject: Subject) -> Availability:
        """Say yes, unless the subject's option `missing` gives a reason."""
        reason = subject.option("missing")
        return Availability(
            usable=not reason, reason=reason, hint="" if not reason else "remove the option", detail="fake"
        )

    def open(self, session: Session) -> None:
        """Take the session."""
        self._session = session

    def prepare(self, subject: Subject) -> None:
        """Seed the subject's random numbers."""
        self._draws[subject.name] = Draws(subject)

    def launch(self, subject: Subject) -> FakeInstance:
        """Draw one instance's life.

        Raises:
            InstanceError: the option `fail` is "refuse" and it is this start's turn.
        """
        if self._session is None:
            raise InstanceError("the fake backend is not open")
        draws = self._draws[subject.name]
        failing = subject.option("fail") if (draws.start + 1) % int(subject.option("fail_every", "1")) == 0 else ""
        if failing == "refuse":
            draws.skip()
            raise InstanceError("the fake engine refused to start it", "as its option fail says")
        instance = FakeInstance(self._session.next_name(), Timeline())
        asked = instance.timeline.stamp(Event.REQUESTED)
        total_s = draws.next()
        reached = {"die": 2, "hang": 2}.get(failing, len(_SHARES))
        for event, share in _SHARES[:reached]:
            instance.timeline.stamp(event, asked + round(total_s * share * 1e9))
        if failing == "die":
            instance.channel.closed.set()
        return instance

    def accelerator(self, subject: Subject) -> str:
        """Return the option `accelerator`."""
        return subject.option("accelerator")

    def pool(self, subject: Subject) -> Path | None:
        """Return None: it has no disk."""
        del subject
        return None

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return nothing: no file is read."""
        del subject
        return ()

    def control_plane(self) -> tuple[int, ...]:
        """Return nothing: no daemon."""
        return ()

    def facts(self) -> Mapping[str, str]:
        """Return that all this is fake."""
        return {"engine": "fake: no instance was started"}

    def manifest(self, subject: Subject) -> Mapping[str, str]:
        """Return the subject's options."""
        return {"rootfs": subject.rootfs, **{key: str(value) for key, value in subject.options.items()}}

    def close(self) -> None:
        """Forget the session."""
        self._session = None
