"""The control-group reader against made-up trees of both versions, and against this host's own files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bench.collectors.cgroup import Charge, Group, memory_group, own_group, read_charge

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2_MOUNTS = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
V2_STAT = "anon 111\nfile 222\nkernel 333\nshmem 44\nslab 55\nsock 66\ninactive_file 77\nanon_thp 0\n"
V1_STAT = "cache 1\nrss 2\nshmem 3\ntotal_cache 222\ntotal_rss 111\ntotal_shmem 44\ntotal_inactive_file 77\n"


class Host:
    """A made-up host: processes, mounts and control groups below one directory."""

    def __init__(self, root: Path, mounts: str, reader_cgroup: str) -> None:
        self.root = root
        self.proc = root / "proc"
        self.process(1, reader_cgroup)
        (self.proc / "1" / "mountinfo").write_text(mounts)
        (self.proc / "self").symlink_to("1")

    def process(self, pid: int, cgroup: str) -> None:
        (self.proc / str(pid)).mkdir(parents=True)
        (self.proc / str(pid) / "cgroup").write_text(cgroup)

    def group(self, path: str, **contents: str) -> Path:
        directory = self.root / path
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (directory / name.replace("__", ".")).write_text(text)
        return directory

    def find(self, pid: int) -> Group | None:
        return memory_group(pid, self.proc, self.root)


@pytest.fixture
def v2(tmp_path: Path) -> Host:
    return Host(tmp_path, V2_MOUNTS, "0::/user.slice/session\n")


@pytest.fixture
def v1(tmp_path: Path) -> Host:
    return Host(tmp_path, V1_MOUNTS, "4:memory:/session\n2:cpu,cpuacct:/\n0::/\n")


def test_version_2_tells_every_figure(v2: Host) -> None:
    directory = v2.group("sys/fs/cgroup/system.slice/docker-ab.scope", memory__current="999\n", memory__stat=V2_STAT)
    v2.process(50, "0::/system.slice/docker-ab.scope\n")

    group = v2.find(50)

    assert group == Group(version=2, name="/system.slice/docker-ab.scope", path=directory)
    assert read_charge(group) == Charge(
        current=999, anon=111, file=222, inactive_file=77, shmem=44, kernel=333, slab=55, sock=66
    )


def test_version_1_is_summed_over_children_and_has_no_slab(v1: Host) -> None:
    directory = v1.group(
        "sys/fs/cgroup/memory/docker/ab", memory__usage_in_bytes="999\n", memory__stat=V1_STAT,
        memory__kmem__usage_in_bytes="333\n", memory__kmem__tcp__usage_in_bytes="66\n",
    )  # fmt: skip
    v1.process(50, "9:name=systemd:/x\n4:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n0::/\n")

    group = v1.find(50)

    assert group == Group(version=1, name="/docker/ab", path=directory)
    assert read_charge(group) == Charge(
        current=999, anon=111, file=222, inactive_file=77, shmem=44, kernel=333, slab=None, sock=66
    )


def test_an_older_kernel_without_the_kernel_line_gives_none(v2: Host) -> None:
    v2.group("sys/fs/cgroup/a", memory__current="9\n", memory__stat="anon 1\nslab 5\n")
    v2.process(50, "0::/a\n")

    group = v2.find(50)

    assert group is not None
    assert read_charge(group) == Charge(current=9, anon=1, slab=5)


def test_a_hybrid_host_whose_memory_is_in_version_2(tmp_path: Path) -> None:
    host = Host(tmp_path, V1_MOUNTS.replace("rw,memory", "rw,pids"), "8:pids:/x\n0::/\n")
    directory = host.group("sys/fs/cgroup/unified/x", memory__current="9\n")
    host.process(50, "8:pids:/x\n0::/x\n")

    assert host.find(50) == Group(version=2, name="/x", path=directory)


def test_a_guests_threaded_group_leads_to_the_domain_that_is_charged(v2: Host) -> None:
    scope = "sys/fs/cgroup/machine.slice/machine-qemu\\x2d1.scope/libvirt"
    v2.group(scope, cgroup__type="domain threaded\n", memory__current="5\n")
    v2.group(f"{scope}/emulator", cgroup__type="threaded\n")
    v2.process(50, "0::/machine.slice/machine-qemu\\x2d1.scope/libvirt/emulator\n")

    group = v2.find(50)

    assert group is not None
    assert group.path == v2.root / scope


def test_a_group_without_the_memory_controller_has_no_charge_of_its_own(v2: Host) -> None:
    v2.group("sys/fs/cgroup/a", memory__current="9\n")
    v2.group("sys/fs/cgroup/a/b", cgroup__type="domain\n")
    v2.process(50, "0::/a/b\n")

    assert v2.find(50) is None


def test_a_reader_in_a_container_sees_only_what_is_mounted_there(tmp_path: Path) -> None:
    inner = "35 31 0:32 /docker/me /sys/fs/cgroup/memory\\040x ro - cgroup cgroup rw,memory\n"
    host = Host(tmp_path, inner, "4:memory:/docker/me\n")
    directory = host.group("sys/fs/cgroup/memory x/child", memory__usage_in_bytes="9\n")
    host.process(50, "4:memory:/docker/me/child\n")
    host.process(51, "4:memory:/docker/other\n")
    host.process(52, "4:memory:/../other\n")

    assert host.find(50) == Group(version=1, name="/docker/me/child", path=directory)
    assert host.find(51) is None
    assert host.find(52) is None


def test_a_name_that_climbs_out_of_the_readers_namespace_is_not_followed(v1: Host) -> None:
    v1.group("sys/fs/cgroup/other", memory__usage_in_bytes="9\n")
    v1.group("sys/fs/cgroup/memory", memory__usage_in_bytes="9\n")
    v1.process(50, "4:memory:/../other\n")

    assert v1.find(50) is None


def test_a_group_of_its_own_is_neither_the_root_nor_the_readers(v1: Host) -> None:
    for path in ("", "session", "docker/ab"):
        v1.group(f"sys/fs/cgroup/memory/{path}", memory__usage_in_bytes="9\n")
    v1.process(50, "4:memory:/docker/ab\n")
    v1.process(51, "4:memory:/session\n")
    v1.process(52, "4:memory:/\n")

    assert own_group(50, v1.proc, v1.root) is not None
    assert own_group(51, v1.proc, v1.root) is None
    assert own_group(52, v1.proc, v1.root) is None
    assert v1.find(51) is not None


def test_a_vanished_process_and_a_vanished_group_are_unknown(v2: Host) -> None:
    directory = v2.group("sys/fs/cgroup/a", memory__current="9\n")
    v2.process(50, "0::/a\n")
    group = v2.find(50)
    (directory / "memory.current").unlink()
    directory.rmdir()

    assert group is not None
    assert read_charge(group) == Charge()
    assert v2.find(50) is None
    assert v2.find(777) is None


def test_this_hosts_own_group_is_found_and_says_what_its_files_say() -> None:
    group = memory_group(os.getpid())

    # Where the host has a memory controller for this process at all, the group must list it.
    assert group is not None
    assert str(os.getpid()) in (group.path / "cgroup.procs").read_text().split()
    charge = read_charge(group)
    file = "memory.usage_in_bytes" if group.version == 1 else "memory.current"
    assert charge.current == pytest.approx(int((group.path / file).read_text()), rel=0.1)
    line = re.search(r"^(?:total_rss|anon) (\d+)$", (group.path / "memory.stat").read_text(), re.MULTILINE)
    assert line is not None
    assert charge.anon == pytest.approx(int(line[1]), rel=0.1)
