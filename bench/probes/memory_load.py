"""What the host gets back: one instance at rest, under a fixed load, after it, and once its balloon was inflated.

The load is the same in every subject: a file is written and read, and a program fills memory with random bytes, which
nothing can merge or compress, and holds it. Afterwards the program is ended and the file removed. A container's pages
are the host's and come back at once; a guest frees them to its own kernel, and the host learns of it only through a
balloon that is inflated, or one by which the guest reports what is free.

What an emulator has translated meanwhile is no memory of the load: it is left out of what was kept and given back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from bench.backends.abilities import Resizable
from bench.backends.base import Instance
from bench.collectors.cgroup import Charge
from bench.collectors.meminfo import settle
from bench.errors import InstanceError, StartTimeout, Unsupported
from bench.probes.accounts import charge_of, guest_figures, memory_of, pss_of, translated_of, unread_reason
from bench.probes.base import Workbench, minus, run_inside, status_of
from bench.sample import Sample, Status

_MIB = 1 << 20
_FILE = "/bench-load"
_COMMAND_S = 120.0
_SETTLE_S = 1.0
"""The load is far above what a host does beside it: no long wait for the last megabytes."""

_RESERVE = 48 * _MIB
"""What an inflated balloon leaves the guest beyond what it uses, bytes: one without any kills its programs."""

_ACCOUNTS = ("load-pss", "load-memavailable", "load-cgroup", "load-translated", "load-guest-used")
_RESULTS = ("load-taken", "load-kept", "load-returned")
METRICS = (*_ACCOUNTS, *_RESULTS)
"""Everything that is told of the load."""


class State(StrEnum):
    """What the instance has behind it; the samples' parameter `state`."""

    IDLE = "idle"
    LOADED = "loaded"
    AFTER = "after"
    INFLATED = "inflated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The host's accounts in one state, bytes; None: unknown.

    Attributes:
        pss: of all its processes; unread: those that could not be read, without which there is no sum.
        guest: MemTotal and MemAvailable as the guest sees them, or the sample that says why there are none.
    """

    state: State
    pss: int | None
    available: int | None
    charge: Charge | None
    translated: int | None
    guest: tuple[int, int] | Sample
    unread: tuple[int, ...] = ()

    @property
    def own(self) -> int | None:
        """PSS without an emulator's translated code."""
        return None if self.pss is None else self.pss - (self.translated or 0)


def load(bench: Workbench, instance: Instance) -> Iterator[Sample]:
    """Put the load on a ready instance, take it off, and yield every account in every state."""
    settings = bench.trial.scenario.settings
    if not settings.get("load_mib"):
        yield from _nothing(bench, METRICS, "this profile puts no load on")
        return
    if bench.trial.subject.rootfs == "none":
        yield from _nothing(bench, METRICS, "there is no operating system inside that could run anything")
        return
    idle = _read(bench, instance, State.IDLE)
    yield from _told(bench, idle, idle)
    try:
        command = hold_command(round(settings["load_mib"]), round(settings["file_mib"]))
        holder = run_inside(instance, command, _COMMAND_S).split()[-1:]
        loaded = _read(bench, instance, State.LOADED)
        yield from _told(bench, loaded, idle)
        yield _summed(bench, "load-taken", minus(loaded.own, idle.own), (idle, loaded))
        run_inside(instance, release_command(holder), _COMMAND_S)
    except InstanceError as error:
        yield from _nothing(bench, _RESULTS, error.message, status_of(error))
        return
    # A guest's kernel gathers free pages for two seconds before it reports them (mm/page_reporting.c).
    time.sleep(settings["return_s"])
    after = _read(bench, instance, State.AFTER)
    yield from _told(bench, after, idle)
    yield from _balance(bench, idle, loaded, after)
    yield from _inflated(bench, instance, idle, loaded, after)


def hold_command(memory_mib: int, file_mib: int) -> str:
    """Return the shell command of the load: it prints the process id that holds the memory, and returns when it does.

    dd reads random bytes into one block, so every page is touched, and then writes it to a pipe that nobody reads
    on: it holds all of it until the reader ends. The first byte in the pipe says that the block is full.
    """
    write = f"dd if=/dev/urandom of={_FILE} bs=65536 count={file_mib * 16} 2>&1 && cat {_FILE} >/dev/null"
    fill = f"dd if=/dev/urandom bs={memory_mib}M count=1 iflag=fullblock 2>/dev/null"
    keep = "head -c 1 >/dev/null; echo $$; exec sleep 600 >/dev/null 2>&1"
    return f"{write} && {{ {fill} | sh -c '{keep}' & }}"


