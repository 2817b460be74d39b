"""What else the host is doing: steal, pressure, load."""

from __future__ import annotations

import os
from pathlib import Path

from bench.sample import Noise


def read_noise(proc: Path = Path("/proc")) -> Noise:
    """Return the counters since boot, seconds; None where the kernel does not tell.

    Steal is the eighth number of the "cpu" line of /proc/stat, in ticks (proc_stat(5)); pressure totals are
    microseconds (Documentation/accounting/psi.rst).
    """
    return Noise(
        steal_s=_steal(proc),
        pressure_cpu_s=_pressure(proc, "cpu"),
        pressure_io_s=_pressure(proc, "io"),
        pressure_memory_s=_pressure(proc, "memory"),
        load=_load(proc),
    )


def noise_between(before: Noise, after: Noise) -> Noise:
    """Return what happened between two readings; the load is that of the later one."""
    return Noise(
        steal_s=_difference(before.steal_s, after.steal_s),
        pressure_cpu_s=_difference(before.pressure_cpu_s, after.pressure_cpu_s),
        pressure_io_s=_difference(before.pressure_io_s, after.pressure_io_s),
        pressure_memory_s=_difference(before.pressure_memory_s, after.pressure_memory_s),
        load=after.load,
    )


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


def _steal(proc: Path) -> float | None:
    try:
        words = (proc / "stat").read_text("ascii").split("\n", 1)[0].split()
        return int(words[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def _pressure(proc: Path, resource: str) -> float | None:
    try:
        line = (proc / "pressure" / resource).read_text("ascii").split("\n", 1)[0]
        return int(line.rpartition("total=")[2]) / 1e6
    except (OSError, ValueError):
        return None


def _load(proc: Path) -> float | None:
    try:
        return float((proc / "loadavg").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
