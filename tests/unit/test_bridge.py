"""Which network a bridge gets, and which addresses it gives; the bridge itself is made in the engines' tests."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from bench.backends.base import Session
from bench.backends.bridge import Bridge, _free_network
from bench.errors import BackendUnavailable


@pytest.mark.parametrize(
    ("number", "taken", "address"),
    [
        (0, "", "172.29.0.1/20"),
        (35, "", "172.29.48.1/20"),
        (0, "3: bench1    inet 172.29.0.1/20 scope global bench1\n", "172.29.16.1/20"),
        (15, "2: eth0    inet 172.29.255.9/32 scope global eth0\n", "172.29.0.1/20"),
        (2, "2: eth0    inet 10.0.0.9/8 brd 10.255.255.255 scope global eth0\n", "172.29.32.1/20"),
    ],
)
def test_a_bridge_has_thousands_of_addresses_that_nobody_else_has(number: int, taken: str, address: str) -> None:
    found = _free_network(number, taken)
    assert str(found) == address
    assert found.network.num_addresses == 4096
    assert found.network.subnet_of(IPv4Network("172.29.0.0/16"))


def test_where_no_network_is_free_it_is_said() -> None:
    with pytest.raises(BackendUnavailable, match="no network is free"):
        _free_network(3, "2: eth0    inet 172.16.0.1/12 scope global eth0\n")


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    made = Bridge(Session(run_id="test-abc123", directory=tmp_path, scratch=tmp_path, cache=tmp_path), "v")
    made.address = IPv4Interface("172.29.16.1/20")
    return made


def test_every_instance_has_an_address_of_its_own_and_never_the_hosts(bridge: Bridge) -> None:
    given = [bridge.next_address() for _ in range(4093)]
    assert len(set(given)) == 4093
    assert str(given[0]) == "172.29.16.2/20"
    assert str(given[-1]) == "172.29.31.254/20", "the last is the network's broadcast address"
    assert bridge.address not in given
    assert bridge.next_address() == given[0]


def test_two_bridges_of_one_run_have_two_names_that_a_device_can_have(bridge: Bridge) -> None:
    other = Bridge(bridge._session)
    assert bridge.name != other.name
    assert max(len(bridge.name), len(other.name)) < 16, "IFNAMSIZ (linux/if.h)"


def test_without_the_right_to_make_one_the_kernels_word_is_told(
    bridge: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ip").write_text("#!/bin/sh\necho 'RTNETLINK answers: Operation not permitted' >&2\nexit 2\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="no bridge can be made: RTNETLINK answers: Operation not permitted"):
        bridge.make()
