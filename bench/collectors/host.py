"""What a host says about itself below /proc, /sys and /etc. Readers only; None and UNKNOWN where it says nothing.

Every function takes the root directory, so that tests can make up a host. Kernel interfaces are documented in
Documentation/admin-guide/ and Documentation/ABI/ of the Linux source; the file is named at each function.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """A switch of the host: on, off, or it does not say."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


def text(path: Path) -> str | None:
    """Return a file's text without surrounding blanks; None if it cannot be read or is empty."""
    try:
        return path.read_text("utf-8", "replace").strip("\0 \t\n") or None
    except (OSError, ValueError):
        return None


def number(path: Path) -> int | None:
    """Return the whole number a file holds, or None."""
    return whole(text(path))


def whole(words: str | None) -> int | None:
    """Return a whole number of at most 64 bits, as the kernel's all are, or None."""
    try:
        value = None if words is None else int(words)
    except ValueError:
        return None
    return value if value is not None and abs(value) < 1 << 64 else None


def decimal(words: str) -> float | None:
    """Return a finite decimal number, or None."""
    try:
        value = float(words)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def state(words: str | None, on: tuple[str, ...] = ("1", "Y", "y"), off: tuple[str, ...] = ("0", "N", "n")) -> State:
    """Return a switch's state from the kernel's word for it."""
    return State.ON if words in on else State.OFF if words in off else State.UNKNOWN


def table(path: Path, separator: str = ":") -> dict[str, str]:
    """Return "name: value" lines as a table, the first of each name; empty if the file cannot be read."""
    found: dict[str, str] = {}
    for line in (text(path) or "").splitlines():
        name, mark, value = line.partition(separator)
        if mark:
            found.setdefault(name.strip(), value.strip())
    return found


def distribution(root: Path) -> str | None:
    """Return the distribution's name and version (os-release(5), PRETTY_NAME)."""
    for place in ("etc/os-release", "usr/lib/os-release"):
        name = table(root / place, "=").get("PRETTY_NAME")
        if name:
            return name.strip("\"'")
    return None


def cpu_model(root: Path) -> str | None:
    """Return the processor's name from /proc/cpuinfo: "model name" on x86; ARM has no name there."""
    cpuinfo = table(root / "proc/cpuinfo")
    return next((cpuinfo[name] for name in ("model name", "Model", "cpu model", "cpu") if cpuinfo.get(name)), None)


def cpu_count(root: Path) -> int | None:
    """Return how many CPUs are online, from a list like "0-3,8" (ABI/testing/sysfs-devices-system-cpu)."""
    listed = text(root / "sys/devices/system/cpu/online")
    if listed is None or not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", listed):
        return None
    spans = (span.partition("-") for span in listed.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in spans)


def smt(root: Path) -> State:
    """Return whether two CPUs share a core now (sysfs-devices-system-cpu: smt/active)."""
    return state(text(root / "sys/devices/system/cpu/smt/active"))


def boost(root: Path) -> State:
    """Return whether the clock may rise above its nominal rate.

    Documentation/admin-guide/pm: intel_pstate/no_turbo (1 means off), else cpufreq/boost.
    """
    no_turbo = text(root / "sys/devices/system/cpu/intel_pstate/no_turbo")
    if no_turbo is not None:
        return state(no_turbo, on=("0",), off=("1",))
    return state(text(root / "sys/devices/system/cpu/cpufreq/boost"))


def governors(root: Path) -> tuple[str, ...]:
    """Return the frequency governors in use; empty where the host does not say (most virtual machines)."""
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    return tuple(sorted({word for word in map(text, files) if word}))


def megahertz(root: Path, limit: str) -> float | None:
    """Return CPU 0's lowest ("min") or highest ("max") frequency in MHz (cpufreq counts in kHz)."""
    kilohertz = number(root / f"sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_{limit}_freq")
    return None if kilohertz is None else kilohertz / 1000.0


def mitigations(root: Path) -> dict[str, str] | None:
    """Return what the kernel says of each known CPU fault (sysfs-devices-system-cpu: vulnerabilities)."""
    found = {path.name: text(path) for path in sorted(root.glob("sys/devices/system/cpu/vulnerabilities/*"))}
    return {name: words for name, words in found.items() if words} or None


def memory(root: Path) -> dict[str, int]:
    """Return /proc/meminfo: bytes by name, counts (HugePages_…) as they are (proc_meminfo(5))."""
    found = {}
    for name, value in table(root / "proc/meminfo").items():
        words = value.split()
        count = whole(words[0]) if words else None
        if count is not None:
            found[name] = count * 1024 if words[1:] == ["kB"] else count
    return found


def chosen(path: Path) -> str | None:
    """Return the word in brackets of a line like "always [madvise] never"."""
    match = re.search(r"\[([^\]]+)\]", text(path) or "")
    return match[1] if match else None


def cgroups(root: Path) -> tuple[str | None, tuple[str, ...]]:
    """Return the control groups' version (v1, hybrid, v2) and controllers.

    hybrid: version 1 hierarchies beside a mounted version 2 one (Documentation/admin-guide/cgroup-v2.rst).
    """
    mounts = [line.split() for line in (text(root / "proc/self/mounts") or "").splitlines()]
    kinds = {words[2] for words in mounts if len(words) > 2}
    if not kinds & {"cgroup", "cgroup2"}:
        return None, ()
    version = "v2" if "cgroup" not in kinds else "hybrid" if "cgroup2" in kinds else "v1"
    lines = [line.split() for line in (text(root / "proc/cgroups") or "").splitlines() if not line.startswith("#")]
    listed = [words[0] for words in lines if len(words) == 4 and words[3] == "1"]
    if version == "v2":
        # Kernels from 6.11 on may list no more in /proc/cgroups what only version 2 has: its own file is asked first.
        listed = (text(root / "sys/fs/cgroup/cgroup.controllers") or "").split() or listed
    return version, tuple(sorted(listed))


