"""Bytes on disk, compared with du and df."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.collectors import pool
from bench.collectors.pool import flush, pool_used, tree_use

MIB = 1 << 20


def du(path: Path, *options: str) -> int:
    told = subprocess.run(["du", "-sx", "--block-size=1", *options, path], capture_output=True, text=True, check=True)
    return int(told.stdout.split()[0])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Whole files, a sparse one, a hard link, symbolic links, an empty directory."""
    top = tmp_path / "tree"
    (top / "deep" / "empty").mkdir(parents=True)
    (top / "whole").write_bytes(os.urandom(MIB + 17))
    os.link(top / "whole", top / "deep" / "again")
    with (top / "sparse").open("wb") as file:
        file.write(b"x" * 4096)
        file.truncate(64 * MIB)
    (top / "deep" / "pointer").symlink_to("/etc/hostname")
    (top / "deep" / "loop").symlink_to("..")
    flush(top)
    return top


def test_allocated_bytes_are_those_of_du(tree: Path) -> None:
    use = tree_use(tree)

    assert use is not None
    assert use.allocated == du(tree)
    assert MIB < use.allocated < 2 * MIB
    assert use.unreadable == 0


def test_apparent_bytes_count_holes_and_hard_links_once_and_no_directories(tree: Path) -> None:
    use = tree_use(tree)

    assert use is not None
    assert use.apparent == MIB + 17 + 64 * MIB + len("/etc/hostname") + len("..")
    assert use.apparent <= du(tree, "--apparent-size")


def test_one_file_alone_and_a_path_that_is_not_there(tree: Path) -> None:
    use = tree_use(tree / "sparse")

    assert use is not None
    assert (use.allocated, use.apparent) == (du(tree / "sparse"), 64 * MIB)
    assert tree_use(tree / "nothing") is None


def test_another_file_system_below_is_left_out() -> None:
    # /dev is one file system on every Linux, with others mounted below it (/dev/shm, /dev/pts).
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as other:
        other.write(b"x" * 4 * MIB)
        other.flush()
        use = tree_use(Path("/dev"))
        alone = tree_use(Path(other.name))

    assert use is not None
    assert alone is not None
    assert use.allocated == pytest.approx(du(Path("/dev")), abs=64 * 1024)
    assert use.allocated < alone.allocated == 4 * MIB


def test_the_pool_is_written_out_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[str] = []
    real = os.statvfs
    monkeypatch.setattr(pool, "flush", lambda path: order.append(f"flush {path}"))

    def noted(path: Path) -> os.statvfs_result:
        order.append(f"statvfs {path}")
        return real(path)

    monkeypatch.setattr(os, "statvfs", noted)

    pool_used(tmp_path)

    assert order == [f"flush {tmp_path}", f"statvfs {tmp_path}"]


@pytest.fixture
def quiet() -> Iterator[Path]:
    """A directory in a file system that hardly anybody else writes to, unlike that of the test's other files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def df(path: Path) -> int:
    command = ["df", "--block-size=1", "--output=used", str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def test_the_pool_is_that_of_df(quiet: Path, tmp_path: Path) -> None:
    (quiet / "something").write_bytes(b"x" * 8 * MIB)

    assert pool_used(quiet) == pytest.approx(df(quiet), abs=MIB)
    assert pool_used(quiet) >= 8 * MIB
    # A disk keeps blocks back for root (tmpfs does not), but others write to it between the two looks.
    assert pool_used(tmp_path) == pytest.approx(df(tmp_path), abs=1024 * MIB)


def test_the_pool_grows_by_what_is_written_and_shrinks_when_it_is_removed(quiet: Path) -> None:
    before = pool_used(quiet)
    (quiet / "filling").write_bytes(b"x" * 32 * MIB)
    grown = pool_used(quiet) - before
    (quiet / "filling").unlink()
    left = pool_used(quiet) - before

    assert grown == pytest.approx(32 * MIB, abs=MIB)
    assert left == pytest.approx(0, abs=MIB)


def test_a_pool_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pool_used(tmp_path / "nothing")
