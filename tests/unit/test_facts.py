"""Facts read from made-up hosts: known things are right, unknown things are None, private things are absent."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.collectors.host import State
from bench.host import facts

METAL = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "proc/sys/kernel/osrelease": "6.1.0-28-amd64\n",
    "proc/sys/kernel/arch": "x86_64\n",
    "proc/1/comm": "systemd\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nmicrocode\t: 0xde\nflags\t\t: fpu vme vmx\n\n"
    "processor\t: 1\nmodel name\t: Other\n",
    "proc/meminfo": "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\nSwapTotal:       1000000 kB\n"
    "SwapFree:         750000 kB\nHugePages_Total:       4\n",
    "proc/stat": "cpu  100 0 100 700 0 0 0 100 999 999\ncpu0 1 2 3\n",
    "proc/loadavg": "0.50 0.40 0.30 1/200 12345\n",
    "proc/uptime": "1234.56 2345.67\n",
    "proc/pressure/cpu": "some avg10=12.50 avg60=1.00 avg300=0.10 total=99\n",
    "proc/pressure/io": "some avg10=0.00 avg60=1.00 avg300=0.10 total=99\nfull avg10=9.00 avg60=0 avg300=0 total=1\n",
    "proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n/dev/sda2 / ext4 rw 0 0\n",
    "proc/self/mountinfo": "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n",
    "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t1\npids\t0\t1\t0\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
    "sys/devices/system/cpu/online": "0-3,8\n",
    "sys/devices/system/cpu/smt/active": "1\n",
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_min_freq": "800000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "3900000\n",
    "sys/devices/system/cpu/vulnerabilities/meltdown": "Mitigation: PTI\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm \n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/kernel/mm/ksm/run": "0\n",
    "sys/module/kvm_intel/parameters/nested": "Y\n",
    "sys/dev/block/8:2/queue/rotational": "0\n",
    "dev/kvm": "",
}
"""A machine of bare metal, as files."""


def grow(root: Path, files: dict[str, str]) -> Path:
    """Write files below a root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return root


@pytest.fixture
def metal(tmp_path: Path) -> Path:
    return grow(tmp_path, METAL)


def test_a_bare_machine_is_read_whole(metal: Path) -> None:
    seen = facts.read_facts(metal)
    assert seen.kernel == facts.Kernel(
        release="6.1.0-28-amd64", distribution="Debian GNU/Linux 12 (bookworm)", architecture="x86_64",
        clocksource="tsc", clocksources=("tsc", "hpet", "acpi_pm"), cgroup_version="v2",
        cgroup_controllers=("cpu", "memory", "pids"), first_process="systemd", container=None,
    )  # fmt: skip
    assert seen.cpu == facts.Cpu(
        model="Fast CPU @ 3 GHz", count=5, smt=State.ON, governors=("performance", "powersave"), boost=State.ON,
        min_mhz=800.0, max_mhz=3900.0, microcode="0xde", mitigations={"meltdown": "Mitigation: PTI"},
    )  # fmt: skip
    assert seen.memory == facts.Memory(
        total_bytes=16_384_000_000, available_bytes=8_192_000_000, swap_total_bytes=1_024_000_000,
        swap_used_bytes=256_000_000, hugepages=4, transparent_hugepages="madvise", ksm=State.OFF,
    )  # fmt: skip
    assert seen.load == facts.Load(
        steal_share=0.1, pressure={"cpu": 0.125, "io": 0.0}, load=(0.5, 0.4, 0.3), uptime_s=1234.56
    )
    assert seen.virtualisation == facts.Virtualisation(
        guest=State.OFF, hypervisor=None, nested=State.ON, kvm_present=State.ON, kvm_openable=State.ON
    )
    assert (seen.storage.filesystem, seen.storage.rotational) == ("ext4", State.OFF)
    assert (seen.storage.free_bytes or 0) > 0
    assert seen.reap_latency_s is None


