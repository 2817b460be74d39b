"""A bridge of the suite's own: this host and instances are on it, and nothing beyond this host."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
from ipaddress import IPv4Interface, IPv4Network

from bench.backends.base import Session
from bench.errors import BackendUnavailable

_NETWORKS = IPv4Network("172.29.0.0/16")
_PREFIX = 20


class Bridge:
    """One bridge, with an address of the host's.

    Attributes:
        name: of the device.
        address: the host's on it; known once it was made.
    """

    def __init__(self, session: Session, suffix: str = "") -> None:
        """Choose a name; `suffix` tells several of one run apart."""
        self.name = f"bench{session.run_id[-6:]}{suffix}"
        self.address = IPv4Interface("0.0.0.0/0")
        self._session = session
        self._numbers = itertools.count(2)
        self._lock = threading.Lock()

    def make(self) -> None:
        """Make it and bring it up.

        Raises:
            BackendUnavailable: it cannot be made, or no network is free.
        """
        self.address = _free_network(int.from_bytes(self._session.run_id.encode()[-2:], "big"), _addresses())
        self._session.guard.watch("netdev", self.name)
        for command in (
            ["ip", "link", "add", self.name, "type", "bridge"],
            ["ip", "address", "add", str(self.address), "dev", self.name],
            ["ip", "link", "set", self.name, "up"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BackendUnavailable(f"no bridge can be made: {done.stderr.strip()}", "needs root and iproute2")

    def next_address(self) -> IPv4Interface:
        """Return an address that nobody on it was given yet: of 4094, each again after all others."""
        network = self.address.network
        with self._lock:
            number = 2 + (next(self._numbers) - 2) % (network.num_addresses - 3)
        return IPv4Interface((network.network_address + number, network.prefixlen))

    def remove(self) -> None:
        """Remove it. Safe to repeat."""
        subprocess.run(["ip", "link", "delete", self.name], capture_output=True, check=False)
        self._session.guard.release("netdev", self.name)


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
    networks = list(_NETWORKS.subnets(new_prefix=_PREFIX))
    for place in range(len(networks)):
        network = networks[(number + place) % len(networks)]
        if not any(network.overlaps(other) for other in hosts):
            return IPv4Interface((network.network_address + 1, network.prefixlen))
    raise BackendUnavailable("no network is free for a bridge", f"{_NETWORKS} is in use on this host")
