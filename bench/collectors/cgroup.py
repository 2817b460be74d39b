"""What a control group is charged for memory and CPU time, in both versions of the interface.

The group of a process is derived from /proc/PID/cgroup and the reader's own mounts, never from an engine's habits.
A charge goes to whoever touched a page first (Documentation/admin-guide/cgroup-v2.rst, "Memory Ownership"): page
cache that several groups use is charged to one of them, and an engine's own processes stand outside the group.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
ROOT = Path("/")

_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One control group.

    Attributes:
        version: 1 or 2.
        name: its path inside the hierarchy ("/docker/0123…"); "/" is the root: everything on the host.
        path: its directory on this host.
    """

    version: int
    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a group and its children are charged, bytes; None where this version does not tell.

    Attributes:
        current: everything (v2 memory.current, v1 memory.usage_in_bytes, which lags by some pages per CPU).
        anon: anonymous memory (v2 "anon", v1 "total_rss").
        file: page cache, tmpfs included (v2 "file", v1 "total_cache").
        inactive_file: page cache not used lately (v2 "inactive_file", v1 "total_inactive_file").
        shmem: the part of `file` that is tmpfs or shared memory (v2 "shmem", v1 "total_shmem").
        kernel: kernel memory (v2 "kernel", since Linux 5.18; v1 memory.kmem.usage_in_bytes).
        slab: the part of `kernel` in slabs (v2 only).
        sock: network buffers (v2 "sock"; v1 memory.kmem.tcp.usage_in_bytes, TCP only).
    """

    current: int | None = None
    anon: int | None = None
    file: int | None = None
    inactive_file: int | None = None
    shmem: int | None = None
    kernel: int | None = None
    slab: int | None = None
    sock: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The tightest memory limit on a process.

    Attributes:
        limit: how many bytes its group, or one above it, may be charged.
        left: what of them is not charged, bytes; page cache, which would be dropped, counts as not charged.
    """

    limit: int
    left: int


@dataclass(frozen=True, slots=True)
class _Mount:
    root: PurePosixPath
    point: PurePosixPath
    kind: str
    options: frozenset[str]


def memory_group(pid: int, proc: Path = PROC, root: Path = ROOT) -> Group | None:
    """Return the group that a process's memory is charged to, or None: gone, no controller, or out of our sight."""
    group = find_group(pid, "memory", proc, root)
    if group is None or group.version == 1:
        return group
    group = _domain(group)
    return group if (group.path / "memory.current").exists() else None


def cpu_group(pid: int, proc: Path = PROC, root: Path = ROOT) -> Group | None:
    """Return the group of its own that a process's CPU time is charged to; None: the reader's, the root, or unseen."""
    group = find_group(pid, "cpuacct", proc, root)
    if group is not None and group.version == 2:
        group = _domain(group)
    if group is None or group.name == "/":
        return None
    mine = find_group(os.getpid(), "cpuacct", proc, root)
    return None if mine is not None and mine.path == group.path else group


def read_cpu_ns(group: Group) -> int | None:
    """Return the CPU time of a group and its children since it was made, nanoseconds; None if it has gone.

    Version 1: cpuacct.usage (admin-guide/cgroup-v1/cpuacct.rst); version 2: usage_usec of cpu.stat, which every
    group has (admin-guide/cgroup-v2.rst, "CPU Interface Files"). What has ended is in it.
    """
    if group.version == 1:
        return _number(group.path / "cpuacct.usage")
    micro = _stat(group.path / "cpu.stat").get("usage_usec")
    return None if micro is None else micro * 1000


def find_group(pid: int, controller: str, proc: Path = PROC, root: Path = ROOT) -> Group | None:
    """Return the group of a process in the hierarchy of a controller, or None: gone, or out of our sight.

    Args:
        pid: the process.
        controller: its name in version 1 ("memory", "cpuacct"); version 2 has one hierarchy for all.
        proc: where /proc is; `proc/self/mountinfo` tells what is mounted where, as the reader sees it.
        root: put before every mount point (tests).
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text("utf-8", "surrogateescape").splitlines()
        mounts = list(_mounts((proc / "self" / "mountinfo").read_text("utf-8", "surrogateescape")))
    except OSError:
        return None
    # One controller is in one hierarchy: where version 1 has it, version 2 does not (hybrid hosts).
    for line in lines:
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            return _located(1, name, [m for m in mounts if m.kind == "cgroup" and controller in m.options], root)
    for line in lines:
        if line.startswith("0::"):
            return _located(2, line[3:], [m for m in mounts if m.kind == "cgroup2"], root)
    return None


def own_group(pid: int, proc: Path = PROC, root: Path = ROOT) -> Group | None:
    """Return the group of a process if it is another than the reader's own and not the root, else None."""
    group = memory_group(pid, proc, root)
    if group is None or group.name == "/":
        return None
    mine = _readers_group(proc, root)
    return None if mine is not None and mine.path == group.path else group