def test_an_empty_host_is_unknown_not_zero(tmp_path: Path) -> None:
    seen = facts.read_facts(tmp_path)
    assert seen.host_id == "unknown"
    assert (seen.cpu.model, seen.cpu.count, seen.cpu.mitigations) == (None, None, None)
    assert (seen.cpu.smt, seen.cpu.boost, seen.memory.ksm) == (State.UNKNOWN,) * 3
    assert (seen.memory.total_bytes, seen.memory.swap_used_bytes) == (None, None)
    assert (seen.load.steal_share, seen.load.pressure, seen.load.load, seen.load.uptime_s) == (None,) * 4
    assert (seen.kernel.release, seen.kernel.cgroup_version, seen.kernel.clocksource) == (None, None, None)
    assert (seen.virtualisation.guest, seen.virtualisation.nested) == (State.UNKNOWN, State.UNKNOWN)
    assert (seen.virtualisation.kvm_present, seen.virtualisation.kvm_openable) == (State.OFF, State.OFF)
    assert (seen.storage.filesystem, seen.storage.rotational) == (None, State.UNKNOWN)


@pytest.mark.parametrize("name", sorted(METAL))
@pytest.mark.parametrize("content", ["", "\0\x1b[31m nonsense : : - \n\n", "9" * 400, " ".join(["9" * 400] * 9)])
def test_nonsense_in_any_file_raises_nothing(metal: Path, name: str, content: str) -> None:
    (metal / name).write_text(content, "utf-8")
    json.dumps(facts.read_facts(metal).as_dict(), allow_nan=False)


def test_a_folder_in_place_of_a_file_raises_nothing(metal: Path) -> None:
    (metal / "proc/meminfo").unlink()
    (metal / "proc/meminfo").mkdir()
    assert facts.read_facts(metal).memory.total_bytes is None


