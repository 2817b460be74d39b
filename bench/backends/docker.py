"""Containers by the Docker Engine: the user's engine where it answers, else a private daemon."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.backends.base import Availability, DiskUse, Session
from bench.backends.common import PORT, Nest, cpu_set, fill_in, find_program, free_port, limits, memory_limit
from bench.backends.docker_engine import DockerEngine, find_engine
from bench.backends.docker_instance import DockerInstance
from bench.backends.dockerd import PrivateDockerd
from bench.collectors.pool import tree_use
from bench.errors import BackendUnavailable, InstanceError
from bench.rootfs.agent import PATH_INSIDE
from bench.rootfs.build import Tree, build_tree, load_recipe
from bench.rootfs.download import compressed_bytes
from bench.scenario import Subject

LABEL = "bench.run"
"""Everything the suite makes in an engine carries this label; its value is the run's id."""


class DockerBackend:
    """Drives a Docker Engine through its API, or for one subject through its command line."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._private: PrivateDockerd | None = None
        self._engine: DockerEngine | None = None
        self._images: dict[str, tuple[Tree, str]] = {}

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
        if subject.rootfs not in self._images:
            tree = build_tree(load_recipe(subject.rootfs), session.cache, session.say)
            repository, tag = f"bench-{session.run_id[-6:]}/{subject.rootfs}", tree.digest[:12]
            session.say(f"importing {subject.rootfs} into Docker")
            self.engine.import_image(tree.tar, repository, tag, self._label())
            self._images[subject.rootfs] = (tree, f"{repository}:{tag}")

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
        tree, _ = self._images[subject.rootfs]
        port = free_port() if subject.option("network") == "host" else PORT
        return [
            "--channel", "unix:/bench/run/channel", "--nonce", nest.nonce,
            "--ready", f"http:{port}{tree.recipe.ready}", "--exec", *fill_in(tree.recipe.app, port),
        ]  # fmt: skip

    def _configuration(self, subject: Subject, nest: Nest) -> dict[str, Any]:
        """Return the body of POST /containers/create."""
        return {
            "Image": self._images[subject.rootfs][1],
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
            "--entrypoint", PATH_INSIDE, self._images[subject.rootfs][1], *self._agent_words(subject, nest),
        ]  # fmt: skip

    def raw_access(self, subject: Subject) -> tuple[Path, str, list[str]]:
        """Return (engine socket, image, the application's command): what a client beside the suite needs."""
        tree, tag = self._images[subject.rootfs]
        return Path(self.engine.address.removeprefix("unix://")), tag, fill_in(tree.recipe.app, PORT)

    def disk(self, subject: Subject, container: Mapping[str, Any]) -> DiskUse:
        """Return bytes as the storage driver keeps them; None where it does not tell its directories."""
        tree, tag = self._images[subject.rootfs]
        image = self.engine.inspect_image(tag)
        kept = _layer_bytes(image)
        return DiskUse(
            download=compressed_bytes(tree),
            unpacked=int(image["Size"]),
            image=kept,
            shared=kept,
            unique=_layer_bytes(container),
        )

    def accelerator(self, subject: Subject) -> str:
        """Return "": a container needs none."""
        del subject
        return ""

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return the image's layer, the OCI runtime, and the client if there is one. Shims of others may map theirs."""
        _, tag = self._images[subject.rootfs]
        layer = _layer_directory(self.engine.inspect_image(tag))
        programs = [find_program(subject.option("runtime", "runc"))]
        programs += [shutil.which("docker")] if subject.option("client") == "cli" else []
        return tuple(Path(path) for path in (layer, *programs) if path)

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
        tree, _ = self._images[subject.rootfs]
        return {
            "root file system": f"{subject.rootfs} ({tree.digest[:12]})",
            "application": " ".join(tree.recipe.app),
            "runtime": subject.option("runtime", "runc"),
            "network": subject.option("network", "bridge"),
            "client": "docker run" if subject.option("client") == "cli" else "Engine API",
            "limits": limits(subject),
            "kernel": "the host's",
        }

    def close(self) -> None:
        """Remove everything that carries the run's label, then end the private daemon."""
        if self._engine is not None:
            with contextlib.suppress(InstanceError):  # a dead engine keeps nothing that could be asked for
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


def _layer_directory(thing: Mapping[str, Any]) -> str | None:
    """Return the directory of an image's or container's own layer; None where the storage driver names none."""
    directory: str | None = ((thing.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
    return directory


def _layer_bytes(thing: Mapping[str, Any]) -> int | None:
    """Return the allocated bytes of that layer."""
    directory = _layer_directory(thing)
    use = tree_use(Path(directory)) if directory else None
    return None if use is None else use.allocated
