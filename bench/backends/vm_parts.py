"""What a VM subject is made of: kernel, disk, command line and machine, built once and described for the manifest."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.backends.base import Session
from bench.backends.common import cpu_set
from bench.backends.domain import DomainSpec
from bench.errors import UsageError
from bench.rootfs.agent import agent_binary
from bench.rootfs.build import Recipe, Tree, build_tree, load_recipe
from bench.rootfs.clone import clone_disk
from bench.rootfs.disk import Disk, make_disk
from bench.rootfs.guest import AGENT, CHANNEL, STAGE_ONE, UUID
from bench.rootfs.initramfs import initramfs
from bench.rootfs.kernel import Kernel, fetch_kernel, kernel_of
from bench.scenario import Subject

BOOTS = ("rom", "direct", "disk", "restore")

NETWORKS = ("none", "user", "bridge")

BALLOONS = ("none", "plain", "reporting")
"""A memory balloon: none; one that management programs inflate; one by which the guest also reports free pages."""

_SEEN = "console=ttyS0,115200 earlyprintk=ttyS0,115200 loglevel=6 panic=-1"
"""The kernel speaks from its first instructions on (the mark KERNEL), says some thirty lines, and a panic ends it."""

_TUNED = "cryptomgr.notests random.trust_cpu=on mitigations=off init_on_alloc=0"
"""What an expert leaves out. Deviations from the distribution's kernel, named in the manifest."""

_DISTRIBUTION = f"root=UUID={UUID} ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0"
"""A cloud image's usual line: everything is said on the serial port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The built parts of one subject.

    Attributes:
        boot: "rom", "direct", "disk" or "restore".
        machine, memory_mib, vcpus, network, flavour: as the subject says.
        kernel, initrd: direct boot's; None where the disk has its own.
        line: the command line, with {nonce} where it has to be said there.
        disk: what overlays are made of; None for a ROM.
        tree: what the disk was packed from.
        unpacked: bytes of all files on the disk together; packages: how many were installed there.
        shared: files beside the disk that all instances use.
        balloon: one of BALLOONS.
        merged: its memory is offered to KSM, the kernel's merging of equal pages.
        copied: every instance's disk is a full copy, not a clone of one that all share.
        discard: what the guest trims on its disk is given back to the host.
        cpu_set: the host's CPUs it may use, its machine monitor included; "": all.
        disk_cache: how the host caches its disk, by libvirt's word; "": QEMU's default.
        bridge: the name of the bridge its network device is on, where network is "bridge"; no_bridge: why it has no
            such device though its subject asks for one.
    """

    boot: str
    machine: str
    memory_mib: int
    vcpus: int
    network: str
    flavour: str
    kernel: Kernel | None = None
    form: str = ""
    initrd: Path | None = None
    line: str = ""
    disk: Disk | None = None
    tree: Tree | None = None
    unpacked: int | None = None
    packages: int = 0
    shared: tuple[Path, ...] = ()
    balloon: str = "none"
    merged: bool = True
    copied: bool = False
    discard: bool = False
    cpu_set: str = ""
    disk_cache: str = ""
    bridge: str = ""
    no_bridge: str = ""

    @property
    def guest(self) -> str:
        """Return which proof of KVM applies: "rom" or "kernel"."""
        return "rom" if self.boot == "rom" else "kernel"

    def spec(self, name: str, nonce: str, accelerator: str, cpu: str, directory: Path, disk: Path | None) -> DomainSpec:
        """Return the description of one instance.

        Args:
            name: the domain's. nonce: its marks'. accelerator, cpu: what runs it.
            directory: has the sockets "channel" and "console", and "rom" where that is the guest.
            disk: its overlay.
        """
        rom = self.boot == "rom"
        direct = self.boot in ("direct", "restore")
        return DomainSpec(
            name=name, accelerator=accelerator, cpu=cpu, machine=self.machine,
            memory_mib=self.memory_mib, vcpus=self.vcpus, network=self.network,
            channel=directory / "channel", console=None if rom else directory / "console",
            rom=directory / "rom" if rom else None, disk=disk,
            kernel=self.kernel.form(self.form) if direct and self.kernel else None,
            initrd=self.initrd if direct else None, line=self.line.replace("{nonce}", nonce) if direct else "",
            words=(f"bench.nonce={nonce}",) if self.boot == "disk" else (),
            balloon=self.balloon != "none", reporting=self.balloon == "reporting", merged=self.merged,
            discard=self.discard, cpu_set=self.cpu_set, disk_cache=self.disk_cache, bridge=self.bridge,
            translation_mib=32 if self.flavour == "tuned" else 0,
        )  # fmt: skip


