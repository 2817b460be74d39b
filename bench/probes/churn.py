"""How quickly instances come and go: create, wait until ready, remove; one by one, several at once, by the clock.

The parameter `mode`: "one-by-one"; "parallel-K" and "parallel-cpus", K workers (as many as CPUs) that each start the
next cycle when one has ended; "scheduled", an open loop in which arrivals come at a fixed rate whether or not the
earlier ones are done. There latency counts from the instant the arrival was due, so waiting for a busy host is in it,
and all samples carry the `rate`: what was asked more often is compared with nothing that was asked less often.

One for which there is no room is turned away. That is no failure of the trial but its finding, counted as
`turned-away`; and since it would wait for ever, it stands in the quantiles beyond every latency that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.collectors.cpu import Held, Reading, between, read_held, read_use
from bench.probes.base import Workbench, no_daemon
from bench.probes.churner import Churn
from bench.probes.cycles import DRIFT_NEEDS, NEEDED, Cycle, drift, per_second, quantile
from bench.sample import Sample, Status

LATENCIES = (("requested", "ready"), ("requested", "removed"), ("arrival", "ready"), ("arrival", "removed"))
"""What is told of every cycle, by the names of its two events."""


def churn(bench: Workbench) -> Iterator[Sample]:
    """Run the cycles of the trial's mode; yield speed, latencies, failures, leftovers, and what the engine paid."""
    work = Churn(bench)
    work.warm_up()
    daemons = bench.backend.control_plane()
    before, held = read_use(daemons), read_held(daemons)
    work.run(bench.trial.params.get("mode", "one-by-one"))
    after, held_after = read_use(daemons), read_held(daemons)
    rate = {} if work.rate is None else {"rate": f"{work.rate:g}"}
    readings = (before, work.halfway, after), (held, held_after)
    for sample in (*_cycles(bench, work), *_engine(bench, *readings, len(work.cycles))):
        yield replace(sample, params={**sample.params, **rate})


def _cycles(bench: Workbench, work: Churn) -> Iterator[Sample]:
    """Yield what became of the cycles, and what stayed behind."""
    cycles = work.cycles
    speed = per_second(cycles, work.seconds)
    if speed is None:
        yield bench.missing("cycles-per-second", "not one cycle was whole", Status.FAILED)
    else:
        yield bench.sample("cycles-per-second", speed)
    for start, end in LATENCIES:
        yield from _latency(bench, start, end, cycles)
    for cycle in cycles:
        if cycle.status is not Status.OK:
            first = "requested" if cycle.due_ns is None else "arrival"
            yield bench.missing(f"{first}→removed", cycle.reason, cycle.status)
    turned_away = sum(cycle.turned_away for cycle in cycles)
    yield bench.sample("turned-away", turned_away)
    yield bench.sample("failures", sum(cycle.status is not Status.OK for cycle in cycles) - turned_away)
    remaining = work.remains.left()
    yield replace(bench.sample("leftovers", len(remaining)), reason="; ".join(remaining))
    yield bench.sample("cycles", len(cycles))
    yield bench.sample("at-once", work.at_once)
    in_order = [s for c in cycles if (s := c.seconds("requested", "ready")) is not None]
    yield _drifted(bench, "ready-drift", drift(in_order) if work.halfway else None)


def _latency(bench: Workbench, start: str, end: str, cycles: Sequence[Cycle]) -> Iterator[Sample]:
    """Yield one latency of every cycle, then its quantiles, those too that there are too few cycles for."""
    metric = f"{start}→{end}"
    values = [seconds for cycle in cycles if (seconds := cycle.seconds(start, end)) is not None]
    beyond = sum(cycle.turned_away for cycle in cycles) if start == "arrival" else 0
    if not values:
        arriving = any(cycle.due_ns is not None for cycle in cycles)
        reason = "no cycle came that far" if start == "requested" or arriving else "no arrival was due in this mode"
        yield bench.missing(metric, reason, Status.FAILED if start == "requested" or arriving else Status.UNSUPPORTED)
        return
    yield from (bench.sample(metric, value) for value in values)
    for share, needed in NEEDED.items():
        part, value, count = f"p{share * 100:g}", quantile(values, share, beyond), len(values) + beyond
        if value is not None:
            yield bench.sample(metric, value, part=part)
        elif count < needed:
            yield bench.missing(metric, f"{part} needs {needed} cycles, there were {count}", part=part)
        else:
            reason = f"{beyond} of {count} arrivals were turned away, and it is one of these"
            yield bench.missing(metric, reason, Status.SKIPPED, part=part)


def _engine(
    bench: Workbench, readings: tuple[Reading, Reading | None, Reading], held: tuple[Held | None, Held | None], n: int
) -> Iterator[Sample]:
    """Yield what the engine's daemons paid for a cycle, and whether later cycles cost them more."""
    before, halfway, after = readings
    names = ("control-plane-cpu", "control-plane-growth", "control-plane-cpu-drift")
    if not before.cpu_ns or not n:
        yield from (bench.missing(name, no_daemon(bench.backend)) for name in names)
        return
    use = between(before, after)
    if use.ended or held[0] is None or held[1] is None:
        reason = "a daemon ended meanwhile, or its memory may not be read without root"
        yield from (bench.missing(name, reason, Status.FAILED) for name in names)
        return
    yield bench.sample(names[0], use.cpu.value * use.seconds / n)
    yield bench.sample(names[1], (held[1].anon - held[0].anon) / n)
    change = None
    if halfway is not None and n >= DRIFT_NEEDS:
        first, second = between(before, halfway), between(halfway, after)
        paid = first.cpu.value * first.seconds / (n // 2), second.cpu.value * second.seconds / (n - n // 2)
        change = paid[1] / paid[0] if paid[0] > 0 else None
    yield _drifted(bench, names[2], change)


def _drifted(bench: Workbench, metric: str, value: float | None) -> Sample:
    if value is None:
        return bench.missing(metric, f"a drift is told of cycles one by one, and of {DRIFT_NEEDS} at least")
    return bench.sample(metric, value)
