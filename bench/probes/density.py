"""How many instances a host carries: start one after another until a declared rule says stop, then remove them all.

The rule (`bench.probes.ramp.Rule`, numbers in the scenario's settings) is asked before every start, so the host is
left alive: no instance is started that would bring available memory below the floor if it cost what the last one did.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.backends.base import Instance
from bench.clock import Event
from bench.collectors.cpu import read_held
from bench.collectors.meminfo import read_available, settle
from bench.collectors.pool import pool_used
from bench.errors import InstanceError
from bench.probes.base import Workbench, minus, status_of
from bench.probes.ramp import Rule, State, Stop, checkpoint, cost_of_one, read_state, room, slope
from bench.sample import Sample, Status

_SETTLE_S = 3.0
_INTERVAL_S = 0.2

_NO_ADDRESS = "no available IPv4"
"""How Docker says that its network has no address left (moby, libnetwork/ipam)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was read when so many instances were ready.

    Attributes:
        alive: how many.
        ready_s: requested→ready of the last of them, seconds; None at the foot of the ramp.
        available: MemAvailable, bytes.
        pool: bytes in use where the instances' bytes land; None: no disk of their own, or not on this host.
        pss: memory of all their processes, bytes; None where it was not read: it takes longer the more there are.
    """

    alive: int
    ready_s: float | None
    available: int | None
    pool: int | None
    pss: int | None = None


def density(bench: Workbench) -> Iterator[Sample]:
    """Ramp up, yield what each step cost, and how many were reached when the rule said stop, and which rule."""
    rule = rule_of(bench.trial.scenario.settings, machine=bool(bench.backend.accelerator(bench.trial.subject)))
    # One that does not count brings programs and files into the cache: the first step shall not pay for them.
    with bench.launched() as first:
        bench.wait(first, Event.READY)
    place = bench.backend.pool(bench.trial.subject)
    steps, foot = [_read(place, 0, None, 0)], read_state(place=place)
    with contextlib.ExitStack() as stack:
        live: list[Instance] = []
        stop = rule.before_next(0, foot)
        while stop is None:
            try:
                step, stop = _climb(bench, stack, rule, steps, live, place)
            except InstanceError as error:
                yield bench.missing("requested→ready", error.message, status_of(error), instances=str(len(steps)))
                stop = (Stop.NETWORK if _NO_ADDRESS in error.message else Stop.FAILED, error.message)
                break
            steps.append(step)
            yield from _costs(bench, steps[0], steps[-2], step)
            stop = stop or rule.before_next(step.alive, read_state(place=place), _fell(steps[-2], step) or 0.0)
    left = _fell(steps[0], _read(place, 0, None, 0))
    yield from _reached(bench, steps, stop)
    yield bench.sample("memory-left", left)
    yield _fitting(bench, rule, foot, steps, left)


def rule_of(settings: Mapping[str, float], *, machine: bool) -> Rule:
    """Return the stop rule that a scenario's settings declare; machines have a maximum of their own."""
    return Rule(
        floor_share=settings["memory-floor-share"],
        floor_bytes=settings["memory-floor-bytes"],
        disk_floor_bytes=settings["disk-floor-bytes"],
        pressure=settings["memory-pressure"],
        slower=settings["start-slower"],
        slow_s=settings["start-slow-s"],
        maximum=int(settings["machines" if machine else "containers"]),
    )


def _climb(
    bench: Workbench,
    stack: contextlib.ExitStack,
    rule: Rule,
    steps: Sequence[Step],
    live: list[Instance],
    place: Path | None,
) -> tuple[Step, tuple[Stop, str] | None]:
    """Start one more; return what it cost, and whether it took too long.

    Raises:
        InstanceError: it did not become ready. What was started is removed with all the others.
    """
    instance: Instance = stack.enter_context(bench.launched())
    bench.wait(instance, Event.READY)
    live.append(instance)
    ready_s = instance.timeline.seconds(Event.REQUESTED, Event.READY) or 0.0
    first_s = next((step.ready_s for step in steps if step.ready_s is not None), ready_s)
    step = _read(place, len(live), ready_s, _fell(steps[0], steps[-1]) or 0)
    if checkpoint(len(live), rule.maximum):
        pids = [pid for each in live for of_role in each.processes().values() for pid in of_role]
        held = read_held(pids)
        step = replace(step, pss=held.pss if held else None)
    return step, rule.after_start(first_s, ready_s)


