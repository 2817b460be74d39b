"""How much would have to be fetched before a first start: images as registries hand them out, disks compressed."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from bench.rootfs.disk import Disk, run


def compressed_bytes(tar: Path) -> int:
    """Return the size of a tar as gzip makes it, the form in which registries hand out layers; computed once."""
    note = tar.with_suffix(".gz.bytes")
    if not note.exists():
        script = 'gzip -c "$0" | wc -c'
        done = subprocess.run(["sh", "-c", script, str(tar)], capture_output=True, text=True, check=True)
        note.write_text(done.stdout.strip(), "ascii")
    return int(note.read_text("ascii"))


def compressed_disk_bytes(disk: Disk, *, whole: bool = True) -> int:
    """Return the size of a disk as `qemu-img convert -c` makes it (qcow2, zlib); computed once.

    Args:
        disk: whose.
        whole: with all of its base; else a clone's own clusters alone, which are of use to who has the base.

    Raises:
        BuildError: qemu-img failed.
    """
    alone = disk.base is not None and not whole
    note = disk.path.with_suffix(".own.bytes" if alone else ".compressed.bytes")
    if not note.exists():
        with tempfile.TemporaryDirectory(dir=disk.path.parent.parent, prefix=".building-") as work:
            packed = Path(work) / "packed.qcow2"
            backing = ["-B", str(disk.base.path), "-F", "qcow2"] if alone and disk.base else []
            run("qemu-img", "convert", "-c", "-O", "qcow2", *backing, str(disk.path), str(packed))
            note.write_text(str(packed.stat().st_size), "ascii")
    return int(note.read_text("ascii"))


def disk_download(disk: Disk, *, copied: bool) -> tuple[int, int]:
    """Return what is fetched for a disk, bytes: (all of it, what of it no other application on its base fetches).

    Args:
        disk: whose.
        copied: it is handed out in one piece; else a clone as a file of its own beside its base's.
    """
    if disk.base is None or copied:
        whole = compressed_disk_bytes(disk)
        return whole, whole if copied else 0
    own = compressed_disk_bytes(disk, whole=False)
    return compressed_disk_bytes(disk.base) + own, own
