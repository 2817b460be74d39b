"""What look printed, read and compared: captured on a host, in a container of its Docker and in a guest."""

from __future__ import annotations

import pytest

from bench.errors import InstanceError
from bench.probes import looking
from bench.probes.looking import FACTS, Host, View, read

HOST = """\
kernel-release 6.1.0-18-amd64
load 1.292 1.081 0.859
memory-size 25276514304
uptime 15206.376
boot-id e535ec5c-d87c-47c7-a2ff-84dd9fb55113
processor AMD EPYC
command-line console=ttyS0 quiet
disks major minor  #blocks  name   254        0  268435456 vda
kernel-log <6>[12535.068714] docker0: port 2(vethd507bee) entered disabled state
processes 29
word-found 1
first-process systemd
user 0
user-map          0          0 4294967295
user-namespace user:[4026531837]
pid-namespace pid:[4026531836]
network-namespace net:[4026531833]
capabilities 000001ffffffffff
capabilities-bounding 000001ffffffffff
seccomp 0
no-new-privileges 0
writable-settings 1271
address 192.0.2.2/24 eth0
address 172.29.98.1/24 bench6b55bd
address 172.17.0.1/16 docker0
nobody-capabilities 0000000000000000
"""
DOCKER = (
    HOST.replace("uptime 15206.376", "uptime 15206.871")
    .replace("kernel-log <6>[12535.068714] docker0: port 2(vethd507bee) entered disabled state\n", "")
    .replace("word-found 1", "word-found 0").replace("first-process systemd", "first-process agent")
    .replace("pid:[4026531836]", "pid:[4026532182]").replace("net:[4026531833]", "net:[4026532185]")
    .replace("000001ffffffffff", "00000000a80425fb").replace("seccomp 0", "seccomp 2")
    .partition("address")[0] + "address 172.29.98.2/24 eth0\nnobody-capabilities 0000000000000000\n"
)  # fmt: skip
GUEST = """\
kernel-release 6.1.0-17-cloud-amd64
load 0.000 0.000 0.000
memory-size 211349504
uptime 2.114
boot-id 0d5f6a57-3f39-4a29-8d4e-6c1dd54cf0b5
processor QEMU TCG CPU version 2.5+
command-line console=ttyS0 quiet rdinit=/bench/agent
kernel-log <5>[    0.000000] Linux version 6.1.0-17-cloud-amd64
processes 3
word-found 0
first-process agent
user 0
user-namespace user:[4026531837]
pid-namespace pid:[4026531836]
network-namespace net:[4026531840]
capabilities 000001ffffffffff
seccomp 0
"""
LOG = frozenset({"<6>[12535.068714] docker0: port 2(vethd507bee) entered disabled state"})


def host(later: str = HOST, log: frozenset[str] = LOG) -> Host:
    """Return the host half a second apart."""
    after = later.replace("uptime 15206.376", "uptime 15206.902").replace("load 1.292", "load 1.350")
    return Host(before=read(HOST), after=read(after), log=log)


def test_a_process_without_walls_reads_every_fact() -> None:
    assert looking.shared(host(), read(HOST)) == dict.fromkeys(FACTS, True)


def test_a_container_reads_all_but_the_log_and_the_processes() -> None:
    found = looking.shared(host(), read(DOCKER))
    assert {name for name, same in found.items() if not same} == {"kernel-log", "processes"}


def test_a_guest_reads_none() -> None:
    assert looking.shared(host(), read(GUEST)) == dict.fromkeys(FACTS, False)


@pytest.mark.parametrize("name", ["boot-id", "command-line", "disks", "processor", "load", "uptime", "memory-size"])
def test_what_is_not_to_be_read_inside_is_not_the_hosts(name: str) -> None:
    inside = "\n".join(line for line in DOCKER.splitlines() if not line.startswith(f"{name} "))
    assert looking.shared(host(), read(inside))[name] is False


def test_what_the_host_does_not_tell_is_unknown() -> None:
    silent = HOST.replace("boot-id e535ec5c-d87c-47c7-a2ff-84dd9fb55113\n", "")
    found = looking.shared(Host(before=read(silent), after=read(silent)), read(GUEST))
    assert (found["boot-id"], found["kernel-log"], found["kernel-release"]) == (None, None, False)
    assert looking.own_kernel(read(silent), read(GUEST)) is None
    assert looking.is_hosts_root(read(silent), read(GUEST)) is None
    assert looking.doors(read(silent), read(DOCKER)) is None


