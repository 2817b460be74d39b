"""What instances occupy on the host's disk: shared and unique, what they say, and what the pool itself lost.

The pool's delta (statvfs) is the referee: it needs no engine's word. It also sees whoever else writes to the
same file system, so a busy host blurs it, and `three-instances` is the sum of st_blocks × 512 instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from bench.backends.base import DiskUse, Instance
from bench.clock import Event
from bench.collectors.pool import pool_used
from bench.errors import InstanceError
from bench.probes.base import Workbench, status_of
from bench.sample import Sample, Status

INSTANCES = 3
"""How many live at once: the popular sentences speak of three applications."""

WRITTEN = 16 << 20
"""How much is written inside and deleted again, bytes."""

_FILE = "/bench-written"
# Random bytes: neither a compressing file system nor a disk image that detects zeros may save them.
_WRITE = f"dd if=/dev/urandom of={_FILE} bs=65536 count={WRITTEN // 65536} 2>&1 && sync"
_DELETE = f"rm {_FILE} && sync"
_COMMAND_S = 60.0


def disk(bench: Workbench) -> Iterator[Sample]:
    """Start one instance, then three; yield their bytes by every definition; write inside and delete; remove all."""
    before = _pool(bench)
    with contextlib.ExitStack() as stack:
        live = _started(bench, stack, 1)
        yield from _delta(bench, before, live)
        first = live[0].disk()
        for name in ("download", "unpacked", "image", "shared", "virtual"):
            yield bench.sample(name, getattr(first, name))
        yield bench.sample("one-instance", _together([first]))
        live += _started(bench, stack, INSTANCES - 1)
        yield from _delta(bench, before, live)
        yield from _all(bench, [instance.disk() for instance in live])
        yield from _written(bench, live[0])
    left = _minus(_pool(bench), before)
    yield _of_pool(bench, "pool-left", left)


def _started(bench: Workbench, stack: contextlib.ExitStack, count: int) -> list[Instance]:
    """Start so many side by side (no time is measured here) and wait until all are ready."""
    instances = [stack.enter_context(bench.launched()) for _ in range(count)]
    for instance in instances:
        bench.wait(instance, Event.READY)
    return instances


def _all(bench: Workbench, uses: Sequence[DiskUse]) -> Iterator[Sample]:
    """Yield each instance's own bytes, and two sums over all: shared bytes counted once, and counted for each."""
    for number, use in enumerate(uses, 1):
        yield bench.sample("unique", use.unique, instance=str(number))
    yield bench.sample("three-instances", _together(uses))
    copies = [_plus(use.shared, use.unique) for use in uses]
    yield bench.sample("three-full-copies", _sum(copies))


def _written(bench: Workbench, instance: Instance) -> Iterator[Sample]:
    """Yield by how much an instance grows when a file is written inside, and what comes back when it is deleted."""
    names = ("grown", "grown-pool", "freed", "freed-pool")
    at_first = _both(bench, instance)
    problem = _run(instance, _WRITE)
    if problem:
        yield from (bench.missing(name, problem[0], problem[1]) for name in names)
        return
    full = _both(bench, instance)
    yield bench.sample("grown", _minus(full[0], at_first[0]))
    yield _of_pool(bench, "grown-pool", _minus(full[1], at_first[1]))
    problem = _run(instance, _DELETE)
    if problem:
        yield from (bench.missing(name, problem[0], problem[1]) for name in names[2:])
        return
    empty = _both(bench, instance)
    yield bench.sample("freed", _minus(full[0], empty[0]))
    yield _of_pool(bench, "freed-pool", _minus(full[1], empty[1]))


def _both(bench: Workbench, instance: Instance) -> tuple[int | None, int | None]:
    """Return (the instance's own bytes, the pool's), the pool flushed first so that every block has its place."""
    used = _pool(bench)
    return instance.disk().unique, used


def _run(instance: Instance, command: str) -> tuple[str, Status] | None:
    """Run a command inside; return what went wrong, or None."""
    try:
        code, output = instance.channel.run(command, _COMMAND_S)
    except InstanceError as error:
        return error.message, status_of(error)
    if code:
        said = " ".join(output.decode("utf-8", "replace").split())[-200:]
        return f"{command.partition(' ')[0]} inside ended with {code}: {said}", Status.FAILED
    return None


def _delta(bench: Workbench, before: int | None, live: Sequence[Instance]) -> Iterator[Sample]:
    """Yield what the pool has lost since there was no instance."""
    yield _of_pool(bench, "pool-delta", _minus(_pool(bench), before), instances=str(len(live)))


def _of_pool(bench: Workbench, metric: str, value: int | None, **params: str) -> Sample:
    if value is None:
        reason = "the place where its bytes land is not on this host, or not known"
        return bench.missing(metric, reason, Status.UNSUPPORTED, **params)
    return bench.sample(metric, value, **params)


def _pool(bench: Workbench) -> int | None:
    """Return the bytes in use where the subject's instances land, or None if that is not to be seen from here."""
    place = bench.backend.pool(bench.trial.subject)
    if place is None:
        return None
    try:
        return pool_used(place)
    except OSError as error:
        bench.session.say(f"the pool at {place} cannot be read: {error}")
        return None


def _together(uses: Sequence[DiskUse]) -> int | None:
    """Return what instances of one subject occupy: the shared bytes once, and the bytes of each."""
    return _plus(uses[0].shared, _sum([use.unique for use in uses]))


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _plus(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _minus(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first - second
