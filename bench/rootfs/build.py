"""Builds a recipe's userland once: a directory and a tar of the same content, cached by what went into it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import BuildError
from bench.rootfs.agent import agent_binary
from bench.rootfs.guest import guest_files, guest_links
from bench.rootfs.recipe import DIRECTORY, Recipe, load_recipe

__all__ = ["DIRECTORY", "EPOCH", "Recipe", "Tree", "build_tree", "load_recipe"]

EPOCH = 1_700_000_000
"""The one modification time of everything built, so that equal recipes give equal bytes (SOURCE_DATE_EPOCH)."""

_FORMAT = 3
"""Raised when this module builds something else from the same recipe."""

_DIRECTORIES = ("proc", "sys", "dev", "tmp", "run", "root", "bench", "bench/run")
_AGENT = "bench/agent"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A built userland.

    Attributes:
        directory: the unpacked tree. Shared by all instances: never written to.
        tar: the same as a tar file, as engines import it.
        digest: hexadecimal SHA-256 of what it was built from (recipe and agent).
        packages: "name=version" of every installed package; names alone where no package database exists.
        bytes: sum of the sizes of its regular files.
        recipe: what it was built from.
        guest: whether it carries what only a VM with its own init needs.
    """

    directory: Path
    tar: Path
    digest: str
    packages: tuple[str, ...]
    bytes: int
    recipe: Recipe
    guest: bool = False


def build_tree(recipe: Recipe, cache: Path, say: Say = lambda _: None, *, guest: bool = False) -> Tree:
    """Return the recipe's userland, built unless the cache has it. A half-built tree is never seen.

    Args:
        recipe: what to build.
        cache: the lasting directory; the tree is kept below rootfs/.
        say: receives one line per step.
        guest: add what the recipe lists for a VM with its own init and boot loader.

    Raises:
        BuildError: mmdebstrap is missing or failed; the message ends with what it said last.
    """
    agent = agent_binary(cache)
    own = [dict(guest_files(recipe)), dict(guest_links())] if guest else []
    said = recipe.model_dump(mode="json", exclude={"base"})  # which names no content: its own is in the lists
    content = json.dumps([_FORMAT, said, own, _sha256(agent)], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    place = cache / "rootfs" / f"{recipe.name}{'-guest' if guest else ''}-{digest[:12]}"
    if not (place / "tree.json").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".building-") as work:
            _build(recipe, agent, Path(work) / "tree", say, guest=guest)
            publish(Path(work) / "tree", place)
    made = json.loads((place / "tree.json").read_text())
    return Tree(
        directory=place / "root", tar=place / "root.tar", digest=digest,
        packages=tuple(made["packages"]), bytes=made["bytes"], recipe=recipe, guest=guest,
    )  # fmt: skip


def publish(made: Path, place: Path) -> None:
    """Rename what was made to its lasting place; if somebody else was quicker, theirs stands."""
    made.chmod(0o755)
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise


def _build(recipe: Recipe, agent: Path, place: Path, say: Say, *, guest: bool) -> None:
    place.mkdir()
    raw = place / "raw.tar"
    packages = recipe.packages + (recipe.guest if guest else ())
    say(f"building {recipe.name}{' for a guest' if guest else ''}: {recipe.variant}, {len(packages)} packages named")
    mmdebstrap(recipe.suite, recipe.variant, packages, raw)
    files = {**recipe.files, **(guest_files(recipe) if guest else {})}
    links = guest_links() if guest else {}
    with tarfile.open(raw) as source, tarfile.open(place / "root.tar", "w", format=tarfile.PAX_FORMAT) as target:
        summary = _repack(source, target, recipe.drop, {*files, *links})
        names = {*summary.names}
        _add(target, files, links, agent, names)
        if recipe.applets:
            _link_applets(target, source, names)
    raw.unlink()
    say(f"unpacking {recipe.name}")
    _unpack(place / "root.tar", place / "root")
    own = sum(len(text.encode()) for text in files.values()) + agent.stat().st_size
    about = {"packages": summary.packages or sorted(packages), "bytes": summary.bytes + own}
    (place / "tree.json").write_text(json.dumps(about, indent=1))


def mmdebstrap(suite: str, variant: str, packages: Iterable[str], target: Path, options: Iterable[str] = ()) -> None:
    """Run mmdebstrap with its default mirrors (BENCH_MIRROR in the environment names another).

    Raises:
        BuildError: it is not installed or failed.
    """
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = ["mmdebstrap", f"--mode={mode}", f"--variant={variant}", "--architectures=amd64", *options]
    if names := ",".join(packages):
        command.append(f"--include={names}")
    command += [suite, str(target), *filter(None, [os.environ.get("BENCH_MIRROR")])]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise BuildError("mmdebstrap is not installed", "apt install mmdebstrap") from error
    if done.returncode:
        said = "\n".join(line for line in done.stderr.splitlines()[-12:] if line.strip())
        raise BuildError(
            f"mmdebstrap failed ({done.returncode}) on {suite} {variant}:\n{said}",
            "check the network and the package names; BENCH_MIRROR names another mirror",
        )


