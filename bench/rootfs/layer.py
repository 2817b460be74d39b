"""An application's own layer: what its tree has beyond the tree it is laid on, for an image and for a cloned disk."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.rootfs.build import Tree

_FORMAT = 1


def layer_tar(base: Tree, tree: Tree) -> Path:
    """Return a tar of all members of a tree that its base has not, or has otherwise; made once, beside the tree.

    What only the base has stays visible below the layer: packages add files, and nothing here takes any away.
    """
    target = tree.tar.with_name(f"layer-{_FORMAT}-{base.digest[:12]}.tar")
    if not target.exists():
        below = members(base.tar)
        descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".building")
        os.close(descriptor)
        with tarfile.open(tree.tar) as source, tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as layer:
            _copy(source, layer, below)
        Path(name).chmod(0o644)
        Path(name).rename(target)
    return target


def _copy(source: tarfile.TarFile, layer: tarfile.TarFile, below: Mapping[str, str]) -> None:
    """Write what differs. A hard link is written as the file it stands for, which may lie in the base."""
    for member in source:
        if below.get(member.name) == fingerprint(source, member):
            continue
        content = source.extractfile(member) if member.isreg() or member.islnk() else None
        entry = copy.copy(_end(source, member))
        entry.name = member.name
        layer.addfile(entry, content)


def _end(source: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarInfo:
    while member.islnk():
        member = source.getmember(member.linkname)
    return member


def members(tar: Path) -> dict[str, str]:
    """Return a fingerprint of every member of a tar, by name."""
    with tarfile.open(tar) as source:
        return {member.name: fingerprint(source, member) for member in source}


def fingerprint(source: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Return what makes two members the same: kind, mode, owner, link, length and content; not the time."""
    content = source.extractfile(member) if member.isreg() else None
    digest = hashlib.sha256(content.read()).hexdigest() if content else ""
    return f"{member.type!r} {member.mode:o} {member.uid}:{member.gid} {member.linkname} {member.size} {digest}"


def image_archive(layers: Iterable[Path], name: str, labels: Mapping[str, str], target: Path) -> None:
    """Write what `docker load` reads: an image of these layers (tars, the lowest first), named "repository:tag".

    The form is the Docker image specification 1.2: a manifest, a configuration and the layers, whose SHA-256 sums
    are their identity: an engine keeps layers of equal sums once.
    """
    tars = list(layers)
    sums = []
    for tar in tars:
        with tar.open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    configuration = _json({
        "architecture": "amd64", "os": "linux", "config": {"Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{found}" for found in sums]},
        "history": [{"created_by": "bench"} for _ in sums],
    })  # fmt: skip
    named = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = _json([{"Config": named, "RepoTags": [name], "Layers": [f"{found}/layer.tar" for found in sums]}])
    with tempfile.TemporaryDirectory(dir=target.parent) as work, tarfile.open(target, "w") as archive:
        for path, content in ((named, configuration), ("manifest.json", manifest)):
            (Path(work) / path).write_bytes(content)
            archive.add(Path(work) / path, path)
        for tar, found in zip(tars, sums, strict=True):
            archive.add(tar, f"{found}/layer.tar")


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
