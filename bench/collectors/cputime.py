"""CPU time of whole process trees, their ended children included, and of the host's software interrupts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bench.collectors.procfs import PROC

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def tree_cpu_s(pids: Iterable[int], proc: Path = PROC) -> float | None:
    """Return the CPU seconds of these processes and of the children they waited for; None if none can be read.

    utime, stime, cutime and cstime of /proc/PID/stat (proc_pid_stat(5)), in ticks of 10 ms. Where the pids are a
    whole tree, what an ended process used is in its parent's: the sum only grows. Ended threads are in it.
    """
    found = [seconds for pid in dict.fromkeys(pids) if (seconds := _process_s(pid, proc)) is not None]
    return sum(found) if found else None


def softirq_cpu_s(proc: Path = PROC) -> float | None:
    """Return the CPU seconds that all CPUs spent in software interrupts since boot, whoever caused them.

    The seventh number of the line "cpu" in /proc/stat (proc_stat(5)). Network traffic between instances is here.
    """
    try:
        words = (proc / "stat").read_text("ascii").split("\n", 1)[0].split()
        return int(words[7]) * _TICK_S
    except (OSError, ValueError, IndexError):
        return None


def _process_s(pid: int, proc: Path) -> float | None:
    """Return one process's; its name, which may hold blanks and brackets, is skipped."""
    try:
        words = (proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return sum(map(int, words[11:15])) * _TICK_S
    except (OSError, ValueError):
        return None
