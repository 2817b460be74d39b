"""Bytes on disk: what a file system has in use, and what a tree occupies in it."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeUse:
    """What a file or tree occupies.

    Attributes:
        allocated: bytes on disk: st_blocks × 512 (stat(2)) of everything, directories included, hard links once.
        apparent: the lengths of its files and symbolic links, bytes: holes count, block ends and directories do not.
        unreadable: directories that could not be listed: both figures are lower bounds if this is not 0.
    """

    allocated: int
    apparent: int
    unreadable: int = 0


def flush(path: Path) -> None:
    """Write out the file system that holds the path, and only that (syncfs(2)): delayed blocks get their place.

    Raises:
        OSError: the path is not there, or the file system could not be written.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def pool_used(path: Path) -> int:
    """Return the bytes in use in the file system that holds the path, after writing it out (statvfs(3)).

    The referee of all other accounts: it sees metadata, and what others do in the same file system too.

    Raises:
        OSError: as `flush`.
    """
    flush(path)
    figures = os.statvfs(path)
    return (figures.f_blocks - figures.f_bfree) * figures.f_frsize


def tree_use(path: Path) -> TreeUse | None:
    """Return what a file or a tree occupies, hard links once, other file systems left out; None if it is not there.

    What vanishes during the walk is not counted. A bind mount of the same file system is counted as if it stood here.
    """
    try:
        top = path.lstat()
    except OSError:
        return None
    unlistable: list[Path] = []
    allocated = apparent = 0
    linked: set[int] = set()
    for entry in (top, *_below(path, top, unlistable)):
        if not stat.S_ISDIR(entry.st_mode) and entry.st_nlink > 1:
            if entry.st_ino in linked:
                continue
            linked.add(entry.st_ino)
        allocated += entry.st_blocks * 512
        if stat.S_ISREG(entry.st_mode) or stat.S_ISLNK(entry.st_mode):
            apparent += entry.st_size
    return TreeUse(allocated=allocated, apparent=apparent, unreadable=len(unlistable))


def _below(path: Path, top: os.stat_result, unlistable: list[Path]) -> Iterator[os.stat_result]:
    """Yield the status of everything below a directory that lies in the same file system."""
    waiting = [path] if stat.S_ISDIR(top.st_mode) else []
    while waiting:
        directory = waiting.pop()
        try:
            entries = list(os.scandir(directory))
        except FileNotFoundError:
            continue
        except OSError:
            unlistable.append(directory)
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if status.st_dev == top.st_dev:
                yield status
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(Path(entry.path))
