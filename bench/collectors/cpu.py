"""What processes use while they do nothing: CPU time in nanoseconds, context switches, memory, between two readings.

The clock of a process (clock_getcpuclockid(3)) counts in nanoseconds, and what its ended threads have used stays in
it; utime in /proc/PID/stat counts in ticks of 10 ms, and /proc/PID/schedstat knows the first thread only. The kernel
adds a running thread's time at its scheduler tick, so a reading that finds a thread running may lack up to one tick;
one that finds all asleep is exact. A window's result carries these bounds.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.collectors.procfs import PROC, read_memory

TICK_NS = 10_000_000
"""The longest scheduler tick a kernel is configured with (CONFIG_HZ = 100)."""

_ATTEMPTS = 20
_PAUSE_S = 0.001
_KILOBYTE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What processes had used up to an instant.

    Attributes:
        began_ns, ended_ns: between which instants of CLOCK_MONOTONIC it was read.
        cpu_ns: CPU time of each process since it began, ended threads included; a process that had gone is missing.
        switches: (voluntary, involuntary) context switches of each living thread since it began, by (pid, tid).
        running: how many threads of each process were on a CPU, or waited for one, when its clock was read.
    """

    began_ns: int
    ended_ns: int
    cpu_ns: Mapping[int, int]
    switches: Mapping[tuple[int, int], tuple[int, int]]
    running: Mapping[int, int]

    def of(self, pids: Iterable[int]) -> Reading:
        """Return what was read of these processes."""
        wanted = set(pids)
        return replace(
            self,
            cpu_ns={pid: ns for pid, ns in self.cpu_ns.items() if pid in wanted},
            switches={key: counts for key, counts in self.switches.items() if key[0] in wanted},
            running={pid: count for pid, count in self.running.items() if pid in wanted},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Memory of processes together, bytes.

    Attributes:
        pss, anon: as in `bench.collectors.procfs.Memory`.
        slack: how much either may be too small: the kernel rounds each process's sum down to whole kB
            (fs/proc/task_mmu.c, PSS_SHIFT).
    """

    pss: int
    anon: int
    slack: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """An amount per second, and the bounds between which it truly lies."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What processes used between two readings.

    Attributes:
        seconds: length of the window.
        cpu: seconds of CPU time per second: shares of one core.
        voluntary, involuntary: context switches per second of the threads that live at the end.
        ended: processes that were gone at the end: what they used in the window is unknown.
        threads_ended: threads that were gone at the end: their CPU time is in `cpu`, their switches are not.
        resolution: how wide the bounds of `cpu` are, as a share of one core.
    """

    seconds: float
    cpu: Rate
    voluntary: float
    involuntary: float
    ended: tuple[int, ...]
    threads_ended: int
    resolution: float


def process_cpu_ns(pid: int) -> int | None:
    """Return the CPU time of a process, ended threads included, nanoseconds; None if it has gone.

    The number of its clock is made as clock_getcpuclockid(3) makes it: the complement of the pid, and 2 for
    scheduler time, in the three low bits (include/linux/posix-timers_types.h, CPUCLOCK_SCHED).
    """
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return None


@functools.cache
def clock_step_ns() -> int:
    """Return the smallest step seen on this process's own clock, nanoseconds: its true resolution is no coarser."""
    seen = [time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID) for _ in range(500)]
    return min(after - before for before, after in itertools.pairwise(seen) if after > before)


def read_use(pids: Iterable[int], proc: Path = PROC) -> Reading:
    """Read the clocks and counters of processes, each once; look again where a thread was just running."""
    began = time.monotonic_ns()
    cpu: dict[int, int] = {}
    running: dict[int, int] = {}
    for pid in dict.fromkeys(pids):
        ns, awake = _clock(pid, proc)
        if ns is not None:
            cpu[pid], running[pid] = ns, awake
    ended = time.monotonic_ns()
    switches = {(pid, tid): counts for pid in cpu for tid, counts in _switches(pid, proc).items()}
    return Reading(began_ns=began, ended_ns=ended, cpu_ns=cpu, switches=switches, running=running)


def between(before: Reading, after: Reading) -> Use:
    """Return what was used between two readings; processes that began in between count with all they used."""
    longest, shortest = (after.ended_ns - before.began_ns) / 1e9, (after.began_ns - before.ended_ns) / 1e9
    middle = (longest + shortest) / 2
    used = sum(ns - before.cpu_ns.get(pid, 0) for pid, ns in after.cpu_ns.items()) / 1e9
    lacking_before, lacking_after = (
        (TICK_NS * sum(reading.running.values()) + clock_step_ns() * len(reading.running)) / 1e9
        for reading in (before, after)
    )
    # Time that the first reading did not see yet is counted too much; what the last did not see is missing.
    low, high = max(0.0, used - lacking_before) / longest, (used + lacking_after) / shortest
    pairs = [(counts, before.switches.get(key, (0, 0))) for key, counts in after.switches.items()]
    return Use(
        seconds=middle,
        cpu=Rate(value=used / middle, low=low, high=high),
        voluntary=sum(now[0] - then[0] for now, then in pairs) / middle,
        involuntary=sum(now[1] - then[1] for now, then in pairs) / middle,
        ended=tuple(pid for pid in before.cpu_ns if pid not in after.cpu_ns),
        threads_ended=sum(key not in after.switches for key in before.switches),
        resolution=high - low,
    )


def read_held(pids: Iterable[int], proc: Path = PROC) -> Held | None:
    """Return the memory of processes together; None if one of them cannot be read or the kernel tells no kinds."""
    pss = anon = count = 0
    for pid in dict.fromkeys(pids):
        memory = read_memory(pid, proc)
        if memory is None or memory.pss is None or memory.anon is None:
            return None
        pss, anon, count = pss + memory.pss, anon + memory.anon, count + 1
    return Held(pss=pss, anon=anon, slack=count * _KILOBYTE)


def _clock(pid: int, proc: Path) -> tuple[int | None, int]:
    """Return (CPU time, threads that were running): read until all sleep, a few times at most."""
    ns, awake = process_cpu_ns(pid), 0
    for _ in range(_ATTEMPTS):
        awake = _running(pid, proc)
        again = process_cpu_ns(pid)
        if awake == 0 and ns == again:
            break
        ns = again
        time.sleep(_PAUSE_S)
    return ns, awake


def _running(pid: int, proc: Path) -> int:
    """Return how many threads are runnable (state R, proc_pid_stat(5))."""
    return sum(_state(task / "stat") == "R" for task in _threads(pid, proc))


def _switches(pid: int, proc: Path) -> dict[int, tuple[int, int]]:
    """Return (voluntary, involuntary) context switches by thread id."""
    found = {}
    for task in _threads(pid, proc):
        try:
            text = (task / "status").read_text("utf-8", "replace")
            lines = dict(line.partition(":")[::2] for line in text.splitlines())
            found[int(task.name)] = (int(lines["voluntary_ctxt_switches"]), int(lines["nonvoluntary_ctxt_switches"]))
        except (OSError, ValueError, KeyError):
            continue
    return found


def _threads(pid: int, proc: Path) -> list[Path]:
    try:
        return list((proc / str(pid) / "task").iterdir())
    except OSError:
        return []


def _state(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
