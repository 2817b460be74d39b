"""Packs a tree as a virtual machine's disk without mounting anything, and makes overlays of it."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import BuildError
from bench.rootfs.build import EPOCH, Say, Tree, publish
from bench.rootfs.guest import AGENT, UUID
from bench.rootfs.initramfs import archive
from bench.rootfs.kernel import kernel_of

_FORMAT = 2
_MIB = 1 << 20
PARTITION = 2048
"""The first sector of the partition: 1 MiB, the place every partitioning program chooses; GRUB lies before it."""

_GRUB = Path("/usr/lib/grub/i386-pc")
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "normal", "configfile", "minicmd")
_CONFIGURATION = """\
set timeout=0
set default=0
menuentry "bench" {{
  linux /boot/{kernel} {line}
  initrd /boot/{initrd} /boot/bench.cpio
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A base disk that overlays are made of.

    Attributes:
        path: the qcow2 file. Never written to.
        digest: hexadecimal SHA-256 of what it was built from.
        virtual: the size the guest sees, bytes.
        allocated: bytes the file takes on the host's disk (st_blocks).
        line: the kernel's command line in its boot loader; "" for a disk without one.
        base: the disk it is a clone of: its file holds what differs. None: its file holds everything.
    """

    path: Path
    digest: str
    virtual: int
    line: str = ""
    base: Disk | None = None

    @property
    def allocated(self) -> int:
        """Return st_blocks × 512."""
        return self.path.stat().st_blocks * 512


def make_disk(tree: Tree, cache: Path, say: Say = lambda _: None, *, size_mib: int = 0, line: str = "") -> Disk:
    """Return the tree as a disk, built unless the cache has it.

    Args:
        tree: what to pack.
        cache: the lasting directory; the disk is kept below disk/.
        say: receives one line.
        size_mib: what the guest sees; 0: the content and ample room. The file stays as small as its content.
        line: the kernel's command line. With one the disk has a partition, a boot loader for the BIOS and
            the tree's own kernel; without one it is the bare file system.

    Raises:
        BuildError: a program is missing or failed.
    """
    size_mib = size_mib or max(256, 512 * (4 * tree.bytes // (512 * _MIB) + 1))
    content = json.dumps([_FORMAT, tree.digest, size_mib, line])
    digest = hashlib.sha256(content.encode()).hexdigest()
    name = f"{tree.recipe.name}{'-boot' if line else ''}-{digest[:12]}"
    place = cache / "disk" / name
    if not (place / "disk.qcow2").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        say(f"packing {tree.recipe.name} as a disk{' with a boot loader' if line else ''}")
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".building-") as work:
            raw, made = Path(work) / "raw", Path(work) / "disk"
            made.mkdir()
            if line:
                _make_bootable(tree, Path(work), raw, size_mib, line)
            else:
                _make_filesystem(tree.directory, raw, size_mib)
            run("qemu-img", "convert", "-O", "qcow2", str(raw), str(made / "disk.qcow2"))
            publish(made, place)
    return Disk(path=place / "disk.qcow2", digest=digest, virtual=size_mib * _MIB, line=line)


def make_overlay(base: Path, path: Path) -> None:
    """Make an instance's own disk: what it writes, on top of the base.

    Raises:
        BuildError: qemu-img failed.
    """
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(path))


def make_copy(disk: Path, path: Path) -> None:
    """Make an instance's own disk as a full copy, which needs no other file.

    Raises:
        BuildError: qemu-img failed.
    """
    run("qemu-img", "convert", "-O", "qcow2", str(disk), str(path))


def _make_filesystem(directory: Path, target: Path, size_mib: int, features: Sequence[str] = ()) -> None:
    """Write an ext4 file system with the directory's content into a sparse file.

    No lazy initialisation: the guest's kernel would finish it in the background, in the middle of what is measured.
    """
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "bench", "-U", UUID, "-m", "0", "-d", str(directory)]
    command += ["-E", f"lazy_itable_init=0,lazy_journal_init=0,hash_seed={UUID},root_owner=0:0", *features]
    run(*command, str(target), f"{size_mib}M")


def _make_bootable(tree: Tree, work: Path, target: Path, size_mib: int, line: str) -> None:
    """Write a disk that a BIOS starts: boot sector, GRUB's core after it, one ext4 partition at 1 MiB.

    The partition lacks metadata_csum_seed, which Debian 12's GRUB (2.06) cannot read.
    """
    if not (_GRUB / "boot.img").exists():
        raise BuildError("GRUB for the BIOS is not installed", "apt install grub-pc-bin grub-common")
    kernel = kernel_of(tree.directory).bzimage.name
    initrd = f"initrd.img-{kernel.removeprefix('vmlinuz-')}"
    if not (tree.directory / "boot" / initrd).exists():
        raise BuildError(f"the tree has no /boot/{initrd}", "the recipe's guest packages need initramfs-tools")
    (work / "grub.cfg").write_text(_CONFIGURATION.format(kernel=kernel, initrd=initrd, line=line))
    # The kernel unpacks one archive after the other: the distribution's own, untouched, and the agent's.
    agent = (tree.directory / AGENT.strip("/")).read_bytes()
    (work / "bench.cpio").write_bytes(archive({AGENT.strip("/"): (0o100755, agent)}))
    core = work / "core.img"
    run("grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o", str(core), *_GRUB_MODULES)
    partition = work / "partition"
    _make_filesystem(tree.directory, partition, size_mib - 1, ("-O", "^metadata_csum_seed"))
    _write_into(partition, {"/boot/grub/grub.cfg": work / "grub.cfg", "/boot/bench.cpio": work / "bench.cpio"})
    with target.open("wb") as disk:
        disk.truncate(size_mib * _MIB)
    run("sfdisk", "-q", str(target), said=f"label: dos\nlabel-id: 0x62656e63\nstart={PARTITION}, type=83, bootable\n")
    _copy_sparse(partition, target, PARTITION * 512)
    partition.unlink()
    install_boot_loader(target, (_GRUB / "boot.img").read_bytes(), core.read_bytes())


def _write_into(image: Path, files: Mapping[str, Path]) -> None:
    """Write files into an ext4 file system in a file, with debugfs: no mount, no root."""
    commands = [f"mkdir {folder}" for folder in sorted({str(PurePosixPath(path).parent) for path in files})]
    commands += [f"write {source} {path}" for path, source in files.items()]
    script = image.with_name("debugfs.txt")
    script.write_text("\n".join(commands) + "\n")
    run("debugfs", "-w", "-f", str(script), str(image))


def install_boot_loader(disk: Path, boot: bytes, core: bytes) -> None:
    """Write GRUB's boot sector and core image before the first partition, the partition table untouched.

    The first sector's code (440 bytes) loads sector 1, the core's own first sector, which loads the rest. Both
    carry that place: the kernel sector at 0x5c of the boot sector and the block list at 0x1f4 of the core's first
    sector (start as 64 bits, length in sectors as 16). grub-mkimage leaves the right values for a core image that
    begins at sector 1; only the length has to be true.

    Raises:
        BuildError: the core does not fit before the partition.
    """
    if len(core) > (PARTITION - 1) * 512:
        raise BuildError("GRUB's core image does not fit before the first partition")
    sectors = -(-len(core) // 512)
    patched = bytearray(core)
    struct.pack_into("<QH", patched, 0x1F4, 2, sectors - 1)
    with disk.open("r+b") as file:
        file.write(boot[:440])
        file.seek(512)
        file.write(patched)


def _copy_sparse(source: Path, target: Path, offset: int) -> None:
    """Copy a file into another at an offset, skipping its holes (lseek(2), SEEK_DATA)."""
    with source.open("rb", buffering=0) as taken, target.open("r+b", buffering=0) as given:
        size, at = source.stat().st_size, 0
        while at < size:
            try:
                at = os.lseek(taken.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(taken.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(taken.fileno(), given.fileno(), end - at, at, offset + at)


def run(*command: str, said: str = "") -> str:
    """Run a program of the distribution and return what it said on both outputs.

    Raises:
        BuildError: it is not installed, or failed.
    """
    # The times that mke2fs writes itself are the epoch's too.
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH), "LC_ALL": "C.UTF-8"}
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            command, check=False, env=environment, input=said, capture_output=True, text=True, errors="replace"
        )
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed", "bench doctor lists the packages") from error
    if done.returncode:
        raise BuildError(f"{command[0]} failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout + done.stderr
