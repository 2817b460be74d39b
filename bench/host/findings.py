"""Findings: what about this host bends the numbers, why, and the command that changes it. Changes nothing itself.

A rule is a small pure function from facts to a finding or None. A fact that is unknown and matters is a finding
of its own (UNKNOWN); it is never taken for good news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.collectors.host import State
from bench.host.facts import Facts
from bench.units import Unit, format_value


class Level(StrEnum):
    """How much a finding matters to the numbers."""

    INFO = "info"
    """Worth knowing when reading the numbers."""
    WARNING = "warning"
    """Makes numbers noisier or unlike those of other hosts."""
    PROBLEM = "problem"
    """Makes some numbers impossible or wrong."""
    UNKNOWN = "unknown"
    """Could not be found out, and would matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about the host.

    Attributes:
        rule: the rule's name, stable across versions.
        what: what was found, a sentence.
        why: how it bends numbers, a sentence.
        remedy: the exact command, or what to do where no command helps.
    """

    rule: str
    level: Level
    what: str
    why: str
    remedy: str


class KvmOutcome(StrEnum):
    """What one real boot of a guest on /dev/kvm showed."""

    WORKS = "works"
    ROM_ONLY = "rom-only"
    """Firmware runs, an ordinary kernel does not."""
    FAILS = "fails"
    UNTRIED = "untried"


Rule = Callable[[Facts], Finding | None]
_GRAVITY = (Level.PROBLEM, Level.WARNING, Level.UNKNOWN, Level.INFO)


def find(
    facts: Facts, *, kvm: KvmOutcome = KvmOutcome.UNTRIED, engines: Mapping[str, Mapping[str, str]] | None = None
) -> list[Finding]:
    """Return all findings, the gravest first.

    Args:
        kvm: what a proof by booting showed, if one was made.
        engines: what the backends say of themselves (Backend.facts() by name), if they were opened.
    """
    found = [finding for rule in RULES if (finding := rule(facts)) is not None]
    found += [finding for finding in (kvm_usable(facts, kvm), storage_driver(engines or {})) if finding is not None]
    return sorted(found, key=lambda finding: _GRAVITY.index(finding.level))


def kvm_usable(facts: Facts, proof: KvmOutcome) -> Finding | None:
    """KVM is there, may be used and really runs a guest's kernel."""
    why = "without KVM, guests are emulated: their times and costs are upper bounds and marked @tcg"
    seen = facts.virtualisation
    if seen.kvm_present is not State.ON:
        remedy = (
            "sudo modprobe -a kvm_intel kvm_amd; else enable VT-x or AMD-V in the firmware, or nesting in the cloud"
        )
        return Finding(rule="kvm", level=Level.PROBLEM, what="There is no /dev/kvm.", why=why, remedy=remedy)
    if seen.kvm_openable is not State.ON:
        return Finding(
            rule="kvm", level=Level.PROBLEM, what="/dev/kvm may not be opened by this user.", why=why,
            remedy='sudo usermod -aG kvm "$USER"  # then log in again',
        )  # fmt: skip
    if proof is KvmOutcome.UNTRIED:
        return Finding(
            rule="kvm", level=Level.UNKNOWN, what="/dev/kvm opens, but no guest has been booted on it.",
            why="some hosts open it and hang in an ordinary kernel; only a boot proves it",
            remedy="bench run startup  # boots one guest with a deadline before it measures",
        )  # fmt: skip
    if proof is KvmOutcome.WORKS:
        return None
    first = "runs firmware" if proof is KvmOutcome.ROM_ONLY else "opens"
    return Finding(
        rule="kvm", level=Level.PROBLEM, what=f"/dev/kvm {first} but boots no ordinary kernel.", why=why,
        remedy="measure on a host whose hypervisor supports nesting, or on bare metal",
    )  # fmt: skip


def virtual_host(facts: Facts) -> Finding | None:
    """The host is itself a guest."""
    seen = facts.virtualisation
    if seen.guest is State.UNKNOWN:
        return Finding(
            rule="virtual-host", level=Level.UNKNOWN, what="Whether this host is a virtual machine is not known.",
            why="inside a virtual machine every guest is nested, and costs more", remedy="systemd-detect-virt --vm",
        )  # fmt: skip
    if seen.guest is State.OFF:
        return None
    kind = f" ({seen.hypervisor})" if seen.hypervisor else ""
    return Finding(
        rule="virtual-host", level=Level.WARNING, what=f"This host is itself a virtual machine{kind}.",
        why="its guests are nested: they exit to two hypervisors, while containers lose next to nothing",
        remedy="measure on bare metal before you decide about bare metal",
    )  # fmt: skip


