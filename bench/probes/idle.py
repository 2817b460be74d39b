"""What a ready instance uses while it is left alone: CPU time, wake-ups, growth of memory, the engine's daemons too.

Nothing is asked of instance and engine during the window. CPU time is read from the clocks of the processes,
which count in nanoseconds and keep what their ended threads have used; where the instance has a control group, its
own account stands beside it as a check. Every figure has bounds, or its resolution as a metric of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.backends.base import Instance, Role
from bench.clock import Event
from bench.collectors.cgroup import Group, cpu_group, read_cpu_ns
from bench.collectors.cpu import Held, Reading, Use, between, read_held, read_use
from bench.errors import InstanceDied, InstanceError
from bench.probes.base import Workbench, is_embedded, no_daemon, status_of
from bench.sample import Sample, Status

TOTAL = "total"
"""The part that is the sum of all processes which exist because of the instance (no control plane)."""

WITH_ENGINE = "with-engine"
"""The same and the engine's daemons, if it has any: what the host spends while one instance idles. The answer."""

HOUR_S = 3600.0

CALM = 0.02
"""An instance has settled when it used less than this share of a core, two slices in a row."""

_SLICE_S = 1.0
_RATES = ("cpu", "cpu-resolution", "switches", "wakeups")
_DRIFTS = ("pss-drift", "anon-drift")

Parts = Mapping[str, Sequence[int]]
"""Process ids by part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything that is read at one end of the window.

    Attributes:
        parts: who belonged to which part.
        use: clocks and counters of all of them.
        held: memory by part; None where a process could not be read.
        group_ns: CPU time of the instance's control group, nanoseconds; None: it has none of its own.
        suite_ns: CPU time of the suite's own process, nanoseconds.
    """

    parts: Parts
    use: Reading
    held: Mapping[str, Held | None]
    group_ns: int | None
    suite_ns: int


def idle(bench: Workbench) -> Iterator[Sample]:
    """Watch the engine's daemons with no instance, then one ready instance, for a window each."""
    window_s, patience_s = (bench.trial.scenario.settings[name] for name in ("window_s", "settle_s"))
    yield from _without_instance(bench, window_s, patience_s)
    try:
        before, after = _with_instance(bench, window_s, patience_s)
    except InstanceError as error:
        # The daemons' figures have the same names: the instance's must be seen to be missing.
        for name in (*_RATES, *_DRIFTS):
            for part in (WITH_ENGINE, TOTAL):
                yield bench.missing(name, error.message, status_of(error), part=part, instances="1")
        raise
    yield from _parts(bench, before, after, "1")
    if is_embedded(bench.backend):
        yield _inside(bench, before, after)
    yield from _group(bench, before, after)
    yield bench.sample("window", _use(before, after, TOTAL).seconds)


def _with_instance(bench: Workbench, window_s: float, patience_s: float) -> tuple[Moment, Moment]:
    """Launch one, wait until it is ready and calm, leave it alone; return both ends of the window.

    Raises:
        InstanceError: it did not become ready, or it ended.
    """
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        pid = instance.cgroup_pid()
        group = None if pid is None else cpu_group(pid)
        _settle(bench, lambda: _of_instance(bench, instance), patience_s)
        ends = _watch(lambda: _of_instance(bench, instance), group, window_s)
        if not instance.alive():
            raise InstanceDied(f"{instance.name} ended while it was left alone: {instance.last_words()}")
    return ends


def _without_instance(bench: Workbench, window_s: float, patience_s: float) -> Iterator[Sample]:
    """Yield what the engine's daemons use when there is nothing to run: the control plane's fixed part."""
    if not bench.backend.control_plane():
        reason = no_daemon(bench.backend)
        yield from (bench.missing(n, reason, part=Role.CONTROL_PLANE, instances="0") for n in (*_RATES, *_DRIFTS))
        return

    def daemons() -> Parts:
        return {Role.CONTROL_PLANE: bench.backend.control_plane()}

    _settle(bench, daemons, patience_s)
    before, after = _watch(daemons, None, window_s)
    yield from _parts(bench, before, after, "0")


def _of_instance(bench: Workbench, instance: Instance) -> Parts:
    """Return the instance's processes by role, their sum, the daemons, and all together."""
    roles: dict[str, Sequence[int]] = {role: pids for role, pids in instance.processes().items() if pids}
    own = [pid for pids in roles.values() for pid in pids]
    daemons = bench.backend.control_plane()
    parts = {**roles, TOTAL: own, Role.CONTROL_PLANE: daemons, WITH_ENGINE: [*own, *daemons]}
    return {part: pids for part, pids in parts.items() if pids}


def _settle(bench: Workbench, members: Callable[[], Parts], patience_s: float) -> None:
    """Wait until they are calm; a guest goes on starting after READY, an engine goes on tidying up."""
    calm, deadline = 0, time.monotonic() + patience_s
    before = read_use(_everybody(members()))
    while calm < 2 and time.monotonic() < deadline:
        time.sleep(_SLICE_S)
        after = read_use(_everybody(members()))
        calm = calm + 1 if between(before, after).cpu.value < CALM else 0
        before = after
    if calm < 2:
        bench.session.say(f"still busy {patience_s:g} s after it was ready: the window begins all the same")


