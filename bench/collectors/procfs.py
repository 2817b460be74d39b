"""What the kernel says of a process in /proc: memory by definition, children.

A figure the kernel does not give is None; a process that has gone is None and is named. Neither is ever 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

PROC = Path("/proc")
"""Where the kernel shows its processes; tests give a tree of their own."""

_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of one or several processes by definition, bytes; None where the kernel does not tell.

    All from /proc/PID/smaps_rollup (Documentation/filesystems/proc.rst).

    Attributes:
        pss: resident pages, each divided by the number of processes that map it ("Pss"). Sums without counting twice.
        uss: resident pages that no other process maps: what would be freed if it ended (Private_Clean + Private_Dirty).
        rss: resident pages, shared ones counted whole; does not sum.
        anon, file, shmem: the kinds that pss is made of (Pss_Anon, Pss_File, Pss_Shmem; since Linux 5.4).
        swap: its share of pages swapped out ("SwapPss").
        hugetlb: huge pages of hugetlbfs, which neither pss nor rss contains (Private_ + Shared_Hugetlb).
    """

    pss: int | None = None
    uss: int | None = None
    rss: int | None = None
    anon: int | None = None
    file: int | None = None
    shmem: int | None = None
    swap: int | None = None
    hugetlb: int | None = None

    def __add__(self, other: Memory) -> Memory:
        """Return the sum; what is unknown in either is unknown in it."""
        return Memory(**{f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(Memory)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOf:
    """The memory of several processes together.

    Attributes:
        memory: the sum over the processes that could be read; None if there was none.
        unread: the pids that had gone, or may not be read: their share is unknown.
    """

    memory: Memory | None
    unread: tuple[int, ...] = ()


def read_memory(pid: int, proc: Path = PROC) -> Memory | None:
    """Return one process's memory, or None if it has gone, is a zombie or may not be read."""
    try:
        text = (proc / str(pid) / "smaps_rollup").read_text("ascii", "replace")
    except OSError:
        # A zombie has no address space: the kernel answers the read with ESRCH.
        return None
    figures = _kilobytes(text)
    if "Pss" not in figures:
        return None
    return Memory(
        pss=figures["Pss"],
        uss=_plus(figures.get("Private_Clean"), figures.get("Private_Dirty")),
        rss=figures.get("Rss"),
        anon=figures.get("Pss_Anon"),
        file=figures.get("Pss_File"),
        shmem=figures.get("Pss_Shmem"),
        swap=figures.get("SwapPss"),
        hugetlb=_plus(figures.get("Private_Hugetlb"), figures.get("Shared_Hugetlb")),
    )


def translated_code(pid: int, proc: Path = PROC) -> int | None:
    """Return the resident bytes of anonymous memory that may be executed, or None if the process cannot be read.

    In an emulating QEMU that is its buffer of translated code (tcg/region.c maps it readable, writable and
    executable), which a hardware-assisted one has not; a process that compiles nothing has none.
    """
    try:
        text = (proc / str(pid) / "smaps").read_text("utf-8", "replace")
    except OSError:
        return None
    total, inside, seen = 0, False, False
    for line in text.splitlines():
        words = line.split()
        if "-" in words[0]:
            # address permissions offset device inode [path], proc_pid_maps(5); [vdso] and its like have a path.
            inside, seen = len(words) == 5 and "x" in words[1] and words[4] == "0", True
        elif inside and words[0] == "Rss:":
            total += int(words[1]) * _KIB
    return total if seen else None


def sum_memory(pids: Iterable[int], proc: Path = PROC) -> MemoryOf:
    """Return the memory of these processes together, each pid once, and which could not be read."""
    total: Memory | None = None
    unread: list[int] = []
    for pid in dict.fromkeys(pids):
        memory = read_memory(pid, proc)
        if memory is None:
            unread.append(pid)
        else:
            total = memory if total is None else total + memory
    return MemoryOf(memory=total, unread=tuple(unread))


def add_up(parts: Iterable[MemoryOf]) -> MemoryOf:
    """Return several sums as one: nothing is read again, so the parts add up to the whole."""
    memory: Memory | None = None
    unread: tuple[int, ...] = ()
    for part in parts:
        unread += part.unread
        if part.memory is not None:
            memory = part.memory if memory is None else memory + part.memory
    return MemoryOf(memory=memory, unread=unread)


def descendants(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """Return a process and all that descend from it, parents before children; empty if it has gone.

    By /proc/PID/task/TID/children (proc_tid_children(5)), which asks the tree alone and not every process of the
    host. A child that ends during the look may hide a sibling from it.
    """
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        try:
            tasks = list((proc / str(current) / "task").iterdir())
        except OSError:
            continue
        found.append(current)
        for task in tasks:
            with contextlib.suppress(OSError):
                waiting += map(int, (task / "children").read_text("ascii").split())
    return tuple(found)


def _kilobytes(text: str) -> dict[str, int]:
    """Return the "Name: number kB" lines in bytes; the kernel's kB are 1024 bytes."""
    figures: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            figures[name] = int(words[0]) * _KIB
    return figures


def _plus(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
