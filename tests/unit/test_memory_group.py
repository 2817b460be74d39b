"""A memory limit for a bare process: where groups can be made in either version. Real ones: tests/engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.backends.memory_group import MemoryGroup, limit_place


def version_one(top: Path) -> None:
    (top / "memory").mkdir()
    (top / "memory" / "memory.limit_in_bytes").write_text("max")
    (top / "unified").mkdir()


def version_two(top: Path, controllers: str = "cpu memory pids") -> None:
    (top / "cgroup.subtree_control").write_text(controllers)


def test_version_one_has_a_hierarchy_for_memory(tmp_path: Path) -> None:
    version_one(tmp_path)
    assert limit_place(tmp_path) == (tmp_path / "memory", "memory.limit_in_bytes")


@pytest.mark.parametrize(("controllers", "there"), [("cpu memory pids", True), ("cpu pids", False)])
def test_version_two_only_where_its_root_hands_the_controller_on(tmp_path: Path, controllers: str, there: bool) -> None:
    version_two(tmp_path, controllers)
    assert limit_place(tmp_path) == ((tmp_path, "memory.max") if there else None)


def test_where_there_is_no_place_none_is_made(tmp_path: Path) -> None:
    assert limit_place(tmp_path) is None
    with pytest.raises(OSError, match="no group that limits memory"):
        MemoryGroup("bench-x", 1, tmp_path)


def test_a_group_is_made_with_its_limit(tmp_path: Path) -> None:
    version_two(tmp_path)
    group = MemoryGroup("bench-x", 64 << 20, tmp_path)
    assert (tmp_path / "bench-x" / "memory.max").read_text() == str(64 << 20)
    assert group.entering(["a", "b c"])[-3:] == [str(tmp_path / "bench-x"), "a", "b c"]


def test_it_is_removed_once_and_again(tmp_path: Path) -> None:
    version_two(tmp_path)
    group = MemoryGroup("bench-x", 1, tmp_path)
    (group.path / "memory.max").unlink()  # the kernel's files go with a group
    group.remove()
    group.remove()
    assert not group.path.exists()
