"""Instances' memory by every account: their processes' (host), their control groups' (host), and the guest's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.backends.base import Instance, Role
from bench.collectors.cgroup import Charge, own_group, read_charge
from bench.collectors.meminfo import parse_meminfo
from bench.collectors.procfs import MemoryOf, sum_memory, translated_code
from bench.errors import InstanceError, Unsupported
from bench.probes.base import Workbench

ATTEMPTS = 3
"""How often processes are listed and read again: one may end in between."""

_GUEST_S = 20.0


def memory_of(live: Sequence[Instance]) -> MemoryOf:
    """Return the memory of all processes of these instances, and which of them could not be read."""
    found = MemoryOf(memory=None)
    for _ in range(ATTEMPTS):
        found = sum_memory(pid for instance in live for of_role in instance.processes().values() for pid in of_role)
        if not found.unread:
            break
    return found


def pss_of(found: MemoryOf) -> int | None:
    """Return the PSS of all of them, bytes; None if there is none, or not all could be read: a part is no sum."""
    return None if found.memory is None or found.unread else found.memory.pss


def unread_reason(pids: Iterable[int]) -> str:
    """Return why a sum over processes is not known."""
    named = ", ".join(map(str, dict.fromkeys(pids)))
    return f"processes ended while they were read, or may not be read without root: {named}"


def translated_of(live: Sequence[Instance]) -> int | None:
    """Return the code that emulators have translated for these instances, bytes; None: no machine is involved."""
    machines = [pid for instance in live for pid in instance.processes().get(Role.VMM, ())]
    values = [translated_code(pid) for pid in machines]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def charge_of(instance: Instance) -> Charge | None:
    """Return what the instance's own control group is charged; None: it has none."""
    pid = instance.cgroup_pid()
    group = None if pid is None else own_group(pid)
    return None if group is None else read_charge(group)


def guest_figures(bench: Workbench, instance: Instance) -> tuple[int, int]:
    """Ask a guest's own /proc/meminfo; return MemTotal and MemAvailable, bytes. Asking touches its memory.

    Raises:
        Unsupported: it is no guest, or has no operating system that could say.
        InstanceError: it does not answer, or with nonsense.
    """
    if Role.VMM not in instance.processes():
        raise Unsupported("no guest: it lives in the host's own memory")
    if bench.trial.subject.rootfs == "none":
        raise Unsupported("there is no operating system inside that could say")
    code, output = instance.channel.run("cat /proc/meminfo", _GUEST_S)
    figures = parse_meminfo(output.decode("ascii", "replace"))
    total, available = figures.get("MemTotal"), figures.get("MemAvailable")
    if code or total is None or available is None:
        raise InstanceError(f"its /proc/meminfo cannot be read (exit code {code})")
    return total, available
