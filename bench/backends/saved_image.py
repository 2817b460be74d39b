"""libvirt's file of a saved guest, given another name: so that several can be restored from one at a time."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from bench.backends.base import Session
from bench.errors import InstanceError

_MAGIC = b"LibvirtQemudSave"
_HEADER = 92
"""Magic, five 32-bit numbers (the second is the length of what follows), 56 bytes unused: virQEMUSaveHeader in
libvirt's src/qemu/qemu_saveimage.h. The domain's XML follows, then the machine monitor's own stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A guest's memory on disk.

    Attributes:
        memory: libvirt's file. name, uuid: what the domain was called.
        disk: the overlay it was saved with; the overlays of restored guests are made of it.
    """

    memory: Path
    name: str
    uuid: str
    disk: Path


def saved_name(session: Session, number: int) -> str:
    """Return a domain's name that is as long as any other of the run."""
    return f"bench-{session.run_id[-6:]}-r{number:06d}"


def copy_renamed(source: Path, target: Path, changes: dict[str, str]) -> None:
    """Copy a saved guest, changing words of its XML (its name and UUID) for others of the same length.

    libvirt refuses to restore under another name than the saved one, and two domains cannot have one name. On a
    file system that can, the copy shares the blocks of the original (copy_file_range(2)).

    Raises:
        InstanceError: it is no such file.
        ValueError: a word is not as long as the one it stands for.
    """
    with source.open("rb") as taken, target.open("wb") as given:
        header = taken.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(_MAGIC):
            raise InstanceError(f"{source.name} is no saved guest of libvirt")
        (length,) = struct.unpack_from("<I", header, len(_MAGIC) + 4)
        text = taken.read(length)
        for old, new in changes.items():
            if len(old) != len(new):
                raise ValueError(f"{new!r} is not as long as {old!r}")
            text = text.replace(old.encode(), new.encode())
        given.write(header + text)
        given.flush()
        at, end = _HEADER + length, os.fstat(taken.fileno()).st_size
        while at < end:
            copied = os.copy_file_range(taken.fileno(), given.fileno(), end - at, at, at)
            if copied == 0:
                raise InstanceError(f"{source.name} ended too early")
            at += copied
