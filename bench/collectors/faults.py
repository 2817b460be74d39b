"""Page faults of processes, their ended children included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.collectors.procfs import PROC


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Page faults since the processes began: minor ones found the page in memory, major ones read it from the disk."""

    minor: int
    major: int


def read_faults(pids: Iterable[int], proc: Path = PROC) -> Faults | None:
    """Return the faults of these processes and of the children they waited for; None if one of them cannot be read.

    minflt, cminflt, majflt and cmajflt of /proc/PID/stat (proc_pid_stat(5)).
    """
    found = [_of(pid, proc) for pid in dict.fromkeys(pids)]
    known = [counts for counts in found if counts is not None]
    if not known or len(known) < len(found):
        return None
    return Faults(minor=sum(minor for minor, _ in known), major=sum(major for _, major in known))


def _of(pid: int, proc: Path) -> tuple[int, int] | None:
    """Return one process's (minor, major); its name, which may hold blanks and brackets, is skipped."""
    try:
        words = (proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return int(words[7]) + int(words[8]), int(words[9]) + int(words[10])
    except (OSError, ValueError, IndexError):
        return None