def steal(facts: Facts) -> Finding | None:
    """A hypervisor above takes CPU time."""
    share = facts.load.steal_share
    if share is None or share < 0.005:
        return None
    return Finding(
        rule="steal", level=Level.WARNING, what=f"{share:.1%} of all CPU time since boot was taken by the hypervisor.",
        why="what is taken from a trial looks like the subject's own time",
        remedy="use dedicated CPUs, or raise the number of blocks: bench run all --profile thorough",
    )  # fmt: skip


def governor(facts: Facts) -> Finding | None:
    """The clock follows the load."""
    others = [name for name in facts.cpu.governors if name != "performance"]
    if not others:
        return None
    return Finding(
        rule="governor", level=Level.WARNING, what=f"The frequency governor is {', '.join(others)}.",
        why="short trials end before the clock has risen, long ones do not: the short ones look slow",
        remedy="sudo cpupower frequency-set --governor performance",
    )  # fmt: skip


def boost(facts: Facts) -> Finding | None:
    """The clock may rise beyond its nominal rate for a while."""
    if facts.cpu.boost is not State.ON:
        return None
    return Finding(
        rule="boost", level=Level.INFO, what="The processor may raise its clock (turbo, boost).",
        why="the first trials after a pause may run faster than the later ones",
        remedy="echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, "
        "or: echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
    )  # fmt: skip


def smt(facts: Facts) -> Finding | None:
    """Two CPUs share a core."""
    if facts.cpu.smt is not State.ON:
        return None
    return Finding(
        rule="smt", level=Level.INFO, what="Pairs of CPUs share a core (SMT).",
        why="a trial beside a busy sibling runs slower than alone, so density tells less per CPU",
        remedy="echo off | sudo tee /sys/devices/system/cpu/smt/control",
    )  # fmt: skip


def swap(facts: Facts) -> Finding | None:
    """Something lies in swap."""
    used = facts.memory.swap_used_bytes
    if not used:
        return None
    return Finding(
        rule="swap", level=Level.WARNING, what=f"{format_value(used, Unit.BYTES)} lie in swap.",
        why="memory that was swapped out is in nobody's PSS: memory figures come out too small",
        remedy="sudo swapoff -a && sudo swapon -a  # brings it back, if there is memory for it",
    )  # fmt: skip


def pressure(facts: Facts) -> Finding | None:
    """The kernel tells how much it stalls, and it does not."""
    seen = facts.load.pressure
    if seen is None:
        return Finding(
            rule="pressure", level=Level.UNKNOWN, what="The kernel does not tell about stalls (no PSI).",
            why="trials disturbed by other work cannot be told from quiet ones",
            remedy="add psi=1 to the kernel's command line and reboot",
        )  # fmt: skip
    high = [f"{resource} {share:.0%}" for resource, share in seen.items() if share >= 0.10]
    if not high:
        return None
    return Finding(
        rule="pressure", level=Level.WARNING, what=f"Work waits: {', '.join(high)} of the last ten seconds.",
        why="the trials wait too", remedy="systemd-cgtop  # shows who works; end it or wait",
    )  # fmt: skip


def load(facts: Facts) -> Finding | None:
    """More wants to run than there are CPUs, or nearly."""
    if facts.load.load is None or not facts.cpu.count:
        return None
    now = facts.load.load[0]
    if now < 0.5 * facts.cpu.count:
        return None
    return Finding(
        rule="load", level=Level.WARNING, what=f"The load is {now:g} on {facts.cpu.count} CPUs.",
        why="the trials share the CPUs with that", remedy="top  # shows who works; end it or wait",
    )  # fmt: skip


def control_groups(facts: Facts) -> Finding | None:
    """Control groups of version 2 alone."""
    version = facts.kernel.cgroup_version
    if version == "v2":
        return None
    remedy = "boot with systemd.unified_cgroup_hierarchy=1"
    if version is None:
        why = "container engines need them, and the memory they charge cannot be read"
        return Finding(
            rule="cgroups", level=Level.PROBLEM, what="No control groups are mounted.", why=why, remedy=remedy
        )
    return Finding(
        rule="cgroups", level=Level.WARNING, what=f"Control groups are {version}.",
        why="memory is charged by other rules than under version 2, and some runtimes refuse hybrid", remedy=remedy,
    )  # fmt: skip


def same_page_merging(facts: Facts) -> Finding | None:
    """Equal pages of guests are merged."""
    if facts.memory.ksm is not State.ON:
        return None
    return Finding(
        rule="ksm", level=Level.WARNING, what="Equal memory pages of guests are being merged (KSM).",
        why="the memory of a guest shrinks over minutes and depends on its neighbours",
        remedy="echo 2 | sudo tee /sys/kernel/mm/ksm/run",
    )  # fmt: skip