def _read(place: Path | None, alive: int, ready_s: float | None, scale: float) -> Step:
    """Wait a little until the host's memory keeps still, then read."""
    available = settle(read_available, scale=round(scale), interval_s=_INTERVAL_S, deadline_s=_SETTLE_S).available
    with contextlib.suppress(OSError):
        return Step(alive=alive, ready_s=ready_s, available=available, pool=pool_used(place) if place else None)
    return Step(alive=alive, ready_s=ready_s, available=available, pool=None)


def _fell(before: Step, after: Step) -> int | None:
    """Return by how much MemAvailable fell from one step to another, bytes."""
    return minus(before.available, after.available)


def _grew(before: Step, after: Step) -> int | None:
    return minus(after.pool, before.pool)


def _costs(bench: Workbench, foot: Step, before: Step, step: Step) -> Iterator[Sample]:
    """Yield what one more instance cost, and all of them so far."""
    count = str(step.alive)
    yield bench.sample("requested→ready", step.ready_s, instances=count)
    yield bench.sample("memory-step", _fell(before, step), instances=count)
    yield bench.sample("memory-taken", _fell(foot, step), instances=count)
    if step.pool is not None:
        yield bench.sample("disk-step", _grew(before, step), instances=count)
        yield bench.sample("disk-taken", _grew(foot, step), instances=count)
    if step.pss is not None:
        yield bench.sample("pss-taken", step.pss, instances=count)


def _reached(bench: Workbench, steps: Sequence[Step], stop: tuple[Stop, str]) -> Iterator[Sample]:
    """Yield the end of the ramp: how many and why no more, and the slopes."""
    reached = bench.sample("instances-reached", steps[-1].alive)
    yield replace(reached, reason=f"{stop[0]}: {stop[1]}")
    yield replace(reached, reason=stop[1], params={"part": "stop", "stop": str(stop[0])})
    yield _each(bench, "pss-each", _pss_each(steps))
    yield _each(bench, "memory-each", slope(_taken(steps)))
    if steps[0].pool is None:
        reason = "it has no disk of its own, or not on this host"
        yield from (bench.missing(name, reason) for name in ("disk-each", "disk-step", "disk-taken"))
    else:
        points = [(step.alive, grew) for step in steps if (grew := _grew(steps[0], step)) is not None]
        yield _each(bench, "disk-each", slope(points))
    started = [step.ready_s for step in steps if step.ready_s]
    if len(started) < 2:
        yield bench.missing("start-slowdown", "it takes two starts", Status.FAILED)
    else:
        yield bench.sample("start-slowdown", started[-1] / started[0])


def _pss_each(steps: Sequence[Step]) -> float | None:
    return slope([(step.alive, step.pss) for step in steps if step.pss is not None])


def _taken(steps: Sequence[Step]) -> list[tuple[int, int]]:
    """Return (how many, by how much MemAvailable had fallen) of each step where both are known."""
    return [(step.alive, fell) for step in steps if (fell := _fell(steps[0], step)) is not None]


def _fitting(bench: Workbench, rule: Rule, foot: State, steps: Sequence[Step], left: int | None) -> Sample:
    """Return how many would have fitted, by what there was at the foot of the ramp and what one more takes."""
    taken = _taken(steps)
    cost, account = cost_of_one(_pss_each(steps), slope(taken), left, taken[-1][1] if taken else None)
    fit = room(foot.available, foot.total, cost, rule)
    if fit is None:
        return bench.missing("instances-computed", "what one more takes of the memory is not known")
    return replace(bench.sample("instances-computed", fit), reason=account)


def _each(bench: Workbench, metric: str, value: float | None) -> Sample:
    if value is None:
        return bench.missing(metric, "a slope needs three points")
    return bench.sample(metric, value)