@dataclass(frozen=True, slots=True)
class _Summary:
    names: frozenset[str]
    packages: list[str]
    bytes: int


def _repack(source: tarfile.TarFile, target: tarfile.TarFile, drop: Iterable[str], replaced: Iterable[str]) -> _Summary:
    """Copy what is not dropped, names cleaned, times clamped."""
    left_out = tuple(path.strip("/") for path in drop)
    again = {path.strip("/") for path in replaced}
    names: set[str] = set()
    packages: list[str] = []
    total = 0
    for member in source:
        name = member.name.removeprefix("./").strip("/")
        if name in ("", ".") or name in again or any(name == p or name.startswith(f"{p}/") for p in left_out):
            continue
        names.add(name)
        content = source.extractfile(member) if member.isreg() else None
        if name == "var/lib/dpkg/status" and content is not None:
            packages = _installed(content.read().decode("utf-8", "replace"))
            content.seek(0)
        total += member.size if member.isreg() else 0
        target.addfile(_cleaned(member, name), content)
    return _Summary(frozenset(names), packages, total)


def _cleaned(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    """Return the member under its clean name; of the extended headers only attributes (file capabilities) stay."""
    member.name = name
    member.mtime = min(int(member.mtime), EPOCH)
    if member.islnk():
        member.linkname = member.linkname.removeprefix("./")
    member.pax_headers = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
    return member


def _installed(status: str) -> list[str]:
    """Return "name=version" of every package of a dpkg status file."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            found.append(f"{fields['Package']}={fields.get('Version', '')}")
    return sorted(found)


def _add(
    target: tarfile.TarFile, files: Mapping[str, str], links: Mapping[str, str], agent: Path, names: set[str]
) -> None:
    """Add the directories every userland needs, the recipe's own files, and the agent; note their names."""
    for name in _DIRECTORIES:
        _add_directory(target, name, names)
    for path, text in files.items():
        _add_directory(target, str(PurePosixPath(path.strip("/")).parent), names)
        _add_file(target, path.strip("/"), text.encode(), 0o755 if text.startswith("#!") else 0o644)
    for path, link in links.items():
        _add_directory(target, str(PurePosixPath(path.strip("/")).parent), names)
        target.addfile(_linked(path.strip("/"), link))
    _add_file(target, _AGENT, agent.read_bytes(), 0o755)


def _add_directory(target: tarfile.TarFile, name: str, names: set[str]) -> None:
    """Add a directory and its parents where they are missing; one that is there (or a link to one) stands."""
    if name == "." or name in names:
        return
    _add_directory(target, str(PurePosixPath(name).parent), names)
    names.add(name)
    target.addfile(_member(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))


def _link_applets(target: tarfile.TarFile, source: tarfile.TarFile, names: set[str]) -> None:
    """Link every command of the tree's busybox to it; a path that exists stands."""
    binary = next((m for m in source if m.isreg() and m.name.endswith("bin/busybox")), None)
    content = source.extractfile(binary) if binary is not None else None
    if content is None:
        raise BuildError("the recipe asks for applets but no busybox is among its packages")
    with tempfile.NamedTemporaryFile(delete=False) as copy:
        shutil.copyfileobj(content, copy)
    try:
        Path(copy.name).chmod(0o700)
        # busybox goes by the name it is called by.
        command, program = ["busybox", "--list-full"], copy.name
        listed = subprocess.run(command, executable=program, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"the tree's busybox does not run here: {error}") from error
    finally:
        Path(copy.name).unlink()
    for path in sorted(set(listed.split()) - names):
        _add_directory(target, str(PurePosixPath(path).parent), names)
        target.addfile(_linked(path, "/bin/busybox"))


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, EPOCH
    return member


def _linked(name: str, link: str) -> tarfile.TarInfo:
    member = _member(name, tarfile.SYMTYPE, 0o777)
    member.linkname = link
    return member


def _add_file(target: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = _member(name, tarfile.REGTYPE, mode)
    member.size = len(content)
    target.addfile(member, io.BytesIO(content))


def _unpack(tar: Path, directory: Path) -> None:
    """Unpack with owners and attributes as root; as a user without device nodes, everything owned by the user."""
    directory.mkdir()
    command = ["tar", "--extract", "--file", str(tar), "--directory", str(directory)]
    command += ["--numeric-owner", "--delay-directory-restore"]
    command += ["--xattrs", "--xattrs-include=*"] if os.geteuid() == 0 else ["--exclude=dev/*", "--no-same-owner"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise BuildError(f"tar could not unpack {tar.name}: {done.stderr.strip()[-400:]}", "is the disk full?")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
