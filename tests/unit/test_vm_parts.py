"""VM subjects without a hypervisor: command lines, descriptions, the proof of KVM, renamed saved guests."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.backends import kvm_proof
from bench.backends.base import Session
from bench.backends.kvm_proof import Attempt, Proof, proof_path, prove, remembered
from bench.backends.libvirt import LibvirtBackend
from bench.backends.saved_image import copy_renamed, saved_name
from bench.backends.vm_instance import find_vhost, weighed
from bench.backends.vm_parts import Parts, balloon_of, boot_of, describe, direct_line, host_tsc_khz, network_of
from bench.errors import InstanceError, UsageError
from bench.rootfs.kernel import Kernel
from bench.rootfs.recipe import Recipe
from bench.scenario import Subject, load

RECIPE = Recipe(name="small", title="a test's", variant="minbase", app=("/bin/app", "-p", "{port}"), ready="/up")
STOCK = Parts(boot="direct", machine="pc", memory_mib=256, vcpus=1, network="none", flavour="stock")
TUNED = replace(STOCK, machine="microvm", flavour="tuned")
KERNEL = Kernel(version="6.1", bzimage=Path("/k/bz"), vmlinux=Path("/k/elf"), modules=Path("/k/m"), digest="aa")

CPUINFO = """\
processor\t: 0
cpu MHz\t\t: 2596.156
flags\t\t: fpu tsc constant_tsc hypervisor
"""


def test_the_agent_is_the_first_program_and_the_app_its_command() -> None:
    line = direct_line(RECIPE, STOCK, "tcg")
    kernels, _, agents = line.partition(" -- ")
    assert kernels.endswith("rdinit=/bench/agent")
    assert agents.endswith("--disk /dev/vda --ready http:8080/up --exec /bin/app -p 8080")
    # The kernel passes at most 32 arguments to its first program (MAX_INIT_ARGS).
    assert len(agents.split()) <= 32


@pytest.mark.parametrize(
    ("parts", "accelerator", "told"), [(TUNED, "tcg", True), (TUNED, "kvm", False), (STOCK, "tcg", False)]
)
def test_only_an_emulated_tuned_guest_is_told_the_frequency(
    parts: Parts, accelerator: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.backends.vm_parts.host_tsc_khz", lambda: 2596146)
    assert ("tsc_early_khz=2596146 " in direct_line(RECIPE, parts, accelerator)) is told


def test_a_stock_guest_has_none_of_the_experts_deviations() -> None:
    assert [
        word for word in ("mitigations", "init_on_alloc", "cryptomgr") if word in direct_line(RECIPE, STOCK, "tcg")
    ] == []


@pytest.mark.parametrize(
    ("log", "cpuinfo", "khz"),
    [
        ("6,1,0,-;tsc: Detected 2596.146 MHz processor\n", "", 2596146),
        ("tsc: Detected 2600.000 MHz processor\ntsc: Refined TSC clocksource calibration: 2596.992 MHz\n", "", 2596992),
        ("", CPUINFO, 2596156),
        ("", CPUINFO.replace("constant_tsc ", ""), None),
        ("", CPUINFO.replace("hypervisor", ""), None),
        ("", "", None),
    ],
)
def test_the_frequency_is_the_kernels_or_unknown(log: str, cpuinfo: str, khz: int | None) -> None:
    assert host_tsc_khz(cpuinfo, log) == khz


def test_an_instances_nonce_goes_into_the_line_of_a_direct_boot() -> None:
    parts = replace(STOCK, kernel=KERNEL, form="vmlinux", line="a --nonce {nonce} b")
    spec = parts.spec("n", "77aa", "tcg", "maximum", Path("/d"), Path("/o.qcow2"))
    assert (spec.line, spec.kernel, spec.words) == ("a --nonce 77aa b", Path("/k/elf"), ())


def test_an_instances_nonce_goes_into_the_firmware_tables_of_one_with_its_own_boot_loader() -> None:
    parts = replace(STOCK, boot="disk", kernel=KERNEL, line="root=x")
    spec = parts.spec("n", "77aa", "tcg", "maximum", Path("/d"), Path("/o.qcow2"))
    assert (spec.line, spec.kernel, spec.words) == ("", None, ("bench.nonce=77aa",))


def test_the_manifest_states_what_moves_the_result() -> None:
    about = describe(replace(STOCK, kernel=KERNEL, form="bzImage", line="quiet"), "kvm", "host-passthrough")
    assert about["accelerator"] == "kvm"
    assert about["processor"] == "host-passthrough, 1 vCPU"
    assert about["kernel"] == "6.1, bzImage"
    assert about["command line"] == "quiet"
    assert {"machine", "firmware", "memory", "devices", "flavour"} <= about.keys()


@pytest.mark.parametrize("name", [s.name for s in load().subjects.values() if s.backend == "libvirt"])
def test_every_vm_subject_of_the_suite_says_how_it_starts(name: str) -> None:
    assert boot_of(load().subjects[name]) in ("rom", "direct", "disk", "restore")


def test_an_unknown_way_to_start_is_a_usage_error_and_makes_the_subject_unusable() -> None:
    subject = Subject(name="x", title="x", backend="libvirt", options={"boot": "floppy"})
    with pytest.raises(UsageError, match="floppy"):
        boot_of(subject)
    assert not LibvirtBackend().check(subject).usable


@pytest.mark.parametrize(
    ("name", "balloon"),
    [
        ("vm-direct-tuned", "none"), ("vm-direct-balloon", "plain"), ("vm-direct-reporting", "reporting"),
        ("vm-distro", "plain"), ("vm-bare", "none"),
    ],
)  # fmt: skip
def test_the_balloon_is_the_subjects(name: str, balloon: str) -> None:
    assert balloon_of(load().subjects[name]) == balloon


def test_an_unknown_balloon_is_a_usage_error_and_makes_the_subject_unusable() -> None:
    subject = Subject(name="x", title="x", backend="libvirt", options={"balloon": "red"})
    with pytest.raises(UsageError, match="red"):
        balloon_of(subject)
    assert "red" in LibvirtBackend().check(subject).reason


def test_a_network_nobody_knows_is_an_error_that_names_it() -> None:
    subject = Subject(name="x", title="x", backend="libvirt", options={"network": "telepathy"})
    with pytest.raises(UsageError, match="telepathy"):
        network_of(subject)
    assert "telepathy" in LibvirtBackend().check(subject).reason


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (STOCK, "none: no network device"), (replace(STOCK, network="bridge", bridge="b"), "bridge"),
        (replace(STOCK, no_bridge="no bridge can be made"), "none: no bridge can be made"),
    ],
)  # fmt: skip
def test_the_manifest_tells_the_network(parts: Parts, told: str) -> None:
    assert describe(parts, "tcg", "maximum")["network"] == told


def test_the_kernels_threads_for_a_network_device_belong_to_their_machine() -> None:
    """They are named after their QEMU; here one of that name is a process that calls itself so."""
    named = "import time; open('/proc/self/comm', 'w').write('vhost-4711'); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", named], stdout=subprocess.PIPE) as thread:
        try:
            assert thread.stdout
            thread.stdout.readline()
            assert find_vhost(4711) == (thread.pid,)
            assert find_vhost(471) == ()
        finally:
            thread.kill()


@pytest.mark.parametrize(("word", "usable"), [("1\n", True), ("0\n", False), ("2\n", False), (None, False)])
def test_keeping_out_of_ksm_makes_sense_only_where_it_runs(
    word: str | None, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if word is not None:
        (tmp_path / "run").write_text(word)
    monkeypatch.setattr("bench.backends.vm_needs.MERGING", tmp_path / "run")
    found = LibvirtBackend().check(load().subjects["vm-direct-unmerged"])
    assert found.usable is usable
    assert usable or found.reason.startswith("KSM does not run on this host")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (STOCK, ""), (replace(STOCK, balloon="plain"), "memory balloon"),
        (replace(STOCK, balloon="reporting"), "memory balloon, free pages reported"),
        (replace(STOCK, merged=False), "memory kept out of KSM"),
    ],
)  # fmt: skip
def test_the_manifest_and_the_domain_tell_of_the_balloon_alike(parts: Parts, told: str) -> None:
    assert describe(parts, "tcg", "maximum")["devices"] == ", ".join(
        filter(None, ("two serial ports, virtio disk", told))
    )
    spec = parts.spec("n", "77aa", "tcg", "maximum", Path("/d"), Path("/o.qcow2"))
    assert (spec.balloon, spec.reporting, spec.merged) == (
        parts.balloon != "none", parts.balloon == "reporting", parts.merged,
    )  # fmt: skip


@pytest.mark.parametrize("uri", ["qemu+ssh://root@elsewhere/system", "qemu://elsewhere/system", "qemu+tls://h/system"])
def test_another_hosts_hypervisor_is_refused_with_the_reason(uri: str) -> None:
    found = LibvirtBackend().check(Subject(name="x", title="x", backend="libvirt", options={"uri": uri}))
    assert not found.usable
    assert "another host" in found.reason


class Boots:
    """Stands for booting a guest; knows which processor works."""

    def __init__(self, working: str) -> None:
        self.working = working
        self.tried: list[str] = []

    def __call__(self, cpu: str) -> Attempt:
        self.tried.append(cpu)
        return Attempt(cpu=cpu, worked=cpu == self.working, seen=f"saw {cpu}")


@pytest.fixture
def open_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_proof, "device_refusal", lambda: "")


@pytest.mark.usefixtures("open_device")
def test_processors_are_tried_until_one_boots(tmp_path: Path) -> None:
    boots = Boots("b")
    proof = prove("kernel", tmp_path / "kvm" / "p.json", boots, ("a", "b", "c"))
    assert (proof.works, proof.cpu, boots.tried) == (True, "b", ["a", "b"])


@pytest.mark.usefixtures("open_device")
def test_no_boot_is_no_kvm_and_says_what_was_seen_last(tmp_path: Path) -> None:
    proof = prove("kernel", tmp_path / "kvm" / "p.json", Boots("none"), ("a", "b"))
    assert (proof.works, proof.cpu, proof.reason) == (False, "", "saw b")
    assert [attempt.cpu for attempt in proof.attempts] == ["a", "b"]


@pytest.mark.usefixtures("open_device")
def test_a_proof_is_made_once(tmp_path: Path) -> None:
    first, second = Boots("a"), Boots("none")
    made = prove("rom", tmp_path / "kvm" / "p.json", first, ("a",))
    assert prove("rom", tmp_path / "kvm" / "p.json", second, ("a",)) == made
    assert second.tried == []


def test_a_device_that_does_not_open_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_proof, "device_refusal", lambda: "/dev/kvm: Permission denied")
    boots = Boots("a")
    proof = prove("rom", tmp_path / "kvm" / "p.json", boots, ("a",))
    assert (proof.works, proof.reason, boots.tried) == (False, "/dev/kvm: Permission denied", [])


def test_an_absent_device_says_so(tmp_path: Path) -> None:
    assert kvm_proof.device_refusal(str(tmp_path / "kvm")).endswith("No such file or directory")


def test_another_boot_of_the_host_another_qemu_or_another_guest_needs_its_own_proof(tmp_path: Path) -> None:
    keys = [("kernel", "7.2", "aa", "boot1"), ("rom", "7.2", "aa", "boot1"), ("kernel", "8.0", "aa", "boot1")]
    keys += [("kernel", "7.2", "bb", "boot1"), ("kernel", "7.2", "aa", "boot2")]
    assert len({proof_path(tmp_path, *key) for key in keys}) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"attempts": [{}]}'])
def test_a_damaged_proof_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    assert remembered(tmp_path / "p.json") is None


class Driver:
    """Stands for an opened hypervisor."""


def test_what_the_run_decided_about_kvm_stands(tmp_path: Path) -> None:
    session = Session(
        run_id="r", directory=tmp_path, scratch=tmp_path, cache=tmp_path, accelerators={"kernel": "tcg", "rom": "kvm"}
    )
    backend = LibvirtBackend()
    backend._session = session
    proof = Proof(guest="rom", works=True, cpu="qemu64", attempts=(), reason="")
    backend._prove = lambda guest, hypervisor: proof  # type: ignore[method-assign]
    subject = Subject(name="x", title="x", backend="libvirt", options={"accelerator": "auto"})
    assert backend._decide(subject, "kernel", Driver()) == ("tcg", "maximum")  # type: ignore[arg-type]
    assert backend._decide(subject, "rom", Driver()) == ("kvm", "qemu64")  # type: ignore[arg-type]


def test_kvm_that_was_asked_for_and_does_not_work_is_no_silent_emulation(tmp_path: Path) -> None:
    backend = LibvirtBackend()
    backend._session = Session(run_id="r", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    proof = Proof(guest="kernel", works=False, cpu="", attempts=(), reason="it hung")
    backend._prove = lambda guest, hypervisor: proof  # type: ignore[method-assign]
    subject = Subject(name="x", title="x", backend="libvirt", options={"accelerator": "kvm"})
    with pytest.raises(InstanceError, match="it hung"):
        backend._decide(subject, "kernel", Driver())  # type: ignore[arg-type]


def saved(path: Path, text: bytes, stream: bytes) -> Path:
    """A file as libvirt saves a guest: magic, version, length of the text, 68 bytes more, text, stream."""
    path.write_bytes(b"LibvirtQemudSave" + struct.pack("<II", 2, len(text)) + bytes(68) + text + stream)
    return path


def test_a_saved_guest_gets_another_name_and_its_memory_stays(tmp_path: Path) -> None:
    text = b"<name>bench-1</name><source path='/x/bench-1'/>" + bytes(200)
    stream = b"memory of bench-1" * 100_000
    source = saved(tmp_path / "a", text, stream)
    copy_renamed(source, tmp_path / "b", {"bench-1": "bench-2"})
    assert (tmp_path / "b").read_bytes() == source.read_bytes()[:92] + text.replace(b"bench-1", b"bench-2") + stream


def test_a_name_of_another_length_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "a", b"<name>bench-1</name>", b"")
    with pytest.raises(ValueError, match="not as long"):
        copy_renamed(source, tmp_path / "b", {"bench-1": "bench-10"})


def test_what_is_no_saved_guest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"something else" * 100)
    with pytest.raises(InstanceError, match="no saved guest"):
        copy_renamed(tmp_path / "a", tmp_path / "b", {})


def test_names_of_saved_guests_are_of_one_length(tmp_path: Path) -> None:
    session = Session(run_id="20260101-abcdef", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    names = [saved_name(session, number) for number in (0, 7, 123456)]
    assert {len(name) for name in names} == {len(names[0])}
    # The guardian knows a run's QEMU by the beginning of their names.
    assert {name.startswith("bench-abcdef-") for name in names} == {True}


def test_a_file_that_is_not_there_is_not_0_bytes(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x" * 5000)
    assert weighed([tmp_path / "there"]) == (tmp_path / "there").stat().st_blocks * 512 > 0
    assert weighed([]) == 0
    assert weighed([tmp_path / "there", tmp_path / "gone"]) is None
