"""The procfs reader against made-up trees, against real processes, and against smem and psutil."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.collectors.procfs import Memory, descendants, read_memory, sum_memory, translated_code
from tests.waiting import until

MIB = 1 << 20

ROLLUP = """\
5583977a3000-7ffe1ee69000 ---p 00000000 00:00 0                          [rollup]
Rss:                1708 kB
Pss:                 282 kB
Pss_Dirty:           112 kB
Pss_Anon:            112 kB
Pss_File:            165 kB
Pss_Shmem:             5 kB
Shared_Clean:       1556 kB
Private_Clean:        40 kB
Private_Dirty:       112 kB
Shared_Hugetlb:     2048 kB
Private_Hugetlb:    4096 kB
Swap:                 16 kB
SwapPss:               8 kB
"""

HOLDER = """
import sys, time
held = bytearray(b"x") * (int(sys.argv[1]) << 20)
print("held", flush=True)
sys.stdin.read()
"""


def made_up(proc: Path, pid: int, rollup: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "smaps_rollup").write_text(rollup)


@pytest.fixture
def holder() -> Iterator[int]:
    """A child process that holds 24 MiB of its own; yields its pid."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, "24"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child.pid
        assert child.stdin is not None
        child.stdin.close()


def test_every_definition_is_read_from_its_own_line(tmp_path: Path) -> None:
    made_up(tmp_path, 7, ROLLUP)

    assert read_memory(7, tmp_path) == Memory(
        pss=282 * 1024, uss=152 * 1024, rss=1708 * 1024, anon=112 * 1024, file=165 * 1024, shmem=5 * 1024,
        swap=8 * 1024, hugetlb=6144 * 1024,
    )  # fmt: skip


def test_an_older_kernel_without_the_kinds_gives_none_not_zero(tmp_path: Path) -> None:
    made_up(tmp_path, 7, "\n".join(line for line in ROLLUP.splitlines() if not line.startswith("Pss_")))

    memory = read_memory(7, tmp_path)

    assert memory is not None
    assert (memory.pss, memory.anon, memory.file, memory.shmem) == (282 * 1024, None, None, None)


def test_a_vanished_process_is_named_and_not_counted(tmp_path: Path) -> None:
    made_up(tmp_path, 7, ROLLUP)

    together = sum_memory((7, 8, 7), tmp_path)

    assert together.memory == read_memory(7, tmp_path)
    assert together.unread == (8,)
    assert read_memory(8, tmp_path) is None
    assert sum_memory((8,), tmp_path).memory is None


def test_what_is_unknown_in_one_process_is_unknown_in_the_sum(tmp_path: Path) -> None:
    made_up(tmp_path, 7, ROLLUP)
    made_up(tmp_path, 8, ROLLUP.replace("Pss_Anon:            112 kB\n", ""))

    memory = sum_memory((7, 8), tmp_path).memory

    assert memory is not None
    assert (memory.pss, memory.anon) == (2 * 282 * 1024, None)


def test_executable_anonymous_memory_is_translated_code_and_a_mapped_program_is_not(tmp_path: Path) -> None:
    maps = (
        ("7f00-7f10 rwxp 00000000 00:00 0", 8192),
        ("7f10-7f20 rw-p 00000000 00:00 0", 100),
        ("7f20-7f30 r-xp 00000000 08:01 77 /usr/bin/qemu", 200),
        ("7f30-7f40 r-xp 00000000 00:00 0 [vdso]", 4),
        ("7f40-7f50 rwxp 00000000 00:00 0", 1024),
    )
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps").write_text(
        "".join(f"{head}\nSize: 9 kB\nRss: {kib} kB\nVmFlags: rd wr\n" for head, kib in maps)
    )

    assert translated_code(7, tmp_path) == 9 * MIB
    assert translated_code(8, tmp_path) is None


def test_a_process_that_maps_executable_memory_is_seen_with_it() -> None:
    script = (
        "import mmap; m = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)\n"
        "m.write(b'x' * (3 << 20)); print('up', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = translated_code(child.pid)
        child.communicate(b"\n", timeout=10)

    assert found == pytest.approx(3 * MIB, abs=16384)


def test_a_zombie_has_no_memory_rather_than_none_of_it() -> None:
    with subprocess.Popen(["true"]) as child:
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert read_memory(child.pid) is None
        assert sum_memory((child.pid,)).unread == (child.pid,)


def test_a_real_process_that_holds_24_mib_is_seen_with_them(holder: int) -> None:
    memory = read_memory(holder)

    assert memory is not None
    assert memory.pss is not None
    assert memory.uss is not None
    assert memory.anon is not None
    assert memory.rss is not None
    assert 24 * MIB <= memory.anon < 36 * MIB
    assert memory.anon <= memory.uss <= memory.pss <= memory.rss


def test_pss_uss_and_rss_are_those_of_smem(holder: int) -> None:
    told = subprocess.run(
        ["smem", "-H", "-c", "pid pss uss rss"], capture_output=True, text=True, check=True, timeout=120
    ).stdout  # fmt: skip
    rows = {int(pid): [int(n) * 1024 for n in rest] for pid, *rest in map(str.split, told.splitlines())}
    memory = read_memory(holder)

    assert memory is not None
    # A page that another Python maps or unmaps between the two looks moves PSS and USS a little.
    assert [memory.pss, memory.uss, memory.rss] == pytest.approx(rows[holder], rel=0.05)


def test_uss_and_pss_are_those_of_psutil(holder: int) -> None:
    full = psutil.Process(holder).memory_full_info()
    memory = read_memory(holder)

    assert memory is not None
    assert [memory.pss, memory.uss, memory.rss] == pytest.approx([full.pss, full.uss, full.rss], rel=0.05)


def test_descendants_are_found_through_generations_and_threads(tmp_path: Path) -> None:
    for pid, tid, children in ((10, 10, "11 "), (10, 14, "15 "), (11, 11, "12 "), (12, 12, ""), (15, 15, "16 ")):
        (tmp_path / str(pid) / "task" / str(tid)).mkdir(parents=True)
        (tmp_path / str(pid) / "task" / str(tid) / "children").write_text(children)

    assert sorted(descendants(10, tmp_path)) == [10, 11, 12, 15], "16 had gone"
    assert descendants(10, tmp_path)[0] == 10
    assert descendants(12, tmp_path) == (12,)
    assert descendants(99, tmp_path) == ()


def test_descendants_of_a_real_shell_are_those_psutil_finds() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 30 & a=$!; sleep 30 & echo up; read line; kill $a $!; wait"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:  # fmt: skip
        assert shell.stdout is not None
        shell.stdout.readline()
        told = {child.pid for child in psutil.Process(shell.pid).children(recursive=True)}
        found = descendants(shell.pid)
        shell.communicate(b"\n", timeout=10)

    assert len(told) == 2
    assert set(found) == {shell.pid, *told}