def release_command(holder: list[str]) -> str:
    """Return the shell command that ends the load.

    Raises:
        InstanceError: nobody holds it.
    """
    if not holder or not holder[0].isdecimal():
        raise InstanceError(f"the load did not say which process holds it: {' '.join(holder)}")
    return f"kill {holder[0]} && rm {_FILE}"


def _read(bench: Workbench, instance: Instance, state: State) -> Reading:
    """Wait until the host's memory keeps still, then read all accounts; the guest last: asking touches its memory."""
    available = settle(scale=64 * _MIB, deadline_s=_SETTLE_S).available
    memory = memory_of([instance])
    return Reading(
        state=state,
        pss=pss_of(memory),
        unread=memory.unread,
        available=available,
        charge=charge_of(instance),
        translated=translated_of([instance]),
        guest=_guest(bench, instance, state),
    )


def _summed(bench: Workbench, metric: str, value: int | None, of: tuple[Reading, ...], **params: str) -> Sample:
    """Return a figure that is a sum over all processes in these readings."""
    unread = [pid for reading in of for pid in reading.unread]
    if unread:
        return bench.missing(metric, unread_reason(unread), Status.FAILED, **params)
    return bench.sample(metric, value, **params)


def _guest(bench: Workbench, instance: Instance, state: State) -> tuple[int, int] | Sample:
    try:
        return guest_figures(bench, instance)
    except Unsupported as error:
        return bench.missing("load-guest-used", error.message, state=state)
    except InstanceError as error:
        return bench.missing("load-guest-used", error.message, status_of(error), state=state)


def _told(bench: Workbench, reading: Reading, idle: Reading) -> Iterator[Sample]:
    """Yield the accounts of one state; the host's MemAvailable by how much it lies below that at rest."""
    state = reading.state
    yield _summed(bench, "load-pss", reading.pss, (reading,), state=state)
    yield bench.sample("load-memavailable", minus(idle.available, reading.available), state=state)
    charge = reading.charge
    if charge is None or charge.current is None:
        yield bench.missing("load-cgroup", "it has no control group of its own", state=state)
    else:
        yield bench.sample("load-cgroup", charge.current, state=state)
    if reading.translated is None:
        yield bench.missing("load-translated", "no machine is involved", state=state)
    else:
        yield bench.sample("load-translated", reading.translated, state=state)
    if isinstance(reading.guest, Sample):
        yield reading.guest
    else:
        total, available = reading.guest
        yield bench.sample("load-guest-used", total - available, state=state)


def _balance(bench: Workbench, idle: Reading, loaded: Reading, now: Reading) -> Iterator[Sample]:
    """Yield what is still held of what the load took, and what the host got back."""
    yield _summed(bench, "load-kept", minus(now.own, idle.own), (idle, now), state=now.state)
    yield _summed(bench, "load-returned", minus(loaded.own, now.own), (loaded, now), state=now.state)


def _inflated(bench: Workbench, instance: Instance, idle: Reading, loaded: Reading, after: Reading) -> Iterator[Sample]:
    """Inflate the balloon over what the guest has free, and read once more."""
    state = State.INFLATED
    names = ("load-kept", "load-returned")
    patience_s = bench.trial.scenario.settings["inflate_s"]
    if not patience_s:
        yield from _nothing(bench, names, "this profile inflates no balloon", state=state)
        return
    if not isinstance(instance, Resizable) or isinstance(after.guest, Sample):
        yield from _nothing(bench, names, "it has no memory balloon", state=state)
        return
    try:
        shrink(instance, after.guest[1] - _RESERVE, patience_s)
    except Unsupported as error:
        yield from _nothing(bench, names, error.message, state=state)
    except InstanceError as error:
        yield from _nothing(bench, names, error.message, status_of(error), state=state)
    else:
        reading = _read(bench, instance, state)
        yield from _told(bench, reading, idle)
        yield from _balance(bench, idle, loaded, reading)


def shrink(instance: Resizable, by: int, patience_s: float) -> None:
    """Take so many bytes from a guest by its balloon; return when it has given them.

    Raises:
        Unsupported: it has no balloon.
        InstanceError: it did not give them in time: nothing in the guest drives the balloon, or it is slow.
    """
    given = instance.given_memory()
    if given is None:
        raise Unsupported("its engine does not tell what the balloon leaves it")
    target = given - max(0, by) // _MIB * _MIB
    instance.set_memory(target)
    deadline = time.monotonic() + patience_s
    while (instance.given_memory() or given) > target:
        if time.monotonic() > deadline:
            raise StartTimeout(f"its balloon was not inflated within {patience_s:g} s")
        time.sleep(0.1)


def _nothing(
    bench: Workbench, names: tuple[str, ...], reason: str, status: Status = Status.UNSUPPORTED, **params: str
) -> Iterator[Sample]:
    yield from (bench.missing(name, reason, status, **params) for name in names)
