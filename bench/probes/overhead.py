"""How fast it is inside: the distribution's own tools, the same binaries in every subject, for a fixed time each.

Server, load generator and database are in the same instance and share its CPU, so what is compared is what the
instance's walls cost, not a network. The order of the measures is drawn for each block, the same for all subjects
of the block, so that none always comes after the same one. What the host burns beside is read on the host.
"""

from __future__ import annotations

import functools
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.backends.abilities import Addressed
from bench.backends.base import Instance
from bench.backends.common import PORT, free_port
from bench.clock import Event
from bench.collectors.cputime import softirq_cpu_s, tree_cpu_s
from bench.errors import InstanceDied, InstanceError, StartTimeout, Unsupported
from bench.probes.base import Workbench
from bench.probes.tools import (
    ParseError,
    coreutils,
    fio,
    iperf3,
    pgbench,
    redis,
    sockperf,
    stress_ng,
    sysbench,
    tail,
    wrk,
)
from bench.rootfs.build import build_tree, load_recipe
from bench.sample import Sample, Status

_PATIENCE_S = 90.0
"""How long a command may take beyond its measured seconds: an emulated guest starts a database in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One tool's one figure.

    Attributes:
        command: makes the shell command, of the seconds it shall measure and a free port.
        parse: returns the figure in the metric's unit from what the command printed.
    """

    command: Callable[[int, int], str]
    parse: Callable[[str], float]


def _stress(stressor: str) -> Measure:
    name = stressor.partition(" ")[0]
    return Measure(
        command=lambda s, _: stress_ng.command(stressor, s), parse=functools.partial(stress_ng.parse, stressor=name)
    )


def _fio(kind: str, block: str, parse: Callable[[str, str], float], extra: str = "--direct=1") -> Measure:
    side = "read" if "read" in kind else "write"
    return Measure(
        command=lambda s, _: fio.command(s, kind, block, extra), parse=lambda text: parse(text, side)
    )  # fmt: skip


MEASURES: Mapping[str, Measure] = {
    "cpu-integer": _stress("cpu --cpu-method int64"),
    "cpu-float": _stress("cpu --cpu-method double"),
    "context-switches": _stress("switch"),
    "forks": _stress("fork"),
    "page-fault": Measure(
        command=lambda s, _: stress_ng.command("fault", s), parse=stress_ng.parse_fault_seconds
    ),
    "system-calls": Measure(command=lambda s, _: coreutils.calls_command(s), parse=coreutils.parse_calls),
    "program-starts": Measure(command=lambda s, _: coreutils.starts_command(s), parse=coreutils.parse_starts),
    "memory-bandwidth": Measure(
        command=lambda s, _: sysbench.command(s, "64M", "seq", "write"), parse=sysbench.parse_bandwidth
    ),
    "memory-latency": Measure(
        command=lambda s, _: sysbench.command(s, "32M", "rnd", "read"), parse=sysbench.parse_access_seconds
    ),
    "file-read": _fio("read", "1m", fio.parse_bandwidth),
    "file-write": _fio("write", "1m", fio.parse_bandwidth),
    "file-read-random": _fio("randread", "4k", fio.parse_rate),
    "file-write-random": _fio("randwrite", "4k", fio.parse_rate),
    "file-sync": _fio("randwrite", "4k", fio.parse_rate, "--fsync=1"),
    "loopback-throughput": Measure(command=iperf3.command, parse=iperf3.parse),
    "loopback-round-trip": Measure(command=sockperf.command, parse=sockperf.parse),
    "nginx": Measure(command=wrk.command, parse=wrk.parse),
    "redis": Measure(command=lambda s, _: redis.command(s), parse=redis.parse),
    "postgresql": Measure(command=lambda s, _: pgbench.command(s), parse=pgbench.parse),
}  # fmt: skip
"""By the metric they give. A scenario's setting of the same name, else `seconds`, says how long each one lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridged:
    """One tool's one figure between the host and an instance whose network is a bridge of the host's.

    Attributes:
        server: makes the shell command that starts the server inside and returns, of address, seconds and port.
        program: the client, below the userland's root; it runs on the host.
        client: makes its arguments, of the same three.
        parse: returns the figure in the metric's unit from what the client printed.
    """

    server: Callable[[str, int, int], str]
    program: str
    client: Callable[[str, int, int], list[str]]
    parse: Callable[[str], float]


BRIDGED: Mapping[str, Bridged] = {
    "bridge-throughput": Bridged(
        server=iperf3.server, program="usr/bin/iperf3", client=iperf3.client, parse=iperf3.parse
    ),
    "bridge-round-trip": Bridged(
        server=sockperf.server, program="usr/bin/sockperf", client=sockperf.client, parse=sockperf.parse
    ),
}  # fmt: skip
"""By the metric they give, as MEASURES."""


def overhead(bench: Workbench) -> Iterator[Sample]:
    """Start one instance, run one measure after another in it, end it. A measure that fails costs its own figure."""
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        order = chosen(bench)
        for place, name in enumerate(order):
            try:
                yield from _watched(bench, instance, name)
            except StartTimeout as error:
                # The agent runs one command at a time: it is still at this one.
                yield from (bench.missing(n, error.message, Status.TIMEOUT) for n in order[place:])
                return


def chosen(bench: Workbench) -> list[str]:
    """Return the metrics that the profile gives time to, in the block's own order."""
    names = [name for name in (*MEASURES, *BRIDGED) if _seconds(bench, name) > 0]
    chance = random.Random(f"{bench.trial.seed} {bench.trial.scenario.name} {bench.trial.block}")
    return chance.sample(names, len(names))


