"""A Docker daemon of our own, for machines on which none answers: private, short-lived, leaving nothing.

It has its own data root, exec root, socket, containerd and bridge, and sits in its own mount namespace. It
writes no firewall rule and no sysctl, so its containers reach the host and each other over the bridge, and
no further.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench.backends.base import Session
from bench.backends.bridge import Bridge
from bench.backends.common import Farewell, find_program
from bench.collectors.procfs import descendants
from bench.errors import BackendUnavailable

_START_S = 30.0
_STOP_S = 20.0


class PrivateDockerd:
    """One private daemon. `start` returns when its socket answers; `stop` when it is gone, its files too."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._run = session.directory / "dockerd"
        self._data = session.scratch / "docker"
        self._process: subprocess.Popen[bytes] | None = None
        self._bridge = Bridge(session)
        self.socket = self._run / "docker.sock"

    @property
    def address(self) -> str:
        """The socket as an address for clients."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Make the bridge, write the configuration, start the daemon and wait for its socket.

        Raises:
            BackendUnavailable: it did not come up; the message carries its log's tail.
        """
        self._run.mkdir(mode=0o711)
        self._data.mkdir(parents=True, exist_ok=True)
        # Of our own: a daemon told "no bridge" deletes everybody's docker0 (moby pull request 26989).
        self._bridge.make()
        configuration = self._run / "daemon.json"
        configuration.write_text(json.dumps(self._configuration(), indent=1), "utf-8")
        log = (self._run / "log").open("wb")
        # Mounts of the daemon stay in its own namespace. crun refuses a hybrid hierarchy and leaves litter in an
        # unmounted one (see hide_hybrid_cgroup): in that namespace alone an empty file system takes its place.
        script = (
            "unified=/sys/fs/cgroup/unified; "
            '[ -d "$unified" ] && { umount "$unified" 2>/dev/null; mount -t tmpfs -o size=1m bench "$unified"; }; '
            'exec "$0" --config-file "$1" --containerd-namespace "$2" --containerd-plugins-namespace "$2-plugins"'
        )
        daemon = find_program("dockerd") or "dockerd"
        namespace = f"bench-{self._session.run_id[-6:]}"
        with log:
            words = ["sh", "-c", script, daemon, str(configuration), namespace]
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._session.guard.watch("process", str(self._process.pid))
        self._wait()

    def _configuration(self) -> dict[str, object]:
        return {
            "data-root": str(self._data),
            "exec-root": str(self._run / "exec"),
            "pidfile": str(self._run / "pid"),
            "hosts": [self.address],
            "bridge": self._bridge.name,
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
            "userland-proxy": False,
            "runtimes": {"crun": {"path": crun}} if (crun := find_program("crun")) else {},
        }

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self.socket.exists() or not _answers(self.socket):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                words = self._tail()
                self.stop()
                raise BackendUnavailable(
                    f"a private dockerd did not come up: {words}", "try to start one by hand: dockerd"
                )
            time.sleep(0.02)

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return " ".join((self._run / "log").read_text("utf-8", "replace").splitlines()[-3:])[-600:]
        return "it left no log"

    def pids(self) -> tuple[int, ...]:
        """Return the daemon's and its containerd's pids: the control plane (shims excluded)."""
        if self._process is None:
            return ()
        return tuple(pid for pid in descendants(self._process.pid) if _command(pid) in ("dockerd", "containerd"))

    def stop(self) -> None:
        """End the daemon and remove its files and its bridge. Safe to repeat."""
        if self._process is not None and self._process.poll() is None:
            pid = str(self._process.pid)
            farewell = Farewell(descendants(self._process.pid))
            self._process.send_signal(signal.SIGTERM)
            if farewell.wait(_STOP_S) is None:
                self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            self._session.guard.release("process", pid)
        self._process = None
        self._bridge.remove()
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.rmtree(self._run, ignore_errors=True)


def _answers(path: Path) -> bool:
    import http.client
    import socket

    connection = http.client.HTTPConnection("docker", timeout=2.0)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(2.0)
        connection.sock.connect(str(path))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    return False


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    return ""
