"""An application's disk as a clone: a file that holds what differs from its base disk, as layers do in an engine."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from bench.errors import BuildError
from bench.rootfs.build import Say, Tree, publish
from bench.rootfs.disk import PARTITION, Disk, run
from bench.rootfs.guest import guest_files
from bench.rootfs.layer import layer_tar, members

_FORMAT = 1


def clone_disk(disk: Disk, below: Tree, base: Tree, tree: Tree, cache: Path, say: Say = lambda _: None) -> Disk:
    """Return an application's disk as a clone of a base disk, built unless the cache has it.

    Args:
        disk: the base disk.
        below: the tree it was packed from: the base's, or that with all a guest of its own needs.
        base: the base's tree.
        tree: the application's.
        cache: the lasting directory.
        say: receives one line.

    Raises:
        BuildError: a program is missing or failed.
    """
    digest = hashlib.sha256(json.dumps([_FORMAT, disk.digest, base.digest, tree.digest]).encode()).hexdigest()
    place = cache / "disk" / f"{tree.recipe.name}{'-boot' if disk.line else ''}-clone-{digest[:12]}"
    if not (place / "disk.qcow2").exists():
        say(f"laying {tree.recipe.name} on the disk of {base.recipe.name}")
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".building-") as work:
            raw, made = Path(work) / "raw", Path(work) / "disk"
            made.mkdir()
            run("qemu-img", "convert", "-O", "raw", str(disk.path), str(raw))
            _lay(layer_tar(base, tree), _kept(below, base), _changed(below, tree), disk, Path(work))
            # Rebasing keeps the clusters in which the two differ, and no other (qemu-img(1), rebase).
            clone = made / "disk.qcow2"
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(raw), str(clone))
            run("qemu-img", "rebase", "-f", "qcow2", "-F", "qcow2", "-b", str(disk.path), str(clone))
            publish(made, place)
    return Disk(path=place / "disk.qcow2", digest=digest, virtual=disk.virtual, line=disk.line, base=disk)


def _kept(below: Tree, base: Tree) -> frozenset[str]:
    """Return the names that the base disk has otherwise than the base's tree: a guest's own stand."""
    if not below.guest:
        return frozenset()
    plain = members(base.tar)
    return frozenset(name for name, found in members(below.tar).items() if plain.get(name) != found)


def _changed(below: Tree, tree: Tree) -> Mapping[str, str]:
    """Return the files of a guest that name the application."""
    if not below.guest:
        return {}
    before = guest_files(below.recipe)
    return {path: text for path, text in guest_files(tree.recipe).items() if before.get(path) != text}


def _lay(layer: Path, kept: frozenset[str], changed: Mapping[str, str], disk: Disk, work: Path) -> None:
    """Write a layer into the file system of work/raw with debugfs: no mount, no root."""
    files = work / "layer"
    files.mkdir()
    with tarfile.open(layer) as source:
        lines = list(_commands(source, kept, files))
    for number, (path, text) in enumerate(changed.items()):
        own = files / f"changed-{number}"
        own.write_text(text)
        own.chmod(0o644)
        lines += [f'rm "{path}"', f'write "{own}" "{path}"']
    script = work / "layer.debugfs"
    script.write_text("\n".join(lines) + "\n")
    target = f"{work / 'raw'}?offset={PARTITION * 512}" if disk.line else str(work / "raw")
    said = run("debugfs", "-w", "-f", str(script), target)
    faults = [line for line in said.splitlines() if ": " in line and not line.startswith(("debugfs", "Allocated"))]
    faults = [line for line in faults if not (line.startswith("rm:") and "File not found" in line)]
    if faults:
        raise BuildError(f"debugfs could not write {layer.name}: {'; '.join(faults[:3])[:400]}")


def _commands(source: tarfile.TarFile, kept: frozenset[str], files: Path) -> Iterator[str]:
    """Yield debugfs's commands for the members of a layer; their contents become numbered files."""
    for number, member in enumerate(source):
        path = f"/{member.name}"
        if member.name in kept:
            continue
        if '"' in path or "\n" in path:
            raise BuildError(f"debugfs takes no such name: {path!r}")
        content = source.extractfile(member) if member.isreg() else None
        if content is not None:
            own = files / str(number)
            own.write_bytes(content.read())
            own.chmod(member.mode & 0o7777)
            # In its directory: `write` takes a name there, not a path.
            yield f'rm "{path}"'
            yield f'cd "{PurePosixPath(path).parent}"'
            yield f'write "{own}" "{PurePosixPath(path).name}"'
            yield "cd /"
        elif member.issym():
            yield f'rm "{path}"'
            yield f'symlink "{path}" "{member.linkname}"'
        elif member.isdir():
            yield f'mkdir "{path}"'
        yield from _attributes(path, member)


def _attributes(path: str, member: tarfile.TarInfo) -> Iterator[str]:
    """Yield what a member's owner, and a directory's mode, need beyond debugfs's defaults (root, 0755)."""
    if member.isdir() and member.mode & 0o7777 != 0o755:
        yield f'set_inode_field "{path}" mode 04{member.mode & 0o7777:04o}'
    for field, value in (("uid", member.uid), ("gid", member.gid)):
        if value:
            yield f'set_inode_field "{path}" {field} {value}'
