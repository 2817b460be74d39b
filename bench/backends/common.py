"""What the backends share: an instance's own directory and channel, and seeing processes end."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterable

from bench.backends.base import Session
from bench.clock import Channel, Event, Timeline
from bench.errors import CleanupFailed, InstanceError
from bench.scenario import Subject

PORT = 8080
"""Where the application listens when the instance has a network of its own."""

_PARK_S = 5.0


class Nest:
    """What every instance has on the host: a name, a nonce, a directory, a timeline and a listening channel.

    Made before the start call, so that no mark can come too early.
    """

    def __init__(self, session: Session, greeting: str = "") -> None:
        self.name = session.next_name()
        self.nonce = session.nonce()
        self.directory = session.directory / self.name
        self.directory.mkdir(mode=0o711)
        self.timeline = Timeline()
        self.channel = Channel(self.directory / "channel", self.timeline, self.nonce, greeting.format(nonce=self.nonce))

    def renew(self) -> Timeline:
        """Begin another timeline for the instance that runs on: its next marks are stamped there."""
        self.timeline = Timeline()
        self.channel.follow(self.timeline, self.nonce)
        return self.timeline

    def wake(self, call: Callable[[], None]) -> Timeline:
        """Let the frozen instance run on by this call and ask it whether it is ready; return its new timeline."""
        timeline = self.renew()
        self.channel.send(f"PING {self.nonce}")
        timeline.stamp(Event.REQUESTED)
        call()
        timeline.stamp(Event.STARTED)
        return timeline

    def reopen(self, greeting: str = "") -> None:
        """Begin another timeline and listen anew, for the instance that is started once more and connects again.

        Args:
            greeting: what the agent is told as soon as it connects, {nonce} filled in.
        """
        self.channel.close()
        self.timeline = Timeline()
        said = greeting.format(nonce=self.nonce)
        self.channel = Channel(self.directory / "channel", self.timeline, self.nonce, said)

    def park(self) -> None:
        """Let the agent hang up and wait until somebody listens anew; return when it did.

        Raises:
            InstanceError: it did not.
        """
        if not self.channel.send("PARK") or not self.channel.closed.wait(_PARK_S):
            raise InstanceError(f"the agent of {self.name} did not hang up within {_PARK_S:g} s")
        self.channel.close()

    def clear(self) -> None:
        """Stop listening and remove the directory. Safe to repeat."""
        self.channel.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def cpu_set(subject: Subject) -> str:
    """Return the host's CPUs that the option `cpus` (how many) leaves to a subject, "1" or "0,1"; "" for all.

    The last ones: the first CPU is where interrupts land.
    """
    count = int(subject.option("cpus", "0"))
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[-count:])) if count else ""


def memory_limit(subject: Subject) -> int | None:
    """Return the bytes that the option `memory_mib` leaves to a subject, None for no limit."""
    mib = int(subject.option("memory_mib", "0"))
    return mib << 20 if mib else None


def limits(subject: Subject, *, memory: bool = True) -> str:
    """Return in words what of the two is limited.

    Args:
        subject: whose options.
        memory: whether its backend limits memory at all.
    """
    cpus, given = cpu_set(subject), memory_limit(subject)
    words = [f"CPU {cpus} of the host"] if cpus else []
    if given is not None:
        words.append(
            f"{given >> 20} MiB of memory" if memory else "memory not limited: no control group can be made for it here"
        )
    return ", ".join(words) or "none"


def free_port() -> int:
    """Return a loopback port nobody listens on, for applications that share the host's network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Farewell:
    """Sees processes end: hold their pidfds before the kill, then wait.

    A pidfd becomes readable when its process terminates, reaped or not (pidfd_open(2)), and never means
    another process that got the same number.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._open: list[int] = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self._open.append(os.pidfd_open(pid))

    def wait(self, timeout_s: float) -> int | None:
        """Return the CLOCK_MONOTONIC nanosecond at which the last one was gone, or None if some still live."""
        poller = select.poll()
        waiting = set(self._open)
        for descriptor in waiting:
            poller.register(descriptor, select.POLLIN)
        gone_ns = time.monotonic_ns()
        deadline = time.monotonic() + timeout_s
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poller.poll(left * 1000):
                gone_ns = time.monotonic_ns()
                poller.unregister(descriptor)
                waiting.discard(descriptor)
        self.close()
        return None if waiting else gone_ns

    def close(self) -> None:
        """Let go of the pidfds. Safe to repeat."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()


def end(name: str, timeline: Timeline, pids: Iterable[int], kill: Callable[[], None], patience_s: float) -> None:
    """Kill an instance by this call. STOPPING is before the call, STOPPED when the last of these processes is gone.

    Raises:
        CleanupFailed: one of them still lives when the patience is over.
    """
    farewell = Farewell(pids)
    timeline.stamp(Event.STOPPING)
    kill()
    gone_ns = farewell.wait(patience_s)
    if gone_ns is None:
        raise CleanupFailed(f"{name} still lives {patience_s:g} s after SIGKILL")
    timeline.stamp(Event.STOPPED, gone_ns)


def fill_in(command: Iterable[str], port: int) -> list[str]:
    """Return the application's command with its port in place."""
    return [word.replace("{port}", str(port)) for word in command]


def find_program(name: str) -> str | None:
    """Return a program's path, or None; distributions keep some (runc, dockerd) in sbin, which is not in every PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
