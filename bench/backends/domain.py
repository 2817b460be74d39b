"""A virtual machine as libvirt's XML: a pure function of a frozen description."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

EMULATOR = "/usr/bin/qemu-system-x86_64"

TYPES = {"kvm": "kvm", "tcg": "qemu"}
"""libvirt's word for each accelerator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSpec:
    """One virtual machine.

    Attributes:
        name: the domain's; uuid: its identity, drawn by libvirt when empty.
        accelerator: "kvm" or "tcg".
        cpu: "maximum", "host-passthrough" or a model's name; ",-FEATURE" takes a feature away.
        machine: "pc", "q35" or "microvm".
        memory_mib, vcpus: what the guest gets.
        cpu_set: the host's CPUs that virtual ones and the machine monitor's own threads may use, "1" or "0,1"; "": all.
        rom: firmware that replaces the machine's own.
        kernel, initrd, line: direct boot. None: the disk's boot loader.
        disk: a qcow2 file, on virtio. discard: what the guest trims is given back to the host ("unmap"); without
            it QEMU ignores the guest's wish, which is its default. disk_cache: libvirt's word for how the host caches
            it ("none": not at all, O_DIRECT); "": QEMU's default, which is "writeback".
        console: the socket QEMU connects the first serial port to; channel: that of the second, or of the first
            where there is no console.
        words: OEM strings of the SMBIOS tables, by which the guest learns its nonce.
        network: "none", "user" (QEMU's own user-mode network: nothing of the host is reachable from outside) or
            "bridge". bridge: that bridge's name.
        balloon: a memory balloon, as management programs add it; reporting: through it the guest's kernel tells
            which pages it has free, and QEMU gives them back to the host.
        merged: QEMU offers its guest's memory to KSM, as it does by default; False: it does not.
        translation_mib: QEMU's buffer for translated code, TCG only. 0: its default.
        unconfined: security models (of the host's libvirtd) under which QEMU runs as libvirtd itself does, so that
            nothing of the suite's files is relabelled.
    """

    name: str
    accelerator: str
    machine: str
    memory_mib: int
    channel: Path
    uuid: str = ""
    vcpus: int = 1
    cpu_set: str = ""
    cpu: str = "maximum"
    rom: Path | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    line: str = ""
    disk: Path | None = None
    discard: bool = False
    disk_cache: str = ""
    console: Path | None = None
    words: tuple[str, ...] = ()
    network: str = "none"
    bridge: str = ""
    balloon: bool = False
    reporting: bool = False
    merged: bool = True
    translation_mib: int = 0
    unconfined: tuple[str, ...] = ()


def to_xml(spec: DomainSpec) -> str:
    """Return the domain's XML (libvirt.org/formatdomain.html)."""
    domain = Element("domain", type=TYPES[spec.accelerator])
    _text(domain, "name", spec.name)
    if spec.uuid:
        _text(domain, "uuid", spec.uuid)
    _text(domain, "memory", str(spec.memory_mib), unit="MiB")
    if not spec.merged:
        SubElement(SubElement(domain, "memoryBacking"), "nosharepages")
    processors = _text(domain, "vcpu", str(spec.vcpus))
    if spec.cpu_set:
        processors.set("cpuset", spec.cpu_set)
    if spec.words:
        strings = SubElement(SubElement(domain, "sysinfo", type="smbios"), "oemStrings")
        for word in spec.words:
            _text(strings, "entry", word)
    _add_boot(domain, spec)
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    if spec.translation_mib and spec.accelerator == "tcg":
        _text(SubElement(features, "tcg"), "tb-cache", str(spec.translation_mib), unit="MiB")
    _add_cpu(domain, spec.cpu)
    # A guest that ends is gone: what waits for it shall see that at once, not a machine that starts again.
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        _text(domain, event, "destroy")
    _add_devices(domain, spec)
    for model in spec.unconfined:
        if model == "dac":
            label = SubElement(domain, "seclabel", type="static", model="dac", relabel="no")
            _text(label, "label", "+0:+0")
        else:
            SubElement(domain, "seclabel", type="none", model=model)
    indent(domain)
    return tostring(domain, encoding="unicode")


def _text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = text
    return element


def _add_boot(domain: Element, spec: DomainSpec) -> None:
    system = SubElement(domain, "os")
    _text(system, "type", "hvm", arch="x86_64", machine=spec.machine)
    if spec.rom is not None:
        _text(system, "loader", str(spec.rom), readonly="yes", type="rom")
    if spec.kernel is not None:
        _text(system, "kernel", str(spec.kernel))
        if spec.initrd is not None:
            _text(system, "initrd", str(spec.initrd))
        _text(system, "cmdline", spec.line)
    elif spec.disk is not None:
        SubElement(system, "boot", dev="hd")
    if spec.words:
        SubElement(system, "smbios", mode="sysinfo")


def _add_cpu(domain: Element, words: str) -> None:
    model, *features = words.split(",")
    if model in ("maximum", "host-passthrough"):
        cpu = SubElement(domain, "cpu", mode=model)
    else:
        cpu = SubElement(domain, "cpu", mode="custom", match="exact", check="none")
        _text(cpu, "model", model, fallback="forbid")
    for feature in features:
        SubElement(cpu, "feature", policy="disable", name=feature.removeprefix("-"))


def _add_devices(domain: Element, spec: DomainSpec) -> None:
    devices = SubElement(domain, "devices")
    _text(devices, "emulator", EMULATOR)
    if spec.disk is not None:
        disk = SubElement(devices, "disk", type="file", device="disk")
        driver = SubElement(disk, "driver", name="qemu", type="qcow2")
        if spec.discard:
            driver.set("discard", "unmap")
        if spec.disk_cache:
            driver.set("cache", spec.disk_cache)
        SubElement(disk, "source", file=str(spec.disk))
        SubElement(disk, "target", dev="vda", bus="virtio")
        _add_address(disk, spec.machine)
    ports = (spec.channel,) if spec.console is None else (spec.console, spec.channel)
    for number, path in enumerate(ports):
        serial = SubElement(devices, "serial", type="unix")
        SubElement(serial, "source", mode="connect", path=str(path))
        SubElement(serial, "target", port=str(number))
    if spec.network != "none":
        interface = SubElement(devices, "interface", type=spec.network)
        if spec.network == "bridge":
            SubElement(interface, "source", bridge=spec.bridge)
        SubElement(interface, "model", type="virtio")
        _add_address(interface, spec.machine)
    SubElement(devices, "controller", type="usb", model="none")
    balloon = SubElement(devices, "memballoon", model="virtio" if spec.balloon else "none")
    if spec.balloon:
        if spec.reporting:
            balloon.set("freePageReporting", "on")
        _add_address(balloon, spec.machine)


def _add_address(device: Element, machine: str) -> None:
    """Put a device on the bus that microvm has; elsewhere libvirt chooses a PCI slot."""
    if machine == "microvm":
        SubElement(device, "address", type="virtio-mmio")
