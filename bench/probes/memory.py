"""What one more idle instance costs in memory: the host's accounts at several numbers of them, and the slope.

Host and guest view are never mixed: `guest-used` alone is what a guest believes, everything else is what the
host gave. A single instance overstates what is shared, and a control group pays for whatever it touched first;
so the answer is a slope over N: of the processes' PSS, and, as the referee that sees kernel memory and every
forgotten process too, of the host's MemAvailable. The referee also sees whatever else the host does:
`memavailable-left`, what has not come back after all were removed, says how far it can be trusted.
At last the first instance gets a load, and loses it again (bench.probes.memory_load).
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.backends.base import Instance, Role
from bench.clock import Event
from bench.collectors.cgroup import Charge
from bench.collectors.meminfo import Settled, merging_scans, read_available, settle
from bench.collectors.procfs import MemoryOf, add_up, sum_memory
from bench.errors import InstanceError, Unsupported
from bench.probes.accounts import (
    ATTEMPTS,
    charge_of,
    guest_figures,
    memory_of,
    pss_of,
    translated_of,
    unread_reason,
)
from bench.probes.base import Workbench, minus, no_daemon, status_of
from bench.probes.memory_load import load
from bench.sample import Sample, Status

TOTAL = "total"
"""The part that is the sum of all processes which exist because of the instances (no control plane)."""

_DEFINITIONS = ("pss", "uss", "anon", "file", "swap", "hugetlb")
_CHARGES = ("current", "anon", "file", "kernel")
_SETTLE_S = 6.0
"""A host that does not keep still that long is a busy one: the blocks will show it, waiting will not mend it."""
_SETTLE_INSTANCES_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What was read while so many instances lived.

    Attributes:
        instances: how many.
        available: MemAvailable of the host, bytes, when it had settled.
        parts: the processes' memory by part: a role's name, or TOTAL.
        charges: what each instance's own control group was charged; None: it has none.
        translated: the part of the machines' memory that is code translated by an emulator, bytes; None: no machine.
    """

    instances: int
    available: int | None
    parts: Mapping[str, MemoryOf]
    charges: tuple[Charge | None, ...] = ()
    translated: int | None = None

    @property
    def charged(self) -> list[Charge]:
        """The charges, if every instance has a group of its own; else none."""
        known = [charge for charge in self.charges if charge is not None]
        return known if len(known) == self.instances else []


def memory(bench: Workbench) -> Iterator[Sample]:
    """Start idle instances one after another; at each number of the profile wait, read, yield; then the slopes."""
    counts = sorted({count for count in bench.trial.profile.instances if count > 0})
    scans = merging_scans()
    levels = [_level(bench, (), None)]
    with contextlib.ExitStack() as stack:
        live: list[Instance] = []
        for count in counts:
            while len(live) < count:
                live.append(stack.enter_context(bench.launched()))
                bench.wait(live[-1], Event.READY)
            levels.append(_level(bench, live, levels[0].available))
            yield from _levels(bench, levels[0], levels[-1])
        note = merging_note(scans, merging_scans(), len(counts))
        # Asking a guest touches its memory: only after the last reading.
        yield from _guest(bench, live[0])
        yield from load(bench, live[0])
    if not any(level.translated is not None for level in levels):
        yield bench.missing("translated", "no machine is involved")
    if not any(level.charged for level in levels):
        yield from (bench.missing(f"cgroup-{n}", "it has no control group of its own") for n in _CHARGES)
    for slope in _slopes(bench, levels):
        yield replace(slope, reason=note) if note and slope.status is Status.OK else slope
    left = minus(levels[0].available, _settled(bench, (), None).available)
    yield bench.sample("memavailable-left", left)


def merging_note(before: int | None, after: int | None, levels: int) -> str:
    """Return what KSM makes of a slope, "" where it does not run or had looked twice at every number of instances."""
    if before is None or after is None or after - before >= 2 * levels:
        return ""
    return (
        f"KSM runs on this host and looked through all memory {after - before} times meanwhile, where {2 * levels} "
        "would be enough: equal pages may not have been merged yet"
    )


def _settled(bench: Workbench, live: Sequence[Instance], base: int | None) -> Settled:
    """Wait until the instances' own memory keeps still (a guest goes on starting after READY), then the host's."""

    def pss() -> int | None:
        return pss_of(memory_of(live))

    if live:
        own = settle(pss, scale=pss() or 0, deadline_s=_SETTLE_INSTANCES_S)
        if not own.calm:
            state = "could not be read" if own.available is None else f"still moved after {own.waited_s:.0f} s"
            bench.session.say(f"instances whose memory {state}: {len(live)}")
    now, count = read_available(), len(live)
    settled = settle(scale=0 if base is None or now is None else base - now, deadline_s=_SETTLE_S)
    if not settled.calm:
        bench.session.say(f"memory did not keep still for {settled.waited_s:.0f} s with {count} instances")
    return settled


def _level(bench: Workbench, live: Sequence[Instance], base: int | None) -> Level:
    """Wait until memory keeps still, then read every account. The host's figure first: reading costs memory too."""
    available = _settled(bench, live, base).available
    return Level(
        instances=len(live),
        available=available,
        parts=_parts(bench, live),
        charges=tuple(charge_of(instance) for instance in live),
        translated=translated_of(live),
    )