@pytest.mark.parametrize(
    ("files", "guest", "kind"),
    [
        ({"proc/cpuinfo": "flags : fpu hypervisor\n"}, State.ON, None),
        ({"proc/cpuinfo": "flags : hypervisor\n", "sys/class/dmi/id/sys_vendor": "QEMU\n"}, State.ON, "qemu"),
        ({"proc/cpuinfo": "flags : hypervisor\n", "sys/class/dmi/id/product_name": "KVM\n"}, State.ON, "kvm"),
        ({"proc/cpuinfo": "flags : fpu\n", "sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}, State.OFF, None),
        ({"proc/cpuinfo": "flags : fpu\n", "sys/hypervisor/type": "xen\n"}, State.ON, "xen"),
        ({"proc/cpuinfo": "Features : fp asimd\n", "sys/class/dmi/id/sys_vendor": "QEMU\n"}, State.ON, "qemu"),
        ({"proc/cpuinfo": "Features : fp asimd\n"}, State.UNKNOWN, None),
        (
            {
                "proc/cpuinfo": "flags : hypervisor\n",
                "sys/class/dmi/id/sys_vendor": "Microsoft Corporation",
                "sys/class/dmi/id/product_name": "Virtual Machine",
            },
            State.ON,
            "microsoft",
        ),
    ],
)
def test_a_virtual_host_is_known_by_its_flag(
    tmp_path: Path, files: dict[str, str], guest: State, kind: str | None
) -> None:
    seen = facts.read_facts(grow(tmp_path, files)).virtualisation
    assert (seen.guest, seen.hypervisor) == (guest, kind)


@pytest.mark.parametrize(
    ("mounts", "version", "controllers"),
    [
        ("c /sys/fs/cgroup/memory cgroup rw 0 0\n", "v1", ("memory",)),
        ("c /a cgroup rw 0 0\nc /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "hybrid", ("memory",)),
        ("c /sys/fs/cgroup cgroup2 rw 0 0\n", "v2", ("cpu", "memory", "pids")),
        ("tmpfs /tmp tmpfs rw 0 0\n", None, ()),
    ],
)
def test_control_groups(metal: Path, mounts: str, version: str | None, controllers: tuple[str, ...]) -> None:
    (metal / "proc/self/mounts").write_text(mounts)
    kernel = facts.read_facts(metal).kernel
    assert (kernel.cgroup_version, kernel.cgroup_controllers) == (version, controllers)


def test_boost_is_read_from_either_place(metal: Path) -> None:
    grow(metal, {"sys/devices/system/cpu/intel_pstate/no_turbo": "1"})
    assert facts.read_facts(metal).cpu.boost is State.OFF
    (metal / "sys/devices/system/cpu/intel_pstate/no_turbo").unlink()
    assert facts.read_facts(metal).cpu.boost is State.UNKNOWN
    grow(metal, {"sys/devices/system/cpu/cpufreq/boost": "1"})
    assert facts.read_facts(metal).cpu.boost is State.ON


def test_the_pool_is_found_on_its_own_mount_before_it_exists(metal: Path) -> None:
    disk = metal / "big disk"
    disk.mkdir()
    point = str(disk).replace(" ", "\\040")
    lines = f"22 1 8:2 / / rw - ext4 /dev/sda2 rw\n30 22 8:17 / {point} rw - xfs /dev/sdb1 rw\n"
    grow(metal, {"proc/self/mountinfo": lines, "sys/dev/block/8:17/x": "", "sys/dev/block/queue/rotational": "1"})
    storage = facts.read_facts(metal, pool=disk / "not" / "yet").storage
    assert (storage.filesystem, storage.rotational) == ("xfs", State.ON)
    assert facts.read_facts(metal, pool=metal).storage.filesystem == "ext4"


def test_the_host_id_is_stable_and_hides_the_machine_id(metal: Path) -> None:
    known = facts.host_id(metal)
    assert len(known) == 12
    assert int(known, 16) >= 0
    assert known == facts.host_id(metal) != facts.host_id(grow(metal, {"etc/machine-id": "f" * 32}))
    assert known not in METAL["etc/machine-id"]
    grow(metal, {"etc/machine-id": "uninitialized\n", "var/lib/dbus/machine-id": METAL["etc/machine-id"]})
    assert facts.host_id(metal) == known


def test_this_hosts_facts_are_json_and_private() -> None:
    known = facts.read_facts(pool=Path.home() / "somewhere", engines=facts.engine_versions())
    text = json.dumps(known.as_dict(), allow_nan=False)
    told = json.loads(text)
    assert told["kernel"]["release"] == platform.release()
    assert told["software"]["python"] == platform.python_version()
    machine = Path("/etc/machine-id")
    addresses = [p.read_text().strip() for p in Path("/sys/class/net").glob("*/address")]
    secrets = [machine.read_text().strip() if machine.exists() else "", str(Path.home()), *addresses]
    for secret in (*secrets, socket.gethostname(), getpass.getuser()):
        words = {leaf for leaf in _leaves(told) if isinstance(leaf, str)}
        assert secret not in words
        assert len(secret) < 12 or set(secret) <= set("0:") or secret not in text


def _leaves(content: Any) -> list[Any]:
    if isinstance(content, dict):
        return [leaf for value in content.values() for leaf in _leaves(value)]
    return [leaf for value in content for leaf in _leaves(value)] if isinstance(content, list) else [content]


def test_versions_of_programs_that_are_absent_silent_or_slow(tmp_path: Path) -> None:
    program = tmp_path / "talker"
    program.write_text("#!/bin/sh\necho 'talker 1.2'\necho more\n")
    program.chmod(0o755)
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho half; exit 3\n")
    failing.chmod(0o755)
    asked = {"talker": (str(program),), "failing": (str(failing),), "absent": (str(tmp_path / "nobody"), "-V")}
    assert facts.engine_versions(asked) == {"talker": "talker 1.2", "failing": "", "absent": None}
    began = time.monotonic()
    assert facts._first_line(("sleep", "30"), timeout_s=0.2) == ""
    assert time.monotonic() - began < 30.0


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert facts.commit(tmp_path) is None
    environment = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a"}
    environment |= {"GIT_COMMITTER_EMAIL": "a@b.c", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *words], env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    head = git("rev-parse", "--short=12", "HEAD")
    assert facts.commit(tmp_path) == head
    (tmp_path / "file").write_text("two")
    assert facts.commit(tmp_path) == f"{head}+changes"


_REAPER = """
import ctypes, os, sys, threading, time
sys.path.insert(0, {root!r})
from bench.host import facts
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
def reap():
    while True:
        time.sleep({delay})
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                words = open(f"/proc/{{entry}}/stat").read().rpartition(")")[2].split()
                if words[0] == "Z" and int(words[1]) == os.getpid():
                    os.waitpid(int(entry), os.WNOHANG)
            except (OSError, ChildProcessError):
                pass
threading.Thread(target=reap, daemon=True).start()
print(facts.measure_reap_latency({deadline}))
"""


def measured_under(delay: float, deadline: float) -> str:
    """Return what is measured by a process that reaps its orphans every so many seconds."""
    root = str(Path(facts.__file__).resolve().parent.parent)
    script = _REAPER.format(root=root, delay=delay, deadline=deadline)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def test_a_quick_and_a_slow_reaper_are_told_apart() -> None:
    quick, slow = (float(measured_under(delay, 30.0)) for delay in (0.02, 2.0))
    assert quick < 1.0 < slow
    assert measured_under(30.0, 0.3) == "None"
