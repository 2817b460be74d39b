"""What removed instances leave behind: processes, files, control groups, network devices, what their engine keeps."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import psutil

from bench.backends.base import Backend, Session

_LINGER_S = 3.0
"""How long the last trace of a removed instance may take to vanish before it counts as left over."""

_KERNELS = frozenset({"cgroup.clone_children", "cgroup.controllers"})
"""A file that every control group has, of version 1 and of version 2 (cgroups(7))."""


@runtime_checkable
class Remembering(Protocol):
    """A backend whose engine can be asked which instances it still knows."""

    def kept(self) -> tuple[str, ...]:
        """Return what the engine still has of this run's instances, a line each: all of them were removed.

        Raises:
            InstanceError: the engine does not answer.
        """
        ...


class Remains:
    """Sees what there is before the first instance, and finds afterwards what is new and still there.

    Attributes:
        root: where the host's files are; tests give a tree of their own.
    """

    def __init__(self, session: Session, backend: Backend, root: Path = Path("/")) -> None:
        self.root = root
        self._session = session
        self._backend = backend
        self._mark = session.run_id[-6:]
        self._processes: list[psutil.Process] = []
        self._lock = threading.Lock()
        self._before = self._found()

    def know(self, pids: Iterable[int]) -> None:
        """Take processes of a living instance: each has to be gone at the end. May be called by several threads."""
        with self._lock:
            for pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):
                    # A handle that never means another process with the same number.
                    self._processes.append(psutil.Process(pid))

    def left(self) -> list[str]:
        """Return what is still there when all had time to vanish, a line each."""
        deadline = time.monotonic() + _LINGER_S
        while (found := sorted(self._found() - self._before)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def _found(self) -> set[str]:
        engine = self._backend.kept() if isinstance(self._backend, Remembering) else ()
        return {
            *(f"process {process.pid}" for process in self._processes if _lives(process)),
            *self._directories(), *self._groups(), *self._ports(), *engine,
        }  # fmt: skip

    def _directories(self) -> set[str]:
        """Return what instances gave their names to: files and directories, and the OCI runtimes' containers."""
        places = (self._session.directory, self._session.directory / "oci", self._session.scratch)
        return {str(path) for place in places if place.is_dir() for path in place.iterdir() if "bench-" in path.name}

    def _groups(self) -> set[str]:
        """Return the control groups with an instance's name, in every hierarchy; systemd escapes dashes.

        What the kernel put no file of its own into is an ordinary directory: crun leaves such in the file system that
        hides a hybrid hierarchy from it, which is this run's own and goes with it (backends.oci.hide_hybrid_cgroup).
        """
        tree = os.walk(self.root / "sys/fs/cgroup")
        names = {Path(place).name.replace("\\x2d", "-") for place, _, files in tree if not _KERNELS.isdisjoint(files)}
        return {f"control group {name}" for name in names if f"bench-{self._mark}-" in name}

    def _ports(self) -> set[str]:
        """Return the network devices on the suite's own bridges: each belongs to one instance."""
        ports = (self.root / "sys/class/net").glob(f"bench{self._mark}*/brif/*")
        return {f"network device {port.name}" for port in ports}


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
