"""From asleep to the first answer: resumed from saved memory, unpaused, started again, restored by CRIU.

What is timed is the resumption alone: whatever has to live first is brought up before the clock starts. Then the
workload is asked, one request after another, by PING: the agent inside makes one HTTP request and says READY. The
first hundred are set beside the next hundred, sum beside sum, and the page faults of the processes on the host are
counted: until it is ready, and during the first hundred, for pages that come back late make the first requests slow.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

from bench.backends.abilities import Checkpointable, Checkpointer, Pausable, Restartable
from bench.backends.base import Instance
from bench.clock import Event, Timeline
from bench.collectors.faults import Faults, read_faults
from bench.errors import InstanceDied, StartTimeout, Unsupported
from bench.probes.base import Workbench
from bench.sample import Sample

REQUESTS = 100
"""How many requests count as the first ones, and how many after them as steady state."""

_ASLEEP_S = 0.5
"""How long it sleeps: whatever was on its way has arrived by then."""

_ANSWER_S = 10.0
_ATTEMPTS = 3


def restore(bench: Workbench) -> Iterator[Sample]:
    """Bring one instance to where its mode begins, let it run on, wait for its first answer, then ask it on and on.

    Raises:
        Unsupported: the mode makes no sense for this subject, or this host lacks what it needs.
    """
    mode = bench.trial.params.get("mode", "")
    check, awaken = MODES[mode]
    check(bench)
    with bench.launched() as instance:
        before = awaken(bench, instance)
        bench.wait(instance, Event.READY)
        for end in (Event.STARTED, Event.READY):
            yield bench.duration(instance.timeline, Event.REQUESTED, end)
        yield from _requests(bench, instance, before)


def _requests(bench: Workbench, instance: Instance, before: Faults | None) -> Iterator[Sample]:
    """Yield what the first requests took beyond what the next ones take, and the page faults until and among them."""
    awake = _faults(instance)
    first = [round_trip(bench, instance) for _ in range(REQUESTS)]
    after = _faults(instance)
    following = [round_trip(bench, instance) for _ in range(REQUESTS)]
    yield bench.sample("first-request", first[0])
    yield bench.sample("first-requests", sum(first))
    yield bench.sample("steady-request", statistics.median(following))
    yield bench.sample("first-requests-extra", sum(first) - sum(following))
    for name in ("minor", "major"):
        yield _counted(bench, f"{name}-faults-waking", name, before, awake)
        yield _counted(bench, f"{name}-faults", name, awake, after)


def _counted(bench: Workbench, metric: str, name: str, before: Faults | None, after: Faults | None) -> Sample:
    """Return by how much one kind of faults grew."""
    if before is None or after is None:
        return bench.missing(metric, "it has no process on this host, or one ended while its faults were read")
    return bench.sample(metric, getattr(after, name) - getattr(before, name))


def round_trip(bench: Workbench, instance: Instance) -> float:
    """Return the seconds from a PING on its way to the READY that answers it.

    Raises:
        InstanceDied: nobody took the question.
        StartTimeout: nobody answered.
    """
    timeline, nonce = Timeline(), bench.session.nonce()
    instance.channel.follow(timeline, nonce)
    asked = time.monotonic_ns()
    if not instance.channel.send(f"PING {nonce}"):
        raise InstanceDied(f"{instance.name} took no question")
    if not timeline.wait(Event.READY, _ANSWER_S):
        raise StartTimeout(f"{instance.name} gave no answer within {_ANSWER_S:g} s")
    answered = timeline.at(Event.READY) or asked
    return (answered - asked) / 1e9


def _faults(instance: Instance) -> Faults | None:
    """Read the faults of all its processes; one may end between being listed and being read: look again."""
    for _ in range(_ATTEMPTS):
        faults = read_faults(pid for pids in instance.processes().values() for pid in pids)
        if faults is not None:
            return faults
    return None


def _always(bench: Workbench) -> None:
    """Make sense for every subject that has the method: that is seen when it lives."""


def _is_restored(bench: Workbench) -> None:
    if bench.trial.subject.option("boot") != "restore":
        raise Unsupported("its memory is saved nowhere: only vm-restored begins with a saved image")


def _is_no_restored(bench: Workbench) -> None:
    if bench.trial.subject.option("boot") == "restore":
        raise Unsupported("once it runs it is the machine vm-direct is: paused and resumed there")


def _keeps_what_is_stopped(bench: Workbench) -> None:
    if bench.trial.subject.backend == "docker":
        return
    again = (
        "a stopped machine boots again" if bench.trial.subject.backend == "libvirt" else "a process that ended is gone"
    )
    raise Unsupported(f"{again}: that is the scenario startup")


_NO_CRIU = {
    "libvirt": "CRIU saves processes; a machine's memory is saved by its monitor: mode=restore",
    "docker": "an engine does it by the runtime below, as an experiment that is off by default: see oci-runc",
}


def _has_criu(bench: Workbench) -> None:
    if not isinstance(bench.backend, Checkpointer):
        without = "it is CRIU's to save, but no runtime is there that describes it to CRIU: see oci-runc"
        raise Unsupported(_NO_CRIU.get(bench.trial.subject.backend, without))
    bench.backend.require_checkpoints(bench.trial.subject)


def _from_image(bench: Workbench, instance: Instance) -> Faults | None:
    """Do nothing: launching it is the resumption. Its process begins with no fault."""
    del bench, instance
    return Faults(minor=0, major=0)


def _unpause(bench: Workbench, instance: Instance) -> Faults | None:
    if not isinstance(instance, Pausable):
        raise Unsupported("its backend cannot pause it")
    bench.wait(instance, Event.READY)
    instance.pause()
    time.sleep(_ASLEEP_S)
    before = _faults(instance)
    instance.resume()
    return before


def _start_again(bench: Workbench, instance: Instance) -> Faults | None:
    if not isinstance(instance, Restartable):
        raise Unsupported("its backend keeps nothing that could be started again")
    bench.wait(instance, Event.READY)
    instance.stop()
    time.sleep(_ASLEEP_S)
    instance.start_again()
    return Faults(minor=0, major=0)


def _from_files(bench: Workbench, instance: Instance) -> Faults | None:
    if not isinstance(instance, Checkpointable):
        raise Unsupported("its backend cannot save it")
    bench.wait(instance, Event.READY)
    instance.checkpoint()
    time.sleep(_ASLEEP_S)
    instance.restore()
    return Faults(minor=0, major=0)


MODES: Mapping[
    str, tuple[Callable[[Workbench], None], Callable[[Workbench, Instance], Faults | None]]
] = {
    "restore": (_is_restored, _from_image),
    "unpause": (_is_no_restored, _unpause),
    "restart": (_keeps_what_is_stopped, _start_again),
    "criu": (_has_criu, _from_files),
}  # fmt: skip
"""By the parameter `mode`: what is asked before anything is started, and how it is woken."""
