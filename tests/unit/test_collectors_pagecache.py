"""Cold and warm on real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.collectors.pagecache import bytes_read, evict, read_in, regular_files, resident_share


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two files of 4 MiB and 10 bytes, an empty one, a link out of the tree."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "large").write_bytes(os.urandom(4 << 20))
    (tmp_path / "small").write_bytes(b"0123456789")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    return tmp_path


def test_files_without_links_and_empty_ones(tree: Path) -> None:
    assert sorted(path.name for path in regular_files([tree])) == ["large", "small"]


def test_out_and_in_again(tree: Path) -> None:
    evict([tree])
    assert resident_share([tree]) == 0.0
    (tree / "small").read_bytes()
    share = resident_share([tree])
    assert share is not None
    assert 0.0 < share < 0.01
    read_in([tree])
    assert resident_share([tree]) == 1.0


def test_no_file_has_no_share(tmp_path: Path) -> None:
    assert resident_share([tmp_path, tmp_path / "missing"]) is None


def test_bytes_read_of_a_device(tmp_path: Path) -> None:
    about = tmp_path.stat().st_dev
    folder = tmp_path / f"dev/block/{os.major(about)}:{os.minor(about)}"
    folder.mkdir(parents=True)
    (folder / "stat").write_text("     100      5   2048     9  1 2 3 4 0 5 6\n")
    assert bytes_read(tmp_path, sys=tmp_path) == 2048 * 512
    assert bytes_read(tmp_path, sys=tmp_path / "nowhere") is None