def huge_pages(facts: Facts) -> Finding | None:
    """Huge pages are given out unasked."""
    if facts.memory.transparent_hugepages != "always":
        return None
    return Finding(
        rule="huge-pages", level=Level.INFO, what="Transparent huge pages are given to everybody.",
        why="a process that touches little memory is charged for 2 MiB at a time",
        remedy="echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
    )  # fmt: skip


def clock(facts: Facts) -> Finding | None:
    """The clock is read without asking the kernel or the hypervisor."""
    source = facts.kernel.clocksource
    if source in ("tsc", "kvm-clock", "arch_sys_counter"):
        return None
    if source is None:
        return Finding(
            rule="clock", level=Level.UNKNOWN, what="Which clock the kernel uses is not known.",
            why="reading a slow clock costs microseconds each time",
            remedy="cat /sys/devices/system/clocksource/clocksource0/current_clocksource",
        )  # fmt: skip
    remedy = "add tsc=reliable to the kernel's command line only if the hardware's clock is known to be sound"
    if "tsc" in facts.kernel.clocksources:
        remedy = "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"
    return Finding(
        rule="clock", level=Level.WARNING, what=f"The kernel's clock is {source}.",
        why="every reading is a slow trip to a device or the hypervisor", remedy=remedy,
    )  # fmt: skip


def reaping(facts: Facts) -> Finding | None:
    """Dead orphans vanish at once."""
    seconds = facts.reap_latency_s
    if seconds is None or seconds < 0.1:
        return None
    return Finding(
        rule="reaping", level=Level.WARNING,
        what=f"Dead orphans vanish only after {format_value(seconds, Unit.SECONDS)} "
        f"(PID 1 is {facts.kernel.first_process or 'unknown'}).",
        why="engines wait for a process id to vanish: stopping a virtual machine seems to take seconds",
        remedy="let bench start under its own reaper, which it does unless told otherwise, or use: docker run --init",
    )  # fmt: skip


def disk_space(facts: Facts) -> Finding | None:
    """There is room for images and disks."""
    free = facts.storage.free_bytes
    if free is None or free >= 10 * 2**30:
        return None
    return Finding(
        rule="disk-space", level=Level.PROBLEM if free < 3 * 2**30 else Level.WARNING,
        what=f"Only {format_value(free, Unit.BYTES)} are free where images and disks are kept.",
        why="building the guests takes about 3 GiB, full copies of disks more",
        remedy="BENCH_CACHE=/a/larger/disk bench run all",
    )  # fmt: skip


def free_memory(facts: Facts) -> Finding | None:
    """There is room for several guests."""
    free = facts.memory.available_bytes
    if free is None or free >= 4 * 2**30:
        return None
    return Finding(
        rule="memory", level=Level.PROBLEM if free < 2**30 else Level.WARNING,
        what=f"Only {format_value(free, Unit.BYTES)} of memory are available.",
        why="several guests at once will reclaim memory from each other while they are measured",
        remedy="ps -eo rss,comm --sort=-rss | head  # shows who holds it",
    )  # fmt: skip


def spinning_disk(facts: Facts) -> Finding | None:
    """The disk has no moving parts."""
    if facts.storage.rotational is not State.ON or facts.virtualisation.guest is State.ON:
        return None  # virtual disks call themselves rotational whatever lies below
    return Finding(
        rule="spinning-disk", level=Level.WARNING, what="Images and disks lie on a spinning disk.",
        why="first starts wait for its arm", remedy="BENCH_CACHE=/a/folder/on/a/solid-state/disk bench run all",
    )  # fmt: skip


def containerised(facts: Facts) -> Finding | None:
    """The suite runs on the host itself."""
    if (kind := facts.kernel.container) is None:
        return None
    return Finding(
        rule="container", level=Level.INFO, what=f"The suite seems to run inside a container ({kind}).",
        why="limits of that container hold for everything measured in it", remedy="run bench on the host itself",
    )  # fmt: skip


def storage_driver(engines: Mapping[str, Mapping[str, str]]) -> Finding | None:
    """Docker keeps its layers in an overlay, not as full copies."""
    for name, facts in engines.items():
        driver = next((facts[key] for key in ("storage_driver", "storage driver", "driver") if key in facts), "")
        if driver in ("vfs", "devicemapper"):
            return Finding(
                rule="storage-driver", level=Level.WARNING, what=f"{name} keeps its layers with {driver}.",
                why="every container starts by copying its whole image, in time and in bytes",
                remedy='set "storage-driver": "overlay2" in /etc/docker/daemon.json and restart the daemon',
            )  # fmt: skip
    return None


RULES: tuple[Rule, ...] = (
    virtual_host, steal, governor, boost, smt, swap, pressure, load, control_groups, same_page_merging, huge_pages,
    clock, reaping, disk_space, free_memory, spinning_disk, containerised,
)  # fmt: skip
"""Every rule that needs facts alone."""
