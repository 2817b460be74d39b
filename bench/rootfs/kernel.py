"""The guest kernel: a distribution's own, in the forms a machine monitor can start, with the modules a guest needs."""

from __future__ import annotations

import bz2
import hashlib
import json
import lzma
import re
import struct
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import BuildError
from bench.rootfs.build import Say, mmdebstrap, publish

PACKAGE = "linux-image-cloud-amd64"
"""Debian's kernel for guests: serial port, ext4 and PVH are built in, all of virtio is modules."""

_FORMAT = 1
_WANTED = re.compile(r"/(virtio\w*|failover|net_failover)\.ko(\.xz|\.zst)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One guest kernel.

    Attributes:
        version: as `uname -r` says it.
        bzimage: the compressed form, as firmware and boot loaders start it.
        vmlinux: the ELF form, started by the PVH entry with nothing to decompress.
        modules: where its module files are.
        digest: hexadecimal SHA-256 of the bzImage.
    """

    version: str
    bzimage: Path
    vmlinux: Path
    modules: Path
    digest: str

    def form(self, name: str) -> Path:
        """Return the file of a form: "bzImage" or "vmlinux"."""
        return self.vmlinux if name == "vmlinux" else self.bzimage


def fetch_kernel(cache: Path, say: Say = lambda _: None, suite: str = "bookworm") -> Kernel:
    """Return the guest kernel, taken out of its package once.

    Raises:
        BuildError: the package could not be had, or the kernel in it is packed in an unknown way.
    """
    place = cache / "kernel" / f"{suite}-{PACKAGE}-{_FORMAT}"
    if not (place / "kernel.json").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        say(f"taking the guest kernel out of {PACKAGE}")
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".building-") as work:
            made = Path(work) / "kernel"
            made.mkdir()
            _take(suite, Path(work) / "packages.tar", made)
            publish(made, place)
    about = json.loads((place / "kernel.json").read_text())
    return Kernel(
        version=about["version"], digest=about["digest"], bzimage=place / "bzImage",
        vmlinux=place / "vmlinux", modules=place / "modules",
    )  # fmt: skip


def kernel_of(tree: Path) -> Kernel:
    """Return the kernel that a tree with its own boot loader starts: the newest below its /boot.

    Raises:
        BuildError: there is none.
    """
    found = sorted((tree / "boot").glob("vmlinuz-*"))
    if not found:
        raise BuildError("the tree has no kernel in /boot", "the recipe's guest packages need one")
    version = found[-1].name.removeprefix("vmlinuz-")
    return Kernel(
        version=version, bzimage=found[-1], vmlinux=found[-1], modules=tree / "lib/modules" / version,
        digest=hashlib.sha256(found[-1].read_bytes()).hexdigest(),
    )  # fmt: skip


def _take(suite: str, packages: Path, made: Path) -> None:
    mmdebstrap(suite, "extract", [PACKAGE], packages)
    (made / "modules").mkdir()
    version = ""
    with tarfile.open(packages) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            path = PurePosixPath(member.name)
            if path.name.startswith("vmlinuz-"):
                version = path.name.removeprefix("vmlinuz-")
                (made / "bzImage").write_bytes(content.read())
            elif _WANTED.search(member.name):
                name, data = _plain_module(path.name, content.read())
                (made / "modules" / name).write_bytes(data)
    packages.unlink()
    if not version:
        raise BuildError(f"{PACKAGE} of {suite} holds no kernel")
    bzimage = (made / "bzImage").read_bytes()
    (made / "vmlinux").write_bytes(unpacked(bzimage))
    about = {"version": version, "digest": hashlib.sha256(bzimage).hexdigest()}
    (made / "kernel.json").write_text(json.dumps(about))


def _plain_module(name: str, data: bytes) -> tuple[str, bytes]:
    """Return a module's file name and content uncompressed: the guest has nothing to decompress it with."""
    if name.endswith(".xz"):
        return name.removesuffix(".xz"), lzma.decompress(data)
    if name.endswith(".zst"):
        return name.removesuffix(".zst"), _by_program(["zstd", "-dc"], data)
    return name, data


def unpacked(bzimage: bytes) -> bytes:
    """Return the ELF kernel inside a bzImage.

    The header says where the payload lies (Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset
    at 0x248, payload_length at 0x24c, protocol 2.08); its first bytes tell how it is packed.

    Raises:
        BuildError: it is no bzImage, or packed in an unknown way.
    """
    if bzimage[0x202:0x206] != b"HdrS":
        raise BuildError("the kernel is no bzImage")
    sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = bzimage[start : start + length]
    for magic, unpack in _PACKINGS.items():
        if payload.startswith(magic):
            kernel = unpack(payload)
            if kernel.startswith(b"\x7fELF"):
                return kernel
    raise BuildError(f"the kernel is packed in an unknown way (it begins with {payload[:6].hex()})")


def _by_program(command: list[str], data: bytes) -> bytes:
    """Decompress by a program, whose complaint about what follows the packed data does not matter."""
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed", f"apt install {command[0]}") from error
    return done.stdout


_PACKINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b\x08": lambda data: zlib.decompressobj(wbits=31).decompress(data),
    b"\xfd7zXZ\0": lambda data: lzma.LZMADecompressor().decompress(data),
    b"\x5d\0\0": lambda data: lzma.LZMADecompressor(format=lzma.FORMAT_ALONE).decompress(data),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data),
    b"\x02\x21\x4c\x18": lambda data: _by_program(["lz4", "-dc"], data[:-4]),
    b"\x28\xb5\x2f\xfd": lambda data: _by_program(["zstd", "-dc"], data[:-4]),
    b"\x7fELF": lambda data: data,
}


def load_order(modules: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of the wanted modules and of all they depend on, each after what it needs.

    A module's `.modinfo` section names its dependencies ("depends=virtio,virtio_ring"). One that has no file is
    built into the kernel.
    """
    order: list[Path] = []

    def add(name: str) -> None:
        path = modules / f"{name}.ko"
        if path in order or not path.exists():
            return
        found = re.search(rb"\0depends=([\w,-]*)\0", path.read_bytes())
        for needed in filter(None, found[1].decode().split(",") if found else []):
            add(needed.replace("-", "_"))
        order.append(path)

    for name in wanted:
        add(name)
    return order
