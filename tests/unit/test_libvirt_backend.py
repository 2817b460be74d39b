"""What the libvirt backend says of its connections, without any."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.backends.base import Session
from bench.backends.libvirt import LibvirtBackend
from bench.backends.vm_parts import Parts
from bench.probes.base import is_embedded


class Connected:
    """A connection that knows one domain of the run and one of somebody else."""

    def __init__(self, embedded: Path | None) -> None:
        self.embedded = embedded

    def domains(self) -> tuple[str, ...]:
        return "bench-abcdef-3", "web"


@pytest.mark.parametrize(
    ("inside", "embedded"), [([], False), ([None], False), ([Path("/e")], True), ([Path("/e"), None], False)]
)
def test_libvirts_driver_is_embedded_where_no_connection_goes_to_a_daemon(
    inside: list[Path | None], embedded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.backends.libvirt.find_daemons", lambda: (7,))
    backend: Any = LibvirtBackend()
    backend._hypervisors = {str(n): Connected(root) for n, root in enumerate(inside)}
    assert backend.embedded() is embedded
    assert backend.control_plane() == ((7,) if None in inside else ())
    assert is_embedded(backend) is embedded


def test_domains_and_machines_of_the_run_are_what_libvirt_keeps(tmp_path: Path) -> None:
    backend = LibvirtBackend()
    backend._session = Session(run_id="r-abcdef", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    backend._hypervisors = {"": Connected(None)}  # type: ignore[dict-item]
    command = ["sh", "-c", "echo here; read line", "-name", "guest=bench-abcdef-9,debug-threads=on"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        assert machine.stdout is not None
        assert machine.stdout.readline() == b"here\n"
        kept = backend.kept()
        machine.communicate()
    assert kept == ("domain bench-abcdef-3", f"process {machine.pid}")


@pytest.mark.parametrize("lacking", ["a device", "the right"])
def test_where_no_machine_can_have_an_end_of_a_bridge_it_has_no_network_and_says_why(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tun").touch()
    (tmp_path / "ip").write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 2\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    device = tmp_path / ("tun" if lacking == "the right" else "nothing")
    monkeypatch.setattr("bench.backends.libvirt.TAP", device)
    backend = LibvirtBackend()
    backend._session = Session(run_id="r-abcdef", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    parts = Parts(boot="direct", machine="pc", memory_mib=256, vcpus=1, network="bridge", flavour="stock")
    found = backend._bridged(parts)
    assert (found.network, found.bridge) == ("none", "")
    assert found.no_bridge.startswith({
        "a device": f"{device} cannot be opened", "the right": "no bridge can be made: Operation not permitted",
    }[lacking])  # fmt: skip
