"""Containers by the Docker Engine: the user's engine where it answers, else a private daemon."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from bench.backends.base import Availability, DiskUse, Session
from bench.backends.common import PORT, Nest, cpu_set, fill_in, find_program, free_port, limits, memory_limit
from bench.backends.docker_engine import DockerEngine, find_engine
from bench.backends.docker_instance import DockerInstance
from bench.backends.dockerd import PrivateDockerd
from bench.collectors.pool import tree_use
from bench.errors import BackendUnavailable, InstanceError, Unsupported
from bench.rootfs.agent import PATH_INSIDE
from bench.rootfs.build import Tree, build_tree, load_recipe
from bench.rootfs.download import compressed_bytes
from bench.rootfs.layer import image_archive, layer_tar
from bench.scenario import Subject

LABEL = "bench.run"
"""Everything the suite makes in an engine carries this label; its value is the run's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """An image in the engine: what it was built from, its name there, and its layers' tars, the lowest first."""

    tree: Tree
    tag: str
    layers: tuple[Path, ...]


class DockerBackend:
    """Drives a Docker Engine through its API, or for one subject through its command line."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._private: PrivateDockerd | None = None
        self._engine: DockerEngine | None = None
        self._images: dict[str, _Image] = {}

    @property
    def engine(self) -> DockerEngine:
        """The connection to the engine."""
        if self._engine is None:
            raise InstanceError("the docker backend is not open")
        return self._engine

    def check(self, subject: Subject) -> Availability:
        """Say which engine will be used: the one that answers, else a private one."""
        if subject.option("client") == "cli" and shutil.which("docker") is None:
            return Availability(
                usable=False, reason="the docker command is not installed", hint="apt-get install docker.io"
            )
        address, why_not = find_engine()
        if address:
            return Availability(usable=True, detail=f"the engine that answers at {address}")
        if find_program("dockerd") is None:
            return Availability(usable=False, reason=why_not, hint="apt-get install docker.io")
        if os.geteuid() != 0:
            return Availability(
                usable=False, reason=why_not, hint="start Docker, or run bench as root for a private dockerd"
            )
        if subject.option("runtime") == "crun" and shutil.which("crun") is None:
            return Availability(usable=False, reason="crun is not installed", hint="apt-get install crun")
        return Availability(usable=True, detail=f"a private dockerd for this run ({why_not})")

    def open(self, session: Session) -> None:
        """Connect to the user's engine, else start a private one."""
        self._session = session
        address, _ = find_engine()
        if not address:
            session.say("starting a private dockerd")
            self._private = PrivateDockerd(session)
            self._private.start()
            address = self._private.address
        self._engine = DockerEngine(address)
        session.guard.watch("containers", address.removeprefix("unix://"), self._label())

    def prepare(self, subject: Subject) -> None:
        """Build the root file system and import it as an image."""
        session = self._opened()
        runtime = subject.option("runtime", "runc")
        if runtime not in self.engine.info().get("Runtimes", {}):
            raise BackendUnavailable(
                f"this Docker engine has no runtime {runtime}", f"add {runtime} to its daemon.json"
            )
        for name in (app.rootfs for app in subject.apps()):
            if name not in self._images:
                tree = build_tree(load_recipe(name), session.cache, session.say)
                repository, tag = f"bench-{session.run_id[-6:]}/{name}", tree.digest[:12]
                session.say(f"importing {name} into Docker")
                layers = self._import(tree, repository, tag)
                self._images[name] = _Image(tree=tree, tag=f"{repository}:{tag}", layers=layers)

    def _import(self, tree: Tree, repository: str, tag: str) -> tuple[Path, ...]:
        """Make an image of a tree, of its base's layer and its own where it has a base; return the layers' tars."""
        session = self._opened()
        if not tree.recipe.base:
            self.engine.import_image(tree.tar, repository, tag, self._label())
            return (tree.tar,)
        base = build_tree(load_recipe(tree.recipe.base), session.cache, session.say)
        layers = (base.tar, layer_tar(base, tree))
        archive = session.scratch / f"{tree.recipe.name}.image"
        try:
            image_archive(layers, f"{repository}:{tag}", dict([self._label().split("=", 1)]), archive)
            self.engine.load_image(archive, f"{repository}:{tag}")
        finally:
            archive.unlink(missing_ok=True)
        return layers

    def launch(self, subject: Subject) -> DockerInstance:
        """Ask for one container."""
        nest = Nest(self._opened())
        instance = DockerInstance(self.engine, nest, functools.partial(self.disk, subject))
        try:
            if subject.option("client") == "cli":
                instance.launch_by_command(self._command_line(subject, nest))
            else:
                instance.launch_by_api(self._configuration(subject, nest))
        except BaseException:
            with contextlib.suppress(InstanceError):
                instance.remove()
            raise
        return instance

    def _agent_words(self, subject: Subject, nest: Nest) -> list[str]:
        tree = self._images[subject.rootfs].tree
        port = free_port() if subject.option("network") == "host" else PORT
        return [
            "--channel", "unix:/bench/run/channel", "--nonce", nest.nonce,
            "--ready", f"http:{port}{tree.recipe.ready}", "--exec", *fill_in(tree.recipe.app, port),
        ]  # fmt: skip

    def _configuration(self, subject: Subject, nest: Nest) -> dict[str, Any]:
        """Return the body of POST /containers/create."""
        return {
            "Image": self._images[subject.rootfs].tag,
            "Entrypoint": [PATH_INSIDE],
            "Cmd": self._agent_words(subject, nest),
            "Hostname": nest.name,
            "Labels": dict([self._label().split("=", 1)]),
            "HostConfig": {
                "NetworkMode": subject.option("network", "bridge"),
                "Runtime": subject.option("runtime", "runc"),
                "Binds": [f"{nest.directory}:/bench/run:rw"],
                # Empty and 0 are the engine's words for "not limited".
                "CpusetCpus": cpu_set(subject),
                "Memory": memory_limit(subject) or 0,
            },
        }

    def _command_line(self, subject: Subject, nest: Nest) -> list[str]:
        return [
            "docker", "--host", self.engine.address, "run", "--name", nest.name, "--hostname", nest.name,
            "--label", self._label(), "--network", subject.option("network", "bridge"),
            "--cpuset-cpus", cpu_set(subject), "--memory", str(memory_limit(subject) or 0),
            "--runtime", subject.option("runtime", "runc"), "--volume", f"{nest.directory}:/bench/run",
            "--entrypoint", PATH_INSIDE, self._images[subject.rootfs].tag, *self._agent_words(subject, nest),
        ]  # fmt: skip

    def raw_access(self, subject: Subject) -> tuple[Path, str, list[str]]:
        """Return (engine socket, image, the application's command): what a client beside the suite needs."""
        image = self._images[subject.rootfs]
        return Path(self.engine.address.removeprefix("unix://")), image.tag, fill_in(image.tree.recipe.app, PORT)

    def disk(self, subject: Subject, container: Mapping[str, Any]) -> DiskUse:
        """Return bytes as the storage driver keeps them; None and why where it does not tell its directories.

        Raises:
            InstanceError: a directory could not be looked through: part of a sum is no sum.
        """
        mine = self._images[subject.rootfs]
        image = self.engine.inspect_image(mine.tag)
        fetched = [compressed_bytes(tar) for tar in mine.layers]
        known = DiskUse(
            download=sum(fetched), download_own=sum(fetched[1:]), unpacked=int(image["Size"]), layer=None
        )  # fmt: skip
        try:
            # The lowest layer is shared by all images on the same base; what lies above it is the application's.
            base, *above = self._layers(image)
        except Unsupported as error:
            return replace(known, unknown=error.message)
        shared, layer = _bytes_of([base]), _bytes_of(above)
        return replace(
            known, image=shared + layer, shared=shared, layer=layer, unique=_bytes_of(_own_directories(container))
        )

    def _layers(self, image: Mapping[str, Any]) -> tuple[Path, ...]:
        """Return the directories of an image's layers, the lowest first.

        Raises:
            Unsupported: the storage driver names none (containerd's image store, btrfs, zfs, vfs), or they may not
                be read.
        """
        directories = _layer_directories(image)
        if not directories:
            driver = self.engine.info().get("Driver", "unknown")
            raise Unsupported(f"Docker's storage driver {driver} keeps layers where this suite cannot weigh them")
        if not all(os.access(directory, os.R_OK | os.X_OK) for directory in directories):
            raise Unsupported("Docker's layers are not on this host, or may not be read without root")
        return directories

    def accelerator(self, subject: Subject) -> str:
        """Return "": a container needs none."""
        del subject
        return ""

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return the image's layers, the OCI runtime, and the client if any. Shims of others may map theirs."""
        layers = self._layers(self.engine.inspect_image(self._images[subject.rootfs].tag))
        programs = [find_program(subject.option("runtime", "runc"))]
        programs += [shutil.which("docker")] if subject.option("client") == "cli" else []
        return tuple(Path(path) for path in (*layers, *programs) if path)

    def pool(self, subject: Subject) -> Path | None:
        """Return the engine's data root, if it is on this host."""
        del subject
        root = Path(self.engine.info().get("DockerRootDir", "/nowhere"))
        return root if root.is_dir() else None

    def control_plane(self) -> tuple[int, ...]:
        """Return dockerd's and containerd's pids: of our own daemon, or all on the host."""
        if self._private is not None:
            return self._private.pids()
        return tuple(p.pid for p in psutil.process_iter(["name"]) if p.info["name"] in ("dockerd", "containerd"))

    def kept(self) -> tuple[str, ...]:
        """Return the containers that the engine still has of this run."""
        return tuple(f"container {name}" for name in self.engine.labelled(self._label()))

    def facts(self) -> Mapping[str, str]:
        """Return versions and drivers."""
        version, info = self.engine.version(), self.engine.info()
        # The containerd image store keeps compressed blobs beside the unpacked snapshots: other disk figures.
        snapshotter = any("io.containerd.snapshotter" in str(line) for line in info.get("DriverStatus") or ())
        return {
            "engine": f"Docker {version.get('Version', 'unknown')}",
            "address": "a private dockerd" if self._private else self.engine.address,
            "api": str(version.get("ApiVersion", "unknown")),
            "containerd, runc": ", ".join(f"{c['Name']} {c['Version']}" for c in version.get("Components", ())[1:3]),
            "storage driver": str(info.get("Driver", "unknown")),
            "image store": "containerd" if snapshotter else "classic",
            "cgroup": f"v{info.get('CgroupVersion', '?')}, {info.get('CgroupDriver', '?')}",
            "security": ", ".join(info.get("SecurityOptions") or ()) or "none",
        }

    def manifest(self, subject: Subject) -> Mapping[str, str]:
        """Return what it is made of."""
        images = [(app.rootfs, self._images[app.rootfs].tree) for app in subject.apps()]
        return {
            "root file system": ", ".join(f"{name} ({tree.digest[:12]})" for name, tree in images),
            "application": ", ".join(" ".join(tree.recipe.app) for _, tree in images),
            "runtime": subject.option("runtime", "runc"),
            "network": subject.option("network", "bridge"),
            "client": "docker run" if subject.option("client") == "cli" else "Engine API",
            "limits": limits(subject),
            "kernel": "the host's",
        }

    def close(self) -> None:
        """Remove everything that carries the run's label, then end the private daemon."""
        if self._engine is not None:
            with contextlib.suppress(InstanceError):  # what it would not remove stays with the guardian
                self._engine.sweep(self._label())
                self._opened().guard.release("containers", self._engine.address.removeprefix("unix://"), self._label())
            self._engine.close()
        if self._private is not None:
            self._private.stop()
        self._engine = self._private = None
        self._images.clear()

    def _label(self) -> str:
        return f"{LABEL}={self._opened().run_id}"

    def _opened(self) -> Session:
        if self._session is None:
            raise InstanceError("the docker backend is not open")
        return self._session