def _parts(bench: Workbench, live: Sequence[Instance]) -> dict[str, MemoryOf]:
    """Return the memory of all processes by part. A process may end between being listed and being read: look again."""
    for attempt in range(ATTEMPTS):
        pids: dict[str, list[int]] = {}
        for instance in live:
            for role, of_role in instance.processes().items():
                pids.setdefault(role, []).extend(of_role)
        parts = {part: sum_memory(of_part) for part, of_part in pids.items() if of_part}
        if parts:
            parts[TOTAL] = add_up(parts.values())
        if daemons := bench.backend.control_plane():
            parts[Role.CONTROL_PLANE] = sum_memory(daemons)
        if not any(of_part.unread for of_part in parts.values()) or attempt == ATTEMPTS - 1:
            break
    return parts


def _levels(bench: Workbench, base: Level, level: Level) -> Iterator[Sample]:
    """Yield everything that was read at one number of instances."""
    count = str(level.instances)
    for part, of_part in level.parts.items():
        for name in _DEFINITIONS:
            yield _of_processes(bench, name, of_part, instances=count, part=part)
    if TOTAL not in level.parts:
        for name in _DEFINITIONS:
            yield bench.missing(name, "it has no process on this host", instances=count, part=TOTAL)
    drop = minus(base.available, level.available)
    yield bench.sample("memavailable-drop", drop, instances=count, part=TOTAL)
    if level.translated is not None:
        yield bench.sample("translated", level.translated, instances=count, part=Role.VMM)
    yield from _charged(bench, level)


def _of_processes(bench: Workbench, name: str, of_part: MemoryOf, **params: str) -> Sample:
    if of_part.unread or of_part.memory is None:
        return bench.missing(name, unread_reason(of_part.unread), Status.FAILED, **params)
    value = getattr(of_part.memory, name)
    if value is None:
        return bench.missing(name, "this kernel does not tell it in smaps_rollup", Status.UNSUPPORTED, **params)
    return bench.sample(name, value, **params)


def _charged(bench: Workbench, level: Level) -> Iterator[Sample]:
    """Yield the charges of the first instance's group and the sum: the first pays for what all of them share."""
    for name in _CHARGES if level.charged else ():
        values = [getattr(charge, name) for charge in level.charged]
        metric, count = f"cgroup-{name}", str(level.instances)
        if None in values:
            yield bench.missing(metric, "this kernel's control groups do not tell it", instances=count, part="first")
        else:
            yield bench.sample(metric, values[0], instances=count, part="first")
            yield bench.sample(metric, sum(values), instances=count, part="sum")


def _guest(bench: Workbench, instance: Instance) -> Iterator[Sample]:
    """Yield what a guest believes: MemTotal, and MemTotal − MemAvailable, from its own /proc/meminfo."""
    names = ("guest-used", "guest-total")
    try:
        total, available = guest_figures(bench, instance)
    except Unsupported as error:
        yield from (bench.missing(n, error.message) for n in names)
    except InstanceError as error:
        yield from (bench.missing(n, error.message, status_of(error)) for n in names)
    else:
        yield bench.sample("guest-used", total - available, part="guest")
        yield bench.sample("guest-total", total, part="guest")


def _slopes(bench: Workbench, levels: Sequence[Level]) -> Iterator[Sample]:
    """Yield one slope a trial of each account: bytes for one more instance. Its interval comes from the blocks.

    MemAvailable and the control plane were really read at N = 0, so that point counts; the processes' sums
    begin at N = 1, because with no instance there is nothing to read.
    """
    base, populated = levels[0], levels[1:]
    drops = [(level.instances, minus(base.available, level.available)) for level in levels]
    yield _slope(bench, "memavailable-slope", drops)
    for name in ("pss", "anon"):
        yield _slope(bench, f"{name}-slope", [(level.instances, _figure(level, TOTAL, name)) for level in populated])
    if populated and populated[0].translated is not None:
        yield _slope(bench, "translated-slope", [(level.instances, level.translated) for level in populated])
    else:
        yield bench.missing("translated-slope", "no machine is involved")
    daemons = [(level.instances, _figure(level, Role.CONTROL_PLANE, "pss")) for level in levels]
    if Role.CONTROL_PLANE in base.parts:
        yield _of_processes(bench, "pss", base.parts[Role.CONTROL_PLANE], instances="0", part=Role.CONTROL_PLANE)
        yield bench.sample("control-plane-fixed", daemons[0][1])
        yield _slope(bench, "control-plane-slope", daemons)
    else:
        for name in ("control-plane-fixed", "control-plane-slope"):
            yield bench.missing(name, no_daemon(bench.backend))


def _slope(bench: Workbench, metric: str, points: Sequence[tuple[int, int | None]]) -> Sample:
    """Return the least-squares slope through the points, bytes per instance."""
    known = [(count, value) for count, value in points if value is not None]
    if len(known) < len(points):
        return bench.missing(metric, "not every number of instances could be read", Status.FAILED)
    if len(known) < 2:
        return bench.missing(metric, "a slope needs two numbers of instances; the profile has one")
    counts, values = zip(*known, strict=True)
    return bench.sample(metric, statistics.linear_regression(counts, values).slope)


def _figure(level: Level, part: str, name: str) -> int | None:
    of_part = level.parts.get(part)
    if of_part is None or of_part.memory is None or of_part.unread:
        return None
    value: int | None = getattr(of_part.memory, name)
    return value