def _watch(members: Callable[[], Parts], group: Group | None, window_s: float) -> tuple[Moment, Moment]:
    """Read, leave everybody alone for the window, read again. The slow reading (memory) lies outside the window."""
    parts = members()
    held = {part: read_held(pids) for part, pids in parts.items()}
    before = _moment(parts, held, group)
    time.sleep(window_s)
    after = _moment(members(), {}, group)
    return before, replace(after, held={part: read_held(pids) for part, pids in after.parts.items()})


def _moment(parts: Parts, held: Mapping[str, Held | None], group: Group | None) -> Moment:
    group_ns = None if group is None else read_cpu_ns(group)
    suite_ns = time.process_time_ns()
    return Moment(parts=parts, use=read_use(_everybody(parts)), held=held, group_ns=group_ns, suite_ns=suite_ns)


def _everybody(parts: Parts) -> list[int]:
    return [pid for pids in parts.values() for pid in pids]


def _use(before: Moment, after: Moment, part: str) -> Use:
    """Return what a part used; a process counts if it belonged to it at either end."""
    pids = {*before.parts.get(part, ()), *after.parts.get(part, ())}
    return between(before.use.of(pids), after.use.of(pids))


def _parts(bench: Workbench, before: Moment, after: Moment, instances: str) -> Iterator[Sample]:
    """Yield every figure of every part."""
    for part in before.parts:
        yield from _rates(bench, _use(before, after, part), part=part, instances=instances)
        yield from _drifts(bench, before, after, part, instances)
    if TOTAL not in before.parts and instances != "0":
        reason = "it has no process on this host"
        for part in (WITH_ENGINE, TOTAL):
            yield from (bench.missing(n, reason, part=part, instances=instances) for n in (*_RATES, *_DRIFTS))


def _rates(bench: Workbench, use: Use, **params: str) -> Iterator[Sample]:
    """Yield CPU time with its bounds and its resolution, context switches, and wake-ups."""
    if use.ended:
        pids = ", ".join(map(str, use.ended))
        reason = f"processes ended during the window, what they had used is unknown: {pids}"
        yield from (bench.missing(name, reason, Status.FAILED, **params) for name in _RATES)
        return
    cpu = bench.sample("cpu", use.cpu.value * HOUR_S, **params)
    yield replace(cpu, low=use.cpu.low * HOUR_S, high=use.cpu.high * HOUR_S)
    yield bench.sample("cpu-resolution", use.resolution * HOUR_S, **params)
    lost = f"{use.threads_ended} threads ended: their switches are not in it" if use.threads_ended else ""
    yield replace(bench.sample("switches", use.voluntary + use.involuntary, **params), reason=lost)
    yield replace(bench.sample("wakeups", use.voluntary, **params), reason=lost)


def _drifts(bench: Workbench, before: Moment, after: Moment, part: str, instances: str) -> Iterator[Sample]:
    """Yield by how much a part's memory grew, bytes an hour; the kernel's rounding gives the bounds.

    PSS also moves when a stranger begins or ends to share a file with it; the anonymous part does not.
    """
    first, last = before.held.get(part), after.held.get(part)
    if first is None or last is None:
        reason = "a process ended, or its memory may not be read without root"
        yield from (bench.missing(name, reason, Status.FAILED, part=part, instances=instances) for name in _DRIFTS)
        return
    per_hour = HOUR_S / _use(before, after, part).seconds
    for name, grown in (("pss-drift", last.pss - first.pss), ("anon-drift", last.anon - first.anon)):
        sample = bench.sample(name, grown * per_hour, part=part, instances=instances)
        yield replace(sample, low=(grown - first.slack) * per_hour, high=(grown + last.slack) * per_hour)


def _inside(bench: Workbench, before: Moment, after: Moment) -> Sample:
    """Return why an engine inside the suite's own process has no CPU time of its own, and what it is at most."""
    most = (after.suite_ns - before.suite_ns) / 1e9 / _use(before, after, TOTAL).seconds * HOUR_S
    reason = f"{no_daemon(bench.backend)}: at most {most:.3g} CPU s/h, all that the suite itself used meanwhile"
    return bench.missing("cpu", reason, part=Role.CONTROL_PLANE, instances="1")


def _group(bench: Workbench, before: Moment, after: Moment) -> Iterator[Sample]:
    """Yield the control group's own account of the same window: what has ended is in it too."""
    if before.group_ns is None or after.group_ns is None:
        yield bench.missing("cpu-group", "it has no control group of its own")
        return
    seconds = _use(before, after, TOTAL).seconds
    yield bench.sample("cpu-group", (after.group_ns - before.group_ns) / 1e9 / seconds * HOUR_S)
