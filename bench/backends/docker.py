"""Containers by the Docker Engine: the user's engine where it answers, else a private daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.backends.base import Availability, DiskUse, Role, Session
from bench.backends.common import PORT, Farewell, Nest, descendants, fill_in, find_program, free_port
from bench.backends.docker_engine import DockerEngine, find_engine
from bench.backends.dockerd import PrivateDockerd
from bench.clock import Event
from bench.collectors.pool import tree_use
from bench.errors import BackendUnavailable, CleanupFailed, InstanceError
from bench.rootfs.agent import PATH_INSIDE
from bench.rootfs.build import Tree, build_tree, load_recipe
from bench.rootfs.download import compressed_bytes
from bench.scenario import Subject

LABEL = "bench.run"
"""Everything the suite makes in an engine carries this label; its value is the run's id."""

_END_S = 10.0


class DockerInstance:
    """One container."""

    def __init__(self, backend: DockerBackend, nest: Nest, subject: Subject) -> None:
        self.name = nest.name
        self.timeline = nest.timeline
        self.channel = nest.channel
        self._nest = nest
        self._backend = backend
        self._engine = backend.engine
        self._subject = subject
        self._pid = 0
        self._client: subprocess.Popen[bytes] | None = None

    def launch_by_api(self, configuration: Mapping[str, Any]) -> None:
        """Create and start by two calls of the Engine API. CREATED and STARTED are their returns."""
        self.timeline.stamp(Event.REQUESTED)
        self._engine.create(self.name, configuration)
        self.timeline.stamp(Event.CREATED)
        self._engine.start(self.name)
        self.timeline.stamp(Event.STARTED)

    def launch_by_command(self, command: list[str]) -> None:
        """Start by `docker run` in the foreground, as people type it. When it is created nobody tells."""
        with (self._nest.directory / "log").open("wb") as log:
            self.timeline.stamp(Event.REQUESTED)
            self._client = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def alive(self) -> bool:
        """Ask the engine whether it runs; while `docker run` is at work, it may not even exist yet."""
        if self._client is not None and self._client.poll() is None:
            return True
        with contextlib.suppress(InstanceError):
            return bool(self._engine.inspect(self.name)["State"]["Running"])
        return False

    def last_words(self) -> str:
        """Return the engine's error and the end of the container's log."""
        words = ""
        with contextlib.suppress(OSError):
            words = (self._nest.directory / "log").read_text("utf-8", "replace").strip()
        with contextlib.suppress(InstanceError):
            state = self._engine.inspect(self.name)["State"]
            words = " ".join(filter(None, (words, state.get("Error", ""), self._engine.log_tail(self.name))))
        return words[-500:]

    def pid(self) -> int:
        """Return the container's first process as the host numbers it, 0 if it has none or it is elsewhere."""
        if not self._pid:
            with contextlib.suppress(InstanceError):
                pid = int(self._engine.inspect(self.name)["State"]["Pid"])
                self._pid = pid if Path(f"/proc/{pid}").exists() else 0
        return self._pid

    def stop(self) -> None:
        """Kill it; STOPPED is when the last of its processes is gone."""
        if self.timeline.at(Event.STOPPING) is not None or not self.alive():
            return
        farewell = Farewell(descendants(self.pid()) if self.pid() else ())
        self.timeline.stamp(Event.STOPPING)
        self._engine.kill(self.name)
        gone_ns = farewell.wait(_END_S)
        if gone_ns is None:
            raise CleanupFailed(f"{self.name} still lives {_END_S:g} s after SIGKILL")
        self.timeline.stamp(Event.STOPPED, gone_ns)

    def remove(self) -> None:
        """Let the engine forget it, whatever its state."""
        if self.timeline.at(Event.REMOVED) is not None:
            return
        try:
            with contextlib.suppress(InstanceError):
                self.stop()
            self._engine.remove(self.name)
            self.timeline.stamp(Event.REMOVED)
        finally:
            if self._client is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._client.pid, signal.SIGTERM)
                self._client.wait(_END_S)
            self._nest.clear()

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        """Return the container's processes, and the shim that is their parent."""
        pid = self.pid()
        if not pid:
            return {}
        parent = psutil.Process(pid).parent()
        shim = (parent.pid,) if parent is not None and parent.name().startswith("containerd-shim") else ()
        return {Role.WORKLOAD: descendants(pid), Role.SHIM: shim}

    def cgroup_pid(self) -> int | None:
        """Return its first process."""
        return self.pid() or None

    def disk(self) -> DiskUse:
        """Return the image's bytes and the container's own layer."""
        return self._backend.disk(self._subject, self._engine.inspect(self.name))


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
        instance = DockerInstance(self, nest, subject)
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
            },
        }

    def _command_line(self, subject: Subject, nest: Nest) -> list[str]:
        return [
            "docker", "--host", self.engine.address, "run", "--name", nest.name, "--hostname", nest.name,
            "--label", self._label(), "--network", subject.option("network", "bridge"),
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
            "limits": "none",
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
