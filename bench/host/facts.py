"""Facts: what kind of host the numbers come from. Reading changes nothing; no host name, user name or address is kept.

Unknown is None, or State.UNKNOWN for a switch: never 0 and never "off".
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench
from bench.collectors import host
from bench.collectors.host import State

_HERE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Kernel, distribution, architecture, the clock it trusts, its control groups and its first process.

    Attributes:
        cgroup_version: v1, hybrid or v2.
        first_process: the name of PID 1; a container's or sandbox's own init may reap orphans slowly.
        container: the kind of container the suite itself runs in, if any.
    """

    release: str | None
    distribution: str | None
    architecture: str | None
    clocksource: str | None
    clocksources: tuple[str, ...]
    cgroup_version: str | None
    cgroup_controllers: tuple[str, ...]
    first_process: str | None
    container: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor. Frequencies in MHz; mitigations as the kernel words them, by fault."""

    model: str | None
    count: int | None
    smt: State
    governors: tuple[str, ...]
    boost: State
    min_mhz: float | None
    max_mhz: float | None
    microcode: str | None
    mitigations: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory in bytes. `transparent_hugepages` is always, madvise or never; `ksm` merges equal pages of guests."""

    total_bytes: int | None
    available_bytes: int | None
    swap_total_bytes: int | None
    swap_used_bytes: int | None
    hugepages: int | None
    transparent_hugepages: str | None
    ksm: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What else the host does.

    Attributes:
        steal_share: share of all CPU time since boot taken by a hypervisor above, 0 … 1.
        pressure: share of the last ten seconds in which something waited, by resource; None without PSI.
        load: averages of the run queue over 1, 5 and 15 minutes.
    """

    steal_share: float | None
    pressure: Mapping[str, float] | None
    load: tuple[float, float, float] | None
    uptime_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Virtualisation:
    """Whether the host is itself a guest, and what it offers to guests.

    Attributes:
        guest: the host is a virtual machine.
        hypervisor: whose, if it says.
        nested: guests of this host may run guests.
        kvm_present: /dev/kvm exists.
        kvm_openable: this process may open it. That is no proof that a guest's kernel runs on it.
    """

    guest: State
    hypervisor: str | None
    nested: State
    kvm_present: State
    kvm_openable: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The filesystem that holds the pool of images and disks. Its path is not kept: it may name a user."""

    filesystem: str | None
    rotational: State
    total_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Versions. `engines` by program; None for one that is not installed, "" for one that does not say."""

    python: str
    bench: str
    commit: str | None
    engines: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One host as it was at one moment. `reap_latency_s` is None unless it was measured."""

    host_id: str
    kernel: Kernel
    cpu: Cpu
    memory: Memory
    load: Load
    virtualisation: Virtualisation
    storage: Storage
    software: Software
    reap_latency_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all facts as nested tables that JSON can hold; unknown is null or "unknown"."""
        return dataclasses.asdict(self)


def host_id(root: Path = Path("/")) -> str:
    """Return the host's pseudonym: 12 hex digits, the same for every run on it, "unknown" without a machine id.

    A keyed digest of the machine id, which by machine-id(5) must not be given away as it is.
    """
    for place in ("etc/machine-id", "var/lib/dbus/machine-id"):
        words = host.text(root / place)
        if words and words != "uninitialized":
            return hmac.new(words.encode(), b"ms-vs-minutes host", hashlib.sha256).hexdigest()[:12]
    return "unknown"


def read_facts(
    root: Path = Path("/"), *, pool: Path | None = None, engines: Mapping[str, str | None] | None = None
) -> Facts:
    """Read all facts below a root directory. Never raises for what the host does not say.

    Args:
        pool: where images and disks are kept, whether or not it exists yet; its storage is described.
        engines: what `engine_versions` said, if it was asked.
    """
    return Facts(
        host_id=host_id(root), kernel=_kernel(root), cpu=_cpu(root), memory=_memory(root),
        load=Load(
            steal_share=host.steal_share(root), pressure=host.pressure(root), load=host.loads(root),
            uptime_s=host.uptime_s(root),
        ),
        virtualisation=_virtualisation(root), storage=_storage(root, pool),
        software=Software(
            python=platform.python_version(), bench=bench.__version__, commit=commit(_HERE), engines=dict(engines or {})
        ),
    )  # fmt: skip


def _kernel(root: Path) -> Kernel:
    clocks = root / "sys/devices/system/clocksource/clocksource0"
    version, controllers = host.cgroups(root)
    return Kernel(
        release=host.text(root / "proc/sys/kernel/osrelease"), distribution=host.distribution(root),
        architecture=host.text(root / "proc/sys/kernel/arch") or (platform.machine() or None),
        clocksource=host.text(clocks / "current_clocksource"),
        clocksources=tuple((host.text(clocks / "available_clocksource") or "").split()),
        cgroup_version=version, cgroup_controllers=controllers,
        first_process=host.text(root / "proc/1/comm"), container=host.container(root),
    )  # fmt: skip


def _cpu(root: Path) -> Cpu:
    return Cpu(
        model=host.cpu_model(root), count=host.cpu_count(root), smt=host.smt(root), governors=host.governors(root),
        boost=host.boost(root), min_mhz=host.megahertz(root, "min"), max_mhz=host.megahertz(root, "max"),
        microcode=host.table(root / "proc/cpuinfo").get("microcode"), mitigations=host.mitigations(root),
    )  # fmt: skip


def _memory(root: Path) -> Memory:
    known = host.memory(root)
    total, free = known.get("SwapTotal"), known.get("SwapFree")
    return Memory(
        total_bytes=known.get("MemTotal"), available_bytes=known.get("MemAvailable"), swap_total_bytes=total,
        swap_used_bytes=None if total is None or free is None else total - free,
        hugepages=known.get("HugePages_Total"),
        transparent_hugepages=host.chosen(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        # 2 means: stopped, and what was merged is taken apart (Documentation/admin-guide/mm/ksm.rst).
        ksm=host.state(host.text(root / "sys/kernel/mm/ksm/run"), on=("1",), off=("0", "2")),
    )  # fmt: skip


def _virtualisation(root: Path) -> Virtualisation:
    guest, kind = host.hypervisor(root)
    device = root / "dev/kvm"
    present = device.exists()
    return Virtualisation(
        guest=guest, hypervisor=kind, nested=host.nested(root), kvm_present=State.ON if present else State.OFF,
        kvm_openable=State.ON if present and _opens(device) else State.OFF,
    )  # fmt: skip


def _opens(device: Path) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _storage(root: Path, pool: Path | None) -> Storage:
    """Describe the storage of the pool, or of the nearest folder above it that exists."""
    place = next((p for p in (pool, *pool.parents) if p.exists()), root).resolve() if pool else root.resolve()
    mount = host.mount_of(root, place)
    total = free = None
    with contextlib.suppress(OSError):
        use = shutil.disk_usage(place)
        total, free = use.total, use.free
    return Storage(
        filesystem=mount[0] if mount else None, total_bytes=total, free_bytes=free,
        rotational=host.rotational(root, mount[1]) if mount else State.UNKNOWN,
    )  # fmt: skip


ENGINES: Mapping[str, tuple[str, ...]] = {
    "qemu": (f"qemu-system-{platform.machine() or 'x86_64'}", "--version"),
    "libvirtd": ("libvirtd", "--version"),
    "docker": ("docker", "--version"),
    "dockerd": ("dockerd", "--version"),
    "containerd": ("containerd", "--version"),
    "podman": ("podman", "--version"),
    "runc": ("runc", "--version"),
    "crun": ("crun", "--version"),
    "bubblewrap": ("bwrap", "--version"),
}
"""The programs whose versions bend numbers, and how each is asked. None of these calls talks to a daemon."""


def engine_versions(programs: Mapping[str, Sequence[str]] = ENGINES) -> dict[str, str | None]:
    """Ask every program for its version: its first line; None if it is not installed, "" if it does not answer."""
    return {name: _first_line(command) if shutil.which(command[0]) else None for name, command in programs.items()}


def commit(folder: Path) -> str | None:
    """Return the git commit of a checkout, "+changes" added when files differ from it; None without one."""
    if not (folder / ".git").exists() or not shutil.which("git"):
        return None
    head = _first_line(("git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"))
    changed = _first_line(("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"))
    return f"{head}+changes" if head and changed else head or None


def _first_line(command: Sequence[str], timeout_s: float = 5.0) -> str:
    """Return the first line a program writes; "" if it fails or is slow."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return next(iter(done.stdout.splitlines()), "").strip()
    return ""


def measure_reap_latency(deadline_s: float = 5.0) -> float | None:
    """Return how long a dead orphan keeps its process id, seconds; None if longer than the deadline.

    A shell leaves a child behind and ends; the child ends a moment later and is now PID 1's to reap (or the
    nearest child subreaper's, prctl(2)). Its end is seen by its end of the pipe closing, the reaping by its pid
    vanishing, looked for every millisecond. Where this is slow, engines that wait for a pid to vanish are slow.
    """
    shell = ("/bin/sh", "-c", "sleep 0.05 & echo $!")
    with subprocess.Popen(shell, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None  # noqa: S101  # asked for above
        orphan = int(parent.stdout.readline())
        parent.wait()
        parent.stdout.read()
    ended = time.monotonic()
    while time.monotonic() - ended < deadline_s:
        try:
            os.kill(orphan, 0)
        except (ProcessLookupError, PermissionError):
            return time.monotonic() - ended
        time.sleep(0.001)
    return None
