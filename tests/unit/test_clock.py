"""The clock: stamps, marks that arrive in pieces, commands, hanging up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.clock import Channel, Console, Event, Timeline
from bench.errors import InstanceDied, StartTimeout
from tests.waiting import until


class Peer:
    """The other end of a channel: what an agent would be."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5.0)
        self.socket.connect(str(path))

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def hear(self) -> bytes:
        """Return what arrives next."""
        return self.socket.recv(4096)


@pytest.fixture
def connect() -> Iterator[Callable[[Path], Peer]]:
    """Connects peers, and hangs them all up at the end."""
    with contextlib.ExitStack() as stack:

        def connected(path: Path) -> Peer:
            peer = Peer(path)
            stack.callback(peer.socket.close)
            return peer

        yield connected


Connect = Callable[[Path], Peer]


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture
def channel(tmp_path: Path, timeline: Timeline) -> Iterator[Channel]:
    opened = Channel(tmp_path / "c", timeline, "abc")
    yield opened
    opened.close()


def settled(timeline: Timeline, event: Event) -> int:
    assert timeline.wait(event, 5.0), f"no {event}"
    stamp = timeline.at(event)
    assert stamp is not None
    return stamp


def test_the_first_stamp_stands(timeline: Timeline) -> None:
    assert timeline.stamp(Event.INIT, 5) == 5
    assert timeline.stamp(Event.INIT, 3) == 5
    assert timeline.seconds(Event.INIT, Event.READY) is None
    timeline.stamp(Event.READY, 2_000_000_005, slack_ns=500)
    assert timeline.seconds(Event.INIT, Event.READY) == 2.0
    assert timeline.slack(Event.READY) == pytest.approx(5e-7)
    assert timeline.slack(Event.STOPPED) == 0.0


def test_a_mark_is_stamped_at_its_first_byte(connect: Connect, channel: Channel, timeline: Timeline) -> None:
    peer = connect(channel.path)
    before = time.monotonic_ns()
    peer.say(b"IN")
    time.sleep(0.2)
    between = time.monotonic_ns()
    peer.say(b"IT abc\r\n")
    assert before < settled(timeline, Event.INIT) < between


def test_marks_of_others_and_noise_are_ignored(connect: Connect, channel: Channel, timeline: Timeline) -> None:
    peer = connect(channel.path)
    peer.say(b"INIT other\nREADY\n\xff\xfe junk\nREADY abc 1500\n")
    settled(timeline, Event.READY)
    assert timeline.at(Event.INIT) is None
    assert timeline.slack(Event.READY) == pytest.approx(1.5e-6)


def test_a_command_and_its_output_in_pieces(connect: Connect, channel: Channel, timeline: Timeline) -> None:
    peer = connect(channel.path)
    peer.say(b"INIT abc\n")
    settled(timeline, Event.INIT)

    def answer() -> None:
        _, name, *command = peer.hear().decode().split()
        assert command == ["echo", "x"]
        peer.say(f"DONE {name} 3 9\n".encode() + b"a\nREADY")
        time.sleep(0.05)
        peer.say(b" \n" + b"READY abc\n")

    thread = threading.Thread(target=answer)
    thread.start()
    assert channel.run("echo x", 5.0) == (3, b"a\nREADY \n")
    thread.join()
    settled(timeline, Event.READY)


def test_no_answer_and_no_agent(connect: Connect, channel: Channel, timeline: Timeline) -> None:
    with pytest.raises(InstanceDied, match="no agent is connected"):
        channel.run("true", 1.0)
    peer = connect(channel.path)
    peer.say(b"INIT abc\n")
    settled(timeline, Event.INIT)
    with pytest.raises(StartTimeout, match=r"no answer within 0\.05 s"):
        channel.run("sleep", 0.05)
    threading.Timer(0.05, peer.socket.close).start()
    with pytest.raises(InstanceDied, match="went away"):
        channel.run("sleep", 5.0)
    assert channel.closed.is_set()


def test_a_greeting_is_sent_to_who_connects(connect: Connect, tmp_path: Path, timeline: Timeline) -> None:
    channel = Channel(tmp_path / "g", timeline, "n1", greeting="PING n1")
    assert connect(channel.path).hear() == b"PING n1\n"
    channel.close()
    assert not channel.path.exists()


def test_the_console_stamps_the_kernel_and_keeps_a_clean_tail(
    connect: Connect, tmp_path: Path, timeline: Timeline
) -> None:
    console = Console(tmp_path / "k", timeline)
    peer = connect(console.path)
    peer.say(b"Linux version\r\n\r\n\x1b[31mpanic\r\n")
    settled(timeline, Event.KERNEL)
    until(lambda: "panic" in console.tail())
    assert console.tail() == "Linux version\n?[31mpanic"
    assert console.tail(1) == "?[31mpanic"
    console.close()
