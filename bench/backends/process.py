"""The floors of the ladder: a process in a chroot, and the same in new namespaces, with no engine at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.backends.base import Availability, DiskUse, Guard, Role, Session
from bench.backends.common import PORT, Nest, cpu_set, end, fill_in, free_port, limits, memory_limit
from bench.backends.memory_group import MemoryGroup, limit_place
from bench.clock import Event
from bench.collectors.procfs import descendants
from bench.errors import InstanceError
from bench.rootfs.agent import PATH_INSIDE, agent_binary
from bench.rootfs.build import Recipe, Tree, build_tree, load_recipe
from bench.scenario import Subject

_END_S = 5.0


class ProcessInstance:
    """One process tree: the agent and its application."""

    def __init__(self, nest: Nest, guard: Guard) -> None:
        self._guard = guard
        self.name = nest.name
        self.timeline = nest.timeline
        self.channel = nest.channel
        self._nest = nest
        self._process: subprocess.Popen[bytes] | None = None
        self._log = nest.directory / "log"
        self._group: MemoryGroup | None = None

    def launch(self, command: list[str], cpus: str = "", memory: int | None = None) -> None:
        """Start the command in a session of its own. STARTED is the return of the exec (Popen waits for it).

        Args:
            command: its words.
            cpus: the host's CPUs it is kept to; "" for all.
            memory: the bytes it may have, in a control group of its own; None for no limit and no group.
        """
        if memory is not None:
            self._guard.watch("cgroup", self.name)
            self._group = MemoryGroup(self.name, memory)
            command = self._group.entering(command)
        if cpus:
            command = ["taskset", "--cpu-list", cpus, *command]
        with self._log.open("wb") as log:
            self.timeline.stamp(Event.REQUESTED)
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            except OSError as error:
                raise InstanceError(f"{command[0]} could not be started: {error}") from error
            self.timeline.stamp(Event.STARTED)
        self._guard.watch("process", str(self._process.pid))

    def alive(self) -> bool:
        """Say whether the first process still runs."""
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        """Return the end of what it wrote."""
        with contextlib.suppress(OSError):
            return self._log.read_text("utf-8", "replace").strip()[-500:]
        return ""

    def pause(self) -> None:
        """Stop all its processes by SIGSTOP, which none can refuse."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue them."""
        self.timeline = self._nest.wake(lambda: self._signal(signal.SIGCONT))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise InstanceError(f"{self.name} was never started")
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError as error:
            raise InstanceError(f"{self.name} is gone") from error

    def stop(self) -> None:
        """Kill the whole group; STOPPED is when the last of its processes is gone."""
        if self._process is None or self.timeline.at(Event.STOPPING) is not None:
            return
        end(self.name, self.timeline, descendants(self._process.pid), self._kill, _END_S)
        self._process.wait(_END_S)
        self._guard.release("process", str(self._process.pid))

    def _kill(self) -> None:
        with contextlib.suppress(InstanceError):  # it may have ended by itself
            self._signal(signal.SIGKILL)

    def remove(self) -> None:
        """Stop it if need be and remove its directory."""
        try:
            self.stop()
        finally:
            if self._group is not None:
                self._group.remove()
            self._nest.clear()
        self.timeline.stamp(Event.REMOVED)

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        """Return the whole tree as workload: there is nothing else."""
        return {Role.WORKLOAD: descendants(self._process.pid) if self._process else ()}

    def cgroup_pid(self) -> int | None:
        """Return its first process where it has a control group of its own; else it lives in the caller's."""
        return self._process.pid if self._group is not None and self._process is not None else None

    def disk(self) -> DiskUse:
        """Return nothing: it has no disk of its own."""
        return DiskUse()


