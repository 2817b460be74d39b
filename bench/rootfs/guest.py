"""What turns a tree into a machine that boots by itself: a unit for the app, a network, a file system table."""

from __future__ import annotations

from collections.abc import Mapping

from bench.rootfs.recipe import Recipe

UUID = "6d732d76-732d-4d69-8e75-746573000001"
"""The root file system's identity, the same in every build, so that equal trees give equal disks."""

AGENT = "/bench/agent"
CHANNEL = "tty:/dev/ttyS1"

STAGE_ONE = f"rdinit={AGENT} -- --first --channel {CHANNEL} --nonce dmi --exec /init"
"""Ends a kernel command line: the agent is the first program of the initramfs, marks INIT and becomes its /init."""

_UNIT = """\
[Unit]
Description=The workload of bench
DefaultDependencies=yes

[Service]
ExecStart={command}
Restart=no

[Install]
WantedBy=multi-user.target
"""

_NETWORK = """\
[Match]
Name=en* eth*

[Network]
DHCP=yes
"""

_SYSTEM = "/etc/systemd/system"


def guest_files(recipe: Recipe) -> Mapping[str, str]:
    """Return the text files, by path, that the machine has more than the container.

    An empty machine-id makes systemd draw one at each start without taking it for a first boot (machine-id(5)):
    what a prepared image does, without the presets that a very first boot applies.
    """
    options = f"--no-init --channel {CHANNEL} --nonce dmi --ready http:{recipe.port}{recipe.ready}"
    command = f"{AGENT} {options} --exec {' '.join(recipe.command())}"
    return {
        f"{_SYSTEM}/bench-app.service": _UNIT.format(command=command),
        "/etc/systemd/network/80-bench.network": _NETWORK,
        "/etc/fstab": f"UUID={UUID} / ext4 errors=remount-ro 0 1\n",
        "/etc/machine-id": "",
    }


def guest_links() -> Mapping[str, str]:
    """Return the symbolic links, by path: units that are wanted, and no login on the port the agent owns."""
    wants, units = f"{_SYSTEM}/multi-user.target.wants", "/lib/systemd/system"
    return {
        f"{wants}/bench-app.service": "../bench-app.service",
        f"{wants}/systemd-networkd.service": f"{units}/systemd-networkd.service",
        f"{_SYSTEM}/sockets.target.wants/systemd-networkd.socket": f"{units}/systemd-networkd.socket",
        f"{_SYSTEM}/serial-getty@ttyS1.service": "/dev/null",
    }