def test_an_idle_host_tells_nothing_by_its_load() -> None:
    idle = read(HOST.replace("load 1.292 1.081 0.859", "load 0.010 0.000 0.000"))
    assert looking.shared(Host(before=idle, after=idle), read(GUEST))["load"] is None


@pytest.mark.parametrize(("text", "same"), [("1.300", True), ("1.360", True), ("1.280", False), ("1.400", False)])
def test_load_lies_between_before_and_after(text: str, same: bool) -> None:
    inside = read(HOST.replace("load 1.292", f"load {text}"))
    assert looking.shared(host(), inside)["load"] is same


def test_a_guest_has_the_first_namespaces_numbers_and_is_not_in_the_hosts() -> None:
    assert read(GUEST).text("user-namespace") == read(HOST).text("user-namespace")
    assert looking.own_kernel(read(HOST), read(GUEST)) is True
    assert looking.same_namespace(read(HOST), read(GUEST), "user") is False
    assert looking.is_hosts_root(read(HOST), read(GUEST)) is False


def test_root_of_a_container_is_the_hosts_unless_it_has_a_user_namespace() -> None:
    assert looking.is_hosts_root(read(HOST), read(DOCKER)) is True
    own = DOCKER.replace("user:[4026531837]", "user:[4026532999]")
    assert looking.is_hosts_root(read(HOST), read(own)) is False
    assert looking.is_hosts_root(read(HOST), read(DOCKER.replace("user 0", "user 1000"))) is False


@pytest.mark.parametrize(
    ("inside", "init"),
    [
        (HOST, False),
        (DOCKER, False),
        (GUEST, False),
        (GUEST.replace("first-process agent", "first-process systemd"), True),
    ],
)
def test_an_init_counts_where_it_is_its_own(inside: str, init: bool) -> None:
    assert looking.has_init(read(HOST), read(inside)) is init


def test_a_port_is_opened_everywhere_only_in_a_network_of_its_own() -> None:
    assert looking.doors(read(HOST), read(DOCKER)) == ("0.0.0.0",)
    assert looking.doors(read(HOST), read(GUEST)) == ("0.0.0.0",)
    assert looking.doors(read(HOST), read(HOST)) == ("127.0.0.1", "172.29.98.1", "172.17.0.1")


def test_the_address_asked_is_opened_and_on_a_network_of_the_host() -> None:
    assert looking.own_address(read(HOST), read(DOCKER), ("0.0.0.0",)) == "172.29.98.2"
    assert looking.own_address(read(HOST), read(GUEST), ("0.0.0.0",)) == ""
    behind = read(f"{GUEST}address 10.0.2.15/24 eth0\n")
    assert looking.own_address(read(HOST), behind, ("0.0.0.0",)) == ""
    assert looking.own_address(read(HOST), read(HOST), ("127.0.0.1", "172.29.98.1")) == "172.29.98.1"


def test_the_hosts_other_addresses_are_asked_where_the_port_may_be_open() -> None:
    everywhere = ["192.0.2.2", "172.29.98.1", "172.17.0.1"]
    assert looking.other_addresses(read(HOST), ("0.0.0.0",)) == everywhere
    assert looking.other_addresses(read(HOST), ("127.0.0.1", "172.17.0.1")) == ["172.17.0.1"]
    assert looking.other_addresses(read(HOST), ("127.0.0.1",)) == []


def test_capabilities_are_counted_and_unknown_is_not_none_at_all() -> None:
    inside = read(DOCKER)
    assert (inside.capabilities("capabilities"), inside.capabilities("nobody-capabilities")) == (14, 0)
    assert read(GUEST).capabilities("nobody-capabilities") is None
    assert read(GUEST).number("writable-settings") is None


@pytest.mark.parametrize("text", ["", "error Permission denied\n"])
def test_nothing_told_is_a_failure(text: str) -> None:
    with pytest.raises(InstanceError):
        read(text)


def test_a_view_keeps_what_follows_the_first_blank() -> None:
    assert read("a b  c\nd\n") == View(values={"a": "b  c", "d": ""})
