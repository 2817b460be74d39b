"""A control group that limits the memory of a bare process, which no engine puts into one of its own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path("/sys/fs/cgroup")
_PATIENCE_S = 1.0


def limit_place(top: Path = TOP) -> tuple[Path, str] | None:
    """Return the directory in which such groups can be made and the name of their limit's file; None: nowhere.

    Version 1 has a hierarchy of its own for memory (admin-guide/cgroup-v1/memory.rst). Of version 2 the root must
    hand the controller on, as it does under systemd (admin-guide/cgroup-v2.rst, "Enabling and Disabling"): what the
    host has set up otherwise is not changed.
    """
    with contextlib.suppress(OSError):
        if (top / "memory" / "memory.limit_in_bytes").exists() and os.access(top / "memory", os.W_OK):
            return top / "memory", "memory.limit_in_bytes"
        if "memory" in (top / "cgroup.subtree_control").read_text("ascii").split() and os.access(top, os.W_OK):
            return top, "memory.max"
    return None


class MemoryGroup:
    """One group. Made when it is asked for, removed by `remove` once it is empty."""

    def __init__(self, name: str, limit: int, top: Path = TOP) -> None:
        """Make the group and set its limit, bytes.

        Raises:
            OSError: it cannot be made or limited here.
        """
        place = limit_place(top)
        if place is None:
            raise OSError(f"no group that limits memory can be made below {top}")
        directory, file = place
        self.path = directory / name
        self.path.mkdir()
        (self.path / file).write_text(str(limit), "ascii")

    def entering(self, command: Sequence[str]) -> list[str]:
        """Return the command that enters the group and then becomes this one."""
        return ["/bin/sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self.path), *command]

    def remove(self) -> None:
        """Remove it. Safe to repeat; what cannot be removed within a second is left to whoever sweeps."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.path.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # EBUSY until the kernel has let go of the last process
                self.path.rmdir()
                return
            time.sleep(0.01)