def own_room(proc: Path = PROC, root: Path = ROOT) -> Room | None:
    """Return what memory the reader's own group and all above it leave; None: no limit is in our sight.

    Version 2: memory.max and memory.high (admin-guide/cgroup-v2.rst); version 1: memory.limit_in_bytes, a number near
    2^63 where there is none (admin-guide/cgroup-v1/memory.rst).
    """
    group = _readers_group(proc, root)
    rooms = [room for each in _with_ancestors(group) if (room := _room(each)) is not None] if group else []
    return min(rooms, key=lambda room: room.left, default=None)


def _readers_group(proc: Path, root: Path) -> Group | None:
    try:
        reader = int((proc / "self").readlink().name)
    except (OSError, ValueError):
        return None
    # Not `memory_group`: the root of a cgroup namespace is a group like any other, with limits of its own.
    return find_group(reader, "memory", proc, root)


def _with_ancestors(group: Group) -> Iterator[Group]:
    """Yield a group and those above it, as far as they are mounted: beyond, no directory has a group's files."""
    name, path = PurePosixPath(group.name), group.path
    yield group
    while name != name.parent:
        name, path = name.parent, path.parent
        yield Group(version=group.version, name=str(name), path=path)


def _room(group: Group) -> Room | None:
    """Return what one group's own limit leaves."""
    names = ("memory.limit_in_bytes",) if group.version == 1 else ("memory.max", "memory.high")
    limits = [number for name in names if (number := _number(group.path / name)) is not None and number < _NO_LIMIT]
    charge = read_charge(group)
    if not limits or charge.current is None:
        return None
    cache = (charge.file or 0) - (charge.shmem or 0)  # what is in a tmpfs cannot be dropped
    return Room(limit=min(limits), left=min(limits) - charge.current + cache)


def read_charge(group: Group) -> Charge:
    """Return what the group is charged now; all None if it has gone."""
    stat = _stat(group.path / "memory.stat")
    if group.version == 1:
        return Charge(
            current=_number(group.path / "memory.usage_in_bytes"),
            anon=stat.get("total_rss"),
            file=stat.get("total_cache"),
            inactive_file=stat.get("total_inactive_file"),
            shmem=stat.get("total_shmem"),
            kernel=_number(group.path / "memory.kmem.usage_in_bytes"),
            sock=_number(group.path / "memory.kmem.tcp.usage_in_bytes"),
        )
    return Charge(
        current=_number(group.path / "memory.current"),
        anon=stat.get("anon"),
        file=stat.get("file"),
        inactive_file=stat.get("inactive_file"),
        shmem=stat.get("shmem"),
        kernel=stat.get("kernel"),
        slab=stat.get("slab"),
        sock=stat.get("sock"),
    )


def _mounts(text: str) -> Iterator[_Mount]:
    """Yield the mounts of a mountinfo file (proc_pid_mountinfo(5))."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) >= 5 and len(right) >= 3:
            yield _Mount(_path(left[3]), _path(left[4]), right[0], frozenset(right[2].split(",")))


def _path(field: str) -> PurePosixPath:
    """Undo the octal escapes of blanks, tabs, newlines and backslashes."""
    return PurePosixPath(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field))


def _located(version: int, name: str, mounts: list[_Mount], root: Path) -> Group | None:
    """Find the group's directory below a mount of its hierarchy.

    Both the name and a mount's root are seen from the reader's own cgroup namespace (cgroup_namespaces(7)). A name
    that climbs out of it ("/../…"), or stands beside what is mounted, is out of our sight.
    """
    inside = PurePosixPath(name)
    if ".." in inside.parts:
        return None
    for mount in mounts:
        if inside.is_relative_to(mount.root):
            path = root / mount.point.relative_to("/") / inside.relative_to(mount.root)
            if path.is_dir():
                return Group(version=version, name=name, path=path)
    return None


def _domain(group: Group) -> Group:
    """Climb from a threaded group to its domain.

    libvirt puts a guest's threads into threaded groups; memory belongs to their domain (cgroup-v2.rst, "Threads").
    """
    name, path = PurePosixPath(group.name), group.path
    while name != name.parent and _text(path / "cgroup.type") == "threaded":
        name, path = name.parent, path.parent
    return Group(version=2, name=str(name), path=path)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdigit() else None


def _stat(path: Path) -> Mapping[str, int]:
    """Return the "name number" lines of a memory.stat."""
    words = [line.split() for line in (_text(path) or "").splitlines()]
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}
