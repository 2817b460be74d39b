"""The first file system of a guest that boots directly: the agent as PID 1 and the modules it loads."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from bench.rootfs.build import EPOCH
from bench.rootfs.kernel import Kernel, load_order

BUSES: Mapping[str, tuple[str, ...]] = {"pci": ("virtio_pci",), "mmio": ("virtio_mmio",)}
"""The modules by which a guest finds its virtio devices on each bus."""


def initramfs(cache: Path, kernel: Kernel, agent: Path, bus: str, drivers: Iterable[str] = ("virtio_blk",)) -> Path:
    """Return an uncompressed cpio archive with the agent and the modules for the bus and the drivers."""
    modules = load_order(kernel.modules, (*BUSES[bus], *drivers))
    content = archive(
        {
            "bench/agent": (0o100755, agent.read_bytes()),
            "bench/modules": (0o100644, "".join(f"/bench/{path.name}\n" for path in modules).encode()),
            **{f"bench/{path.name}": (0o100644, path.read_bytes()) for path in modules},
        }
    )
    place = cache / "initramfs" / f"{hashlib.sha256(content).hexdigest()[:16]}.cpio"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
            file.write(content)
            # mkstemp makes it private; a machine monitor may run as another user.
            os.fchmod(file.fileno(), 0o644)
        Path(file.name).rename(place)
    return place


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return a cpio archive in the "newc" form (Documentation/driver-api/early-userspace/buffer-format.rst).

    Args:
        files: (mode with file type, content) by path without a leading slash. Their directories are added.
    """
    entries: dict[str, tuple[int, bytes]] = {"dev": (0o040755, b""), "disk": (0o040755, b"")}
    for path, entry in files.items():
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            entries.setdefault(str(parent), (0o040755, b""))
        entries[path] = entry
    records = [_record(number, path, mode, data) for number, (path, (mode, data)) in enumerate(entries.items(), 1)]
    return b"".join([*records, _record(0, "TRAILER!!!", 0, b"")])


def _record(number: int, path: str, mode: int, data: bytes) -> bytes:
    """Return one header, name and content, each padded to four bytes."""
    name = path.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (number, mode, 0, 0, 1, EPOCH if number else 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
