"""What instances occupy on the host's disk: shared and unique, what they say, and what the pool itself lost.

The pool's delta (statvfs) is the referee: it needs no engine's word. It also sees whoever else writes to the
same file system, so a busy host blurs it, and `three-instances` is the sum of st_blocks × 512 instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from bench.backends.base import DiskUse, Instance, Role
from bench.clock import Event
from bench.collectors.pool import pool_used
from bench.errors import InstanceError
from bench.probes.base import Workbench, minus, run_inside, status_of
from bench.sample import Sample, Status
from bench.scenario import Subject

INSTANCES = 3
"""How many live at once: the popular sentences speak of three applications."""

_FILE = "/bench-written"
_BLOCK = 65536
_DELETE = f"rm {_FILE} && sync"
# A machine tells its disk what it no longer uses; whether the disk lets go of it is its driver's setting.
_TRIM = "fstrim /"
_COMMAND_S = 180.0


def disk(bench: Workbench) -> Iterator[Sample]:
    """Start one instance, then three; yield their bytes by every definition; write inside and delete; remove all.

    Where the scenario names applications, the three run different ones; else all run the subject's own userland.
    """
    apps = bench.trial.subject.apps()
    kinds = [apps[number % len(apps)] for number in range(INSTANCES)]
    before = _pool(bench)
    with contextlib.ExitStack() as stack:
        live = _started(bench, stack, kinds[:1])
        yield from _delta(bench, before, live)
        first = live[0].disk()
        for name in ("unpacked", "image", "shared", "virtual"):
            yield _weighed(bench, name, getattr(first, name), first)
        yield _weighed(bench, "one-instance", _plus(_plus(first.shared, first.layer), first.unique), first)
        live += _started(bench, stack, kinds[1:])
        yield from _delta(bench, before, live)
        yield from _all(bench, kinds, [instance.disk() for instance in live])
        yield from _written(bench, live[0])
    left = minus(_pool(bench), before)
    yield _of_pool(bench, "pool-left", left)


def _weighed(bench: Workbench, metric: str, value: int | None, use: DiskUse, **params: str) -> Sample:
    """Return a sample of an instance's bytes, with the engine's own reason where it does not tell them."""
    if value is None and use.unknown:
        return bench.missing(metric, use.unknown, Status.UNSUPPORTED, **params)
    return bench.sample(metric, value, **params)


def _started(bench: Workbench, stack: contextlib.ExitStack, kinds: Sequence[Subject]) -> list[Instance]:
    """Start these one after another, each with the host to itself until it is ready: no time is measured here."""
    instances = []
    for kind in kinds:
        instances.append(stack.enter_context(bench.launched(kind)))
        bench.wait(instances[-1], Event.READY)
    return instances


def _all(bench: Workbench, kinds: Sequence[Subject], uses: Sequence[DiskUse]) -> Iterator[Sample]:
    """Yield each instance's own bytes, and two sums over all: shared bytes counted once, and counted for each.

    What instances of one application share (its layer) counts once for each application.
    """
    of_app = {kind.rootfs: use for kind, use in zip(kinds, uses, strict=True)}
    several = len(of_app) > 1
    for number, (kind, use) in enumerate(zip(kinds, uses, strict=True), 1):
        who = {"app": kind.rootfs} if several else {"instance": str(number)}
        yield _weighed(bench, "unique", _plus(use.layer, use.unique) if several else use.unique, use, **who)
    layers = _sum([use.layer for use in of_app.values()])
    yield _weighed(bench, "layers", layers, uses[0])
    together = _plus(_plus(uses[0].shared, layers), _sum([use.unique for use in uses]))
    yield _weighed(bench, "three-instances", together, uses[0])
    copies = [_plus(_plus(use.shared, use.layer), use.unique) for use in uses]
    yield _weighed(bench, "three-full-copies", _sum(copies), uses[0])
    base = minus(uses[0].download, uses[0].download_own)
    yield bench.sample("download", _plus(base, _sum([use.download_own for use in of_app.values()])))


def _written(bench: Workbench, instance: Instance) -> Iterator[Sample]:
    """Yield by how much an instance grows when a file is written inside, and what comes back when it is deleted."""
    names = ("grown", "grown-pool", "freed", "freed-pool")
    blocks = int(bench.trial.scenario.settings["written-mb"] * 1e6) // _BLOCK
    at_first = _both(bench, instance)
    problem = _run(instance, _write(blocks))
    if problem:
        yield from (bench.missing(name, problem[0], problem[1]) for name in names)
        return
    full = _both(bench, instance)
    yield _weighed(bench, "grown", minus(full[0].unique, at_first[0].unique), full[0])
    yield _of_pool(bench, "grown-pool", minus(full[1], at_first[1]))
    problem = _run(instance, f"{_DELETE} && {_TRIM}" if Role.VMM in instance.processes() else _DELETE)
    if problem:
        yield from (bench.missing(name, problem[0], problem[1]) for name in names[2:])
        return
    empty = _both(bench, instance)
    yield _weighed(bench, "freed", minus(full[0].unique, empty[0].unique), empty[0])
    yield _of_pool(bench, "freed-pool", minus(full[1], empty[1]))


def _write(blocks: int) -> str:
    """Return the command that writes random bytes: no file system and no disk image may save them."""
    return f"dd if=/dev/urandom of={_FILE} bs={_BLOCK} count={blocks} conv=fsync 2>&1 && sync"


def _both(bench: Workbench, instance: Instance) -> tuple[DiskUse, int | None]:
    """Return (the instance's bytes, the pool's), the pool flushed first so that every block has its place."""
    used = _pool(bench)
    return instance.disk(), used


def _run(instance: Instance, command: str) -> tuple[str, Status] | None:
    """Run a command inside; return what went wrong, or None."""
    try:
        run_inside(instance, command, _COMMAND_S)
    except InstanceError as error:
        return error.message, status_of(error)
    return None


def _delta(bench: Workbench, before: int | None, live: Sequence[Instance]) -> Iterator[Sample]:
    """Yield what the pool has lost since there was no instance."""
    yield _of_pool(bench, "pool-delta", minus(_pool(bench), before), instances=str(len(live)))


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


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _plus(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
