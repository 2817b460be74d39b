"""What a run must not leave on the host."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30.0


def still_there(left: Callable[[], list[str]]) -> list[str]:
    """Return what is left and stays: what is dying may take a moment."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def left_behind(run_id: str) -> list[str]:
    """Return everything on this host that carries the run's name: directories, devices, cgroups, processes."""
    tail = run_id[-6:]
    found = [str(p) for base in ("/run", "/var/tmp", "/tmp") for p in Path(base).glob(f"bench*{tail}*")]
    found += [p.name for p in Path("/sys/class/net").glob(f"bench*{tail}*")]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/bench-{tail}*")]
    found += beneath_the_cgroup_mounts(tail)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if f"bench-{tail}".encode() in told or run_id.encode() in told:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:120])
    return found


def beneath_the_cgroup_mounts(tail: str) -> list[str]:
    """Return what lies under the mounts of the hierarchies, where a runtime with another view may have made it."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "--bind", "/sys/fs/cgroup", place], check=True)
        try:
            here = Path(place).stat().st_dev
            folders = [p for p in Path(place).glob("*") if p.stat().st_dev == here]
            return [f"beneath {p.name}: {q.name}" for p in folders for q in p.glob(f"bench-{tail}*")]
        finally:
            subprocess.run(["umount", place], check=True)
