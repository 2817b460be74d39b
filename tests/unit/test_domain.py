"""Domain XML: what the description says stands in it, and nothing a machine cannot have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.backends.domain import DomainSpec, to_xml

DIRECT = DomainSpec(
    name="bench-abc123-1", accelerator="tcg", machine="pc", memory_mib=256,
    channel=Path("/run/x/channel"), console=Path("/run/x/console"),
    kernel=Path("/k/bzImage"), initrd=Path("/k/first.cpio"), line="console=ttyS0 -- --nonce 1<2&3",
    disk=Path("/s/1.qcow2"),
)  # fmt: skip


def parsed(spec: DomainSpec) -> ET.Element:
    return ET.fromstring(to_xml(spec))


def texts(domain: ET.Element, path: str) -> list[str | None]:
    return [element.text for element in domain.findall(path)]


def ports(domain: ET.Element) -> list[tuple[str, str, str]]:
    """Every serial port: its number, how QEMU treats the socket, and where it is."""
    found = []
    for serial in domain.findall("./devices/serial"):
        source, target = serial.find("source"), serial.find("target")
        assert source is not None
        assert target is not None
        found.append((target.attrib["port"], source.attrib["mode"], source.attrib["path"]))
    return found


def test_a_direct_boot_names_kernel_first_file_system_and_line() -> None:
    domain = parsed(DIRECT)
    assert texts(domain, "./os/kernel") == ["/k/bzImage"]
    assert texts(domain, "./os/initrd") == ["/k/first.cpio"]
    assert texts(domain, "./os/cmdline") == ["console=ttyS0 -- --nonce 1<2&3"]
    assert domain.find("./os/boot") is None


def test_kvm_is_one_word_away_from_tcg() -> None:
    emulated, real = to_xml(DIRECT), to_xml(replace(DIRECT, accelerator="kvm"))
    assert real == emulated.replace('<domain type="qemu">', '<domain type="kvm">')
    assert real != emulated


def test_qemu_connects_the_console_first_and_the_channel_second() -> None:
    assert ports(parsed(DIRECT)) == [("0", "connect", "/run/x/console"), ("1", "connect", "/run/x/channel")]


def test_a_guest_without_a_console_has_the_channel_on_its_first_port() -> None:
    rom = DomainSpec(
        name="r", accelerator="kvm", machine="pc", memory_mib=16, channel=Path("/x/channel"), rom=Path("/x/rom")
    )
    domain = parsed(rom)
    assert ports(domain) == [("0", "connect", "/x/channel")]
    loader = domain.find("./os/loader")
    assert loader is not None
    assert (loader.text, loader.attrib["type"]) == ("/x/rom", "rom")
    assert domain.find("./devices/disk") is None


@pytest.mark.parametrize("machine", ["pc", "q35", "microvm"])
def test_only_microvm_puts_devices_on_its_own_bus(machine: str) -> None:
    domain = parsed(replace(DIRECT, machine=machine, network="user", balloon=True))
    wanted = ["virtio-mmio"] * 3 if machine == "microvm" else []
    assert [address.attrib["type"] for address in domain.iter("address")] == wanted


def test_a_disk_with_its_own_boot_loader_is_booted_and_told_its_nonce_by_the_firmware_tables() -> None:
    spec = replace(DIRECT, kernel=None, initrd=None, line="", words=("bench.nonce=77aa",))
    domain = parsed(spec)
    boot, smbios = domain.find("./os/boot"), domain.find("./os/smbios")
    assert boot is not None
    assert smbios is not None
    assert (boot.attrib["dev"], smbios.attrib["mode"]) == ("hd", "sysinfo")
    assert texts(domain, "./sysinfo/oemStrings/entry") == ["bench.nonce=77aa"]
    assert domain.find("./os/kernel") is None


def test_a_processor_without_a_feature() -> None:
    cpu = parsed(replace(DIRECT, cpu="host-passthrough,-arch-capabilities")).find("./cpu")
    assert cpu is not None
    assert cpu.attrib["mode"] == "host-passthrough"
    assert [(f.attrib["policy"], f.attrib["name"]) for f in cpu] == [("disable", "arch-capabilities")]


def test_a_named_processor_model() -> None:
    domain = parsed(replace(DIRECT, cpu="qemu64"))
    assert texts(domain, "./cpu/model") == ["qemu64"]


@pytest.mark.parametrize("end", ["on_poweroff", "on_reboot", "on_crash"])
def test_a_guest_that_ends_is_gone(end: str) -> None:
    assert texts(parsed(DIRECT), f"./{end}") == ["destroy"]


def test_nothing_is_reachable_from_outside() -> None:
    """No graphics, no listening socket, no port forwarding, no network unless the subject has one."""
    domain = parsed(DIRECT)
    assert [tag for tag in ("graphics", "interface", "redirdev") if domain.find(f"./devices/{tag}") is not None] == []
    assert 'mode="bind"' not in to_xml(replace(DIRECT, network="user"))


def test_a_machine_on_a_bridge_names_it() -> None:
    device = parsed(replace(DIRECT, network="bridge", bridge="benchabc123v")).find("./devices/interface")
    assert device is not None
    assert device.attrib == {"type": "bridge"}
    assert [(part.tag, dict(part.attrib)) for part in device][:2] == [
        ("source", {"bridge": "benchabc123v"}), ("model", {"type": "virtio"}),
    ]  # fmt: skip


def test_the_translation_buffer_belongs_to_emulation_alone() -> None:
    assert texts(parsed(replace(DIRECT, translation_mib=32)), "./features/tcg/tb-cache") == ["32"]
    assert parsed(replace(DIRECT, translation_mib=32, accelerator="kvm")).find("./features/tcg") is None


def test_no_security_model_relabels_the_suites_files() -> None:
    domain = parsed(replace(DIRECT, unconfined=("dac", "apparmor")))
    labels = [(label.attrib["model"], label.attrib["type"], label.get("relabel")) for label in domain.iter("seclabel")]
    assert labels == [("dac", "static", "no"), ("apparmor", "none", None)]
    assert parsed(DIRECT).find("./seclabel") is None


@pytest.mark.parametrize(("reporting", "said"), [(False, None), (True, "on")])
def test_a_balloon_reports_free_pages_only_where_it_is_asked_to(reporting: bool, said: str | None) -> None:
    balloon = parsed(replace(DIRECT, balloon=True, reporting=reporting)).find("./devices/memballoon")
    assert balloon is not None
    assert (balloon.attrib["model"], balloon.get("freePageReporting")) == ("virtio", said)


def test_without_a_balloon_libvirt_is_told_to_add_none() -> None:
    balloon = parsed(replace(DIRECT, reporting=True)).find("./devices/memballoon")
    assert balloon is not None
    assert balloon.attrib == {"model": "none"}


@pytest.mark.parametrize("merged", [True, False])
def test_memory_is_kept_out_of_ksm_only_where_it_is_asked_to(merged: bool) -> None:
    kept_out = parsed(replace(DIRECT, merged=merged)).find("./memoryBacking/nosharepages")
    assert (kept_out is None) is merged


def test_a_disk_passes_on_what_is_trimmed_only_when_asked() -> None:
    told = {wanted: parsed(replace(DIRECT, discard=wanted)).find("./devices/disk/driver") for wanted in (True, False)}
    assert {wanted: found.get("discard") for wanted, found in told.items() if found is not None} == {
        True: "unmap", False: None,
    }  # fmt: skip