def _seconds(bench: Workbench, name: str) -> int:
    settings = bench.trial.scenario.settings
    return round(settings.get(name, settings.get("seconds", 1)))


def _watched(bench: Workbench, instance: Instance, name: str) -> Iterator[Sample]:
    """Yield the figure, and what the host's CPUs did for it, per second of the whole command."""
    before, softirq, began = _cpu(bench, instance), softirq_cpu_s(), time.monotonic()
    figure, ended = (_bridged if name in BRIDGED else _measured)(bench, instance, name)
    took = time.monotonic() - began
    after, softirq_after = _cpu(bench, instance), softirq_cpu_s()
    yield figure
    if ended:
        yield bench.sample("host-cpu", _rate(before, after, took), measure=name)
        yield bench.sample("host-softirq", _rate(softirq, softirq_after, took), measure=name)


def _measured(bench: Workbench, instance: Instance, name: str) -> tuple[Sample, bool]:
    """Run the measure's command inside; return the figure, and whether the command ended well, whatever it printed."""
    seconds, measure = _seconds(bench, name), MEASURES[name]
    code, output = instance.channel.run(measure.command(seconds, free_port()), seconds + _PATIENCE_S)
    return _figure(bench, name, measure, code, output.decode("utf-8", "replace")), code == 0


def _figure(bench: Workbench, name: str, measure: Measure, code: int, text: str) -> Sample:
    if code == pgbench.NO_OTHER_USER:
        return bench.missing(name, "inside there is no user but root, and the tool refuses to be root")
    if code:
        return bench.missing(name, f"the command inside ended with {code}: {tail(text)}", Status.FAILED)
    try:
        return bench.sample(name, measure.parse(text))
    except ParseError as error:
        return bench.missing(name, str(error), Status.FAILED)


def _cpu(bench: Workbench, instance: Instance) -> float | None:
    """Return the CPU seconds of all that exists because of the instance, and of its engine's daemons."""
    own = [pid for pids in instance.processes().values() for pid in pids]
    return tree_cpu_s([*own, *bench.backend.control_plane()])


def _rate(before: float | None, after: float | None, took_s: float) -> float | None:
    return None if before is None or after is None else (after - before) / took_s


def _bridged(bench: Workbench, instance: Instance, name: str) -> tuple[Sample, bool]:
    """Let a client on the host ask a server inside, through the bridge; return the same two."""
    # A port each: one that was served a moment ago cannot be bound again for a minute (TIME_WAIT, tcp(7)).
    port = PORT + 1 + list(BRIDGED).index(name)
    try:
        return bench.sample(name, _through_bridge(bench, instance, BRIDGED[name], _seconds(bench, name), port)), True
    except Unsupported as error:
        return bench.missing(name, error.message), False
    except (StartTimeout, InstanceDied):
        raise
    except (ParseError, InstanceError) as error:
        return bench.missing(name, str(error), Status.FAILED), False


def _through_bridge(bench: Workbench, instance: Instance, tool: Bridged, seconds: int, port: int) -> float:
    if not isinstance(instance, Addressed):
        network = bench.backend.manifest(bench.trial.subject).get("network", "none")
        raise Unsupported(f"its network is no bridge of the host ({network})")
    address = instance.address()
    code, output = instance.channel.run(tool.server(address, seconds, port), _PATIENCE_S)
    if code:
        raise ParseError(f"the server did not start inside: {tail(output.decode('utf-8', 'replace'))}")
    return tool.parse(_on_host(bench, tool.program, tool.client(address, seconds, port), seconds))


def _on_host(bench: Workbench, program: str, arguments: list[str], seconds: int) -> str:
    """Run a program of the subject's userland on the host, by that userland's own loader; return what it printed."""
    root = build_tree(load_recipe(bench.trial.subject.rootfs), bench.session.cache, bench.session.say).directory
    libraries = root / "usr/lib/x86_64-linux-gnu"
    command = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(root / program)]
    try:
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=seconds + _PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ParseError(f"{program} on the host: {error}") from error
    return done.stdout + done.stderr