def gather(subject: Subject, session: Session, accelerator: str) -> Parts:
    """Build or find what the subject is made of.

    Raises:
        UsageError: an option has a value that makes no sense.
        BuildError: something could not be built.
    """
    boot = boot_of(subject)
    base = Parts(
        boot=boot, machine=subject.option("machine", "pc"), memory_mib=int(subject.option("memory_mib", "256")),
        vcpus=int(subject.option("cpus") or subject.option("vcpus", "1")), network=network_of(subject),
        flavour=subject.option("flavour", "stock"), balloon=balloon_of(subject),
        merged=subject.flag("merged", default=True), copied=subject.flag("copied"), discard=subject.flag("discard"),
        cpu_set=cpu_set(subject), disk_cache=subject.option("disk_cache"),
    )  # fmt: skip
    if boot == "rom":
        return base
    recipe = load_recipe(subject.rootfs)
    if boot == "disk":
        return _with_own_boot(base, recipe, session)
    return _with_direct_boot(base, recipe, session, subject.option("kernel", "bzImage"), accelerator)


def boot_of(subject: Subject) -> str:
    """Return the way the subject's guest starts.

    Raises:
        UsageError: there is no such way.
    """
    boot = subject.option("boot", "direct")
    if boot not in BOOTS:
        raise UsageError(f"subjects.{subject.name}: boot = {boot!r}", f"known: {', '.join(BOOTS)}")
    return boot


def network_of(subject: Subject) -> str:
    """Return the kind of the subject's network.

    Raises:
        UsageError: there is no such kind.
    """
    network = subject.option("network", "none")
    if network not in NETWORKS:
        raise UsageError(f"subjects.{subject.name}: network = {network!r}", f"known: {', '.join(NETWORKS)}")
    return network


def balloon_of(subject: Subject) -> str:
    """Return the kind of the subject's memory balloon; a machine with a disk of its own has one, as it is usual.

    Raises:
        UsageError: there is no such kind.
    """
    balloon = subject.option("balloon", "plain" if boot_of(subject) == "disk" else "none")
    if balloon not in BALLOONS:
        raise UsageError(f"subjects.{subject.name}: balloon = {balloon!r}", f"known: {', '.join(BALLOONS)}")
    return balloon


def _with_direct_boot(base: Parts, recipe: Recipe, session: Session, form: str, accelerator: str) -> Parts:
    tree = build_tree(recipe, session.cache, session.say)
    kernel = fetch_kernel(session.cache, session.say, recipe.suite)
    drivers = ["virtio_blk"]
    drivers += ["virtio_balloon"] if base.balloon != "none" else []
    drivers += ["virtio_net"] if base.network != "none" else []
    first = initramfs(session.cache, kernel, agent_binary(session.cache), bus_of(base.machine), drivers)
    return replace(
        base, kernel=kernel, form=form, initrd=first, tree=tree, unpacked=tree.bytes, packages=len(tree.packages),
        disk=_disk_of(tree, session), line=direct_line(recipe, base, accelerator),
        shared=(kernel.form(form), first),
    )  # fmt: skip


def _with_own_boot(base: Parts, recipe: Recipe, session: Session) -> Parts:
    # An application on a base is not built once more for a guest: the base's guest has all that a machine needs.
    tree = build_tree(recipe, session.cache, session.say, guest=not recipe.base)
    below, unpacked, packages = tree, tree.bytes, set(tree.packages)
    if recipe.base:
        plain = build_tree(load_recipe(recipe.base), session.cache, session.say)
        below = build_tree(plain.recipe, session.cache, session.say, guest=True)
        unpacked += below.bytes - plain.bytes
        packages |= set(below.packages)
    line = f"{_DISTRIBUTION} {STAGE_ONE}"
    return replace(
        base, tree=tree, disk=_disk_of(tree, session, line), line=line, kernel=kernel_of(below.directory),
        unpacked=unpacked, packages=len(packages),
    )  # fmt: skip


def _disk_of(tree: Tree, session: Session, line: str = "") -> Disk:
    """Return a tree as a disk; one that is laid on a base as a clone of the base's disk.

    With a kernel's command line the disk boots by itself: where there is a base, from the base's kernel.
    """
    cache, say = session.cache, session.say
    if not tree.recipe.base:
        return make_disk(tree, cache, say, line=line)
    recipe = load_recipe(tree.recipe.base)
    base = build_tree(recipe, cache, say)
    below = build_tree(recipe, cache, say, guest=True) if line else base
    return clone_disk(make_disk(below, cache, say, line=line), below, base, tree, cache, say)


def bus_of(machine: str) -> str:
    """Return the bus on which the machine's virtio devices are."""
    return "mmio" if machine == "microvm" else "pci"


