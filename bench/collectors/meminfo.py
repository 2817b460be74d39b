"""The host's memory as a whole: /proc/meminfo, and waiting until it keeps still.

Nothing is dropped or flushed to make it keep still: the host is not changed unasked.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
_MIB = 1 << 20
_CALM_READINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a wait for memory to keep still ended.

    Attributes:
        available: bytes, the median of the last readings; None if they failed.
        calm: False when the figure was still moving at the deadline, or could not be read.
        waited_s: how long it took, seconds.
    """

    available: int | None
    calm: bool
    waited_s: float


def parse_meminfo(text: str) -> dict[str, int]:
    """Return every line of a /proc/meminfo that is a size, bytes by name (proc_meminfo(5)); its kB are 1024 bytes.

    Lines that count pages (HugePages_Total) are no sizes and left out.
    """
    figures: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            figures[name.strip()] = int(words[0]) * _KIB
    return figures


def read_meminfo(proc: Path = Path("/proc")) -> Mapping[str, int]:
    """Return the host's memory figures, bytes by the kernel's names; empty if they cannot be read."""
    try:
        return parse_meminfo((proc / "meminfo").read_text("ascii", "replace"))
    except OSError:
        return {}


def read_available(proc: Path = Path("/proc")) -> int | None:
    """Return MemAvailable, bytes: what could be given to new work without swapping (kernel commit 34e431b0ae39)."""
    return read_meminfo(proc).get("MemAvailable")


def merging_scans(sys: Path = Path("/sys")) -> int | None:
    """Return how often KSM has looked through all it may merge; None where it does not run.

    Documentation/admin-guide/mm/ksm.rst, "run" and "full_scans". A page is merged at the second look at the earliest:
    the first one remembers what was in it.
    """
    try:
        run, scans = ((sys / "kernel/mm/ksm" / name).read_text("ascii") for name in ("run", "full_scans"))
        return int(scans) if run.strip() == "1" else None
    except (OSError, ValueError):
        return None


def settle(
    read: Callable[[], int | None] = read_available,
    *,
    scale: int = 0,
    interval_s: float = 0.4,
    deadline_s: float = 15.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Settled:
    """Wait until three readings in a row lie within 1 % of the amount looked for, or within 2 MiB.

    One percent of MemAvailable itself would be hundreds of megabytes on a large host, more than what is
    looked for; so the percentage is of `scale`.

    Args:
        read: gives the figure, bytes, or None. One None may be a program that ended while it was read; as many in a
            row as readings are needed end the waiting.
        scale: the amount of memory in question, bytes (what the instances have taken so far); 0: 2 MiB count.
        interval_s: pause between readings, seconds.
        deadline_s: after so many seconds the last readings are taken as they are, and `calm` is False.
        sleep, clock: for tests.
    """
    tolerance = max(2 * _MIB, abs(scale) // 100)
    began = clock()
    recent: list[int] = []
    unread = 0
    while True:
        value = read()
        unread = unread + 1 if value is None else 0
        recent = [] if value is None else [*recent, value][-_CALM_READINGS:]
        waited_s = clock() - began
        calm = len(recent) == _CALM_READINGS and max(recent) - min(recent) <= tolerance
        if calm or unread == _CALM_READINGS or waited_s >= deadline_s:
            return Settled(available=round(statistics.median(recent)) if recent else None, calm=calm, waited_s=waited_s)
        sleep(interval_s)