class ProcessBackend:
    """Starts the suite's agent in the same root file system as everybody, with no engine between."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._trees: dict[str, tuple[Recipe, Tree, Path]] = {}

    def check(self, subject: Subject) -> Availability:
        """Look for bubblewrap, where the subject wants namespaces."""
        if subject.option("isolation") != "namespaces":
            return Availability(usable=True, detail="fork and chroot")
        found = shutil.which("bwrap")
        if found:
            return Availability(usable=True, detail=f"bubblewrap ({found})")
        return Availability(usable=False, reason="bubblewrap is not installed", hint="apt-get install bubblewrap")

    def open(self, session: Session) -> None:
        """Take the session."""
        self._session = session

    def prepare(self, subject: Subject) -> None:
        """Build the root file system and make this run's own copy of it: instances may write."""
        session = self._opened()
        if subject.rootfs not in self._trees:
            recipe = load_recipe(subject.rootfs)
            tree = build_tree(recipe, session.cache, session.say)
            copy = session.scratch / f"process-{subject.rootfs}"
            subprocess.run(["cp", "-a", "--reflink=auto", str(tree.directory), str(copy)], check=True)
            self._trees[subject.rootfs] = (recipe, tree, copy)

    def launch(self, subject: Subject) -> ProcessInstance:
        """Start one instance."""
        session = self._opened()
        recipe, _, root = self._trees[subject.rootfs]
        instance = ProcessInstance(nest := Nest(session), session.guard)
        try:
            if subject.option("isolation") == "namespaces":
                command = _in_namespaces(nest, recipe, root)
            else:
                command = _in_chroot(nest, recipe, root, agent_binary(session.cache))
            instance.launch(command, cpu_set(subject), memory_limit(subject) if limit_place() else None)
        except BaseException:
            instance.remove()
            raise
        return instance

    def accelerator(self, subject: Subject) -> str:
        """Return "": a process needs none."""
        del subject
        return ""

    def files(self, subject: Subject) -> tuple[Path, ...]:
        """Return the root file system, and the agent or bubblewrap that enters it."""
        namespaces = subject.option("isolation") == "namespaces"
        entrance = Path(shutil.which("bwrap") or "") if namespaces else agent_binary(self._opened().cache)
        return (self._trees[subject.rootfs][2], entrance)

    def pool(self, subject: Subject) -> Path | None:
        """Return None: an instance has no disk of its own."""
        del subject
        return None

    def control_plane(self) -> tuple[int, ...]:
        """Return nothing: there is no daemon."""
        return ()

    def facts(self) -> Mapping[str, str]:
        """Return bubblewrap's version."""
        found = shutil.which("bwrap")
        if not found:
            return {"bubblewrap": "not installed"}
        return {
            "bubblewrap": subprocess.run(
                [found, "--version"], capture_output=True, text=True, check=False
            ).stdout.strip()
        }

    def manifest(self, subject: Subject) -> Mapping[str, str]:
        """Return what it is made of."""
        recipe, tree, _ = self._trees[subject.rootfs]
        namespaces = (
            "all new (bubblewrap --unshare-all)" if subject.option("isolation") == "namespaces" else "the host's"
        )
        return {
            "root file system": f"{subject.rootfs} ({tree.digest[:12]})",
            "application": " ".join(recipe.app),
            "namespaces": namespaces,
            "network": "loopback only" if subject.option("isolation") == "namespaces" else "the host's",
            "limits": limits(subject, memory=limit_place() is not None),
            "kernel": "the host's",
        }

    def close(self) -> None:
        """Remove this run's copies of the root file systems."""
        for _, _, copy in self._trees.values():
            shutil.rmtree(copy, ignore_errors=True)
        self._trees.clear()

    def _opened(self) -> Session:
        if self._session is None:
            raise InstanceError("the process backend is not open")
        return self._session


def _in_chroot(nest: Nest, recipe: Recipe, root: Path, agent: Path) -> list[str]:
    port = free_port()
    return [
        str(agent), "--channel", f"unix:{nest.channel.path}", "--nonce", nest.nonce, "--root", str(root),
        "--ready", f"http:{port}{recipe.ready}", "--exec", *fill_in(recipe.app, port),
    ]  # fmt: skip


def _in_namespaces(nest: Nest, recipe: Recipe, root: Path) -> list[str]:
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--bind", str(root), "/", "--proc", "/proc", "--dev", "/dev",
        "--tmpfs", "/tmp", "--bind", str(nest.directory), "/bench/run",  # noqa: S108  # the instance's own
        "--clearenv", "--setenv", "PATH", "/bin:/usr/bin",
        PATH_INSIDE, "--channel", "unix:/bench/run/channel", "--nonce", nest.nonce,
        "--ready", f"http:{PORT}{recipe.ready}", "--exec", *fill_in(recipe.app, PORT),
    ]  # fmt: skip
