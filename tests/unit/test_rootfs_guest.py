"""What a guest boots from: kernel forms, module order, the first file system, disks with and without a boot loader."""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import BuildError
from bench.rootfs.build import Tree
from bench.rootfs.disk import Disk, install_boot_loader, make_disk, make_overlay
from bench.rootfs.guest import STAGE_ONE
from bench.rootfs.initramfs import archive
from bench.rootfs.kernel import load_order, unpacked
from bench.rootfs.recipe import Recipe

ELF = b"\x7fELF" + bytes(range(256)) * 50
RECIPE = Recipe(name="small", title="a test's", variant="minbase", app=("/bin/app",))


def packed_by(program: str) -> bytes:
    """ELF as the kernel's build packs it: the program's output, and the unpacked size after it."""
    options = {"lz4": ["-l", "-c"], "zstd": ["-c"]}[program]
    done = subprocess.run([program, "-q", *options], input=ELF, capture_output=True, check=True)
    return done.stdout + struct.pack("<I", len(ELF))


def bzimage(payload: bytes) -> bytes:
    """A bzImage with 3 sectors of set-up code, the payload 64 bytes into the protected-mode part."""
    image = bytearray(4 * 512 + 64)
    image[0x1F1] = 3
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 64, len(payload))
    return bytes(image) + payload + b"what follows"


@pytest.mark.parametrize("packing", ["gzip", "xz", "lzma", "none", "lz4", "zstd"])
def test_the_kernel_is_taken_out_of_every_packing(packing: str) -> None:
    simple: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "xz": lzma.compress,
        "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
        "none": bytes,
    }
    payload = simple[packing](ELF) if packing in simple else packed_by(packing)
    assert unpacked(bzimage(payload)) == ELF


def test_an_unknown_packing_is_named_by_its_first_bytes() -> None:
    with pytest.raises(BuildError, match="1234abcd"):
        unpacked(bzimage(bytes.fromhex("1234abcd") + bytes(100)))


def test_what_is_no_kernel_is_refused() -> None:
    with pytest.raises(BuildError, match="no bzImage"):
        unpacked(bytes(4096))


def module(directory: Path, name: str, *needs: str) -> None:
    (directory / f"{name}.ko").write_bytes(b"\x7fELF..license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0")


def test_a_module_is_loaded_after_what_it_needs(tmp_path: Path) -> None:
    module(tmp_path, "virtio_pci", "virtio", "virtio_ring", "virtio_pci_modern_dev")
    module(tmp_path, "virtio", "virtio_ring")
    module(tmp_path, "virtio_ring")
    module(tmp_path, "virtio_pci_modern_dev")
    module(tmp_path, "virtio_blk", "virtio_ring", "virtio", "built-in")
    order = [path.stem for path in load_order(tmp_path, ["virtio_blk", "virtio_pci", "absent"])]
    assert order == ["virtio_ring", "virtio", "virtio_blk", "virtio_pci_modern_dev", "virtio_pci"]