def direct_line(recipe: Recipe, base: Parts, accelerator: str) -> str:
    """Return the kernel's command line of a direct boot, {nonce} left open.

    TCG has neither kvmclock nor a TSC deadline timer, and microvm no timer but the PIT to calibrate the TSC by:
    a calibration that the host interrupts hangs the guest. tsc_early_khz names the frequency instead; the guest's
    TSC is the host's. KVM guests have kvmclock and must not be told.
    """
    words = [_SEEN]
    if base.flavour == "tuned":
        khz = host_tsc_khz() if accelerator == "tcg" else None
        words += [f"tsc_early_khz={khz}"] if khz else []
        words.append(_TUNED)
    words += [f"rdinit={AGENT} -- --guest --channel {CHANNEL} --nonce {{nonce}} --disk /dev/vda"]
    words += [f"--ready http:{recipe.port}{recipe.ready} --exec", *recipe.command()]
    return " ".join(words)


def host_tsc_khz(cpuinfo: str | None = None, log: str | None = None) -> int | None:
    """Return the frequency of the host's time stamp counter, kHz, or None where nothing tells it.

    Its kernel says it at boot ("tsc: Detected 2596.146 MHz processor"); where that is lost or forbidden,
    /proc/cpuinfo's "cpu MHz" is the same number in a virtual machine whose TSC is known and constant.
    """
    said = _kernel_log() if log is None else log
    found = re.findall(r"tsc: (?:Refined TSC clocksource calibration:|Detected) ([\d.]+) MHz", said)
    if not found:
        text = Path("/proc/cpuinfo").read_text("utf-8") if cpuinfo is None else cpuinfo
        if re.search(r"^flags\s*:.*\bconstant_tsc\b", text, re.MULTILINE) and "hypervisor" in text:
            found = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", text, re.MULTILINE)[:1]
    return round(float(found[-1]) * 1000) if found else None


def _kernel_log() -> str:
    """Return the kernel's log (dev-kmsg: one record a read, EAGAIN at the end), or "" where it may not be read."""
    lines: list[bytes] = []
    with contextlib.suppress(OSError):
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                while True:
                    lines.append(os.read(descriptor, 8192))
        finally:
            os.close(descriptor)
    return b"".join(lines).decode("utf-8", "replace")


def describe(parts: Parts, accelerator: str, cpu: str) -> Mapping[str, str]:
    """Return the fairness manifest: what the VM is made of, in words."""
    rom, disk, tree, kernel = parts.boot == "rom", parts.disk, parts.tree, parts.kernel
    firmware = {"rom": "the suite's own ROM, 64 KiB", "disk": "the machine's own (SeaBIOS), then GRUB, timeout 0"}
    own = "PVH entry, no firmware menu" if parts.form == "vmlinux" else "the machine's own, straight to the kernel"
    about = {
        "accelerator": accelerator,
        "machine": parts.machine,
        "flavour": parts.flavour,
        "processor": f"{cpu}, {parts.vcpus} vCPU",
        "memory": f"{parts.memory_mib} MiB",
        "limits": _limits(parts),
        "firmware": firmware.get(parts.boot, own),
        "devices": _devices(parts),
        "network": parts.network if parts.network != "none" else f"none: {parts.no_bridge or 'no network device'}",
        "rootfs": "none" if rom or tree is None else tree.recipe.name,
    }
    if kernel is not None:
        about["kernel"] = f"{kernel.version}, {parts.form or 'bzImage'}"
        about["kernel digest"] = kernel.digest
        about["command line"] = parts.line
    if disk is not None and tree is not None:
        kind = "full copy" if parts.copied else "overlay" if disk.base is None else "overlay on a clone"
        trimmed = ", discard" if parts.discard else ""
        cached = f", cache={parts.disk_cache}" if parts.disk_cache else ""
        about["disk"] = f"qcow2 {kind}, {disk.virtual >> 20} MiB virtual{trimmed}{cached}"
        about["disk digest"] = disk.digest
        about["packages"] = str(parts.packages)
        about["content"] = f"{parts.unpacked} B in files"
    if parts.boot == "disk" and tree is not None:
        about["more than the container"] = ", ".join(tree.recipe.guest)
    return about


def _limits(parts: Parts) -> str:
    if parts.cpu_set:
        return f"CPU {parts.cpu_set} of the host, its machine monitor included; its own memory"
    return "its own processors and memory; the machine monitor's threads beside them are not limited"


def _devices(parts: Parts) -> str:
    found = ["one serial port"] if parts.boot == "rom" else ["two serial ports", "virtio disk"]
    networks = {"user": "virtio network (user mode)", "bridge": "virtio network on a bridge of the suite's"}
    found += [networks[parts.network]] if parts.network in networks else []
    reports = ", free pages reported" if parts.balloon == "reporting" else ""
    found += [f"memory balloon{reports}"] if parts.balloon != "none" else []
    found += [] if parts.merged else ["memory kept out of KSM"]
    return ", ".join(found)