_DMI_MARKS = (
    ("KVM", "kvm"), ("OpenStack", "kvm"), ("KubeVirt", "kvm"), ("Amazon EC2", "amazon"), ("QEMU", "qemu"),
    ("VMware", "vmware"), ("VMW", "vmware"), ("innotek GmbH", "virtualbox"), ("VirtualBox", "virtualbox"),
    ("Oracle Corporation", "virtualbox"), ("Xen", "xen"), ("Bochs", "bochs"), ("Parallels", "parallels"),
    ("BHYVE", "bhyve"), ("Hyper-V", "microsoft"), ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
)  # fmt: skip
"""What virtual machines call themselves in DMI: the table of systemd-detect-virt (systemd, src/basic/virt.c)."""


def hypervisor(root: Path) -> tuple[State, str | None]:
    """Return whether this host is itself a virtual machine, and whose.

    As systemd-detect-virt (systemd, src/basic/virt.c) as far as files tell: the CPU's hypervisor flag decides
    (CPUID leaf 1, ECX bit 31), DMI and /sys/hypervisor name the kind. A bare-metal machine of a cloud carries
    the cloud's DMI names too, hence the flag goes first where there is one.
    """
    flags = table(root / "proc/cpuinfo").get("flags", "").split()
    kind = text(root / "sys/hypervisor/type") or _dmi_kind(root)
    if "hypervisor" in flags:
        return State.ON, kind
    if flags:
        return (State.ON, kind) if kind == "xen" else (State.OFF, None)
    return (State.ON, kind) if kind else (State.UNKNOWN, None)


def _dmi_kind(root: Path) -> str | None:
    for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"):
        words = text(root / "sys/class/dmi/id" / name) or ""
        kind = next((kind for mark, kind in _DMI_MARKS if words.startswith(mark)), None)
        if kind:
            return kind
    vendor, product = (text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name"))
    return "microsoft" if (vendor, product) == ("Microsoft Corporation", "Virtual Machine") else None


def container(root: Path) -> str | None:
    """Return the kind of container this process runs in, or None if no sign of one is seen."""
    named = text(root / "run/systemd/container")
    if named:
        return named
    signs = {".dockerenv": "docker", "run/.containerenv": "podman"}
    return next((kind for sign, kind in signs.items() if (root / sign).exists()), None)


def nested(root: Path) -> State:
    """Return whether guests of this host may run guests (parameter `nested` of kvm_intel or kvm_amd)."""
    words = (text(root / f"sys/module/{module}/parameters/nested") for module in ("kvm_intel", "kvm_amd"))
    return next((state(word) for word in words if word is not None), State.UNKNOWN)


def steal_share(root: Path) -> float | None:
    """Return the share of all CPU time since boot that the hypervisor above took away (proc_stat(5)).

    The guest columns are left out of the sum: they are contained in user and nice.
    """
    words = (text(root / "proc/stat") or "").split("\n", 1)[0].split()[1:9]
    ticks = [whole(word) for word in words]
    if len(ticks) < 8 or None in ticks:
        return None
    known = [tick for tick in ticks if tick is not None]
    return known[7] / sum(known) if sum(known) else None


def pressure(root: Path) -> dict[str, float] | None:
    """Return the share of the last ten seconds in which something waited: cpu, io, memory, 0 … 1.

    "some avg10" of /proc/pressure, which is in percent (Documentation/accounting/psi.rst); None without PSI.
    """
    found = {}
    for resource in ("cpu", "io", "memory"):
        match = re.search(r"some avg10=(\d{1,3}\.\d+)", text(root / "proc/pressure" / resource) or "")
        if match:
            found[resource] = round(float(match[1]) / 100.0, 6)
    return found or None


def mount_of(root: Path, place: Path) -> tuple[str, str] | None:
    """Return (filesystem type, "major:minor") of the mount that holds a place, or None.

    /proc/self/mountinfo, proc_pid_mountinfo(5); the last of equally deep mounts lies on top.
    """
    best: tuple[int, str, str] | None = None
    for line in (text(root / "proc/self/mountinfo") or "").splitlines():
        left, mark, right = line.partition(" - ")
        words = left.split()
        if not mark or len(words) < 5 or not right:
            continue
        point = Path(words[4].replace("\\040", " "))
        if place.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), right.split()[0], words[2])
    return best[1:] if best else None


def rotational(root: Path, device: str) -> State:
    """Return whether a block device "major:minor" calls itself a spinning disk. Virtual disks often do, wrongly.

    A partition has no queue of its own: its disk, one folder above, has.
    """
    folder = root / "sys/dev/block" / device
    for place in ("queue/rotational", "../queue/rotational"):
        words = text(folder / place)
        if words is not None:
            return state(words)
    return State.UNKNOWN


def loads(root: Path) -> tuple[float, float, float] | None:
    """Return the load averages over 1, 5 and 15 minutes (proc_loadavg(5))."""
    found = [decimal(words) for words in (text(root / "proc/loadavg") or "").split()[:3]]
    known = [value for value in found if value is not None]
    return (known[0], known[1], known[2]) if len(known) == 3 else None


def uptime_s(root: Path) -> float | None:
    """Return the seconds since boot (proc_uptime(5))."""
    return decimal((text(root / "proc/uptime") or "").partition(" ")[0])
