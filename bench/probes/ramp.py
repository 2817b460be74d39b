"""The stop rule of a ramp: when to start no further instance, so that the host lives. Pure but for its reader."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.collectors.cgroup import own_room
from bench.collectors.host import pressure
from bench.collectors.meminfo import read_meminfo


class Stop(StrEnum):
    """Why a ramp ended."""

    MAXIMUM = "maximum"
    MEMORY = "memory-floor"
    DISK = "disk-floor"
    NETWORK = "network-addresses"
    PRESSURE = "memory-pressure"
    SLOW = "slow-start"
    FAILED = "failed-start"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the host says of its memory and its disk. None: it does not tell.

    Attributes:
        total, available: MemTotal and MemAvailable, bytes, or what limits of the suite's own control group and of
            those above it leave, whichever is less: a machine's memory and a process's are charged there.
        pressure: share of the last ten seconds in which somebody waited for memory ("some avg10"), 0 to 1.
        disk: bytes free where the instances' own land; None: they have no disk, or not on this host.
    """

    total: int | None
    available: int | None
    pressure: float | None
    disk: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When no further instance is started.

    Attributes:
        floor_share, floor_bytes: MemAvailable stays above this share of MemTotal, and above so many bytes.
        disk_floor_bytes: so many bytes stay free where the instances' own land.
        pressure: no more of the time than this may be spent waiting for memory, 0 to 1.
        slower: a start may take so many times as long as the first one …
        slow_s: … and is never called slow below so many seconds.
        maximum: how many instances at most.
    """

    floor_share: float = 0.25
    floor_bytes: float = 1 << 30
    disk_floor_bytes: float = 1 << 30
    pressure: float = 0.1
    slower: float = 5.0
    slow_s: float = 1.0
    maximum: int = 20

    def floor(self, total: int | None) -> float:
        """Return what MemAvailable may not fall below, bytes."""
        return max(self.floor_share * (total or 0), self.floor_bytes)

    def before_next(self, alive: int, state: State, last_cost: float = 0.0) -> tuple[Stop, str] | None:
        """Return why no further instance may be started, and in words; None if one may.

        Args:
            alive: how many live.
            state: the host's memory and disk now.
            last_cost: what the last one took of MemAvailable, bytes: the next one is expected to take as much.
        """
        if alive >= self.maximum:
            return Stop.MAXIMUM, f"{self.maximum} were asked for"
        if state.available is None:
            return Stop.MEMORY, "the host does not tell its available memory: going on would be blind"
        if state.available - max(0.0, last_cost) < self.floor(state.total):
            mib = self.floor(state.total) / (1 << 20)
            return Stop.MEMORY, f"one more would leave less than {mib:.0f} MiB of memory available"
        if state.disk is not None and state.disk < self.disk_floor_bytes:
            return Stop.DISK, f"only {state.disk / (1 << 20):.0f} MiB are free where their bytes land"
        if state.pressure is not None and state.pressure > self.pressure:
            return Stop.PRESSURE, f"somebody waited for memory {state.pressure:.0%} of the last ten seconds"
        return None

    def after_start(self, first_s: float, this_s: float) -> tuple[Stop, str] | None:
        """Return that a start was too slow, and in words, or None. Durations are requested→ready, seconds."""
        if this_s > max(self.slower * first_s, self.slow_s):
            return Stop.SLOW, f"a start took {this_s:.2f} s, the first one {first_s:.2f} s"
        return None


def read_state(root: Path = Path("/"), place: Path | None = None) -> State:
    """Return what the host says of its memory now, and of the disk that holds a place."""
    figures: Mapping[str, int] = read_meminfo(root / "proc")
    waiting = pressure(root) or {}
    room = own_room(root / "proc", root)
    return State(
        total=_less(figures.get("MemTotal"), room.limit if room else None),
        available=_less(figures.get("MemAvailable"), room.left if room else None),
        pressure=waiting.get("memory"),
        disk=_free(place) if place else None,
    )


def _less(host: int | None, group: int | None) -> int | None:
    """Return the smaller of what the host has and what a group may have; a host that does not tell stays unknown."""
    return host if host is None or group is None else min(host, group)


def _free(place: Path) -> int | None:
    """Return the bytes that a file system still gives to whoever is not root (statvfs(3), f_bavail)."""
    try:
        figures = os.statvfs(place)
    except OSError:
        return None
    return figures.f_bavail * figures.f_frsize


def checkpoint(alive: int, maximum: int) -> bool:
    """Say whether to read at this step what takes longer the more there are: at first, then about ten times."""
    return alive <= 3 or alive % max(1, maximum // 10) == 0


def slope(points: Sequence[tuple[int, float]]) -> float | None:
    """Return the least-squares slope, per instance; None below three points."""
    if len(points) < 3:
        return None
    counts, values = zip(*points, strict=True)
    return statistics.linear_regression(counts, values).slope


def cost_of_one(
    pss: float | None, referee: float | None, left: float | None, taken: float | None
) -> tuple[float | None, str]:
    """Return what one more instance takes of the memory, bytes, and by whose account.

    The referee, the slope of MemAvailable, sees kernel memory too. It is believed if the host was quiet: if what had
    not come back at the end (or came back too much) is at most a quarter of what all instances took. Else it is PSS.

    Args:
        pss, referee: slopes of the two accounts, bytes per instance.
        left, taken: what was not given back after all were removed, and what all took together, bytes.
    """
    quiet = left is not None and taken is not None and abs(left) <= taken / 4
    if quiet and referee is not None and referee > 0:
        return referee, "by the host's available memory"
    return pss, "by PSS, without kernel memory: the host's memory moved by itself, an upper bound"


def room(available: int | None, total: int | None, per_instance: float | None, rule: Rule) -> float | None:
    """Return how many instances would fit above the floor if each went on costing the same; None if it is not known."""
    if available is None or per_instance is None or per_instance <= 0:
        return None
    return max(0.0, (available - rule.floor(total)) // per_instance)
