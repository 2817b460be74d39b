"""What the kernel says of a process in /proc: memory by definition, CPU time, context switches, children.

A figure the kernel does not give is None; a process that has gone is None and is named. Neither is ever 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Context switches of a process since it began, all its living threads together.

    Attributes:
        voluntary: it waited for something: each is also a wake-up.
        involuntary: it was made to give way.
    """

    voluntary: int
    involuntary: int


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


def thread_cpu_ns(pid: int, proc: Path = PROC) -> Mapping[int, int] | None:
    """Return the CPU time of each living thread since it began, nanoseconds by thread id; None if the process is gone.

    The first number of /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst). The same file
    of the process itself tells of its first thread only, and utime in /proc/PID/stat counts in ticks of 10 ms.
    """
    times = {tid: _first_number(task / "schedstat") for tid, task in _tasks(pid, proc).items()}
    known = {tid: ns for tid, ns in times.items() if ns is not None}
    return known or None


def cpu_between_ns(before: Mapping[int, int] | None, after: Mapping[int, int] | None) -> int | None:
    """Return the CPU time spent between two readings of `thread_cpu_ns`, nanoseconds; None if either is missing.

    A thread that ended in between is lost with what it used since the first reading: a lower bound then.
    """
    if before is None or after is None:
        return None
    return sum(ns - before.get(tid, 0) for tid, ns in after.items())


def read_switches(pid: int, proc: Path = PROC) -> Switches | None:
    """Return the context switches of all living threads (/proc/PID/task/TID/status), or None if it has gone."""
    seen = [
        counts
        for task in _tasks(pid, proc).values()
        if (counts := _status_counts(task / "status")) is not None
    ]  # fmt: skip
    if not seen:
        return None
    return Switches(voluntary=sum(v for v, _ in seen), involuntary=sum(i for _, i in seen))


def descendants(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """Return a process and all that descend from it, parents before children; empty if it has gone.

    One look at every /proc/PID/stat: a process whose parent ended in between is not found.
    """
    children: dict[int, list[int]] = {}
    present: set[int] = set()
    for entry in proc.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            present.add(int(entry.name))
            children.setdefault(parent, []).append(int(entry.name))
    if pid not in present:
        return ()
    found = [pid]
    for each in found:
        found += sorted(children.get(each, ()))
    return tuple(found)


def _parent(entry: Path) -> int | None:
    """Return the parent's pid: the second field after the command, which may itself hold blanks and brackets."""
    try:
        return int((entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _tasks(pid: int, proc: Path) -> dict[int, Path]:
    try:
        return {int(task.name): task for task in (proc / str(pid) / "task").iterdir()}
    except OSError:
        return {}


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _status_counts(path: Path) -> tuple[int, int] | None:
    try:
        lines = dict(line.partition(":")[::2] for line in path.read_text("utf-8", "replace").splitlines())
        return int(lines["voluntary_ctxt_switches"]), int(lines["nonvoluntary_ctxt_switches"])
    except (OSError, ValueError, KeyError):
        return None


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
