"""The stop rule on made-up hosts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.probes.ramp import Rule, State, Stop, checkpoint, cost_of_one, read_state, room, slope

GIB = 1 << 30
MIB = 1 << 20


def host(proc: Path, available_mib: int, waiting: str = "0.00") -> Path:
    (proc / "proc/pressure").mkdir(parents=True, exist_ok=True)
    (proc / "proc/meminfo").write_text(
        f"MemTotal: {8 << 20} kB\nMemFree: 1 kB\nMemAvailable: {available_mib << 10} kB\n"
    )
    line = f"some avg10={waiting} avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    for resource in ("cpu", "io", "memory"):
        (proc / "proc/pressure" / resource).write_text(line)
    return proc


def test_a_made_up_host_is_read(tmp_path: Path) -> None:
    assert read_state(host(tmp_path, 3000, "12.50")) == State(total=8 * GIB, available=3000 * MIB, pressure=0.125)
    assert read_state(tmp_path / "nowhere") == State(total=None, available=None, pressure=None)


V1 = "4:memory:/a/suite\n0::/\n", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V2 = "0::/a/suite\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
FILES = {
    1: ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache {}\ntotal_shmem {}\n"),
    2: ("sys/fs/cgroup", "memory.max", "memory.current", "file {}\nshmem {}\n"),
}
UNLIMITED = {1: "9223372036854771712", 2: "max"}


def grouped(root: Path, version: int, limits: dict[str, str], used_mib: int, cache_mib: int = 0) -> None:
    """Put the reader into the group /a/suite; limits by group, bytes."""
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/self").symlink_to("7")
    cgroup, mounts = V1 if version == 1 else V2
    (root / "proc/7/cgroup").write_text(cgroup)
    (root / "proc/7/mountinfo").write_text(mounts)
    top, limit, usage, stat = FILES[version]
    for name in ("", "a", "a/suite"):
        place = root / top / name
        place.mkdir(parents=True, exist_ok=True)
        (place / limit).write_text(limits.get(name, UNLIMITED[version]))
        (place / usage).write_text(str(used_mib * MIB))
        (place / "memory.stat").write_text(stat.format((cache_mib + 50) * MIB, 50 * MIB))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("limited", ["a/suite", "a", ""])
def test_a_limit_on_the_suite_or_above_it_is_the_hosts_memory(tmp_path: Path, version: int, limited: str) -> None:
    grouped(host(tmp_path, 6000), version, {limited: str(2048 * MIB)}, used_mib=1000, cache_mib=300)
    found = read_state(tmp_path)
    assert (found.total, found.available) == (2048 * MIB, (2048 - 1000 + 300) * MIB)
    assert read_state(host(tmp_path, 500)).available == 500 * MIB, "the host has even less"


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_limit_the_host_is_what_there_is(tmp_path: Path, version: int) -> None:
    grouped(host(tmp_path, 3000), version, {}, used_mib=1000)
    assert read_state(tmp_path) == State(total=8 * GIB, available=3000 * MIB, pressure=0.0)


def test_a_soft_limit_counts_as_one(tmp_path: Path) -> None:
    grouped(host(tmp_path, 6000), 2, {}, used_mib=100)
    (tmp_path / "sys/fs/cgroup/a/memory.high").write_text(str(1024 * MIB))
    assert read_state(tmp_path).available == 924 * MIB


def test_a_full_disk_stops_it(tmp_path: Path) -> None:
    free = read_state(host(tmp_path, 6000), tmp_path).disk
    figures = os.statvfs(tmp_path)
    assert free == pytest.approx(figures.f_bavail * figures.f_frsize, rel=0.05)
    assert read_state(tmp_path, tmp_path / "nowhere").disk is None
    state = State(total=8 * GIB, available=6 * GIB, pressure=0.0, disk=GIB - 1)
    found = Rule().before_next(3, state)
    assert found is not None
    assert found == (Stop.DISK, "only 1024 MiB are free where their bytes land")
    assert Rule(disk_floor_bytes=1.0).before_next(3, state) is None


@pytest.mark.parametrize(
    ("available_mib", "waiting", "alive", "last_mib", "stop"),
    [
        (6000, "0.00", 3, 0, None),
        (2049, "0.00", 3, 0, None),
        (2047, "0.00", 3, 0, Stop.MEMORY),
        (2200, "0.00", 3, 200, Stop.MEMORY),
        (2200, "0.00", 3, -500, None),
        (6000, "10.00", 3, 0, None),
        (6000, "10.01", 3, 0, Stop.PRESSURE),
        (6000, "0.00", 20, 0, Stop.MAXIMUM),
    ],
)
def test_the_rule_stops_in_time(
    tmp_path: Path, available_mib: int, waiting: str, alive: int, last_mib: int, stop: Stop | None
) -> None:
    found = Rule().before_next(alive, read_state(host(tmp_path, available_mib, waiting)), last_mib * MIB)
    assert (found[0] if found else None) is stop


def test_a_host_that_tells_nothing_gets_no_instance() -> None:
    found = Rule().before_next(0, State(total=None, available=None, pressure=None))
    assert found is not None
    assert found[0] is Stop.MEMORY
    assert Rule().before_next(0, State(total=8 * GIB, available=8 * GIB, pressure=None)) is None


@given(st.integers(GIB // 4, 512 * GIB), st.integers(0, 512 * GIB), st.integers(0, 8 * GIB))
def test_no_start_ever_leaves_less_than_the_floor(total: int, available: int, cost: int) -> None:
    rule = Rule()
    if rule.before_next(1, State(total=total, available=available, pressure=0.0), cost) is None:
        assert available - cost >= max(total / 4, GIB)


@pytest.mark.parametrize(
    ("first_s", "this_s", "slow"), [(0.2, 0.9, False), (0.2, 1.1, True), (2, 9, False), (2, 11, True)]
)
def test_a_start_is_slow_beside_the_first_one(first_s: float, this_s: float, slow: bool) -> None:
    assert (Rule().after_start(first_s, this_s) is not None) is slow


def test_slopes_and_room() -> None:
    assert slope([(0, 0.0), (1, 10.0)]) is None
    assert slope([(1, 110.0), (2, 120.0), (4, 140.0)]) == pytest.approx(10.0)
    assert room(8 * GIB, 8 * GIB, 100 * MIB, Rule()) == 61
    assert room(GIB, 8 * GIB, 100 * MIB, Rule()) == 0
    assert room(8 * GIB, 8 * GIB, -5.0, Rule()) is None
    assert room(8 * GIB, 8 * GIB, None, Rule()) is None


@pytest.mark.parametrize(
    ("pss", "referee", "left", "taken", "cost", "account"),
    [
        (5.0, 9.0, 10.0, 100.0, 9.0, "by the host"),
        (5.0, 9.0, -26.0, 100.0, 5.0, "by PSS"),
        (5.0, -2.0, 0.0, 100.0, 5.0, "by PSS"),
        (5.0, 9.0, None, 100.0, 5.0, "by PSS"),
        (5.0, 9.0, -10.0, -40.0, 5.0, "by PSS"),
        (None, 9.0, 90.0, 100.0, None, "by PSS"),
    ],
)
def test_the_referee_is_believed_on_a_quiet_host_only(
    pss: float | None, referee: float, left: float | None, taken: float, cost: float | None, account: str
) -> None:
    found, by = cost_of_one(pss, referee, left, taken)
    assert found == cost
    assert by.startswith(account)


@given(st.integers(1, 2000))
def test_long_readings_are_few(maximum: int) -> None:
    read = [alive for alive in range(1, maximum + 1) if checkpoint(alive, maximum)]
    assert len(read) <= 3 + 19
    assert len(read) >= min(maximum, 10)
