"""Cold and warm, made and verified: which pages of given files are in memory, and getting them in or out.

Only the named files are touched. Emptying the whole cache of the host (drop_caches) would change it for everybody.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_PAGE = mmap.PAGESIZE


def regular_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the regular files that are not empty among the paths and below them; links are not followed."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            for folder, _, names in os.walk(path):
                yield from regular_files(Path(folder, name) for name in names)
        else:
            with contextlib.suppress(OSError):
                about = path.lstat()
                if stat.S_ISREG(about.st_mode) and about.st_size:
                    yield path


def resident_share(paths: Iterable[Path]) -> float | None:
    """Return the share of the files' pages that are in memory (mincore(2)), 0 to 1; None for no files."""
    pages = resident = 0
    for path in regular_files(paths):
        with contextlib.suppress(OSError):
            total, present = _residency(path)
            pages, resident = pages + total, resident + present
    return resident / pages if pages else None


def _residency(path: Path) -> tuple[int, int]:
    """Return (pages, pages in memory) of one file."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as view:
        pages = -(-len(view) // _PAGE)
        answer = (ctypes.c_ubyte * pages)()
        # A private mapping that is never written: its pages are the file's own in the page cache.
        start = ctypes.c_char.from_buffer(view)
        try:
            code = libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(view)), answer)
        finally:
            del start
        if code:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
        return pages, sum(flag & 1 for flag in answer)


def evict(paths: Iterable[Path]) -> None:
    """Take the files out of the page cache (posix_fadvise(2), POSIX_FADV_DONTNEED), written out first.

    Pages that a running program maps stay: `resident_share` tells.
    """
    for path in regular_files(paths):
        with contextlib.suppress(OSError), path.open("rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_in(paths: Iterable[Path]) -> None:
    """Read the files, so that they are in the page cache."""
    for path in regular_files(paths):
        with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def bytes_read(path: Path, sys: Path = Path("/sys")) -> int | None:
    """Return the bytes read since boot from the block device that holds the path; None where it has none.

    The third number of /sys/dev/block/MAJOR:MINOR/stat, in units of 512 bytes (Documentation/block/stat.rst).
    """
    try:
        device = path.stat().st_dev
        text = (sys / "dev/block" / f"{os.major(device)}:{os.minor(device)}" / "stat").read_text("ascii")
        return int(text.split()[2]) * 512
    except (OSError, IndexError, ValueError):
        return None