def entries(content: bytes) -> list[tuple[str, int, bytes]]:
    """A newc archive taken apart: (name, mode, data) of each entry, as the kernel's unpacker reads it."""
    at = 0
    found: list[tuple[str, int, bytes]] = []
    while True:
        assert content[at : at + 6] == b"070701", f"no header at {at}"
        fields = [int(content[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = content[at + 110 : at + 110 + length]
        assert name.endswith(b"\0")
        start = (at + 110 + length + 3) & ~3
        if name == b"TRAILER!!!\0":
            return found
        found.append((name[:-1].decode(), mode, content[start : start + size]))
        at = (start + size + 3) & ~3


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5])
def test_the_archive_is_read_back_whatever_the_lengths(size: int) -> None:
    data, name = b"x" * size, "bench/" + "n" * (size + 1)
    found = entries(archive({name: (0o100755, data), "bench/z": (0o100644, b"end")}))
    assert (name, 0o100755, data) in found
    assert found[-1] == ("bench/z", 0o100644, b"end")


def test_a_directory_comes_before_what_lies_in_it() -> None:
    names = [name for name, _, _ in entries(archive({"a/b/c": (0o100644, b""), "a/d": (0o100644, b"")}))]
    assert names.index("a") < names.index("a/b") < names.index("a/b/c")
    assert len(names) == len(set(names))


def test_the_archive_is_the_same_every_time() -> None:
    files = {"bench/agent": (0o100755, b"program")}
    assert archive(files) == archive(files)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree with a page, a kernel and its initial file system."""
    root = tmp_path / "root"
    for path, text in {
        "srv/index.html": "hello", "bench/agent": "agent", "boot/vmlinuz-6.1.0-9-test": "old",
        "boot/vmlinuz-6.1.0-9-test.x": "kernel", "boot/initrd.img-6.1.0-9-test.x": "first",
    }.items():  # fmt: skip
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Tree(
        directory=root, tar=tmp_path / "root.tar", digest="d" * 64, packages=(), bytes=100, recipe=RECIPE, guest=True
    )


def raw(disk: Disk, tmp_path: Path) -> Path:
    target = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk.path), str(target)], check=True)
    return target


def inside(image: Path, path: str, offset: int = 0) -> str:
    """A file of an ext4 file system that lies in a file."""
    command = ["/sbin/debugfs", "-R", f"cat {path}", f"{image}?offset={offset}" if offset else str(image)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_plain_disk_is_the_file_system_alone(tree: Tree, tmp_path: Path) -> None:
    disk = make_disk(tree, tmp_path / "cache", size_mib=64)
    image = raw(disk, tmp_path)
    assert image.stat().st_size == disk.virtual == 64 << 20
    assert inside(image, "/srv/index.html") == "hello"
    subprocess.run(["/sbin/e2fsck", "-fn", str(image)], check=True, capture_output=True)


def test_a_disk_takes_far_less_than_the_guest_sees(tree: Tree, tmp_path: Path) -> None:
    disk = make_disk(tree, tmp_path / "cache", size_mib=512)
    assert disk.allocated < disk.virtual / 50


def test_a_disk_is_packed_once(tree: Tree, tmp_path: Path) -> None:
    first = make_disk(tree, tmp_path / "cache", size_mib=64)
    shutil.rmtree(tree.directory)
    assert make_disk(tree, tmp_path / "cache", size_mib=64) == first


def test_a_bootable_disk_has_a_boot_sector_a_partition_and_what_grub_reads(tree: Tree, tmp_path: Path) -> None:
    disk = make_disk(tree, tmp_path / "cache", size_mib=64, line=f"root=/dev/vda1 {STAGE_ONE}")
    image = raw(disk, tmp_path)
    content = image.read_bytes()
    assert content[510:512] == b"\x55\xaa"
    assert content[:440] == Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()[:440]
    active, kind, start, sectors = struct.unpack_from("<B3xB3xII", content, 446)
    assert (active, kind, start, start + sectors) == (0x80, 0x83, 2048, 64 * 2048)
    configuration = inside(image, "/boot/grub/grub.cfg", 2048 * 512)
    assert "linux /boot/vmlinuz-6.1.0-9-test.x root=/dev/vda1 rdinit=/bench/agent -- --first" in configuration
    assert "initrd /boot/initrd.img-6.1.0-9-test.x /boot/bench.cpio" in configuration


def test_the_boot_loaders_core_says_how_long_it_is(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096 * 512))
    install_boot_loader(disk, b"B" * 512, b"C" * (512 * 20 + 1))
    content = disk.read_bytes()
    assert content[440:512] == bytes(72)
    assert struct.unpack_from("<QH", content, 512 + 0x1F4) == (2, 20)


def test_a_core_that_would_reach_into_the_partition_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(512))
    with pytest.raises(BuildError, match="does not fit"):
        install_boot_loader(disk, b"B" * 512, bytes(2048 * 512))


def test_a_tree_without_its_first_file_system_is_refused(tree: Tree, tmp_path: Path) -> None:
    (tree.directory / "boot/initrd.img-6.1.0-9-test.x").unlink()
    with pytest.raises(BuildError, match=r"no /boot/initrd\.img"):
        make_disk(tree, tmp_path / "cache", size_mib=64, line="quiet")
    assert list((tmp_path / "cache" / "disk").iterdir()) == []


def test_an_overlay_holds_nothing_yet(tree: Tree, tmp_path: Path) -> None:
    disk = make_disk(tree, tmp_path / "cache", size_mib=64)
    make_overlay(disk.path, tmp_path / "own.qcow2")
    assert (tmp_path / "own.qcow2").stat().st_size < 1 << 20
    subprocess.run(["qemu-img", "compare", str(disk.path), str(tmp_path / "own.qcow2")], check=True)


def test_an_overlay_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="qemu-img failed"):
        make_overlay(tmp_path / "absent.qcow2", tmp_path / "own.qcow2")
