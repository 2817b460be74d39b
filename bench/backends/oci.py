"""The OCI runtime alone: runc or crun on a bundle of the same root file system, with no engine above it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.backends import criu
from bench.backends.base import Availability, DiskUse, Role, Session
from bench.backends.common import PORT, Nest, cpu_set, end, fill_in, find_program, limits, memory_limit
from bench.clock import Event
from bench.collectors.procfs import descendants
from bench.errors import BackendUnavailable, BuildError, InstanceError
from bench.rootfs.agent import PATH_INSIDE
from bench.rootfs.build import Recipe, Tree, build_tree, load_recipe
from bench.scenario import Subject

_CALL_S = 30.0
_ALLOWED = [
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
]  # fmt: skip
_CAPABILITIES = dict.fromkeys(("bounding", "effective", "permitted"), _ALLOWED)
"""What Docker's defaults allow (moby, oci/caps/defaults.go), so that the next rung adds an engine and nothing else."""
_CLONE_NEWNS = 0x00020000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_END_S = 5.0


class OciInstance:
    """One container of an OCI runtime."""

    def __init__(self, nest: Nest, runtime: list[str], bundle: Path, images: Path) -> None:
        self.name = nest.name
        self.timeline = nest.timeline
        self.channel = nest.channel
        self._nest = nest
        self._runtime = runtime
        self._bundle = bundle
        self._log = nest.directory / "log"
        self._pid_file = nest.directory / "pid"
        self._images = images
        self._pid = 0
        self._paused = False

    def launch(self) -> None:
        """Create, then start. CREATED and STARTED are the returns of the two commands."""
        self.timeline.stamp(Event.REQUESTED)
        self._call("create", "--bundle", str(self._bundle), "--pid-file", str(self._pid_file), self.name)
        self.timeline.stamp(Event.CREATED)
        self._call("start", self.name)
        self.timeline.stamp(Event.STARTED)
        self._pid = int(self._pid_file.read_text("ascii"))

    def _call(self, *words: str) -> None:
        # The container inherits these descriptors, so they are a file: a pipe would be held open by it.
        with self._log.open("ab") as log:
            try:
                done = subprocess.run(
                    [*self._runtime, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=_CALL_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise InstanceError(f"{self._runtime[0]} {words[0]}: {error}") from error
        if done.returncode:
            raise InstanceError(f"{Path(self._runtime[0]).name} {words[0]} failed: {self.last_words()}")

    def alive(self) -> bool:
        """Say whether the container's first process still runs."""
        with contextlib.suppress(OSError, IndexError):
            state = Path(f"/proc/{self._pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
            return self._pid > 0 and state not in "ZX"
        return False

    def last_words(self) -> str:
        """Return the end of what runtime and container wrote."""
        with contextlib.suppress(OSError):
            return self._log.read_text("utf-8", "replace").strip()[-500:]
        return ""

    def pause(self) -> None:
        """Freeze its control group by the runtime."""
        self._call("pause", self.name)
        self._paused = True

    def resume(self) -> None:
        """Thaw it."""
        self.timeline = self._nest.wake(lambda: self._call("resume", self.name))
        self._paused = False

    def checkpoint(self) -> int:
        """Let the runtime save it by CRIU, which ends it; return the bytes of the files."""
        self._nest.park()
        self._images.mkdir(mode=0o700)
        self._call_criu("checkpoint")
        self._pid = 0
        return sum(path.stat().st_size for path in self._images.glob("*.img"))

    def restore(self) -> None:
        """Let the runtime restore it; the agent finds the new channel, and is asked at once."""
        self._nest.reopen("PING {nonce}")
        self.timeline, self.channel = self._nest.timeline, self._nest.channel
        self.timeline.stamp(Event.REQUESTED)
        self._call_criu("restore", "--detach", "--bundle", str(self._bundle), "--pid-file", str(self._pid_file))
        self.timeline.stamp(Event.STARTED)
        self._pid = int(self._pid_file.read_text("ascii"))
        criu.bring_loopback_up(self._pid)

    def _call_criu(self, *words: str) -> None:
        try:
            self._call(*words, *criu.options(self._images), self.name)
        except InstanceError as error:
            raise InstanceError(f"{error.message} {criu.complaint(self._images)}".rstrip()) from error

    def stop(self) -> None:
        """Kill it; STOPPED is when the last of its processes is gone."""
        if not self._pid or self.timeline.at(Event.STOPPING) is not None:
            return
        if self._paused:  # a frozen process does not die
            self.resume()
        end(self.name, self.timeline, descendants(self._pid), self._kill, _END_S)

    def _kill(self) -> None:
        with contextlib.suppress(InstanceError):  # it may have ended by itself
            self._call("kill", self.name, "KILL")

    def remove(self) -> None:
        """Let the runtime forget it, whatever its state."""
        if self.timeline.at(Event.REMOVED) is not None:
            return
        try:
            self.stop()
        finally:
            with contextlib.suppress(InstanceError):  # create may never have got that far
                self._call("delete", "--force", self.name)
            self.timeline.stamp(Event.REMOVED)
            shutil.rmtree(self._bundle, ignore_errors=True)
            shutil.rmtree(self._images, ignore_errors=True)
            self._nest.clear()

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        """Return the container's processes: the runtime leaves none beside them."""
        return {Role.WORKLOAD: descendants(self._pid) if self._pid else ()}

    def cgroup_pid(self) -> int | None:
        """Return the first process: the runtime gave it a control group of its own."""
        return self._pid or None

    def disk(self) -> DiskUse:
        """Return nothing: bundles share one directory."""
        return DiskUse()


class OciBackend:
    """Drives an OCI runtime by its command line: it has no other interface."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._templates: dict[str, tuple[Recipe, Tree, Path, dict[str, Any]]] = {}

    def check(self, subject: Subject) -> Availability:
        """Look for the runtime and for root."""
        runtime = subject.option("runtime", "runc")
        found = find_program(runtime)
        if found is None:
            return Availability(usable=False, reason=f"{runtime} is not installed", hint=f"apt-get install {runtime}")
        if os.geteuid() != 0:
            return Availability(usable=False, reason=f"{runtime} needs root for this", hint="run bench as root")
        return Availability(usable=True, detail=f"{runtime} ({found})")

    def open(self, session: Session) -> None:
        """Make the runtimes' state directory below the session's: it goes with the run."""
        self._session = session
        (session.directory / "oci").mkdir(mode=0o700, exist_ok=True)

    def prepare(self, subject: Subject) -> None:
        """Build the root file system, copy it for this run, let the runtime write its default configuration."""
        if subject.key in self._templates:
            return
        session = self._opened()
        if subject.option("runtime") == "crun":
            hide_hybrid_cgroup()
        recipe = load_recipe(subject.rootfs)
        tree = build_tree(recipe, session.cache, session.say)
        root = session.scratch / f"oci-{subject.rootfs}"
        if not root.exists():
            subprocess.run(["cp", "-a", "--reflink=auto", str(tree.directory), str(root)], check=True)
        self._templates[subject.key] = (recipe, tree, root, _default_configuration(self._runtime(subject)[0], session))

    def launch(self, subject: Subject) -> OciInstance:
        """Write the bundle (not timed: an engine keeps its images unpacked too), then create and start."""
        session = self._opened()
        recipe, _, root, template = self._templates[subject.key]
        nest = Nest(session)
        bundle = nest.directory / "bundle"
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(_configuration(template, nest, recipe, root, subject)), "utf-8")
        instance = OciInstance(nest, self._runtime(subject), bundle, session.scratch / f"{nest.name}-images")
        session.guard.watch("cgroup", nest.name)
        try:
            instance.launch()
        except BaseException:
            instance.remove()
            raise
        return instance

    def require_checkpoints(self, subject: Subject) -> None:
        """Ask runtime and CRIU whether they can."""
        criu.require_criu(subject.option("runtime", "runc"))

    def _runtime(self, subject: Subject) -> list[str]:
        path = find_program(subject.option("runtime", "runc"))
        return [path or subject.option("runtime", "runc"), "--root", str(self._opened().directory / "oci")]

    def accelerator(self, subject: Subject) -> str:
        """Return "": a container needs none."""
        del subject
        return ""

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return the root file system and the runtime."""
        return (self._templates[subject.key][2], Path(self._runtime(subject)[0]))

    def pool(self, subject: Subject) -> Path | None:
        """Return None: instances share one directory."""
        del subject
        return None

    def control_plane(self) -> tuple[int, ...]:
        """Return nothing: there is no daemon."""
        return ()

    def facts(self) -> Mapping[str, str]:
        """Return the runtimes' versions."""
        return {name: _version(path) for name in ("runc", "crun") if (path := find_program(name))}

    def manifest(self, subject: Subject) -> Mapping[str, str]:
        """Return what it is made of."""
        recipe, tree, _, template = self._templates[subject.key]
        return {
            "root file system": f"{subject.rootfs} ({tree.digest[:12]})",
            "application": " ".join(recipe.app),
            "runtime": subject.option("runtime", "runc"),
            "namespaces": " ".join(n["type"] for n in template["linux"]["namespaces"]),
            "network": "loopback only",
            "limits": limits(subject),
            "kernel": "the host's",
        }

    def close(self) -> None:
        """Remove this run's copies of the root file systems."""
        for _, _, root, _ in self._templates.values():
            shutil.rmtree(root, ignore_errors=True)
        self._templates.clear()

    def _opened(self) -> Session:
        if self._session is None:
            raise InstanceError("the OCI backend is not open")
        return self._session


def hide_hybrid_cgroup() -> None:
    """On a hybrid hierarchy, leave the mounts of the host and cover the nearly empty unified one in a view of our own.

    crun refuses "cgroups in hybrid mode", and where `unified` is an ordinary directory it makes its groups there as
    ordinary directories and leaves them (libcrun/cgroup.c). A mount namespace of the calling thread's own
    (unshare(2)) with an empty tmpfs in that place shows it pure version 1, goes with the run, and costs nothing per
    start.
    """
    unified = b"/sys/fs/cgroup/unified"
    if not Path(unified.decode()).is_dir():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.unshare(_CLONE_NEWNS)
        or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        or (os.path.ismount(unified) and libc.umount2(unified, 0))
        or libc.mount(b"bench", unified, b"tmpfs", 0, b"size=1m")
    ):
        raise BackendUnavailable(
            f"the hybrid cgroup mount cannot be hidden from crun: {os.strerror(ctypes.get_errno())}"
        )


def _version(path: str) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else "unknown"


def _default_configuration(runtime: str, session: Session) -> dict[str, Any]:
    """Return the configuration the runtime itself proposes (`spec`)."""
    place = session.directory / "oci-spec"
    place.mkdir()
    try:
        done = subprocess.run([runtime, "spec"], cwd=place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"{runtime} spec failed: {done.stderr.strip()}")
        template: dict[str, Any] = json.loads((place / "config.json").read_text("utf-8"))
        return template
    finally:
        shutil.rmtree(place)


def _configuration(
    template: dict[str, Any], nest: Nest, recipe: Recipe, root: Path, subject: Subject
) -> dict[str, Any]:
    """Return the bundle's configuration: the runtime's default, with our process, root, channel and limits."""
    words = [
        PATH_INSIDE, "--channel", "unix:/bench/run/channel", "--nonce", nest.nonce, "--lo", "--log", "/bench/run/log",
        "--ready", f"http:{PORT}{recipe.ready}", "--exec", *fill_in(recipe.app, PORT),
    ]  # fmt: skip
    channel = {"destination": "/bench/run", "type": "bind", "source": str(nest.directory), "options": ["rbind", "rw"]}
    return {
        **template,
        "process": {**template["process"], "terminal": False, "args": words, "capabilities": _CAPABILITIES},
        "root": {"path": str(root), "readonly": False},
        "hostname": nest.name,
        "mounts": [*template["mounts"], channel],
        "linux": {**template["linux"], "cgroupsPath": f"/{nest.name}", "resources": _resources(template, subject)},
    }


def _resources(template: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """Return the control group's settings: the runtime's default and the subject's limits."""
    resources = dict(template["linux"].get("resources") or {})
    if cpus := cpu_set(subject):
        resources["cpu"] = {"cpus": cpus}
    if limit := memory_limit(subject):
        resources["memory"] = {"limit": limit}
    return resources
