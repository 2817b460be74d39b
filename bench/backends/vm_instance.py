"""One live virtual machine, as the probes see it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from bench.backends.base import DiskUse, Role
from bench.backends.common import Farewell, Nest
from bench.backends.hypervisor import Hypervisor
from bench.backends.vm_parts import Parts
from bench.clock import Console, Event
from bench.errors import CleanupFailed, InstanceError, Unsupported
from bench.rootfs.download import disk_download

_END_S = 10.0
_ADDRESS_S = 20.0

_TAKE_ADDRESS = (
    "set -e; for device in /sys/class/net/e*; do device=${device##*/}; /bin/busybox ip address flush dev $device;"
    " /bin/busybox ip address add %s dev $device; /bin/busybox ip link set $device up; done"
)
"""A guest on a bridge has no DHCP server to ask: its one Ethernet device is told."""


class VmInstance:
    """A domain, its sockets and its own disk.

    Attributes:
        domain_name: what libvirt calls it.
        overlay: its own disk; files: everything of its own on disk, removed with it.
        interface: the address kept for it on the bridge it is on, where it is on one.
    """

    def __init__(self, nest: Nest, parts: Parts, hypervisor: Hypervisor, scratch: Path) -> None:
        self.name = nest.name
        self.domain_name = nest.name
        self.timeline = nest.timeline
        self.channel = nest.channel
        self.nonce = nest.nonce
        self.directory = nest.directory
        self.overlay: Path | None = scratch / f"{nest.name}.qcow2" if parts.disk else None
        self.files: list[Path] = [self.overlay] if self.overlay else []
        self.interface: IPv4Interface | None = None
        self._told_address = False
        self._nest = nest
        self._parts = parts
        self._hypervisor = hypervisor
        self._console = None if parts.boot == "rom" else Console(nest.directory / "console", nest.timeline)
        self._domain: Any = None
        self._pid: int | None = None
        self._removed = False

    def belongs_to(self, domain: Any) -> None:
        """Take the handle of its domain."""
        self._domain = domain

    def save(self, memory: Path, disk: Path) -> None:
        """Write the guest's memory to a file, which ends it, and keep its disk under another name."""
        self._hypervisor.save(self._domain, memory)
        if self.overlay is not None:
            self.overlay.rename(disk)

    def pause(self) -> None:
        """Stop its virtual CPUs: virsh suspend."""
        self._hypervisor.suspend(self._domain)

    def resume(self) -> None:
        """Let them run on: virsh resume."""
        self.timeline = self._nest.wake(lambda: self._hypervisor.resume(self._domain))

    def set_memory(self, size: int) -> None:
        """Inflate its balloon until the guest has so many bytes left."""
        self._hypervisor.set_memory(self._domain, size)

    def given_memory(self) -> int | None:
        """Return what the balloon leaves the guest, bytes."""
        if self._parts.balloon == "none":
            raise Unsupported("it has no memory balloon")
        return self.memory_figures().get("actual")

    def memory_figures(self) -> dict[str, int]:
        """Return what libvirt tells of its memory, bytes: "actual", "rss" and, from the balloon, the guest's view."""
        return self._hypervisor.memory_figures(self._domain)

    def address(self) -> str:
        """Return its address on the bridge; the guest is told it when it is asked for the first time."""
        if self.interface is None:
            raise Unsupported(self._parts.no_bridge or "it has no network device on a bridge")
        if not self._told_address:
            code, output = self.channel.run(_TAKE_ADDRESS % self.interface, _ADDRESS_S)
            if code:
                raise InstanceError(f"the guest takes no address: {output.decode('utf-8', 'replace').strip()[-200:]}")
            self._told_address = True
        return str(self.interface.ip)

    def alive(self) -> bool:
        """Say whether libvirt calls it running."""
        return self._domain is not None and self._hypervisor.active(self._domain)

    def last_words(self) -> str:
        """Return the console's tail, or what QEMU wrote where the guest said nothing."""
        if said := self._console.tail() if self._console else "":
            return said
        return "" if self.alive() else self._hypervisor.log_tail(self.domain_name)

    def stop(self) -> None:
        """Destroy the domain. STOPPED is when its QEMU is gone, which is before the call returns.

        Raises:
            CleanupFailed: QEMU still lives.
        """
        if self._domain is None or self.timeline.at(Event.STOPPING) is not None:
            return
        pid = self._qemu()
        farewell = Farewell([pid] if pid else [])
        self.timeline.stamp(Event.STOPPING)
        waiting = threading.Thread(target=self._await_end, args=(farewell,), daemon=True)
        waiting.start()
        self._hypervisor.destroy(self._domain)
        waiting.join(_END_S)
        if self.timeline.at(Event.STOPPED) is None:
            raise CleanupFailed(f"{self.name}: QEMU still lives {_END_S:g} s after destroy")

    def _await_end(self, farewell: Farewell) -> None:
        """Stamp the instant at which QEMU ended: libvirt looks only every 200 ms (virProcessKillPainfully)."""
        gone_ns = farewell.wait(_END_S)
        if gone_ns is not None:
            self.timeline.stamp(Event.STOPPED, gone_ns)

    def remove(self) -> None:
        """Stop it if need be, and remove its disk, its sockets and its log."""
        if self._removed:
            return
        try:
            self.stop()
        finally:
            if self._domain is not None:
                self._hypervisor.forget(self._domain)
            for path in self.files:
                path.unlink(missing_ok=True)
            self.hang_up()
            self._hypervisor.remove_log(self.domain_name)
        self.timeline.stamp(Event.REMOVED)
        self._removed = True

    def hang_up(self) -> None:
        """Close its sockets. Safe to repeat."""
        if self._console is not None:
            self._console.close()
        self._nest.clear()

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        """Return its QEMU, and what the kernel runs for its network device."""
        pid = self._qemu()
        beside = find_vhost(pid) if pid and self.interface else ()
        return {Role.VMM: (pid, *beside) if pid else ()}

    def cgroup_pid(self) -> int | None:
        """Return QEMU's pid where libvirt gave it a control group of its own."""
        pid = self._qemu()
        with contextlib.suppress(OSError):
            if pid and "machine" in Path(f"/proc/{pid}/cgroup").read_text("ascii", "replace"):
                return pid
        return None

    def _qemu(self) -> int | None:
        """Return the pid of its QEMU, found once."""
        if self._pid is None or not Path(f"/proc/{self._pid}").exists():
            self._pid = find_qemu(self.domain_name)
        return self._pid

    def disk(self) -> DiskUse:
        """Return what it has alone (overlay, ROM, saved memory) and what all of its kind share."""
        parts, disk = self._parts, self._parts.disk
        own = weighed([*self.files, *([self.directory / "rom"] if parts.boot == "rom" else [])])
        if disk is None:
            return DiskUse(unique=own)
        beside = weighed(parts.shared)
        base = disk.allocated if disk.base is None else disk.base.allocated
        layer = 0 if disk.base is None else disk.allocated
        # A direct boot's kernel and first file system are fetched too, and are the same for every application.
        kernel = [parts.kernel.bzimage, parts.initrd] if parts.kernel and parts.initrd else []
        fetched, fetched_alone = disk_download(disk, copied=parts.copied)
        return DiskUse(
            download=fetched + sum(path.stat().st_size for path in kernel),
            download_own=fetched_alone,
            unpacked=parts.unpacked,
            image=base + layer,
            shared=None if beside is None else beside + (0 if parts.copied else base),
            layer=0 if parts.copied else layer,
            unique=own,
            virtual=disk.virtual,
        )


def weighed(files: Iterable[Path]) -> int | None:
    """Return the bytes that files take on the disk together (st_blocks × 512), or None if one is not there."""
    with contextlib.suppress(OSError):
        return sum(path.stat().st_blocks * 512 for path in files)
    return None


def find_qemu(domain: str) -> int | None:
    """Return the pid of the QEMU whose command line names the domain, as libvirt writes it: -name guest=NAME,…."""
    mark = f"\0-name\0guest={domain},"
    return next((pid for pid in _pids() if mark in _read(pid, "cmdline")), None)


def find_vhost(qemu: int) -> tuple[int, ...]:
    """Return the kernel's threads that move packets for this QEMU where they are no threads of its own.

    Before Linux 6.4 they are kernel threads named after who made them (drivers/vhost/vhost.c: "vhost-%d").
    """
    return tuple(pid for pid in _pids() if _read(pid, "comm").strip() == f"vhost-{qemu}")


def find_daemons() -> tuple[int, ...]:
    """Return the pids of libvirt's daemons."""
    return tuple(pid for pid in _pids() if _read(pid, "comm").strip() in ("libvirtd", "virtqemud", "virtlogd"))


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text("utf-8", "replace")
    return ""
