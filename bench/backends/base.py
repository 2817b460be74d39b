"""What a backend promises: instances of a subject, their events on the host's clock, and nothing left behind."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from bench.clock import Timeline
from bench.scenario import Subject


class Role(StrEnum):
    """Whose cost a process is: every byte and CPU second is attributed to one of these."""

    WORKLOAD = "workload"
    """The instance's own processes (in a container, or the process tree itself)."""
    VMM = "vmm"
    """The virtual machine monitor: QEMU, guest memory included."""
    SHIM = "shim"
    """What an engine keeps per container beside the container."""
    CONTROL_PLANE = "control-plane"
    """The engine's daemons, shared by all instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a subject can be measured here. Never raised, always shown.

    Attributes:
        usable: False means `reason` says why and `hint` how to get it.
        detail: which engine, version, address will be used, and why.
    """

    usable: bool
    detail: str = ""
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """Bytes on the host's disk that belong to one instance or to what its kind shares. None: unknown.

    Attributes:
        download: bytes to fetch before a first start (the compressed image).
        unpacked: apparent bytes of the unpacked image: what `docker images` calls SIZE.
        download_own: what of it no other application on the same base fetches.
        shared: allocated bytes (st_blocks × 512) used by all instances on the same base together.
        layer: allocated bytes of the application's own layer, used by all its instances; 0 where the base is all.
        unique: allocated bytes of this one instance beyond the shared ones.
        virtual: the size the instance believes its disk to have.
        image: allocated bytes of the packed image alone.
        unknown: why what of this is None could not be weighed; empty: it has no such thing.
    """

    download: int | None = None
    download_own: int | None = None
    unpacked: int | None = None
    image: int | None = None
    shared: int | None = None
    layer: int | None = 0
    unique: int | None = None
    virtual: int | None = None
    unknown: str = ""


Watched = Literal["process", "directory", "containers", "qemu", "netdev", "cgroup"]
"""What the guardian can sweep, and the words that name it:

process     PID               a process the suite started, with its descendants
directory   PATH              a tree to remove, its mounts detached first; below session.directory or session.scratch
containers  SOCKET LABEL      containers, images, networks and volumes with the label ("bench.run=<run id>") in a
                              Docker engine
qemu        PREFIX [ROOT]     QEMU processes whose guest name begins with PREFIX (and whose command line has ROOT)
netdev      NAME              a network device; the name begins with "bench"
cgroup      NAME              cgroups "NAME" in every hierarchy, their processes killed first; the last part of the
                              name begins with "bench"
"""


class Guard(Protocol):
    """Who sweeps what the run leaves behind, however it ends (bench.running.guardian.Guardian)."""

    def watch(self, kind: Watched, *words: str) -> None:
        """Name something that could outlive the run, best before it is created. Costs microseconds."""
        ...

    def release(self, kind: Watched, *words: str) -> None:
        """Take the name back, by the same words, when it is gone."""
        ...


class Unguarded:
    """A guard that sweeps nothing, for tests and for reading."""

    def watch(self, kind: Watched, *words: str) -> None:
        """Do nothing."""

    def release(self, kind: Watched, *words: str) -> None:
        """Do nothing."""


@dataclass(slots=True, kw_only=True)
class Session:
    """What one run lends its backends.

    Attributes:
        run_id: labels everything that is created.
        directory: a short, private directory for sockets and pid files, removed at the end.
        scratch: a private directory on a real disk for overlays and engine data, removed at the end.
        cache: a lasting directory for built root file systems and disks.
        say: receives one line about what is being prepared (progress shows it).
        accelerators: what the run decided about /dev/kvm, by guest ("rom", "kernel") → "kvm" or "tcg".
        guard: is told of everything that could outlive the run.
    """

    run_id: str
    directory: Path
    scratch: Path
    cache: Path
    say: Callable[[str], None] = lambda _: None
    accelerators: dict[str, str] = field(default_factory=dict)
    guard: Guard = field(default_factory=Unguarded)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def next_name(self) -> str:
        """Return a name for the next instance: unique (among threads too), short, carrying the run's id."""
        return f"bench-{self.run_id[-6:]}-{next(self._count)}"

    @staticmethod
    def nonce() -> str:
        """Return the word by which an instance's marks are known as its own."""
        return secrets.token_hex(6)


class Agent(Protocol):
    """The suite's agent inside an instance, as seen from the host (bench.clock.Channel, or the fake's)."""

    closed: threading.Event
    """Set when the agent has hung up."""

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """Stamp the marks that carry this nonce on this timeline from now on."""
        ...

    def send(self, line: str) -> bool:
        """Send one line; False if nobody is connected."""
        ...

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        """Run a shell command inside; return (exit code, output)."""
        ...


class Instance(Protocol):
    """One live container, VM or process tree."""

    name: str
    timeline: Timeline
    channel: Agent

    def alive(self) -> bool:
        """Say whether it still runs. May ask the engine; not for tight loops."""
        ...

    def last_words(self) -> str:
        """Return what it said last (console or log tail), for the reason of a failure."""
        ...

    def stop(self) -> None:
        """End it at once (kill, destroy). Stamps STOPPING before and STOPPED when its last process is gone."""
        ...

    def remove(self) -> None:
        """Remove what is left of it, also if it still runs or never did. Stamps REMOVED. Safe to repeat."""
        ...

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        """Return the pids that exist because of this instance, by role (no control plane)."""
        ...

    def cgroup_pid(self) -> int | None:
        """Return a pid whose cgroup is this instance's own, or None if it has no cgroup of its own."""
        ...

    def disk(self) -> DiskUse:
        """Return its bytes on the host's disk."""
        ...


class Backend(Protocol):
    """Something that can give us a Linux to run a workload in.

    The order of calls: check → open → prepare (each subject) → launch … → close; sweep at any time.
    """

    def check(self, subject: Subject) -> Availability:
        """Say whether this subject can be measured here. Reads only; never raises; takes under a second."""
        ...

    def open(self, session: Session) -> None:
        """Connect to the engine, or start a private one. Never timed."""
        ...

    def prepare(self, subject: Subject) -> None:
        """Build, import, cache whatever launch needs. Never timed. Repeating it costs nothing."""
        ...

    def launch(self, subject: Subject) -> Instance:
        """Ask for one instance. Stamps REQUESTED, CREATED and STARTED; returns without waiting for INIT or READY.

        Raises:
            InstanceError: the engine refused; nothing is left behind.
        """
        ...

    def accelerator(self, subject: Subject) -> str:
        """Return "kvm" or "tcg" for a subject that is a VM, "" for any other. Known after prepare."""
        ...

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return the files and trees that a start reads and no running daemon holds: what cold and warm are about.

        Raises:
            Unsupported: its engine keeps them where they cannot be named.
        """
        ...

    def pool(self, subject: Subject) -> Path | None:
        """Return a directory in the file system where its instances' bytes land; None: no disk, or not on this host."""
        ...

    def control_plane(self) -> tuple[int, ...]:
        """Return the pids of the engine's daemons (empty where there is none)."""
        ...

    def facts(self) -> Mapping[str, str]:
        """Return the engine's versions, drivers and addresses, for facts.json."""
        ...

    def manifest(self, subject: Subject) -> Mapping[str, str]:
        """Return what this subject is made of (kernel, command line, devices, digests): the fairness manifest."""
        ...

    def close(self) -> None:
        """Stop what open started and remove its files. Safe to repeat."""
        ...
