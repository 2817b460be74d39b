"""A Docker daemon of our own, for machines on which none answers: private, short-lived, leaving nothing.

It has its own data root, exec root, socket, containerd and bridge, and sits in its own mount namespace. It
writes no firewall rule and no sysctl, so its containers reach the host and each other over the bridge, and
no further.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import time
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from bench.backends.base import Session
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
        self._bridge = f"bench{session.run_id[-6:]}"
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
        self._make_bridge()
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
            "bridge": self._bridge,
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
            "userland-proxy": False,
            "runtimes": {"crun": {"path": crun}} if (crun := find_program("crun")) else {},
        }

    def _make_bridge(self) -> None:
        """Make our own bridge: a daemon told "no bridge" deletes everybody's docker0 (moby pull request 26989)."""
        address = _free_network(int.from_bytes(self._session.run_id.encode()[-2:], "big"), _addresses())
        self._session.guard.watch("netdev", self._bridge)
        for command in (
            ["ip", "link", "add", self._bridge, "type", "bridge"],
            ["ip", "address", "add", str(address), "dev", self._bridge],
            ["ip", "link", "set", self._bridge, "up"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BackendUnavailable(
                    f"no bridge for a private dockerd: {done.stderr.strip()}", "needs root and iproute2"
                )

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
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)
        self._session.guard.release("netdev", self._bridge)
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.rmtree(self._run, ignore_errors=True)


def _addresses() -> str:
    """Return what addresses this host has, as iproute2 prints them."""
    done = subprocess.run(["ip", "-4", "-oneline", "address", "show"], capture_output=True, text=True, check=False)
    return done.stdout


def _free_network(number: int, taken: str) -> IPv4Interface:
    """Return the first address of a network of 4094, the number's own or the next that overlaps none of the host's.

    Raises:
        BackendUnavailable: all 16 are taken.
    """
    hosts = [IPv4Interface(word).network for word in re.findall(r" inet (\S+)", taken)]
    networks = list(IPv4Network("172.29.0.0/16").subnets(new_prefix=20))
    for place in range(len(networks)):
        network = networks[(number + place) % len(networks)]
        if not any(network.overlaps(other) for other in hosts):
            return IPv4Interface((network.network_address + 1, network.prefixlen))
    raise BackendUnavailable("no network is free for a private dockerd", "172.29.0.0/16 is in use on this host")


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