def _upper(thing: Mapping[str, Any]) -> Path | None:
    """Return the directory of an image's or container's own layer; None where the storage driver names none."""
    directory = ((thing.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
    return Path(directory) if directory else None


def _layer_directories(image: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the directories of an image's layers, the lowest first; none where the storage driver names none."""
    below = ((image.get("GraphDriver") or {}).get("Data") or {}).get("LowerDir") or ""
    upper = _upper(image)
    return () if upper is None else (*(Path(path) for path in reversed(below.split(":")) if path), upper)


def _own_directories(container: Mapping[str, Any]) -> list[Path]:
    """Return where a container's own bytes are: its layer, the one below it with mount points, and its files.

    The engine lays the layer that its name ends in "-init" between the image and the container's own, and keeps the
    container's settings, its log, host name and resolver beside them (moby, daemon/initlayer and container/).
    """
    below = ((container.get("GraphDriver") or {}).get("Data") or {}).get("LowerDir") or ""
    beginning = [Path(path) for path in below.split(":") if Path(path).parent.name.endswith("-init")]
    files = [Path(container["HostnamePath"]).parent] if container.get("HostnamePath") else []
    return [path for path in (_upper(container), *beginning, *files) if path]


def _bytes_of(directories: Iterable[Path]) -> int:
    """Return the allocated bytes of these directories together.

    Raises:
        InstanceError: one is not there, or could not be looked through.
    """
    total = 0
    for directory in directories:
        use = tree_use(directory)
        if use is None or use.unreadable:
            raise InstanceError(f"{directory} cannot be weighed: it is gone, or parts of it may not be read")
        total += use.allocated
    return total
