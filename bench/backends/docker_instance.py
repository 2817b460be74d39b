"""One live container of a Docker engine, as the probes see it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.backends.base import DiskUse, Role
from bench.backends.common import Nest, end
from bench.backends.docker_engine import DockerEngine
from bench.clock import Event
from bench.collectors.procfs import descendants
from bench.errors import InstanceError, Unsupported

_END_S = 10.0


class DockerInstance:
    """One container.

    Args:
        engine: where it lives.
        nest: its channel and directory.
        layers: tells its bytes on disk from what the engine says of it.
    """

    def __init__(self, engine: DockerEngine, nest: Nest, layers: Callable[[Mapping[str, Any]], DiskUse]) -> None:
        self.name = nest.name
        self.timeline = nest.timeline
        self.channel = nest.channel
        self._nest = nest
        self._engine = engine
        self._layers = layers
        self._pid = 0
        self._paused = False
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

    def address(self) -> str:
        """Return what the engine says is its address on its bridge."""
        networks = self._engine.inspect(self.name)["NetworkSettings"]["Networks"]
        found = str(networks.get("bridge", {}).get("IPAddress", ""))
        if not found:
            raise Unsupported("its network is no bridge of the engine's")
        return found

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

    def pause(self) -> None:
        """Freeze it: docker pause."""
        self._engine.pause(self.name)
        self._paused = True

    def resume(self) -> None:
        """Thaw it: docker unpause."""
        self.timeline = self._nest.wake(lambda: self._engine.unpause(self.name))
        self._paused = False

    def start_again(self) -> None:
        """Start the stopped container: docker start."""
        self._nest.reopen()
        self.timeline, self.channel, self._pid = self._nest.timeline, self._nest.channel, 0
        self.timeline.stamp(Event.REQUESTED)
        self._engine.start(self.name)
        self.timeline.stamp(Event.STARTED)

    def stop(self) -> None:
        """Kill it; STOPPED is when the last of its processes is gone."""
        if self.timeline.at(Event.STOPPING) is not None:
            return
        # Between readiness and the kill the engine is asked once at most: a process in sight lives.
        pids = descendants(self.pid()) if self.pid() else ()
        if not pids and not self.alive():
            return
        if self._paused:  # a frozen process does not die
            self.resume()
        end(self.name, self.timeline, pids, lambda: self._engine.kill(self.name), _END_S)

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
        return self._layers(self._engine.inspect(self.name))
