"""What `look` (bench/rootfs/agent/look.c) printed, read and compared: inside an instance beside the host. Pure.

A fact counts as the host's when it is the same and cannot be the same by chance: load and uptime are compared with the
host's just before and just after, and a host that idles tells nothing by its load.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface

from bench.errors import InstanceError

_INITS = frozenset({"init", "openrc-init", "procd", "runit", "s6-svscan", "systemd"})
"""What the first process of a complete system is called (/proc/1/comm)."""
_IDLE = 0.05
"""A host whose three load averages are below this could have them by chance in common with an idle guest."""
_BRIDGES = ("bench", "docker")
"""How the bridges of the suite's engine, and of the user's, are called."""
_CLOCK_S = 1.0
_LOAD = 0.011


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one look told: values by name, and the addresses of all interfaces but the loopback's, with their names."""

    values: Mapping[str, str]
    addresses: tuple[tuple[IPv4Interface, str], ...] = ()

    def text(self, name: str) -> str:
        """Return a value, "" where it could not be read."""
        return self.values.get(name, "")

    def number(self, name: str) -> float | None:
        """Return a value as a number, None where it could not be read."""
        text = self.text(name)
        return float(text) if text else None

    def capabilities(self, name: str) -> int | None:
        """Return how many capabilities a set holds; the kernel writes it as a hexadecimal mask."""
        text = self.text(name)
        return int(text, 16).bit_count() if text else None


def read(text: str) -> View:
    """Read what look printed.

    Raises:
        InstanceError: it printed nothing, or an error and nothing else.
    """
    lines = [line.partition(" ") for line in text.splitlines()]
    values = {name: value.strip() for name, _, value in lines if name}
    if not values or set(values) == {"error"}:
        raise InstanceError(f"look told nothing: {values.get('error', text[-200:])}")
    addresses = [value.split() for name, _, value in lines if name == "address"]
    return View(values=values, addresses=tuple((IPv4Interface(at), device) for at, device in addresses))


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The host's own view, just before and just after the look inside, and all messages of its kernel."""

    before: View
    after: View
    log: Collection[str] = ()

    def same(self, inside: View, name: str) -> bool | None:
        """Say whether a text is the host's; None where the host itself does not tell it."""
        return inside.text(name) == self.before.text(name) if self.before.text(name) else None

    def span(self, name: str, place: int = 0) -> tuple[float, float]:
        """Return the smaller and the larger of what the host had before and after."""
        ends = [float(view.text(name).split()[place]) for view in (self.before, self.after)]
        return min(ends), max(ends)


def _uptime(host: Host, inside: View) -> bool:
    low, high = host.span("uptime")
    return low - _CLOCK_S <= (inside.number("uptime") or -1e9) <= high + _CLOCK_S


def _load(host: Host, inside: View) -> bool | None:
    spans = [host.span("load", place) for place in range(3)]
    if max(high for _, high in spans) < _IDLE:
        return None
    values = [float(word) for word in inside.text("load").split()] or [-1.0] * 3
    return all(low - _LOAD <= v <= high + _LOAD for v, (low, high) in zip(values, spans, strict=True))


def _log(host: Host, inside: View) -> bool | None:
    return inside.text("kernel-log") in host.log if host.log else None


FACTS: Mapping[str, Callable[[Host, View], bool | None]] = {
    "kernel-release": lambda host, inside: host.same(inside, "kernel-release"),
    "boot-id": lambda host, inside: host.same(inside, "boot-id"),
    "command-line": lambda host, inside: host.same(inside, "command-line"),
    "uptime": _uptime,
    "load": _load,
    "processor": lambda host, inside: host.same(inside, "processor"),
    "memory-size": lambda host, inside: host.same(inside, "memory-size"),
    "disks": lambda host, inside: host.same(inside, "disks"),
    "kernel-log": _log,
    "processes": lambda _, inside: inside.text("word-found") == "1",
}
"""What of the host may be read inside, by the part of `host-facts` it becomes."""


def shared(host: Host, inside: View) -> dict[str, bool | None]:
    """Return by fact whether what is read inside is the host's; None where this host cannot tell."""
    return {name: same(host, inside) for name, same in FACTS.items()}


def own_kernel(host: View, inside: View) -> bool | None:
    """Say whether another kernel runs inside: every boot draws an id of its own (random(4)); None if none is told."""
    known = host.text("boot-id") and inside.text("boot-id")
    return inside.text("boot-id") != host.text("boot-id") if known else None


def same_namespace(host: View, inside: View, kind: str) -> bool | None:
    """Say whether both are in one namespace ("user", "pid", "network") of one kernel (namespaces(7))."""
    other = own_kernel(host, inside)
    if other is None:
        return None
    name = f"{kind}-namespace"
    return not other and inside.text(name) == host.text(name)


def is_hosts_root(host: View, inside: View) -> bool | None:
    """Say whether root inside is the host's: user 0 in the host's own user namespace (user_namespaces(7))."""
    same = same_namespace(host, inside, "user")
    return None if same is None else same and inside.text("user") == "0"


def has_init(host: View, inside: View) -> bool | None:
    """Say whether an init system of its own is the first process; the host's, seen from inside, is not its own."""
    same = same_namespace(host, inside, "pid")
    return None if same is None else not same and inside.text("first-process") in _INITS


def doors(host: View, inside: View) -> tuple[str, ...] | None:
    """Return the addresses on which a port may be opened inside without being open beyond this host; None: unknown.

    In a network of its own, all. In the host's, the loopback's and those of the engines' bridges, which are devices
    of this host alone.
    """
    hosts = same_namespace(host, inside, "network")
    if hosts is None:
        return None
    bridges = [str(at.ip) for at, device in host.addresses if device.startswith(_BRIDGES)]
    return ("127.0.0.1", *bridges) if hosts else ("0.0.0.0",)  # noqa: S104  # a network of the instance's own


def own_address(host: View, inside: View, opened: Collection[str]) -> str:
    """Return the instance's address, one that is opened and that the host reaches without any router; "" if none."""
    networks = [at.network for at, _ in host.addresses]
    linked = [str(at.ip) for at, _ in inside.addresses if any(at.ip in network for network in networks)]
    return next((ip for ip in linked if ip in opened or "0.0.0.0" in opened), "")  # noqa: S104


def other_addresses(host: View, opened: Collection[str]) -> list[str]:
    """Return the host's addresses beside its loopback's, where what is open at all addresses would be open too."""
    return [str(at.ip) for at, _ in host.addresses if str(at.ip) in opened or "0.0.0.0" in opened]  # noqa: S104
