"""The clock: the named events every instance yields, and the listener that stamps them.

All stamps are the host's CLOCK_MONOTONIC in nanoseconds, taken when the mark reaches the host.
A guest's clock is never read. How a mark travels: one AF_UNIX listener per instance, opened and
threaded before the start call; a container gets the socket bind-mounted, a VM writes to a serial
port whose other end QEMU connects to that same socket.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from enum import StrEnum
from pathlib import Path

from bench.errors import InstanceDied, StartTimeout


class Event(StrEnum):
    """The instants of an instance's life, in the order in which they can happen."""

    REQUESTED = "requested"
    """The call that asks for the instance is about to be made."""
    CREATED = "created"
    """The backend has defined it (docker create, the domain is defined, the OCI bundle is created)."""
    STARTED = "started"
    """The backend says that it runs (docker start returned, the domain's create returned)."""
    KERNEL = "kernel"
    """The first byte of the guest kernel on its console. VMs only."""
    INIT = "init"
    """The first userland instruction's mark: the agent's INIT line."""
    READY = "ready"
    """The workload answered: the agent saw its HTTP 200, or is itself the workload."""
    STOPPING = "stopping"
    """The call that ends the instance is about to be made."""
    STOPPED = "stopped"
    """The instance's last process is gone."""
    REMOVED = "removed"
    """The backend has forgotten it: the remove call returned."""


class Timeline:
    """The stamps of one instance. The first stamp of an event stands; threads may write at once."""

    def __init__(self) -> None:
        self._stamps: dict[Event, int] = {}
        self._slack_ns: dict[Event, int] = {}
        self._changed = threading.Condition()

    def stamp(self, event: Event, at_ns: int | None = None, slack_ns: int = 0) -> int:
        """Record an event, now or at the given CLOCK_MONOTONIC nanosecond; return the stamp that stands.

        Args:
            event: what happened.
            at_ns: when; None for now.
            slack_ns: how much earlier it may have been, for what is seen by asking again and again.
        """
        at_ns = time.monotonic_ns() if at_ns is None else at_ns
        with self._changed:
            if event not in self._stamps:
                self._slack_ns[event] = slack_ns
            standing = self._stamps.setdefault(event, at_ns)
            self._changed.notify_all()
        return standing

    def at(self, event: Event) -> int | None:
        """Return the event's stamp in nanoseconds, or None if it has not happened."""
        return self._stamps.get(event)

    def seconds(self, start: Event, end: Event) -> float | None:
        """Return t(end) - t(start) in seconds, or None if either is missing."""
        first, last = self.at(start), self.at(end)
        return None if first is None or last is None else (last - first) / 1e9

    def slack(self, event: Event) -> float:
        """Return how much earlier than its stamp the event may have been, seconds."""
        return self._slack_ns.get(event, 0) / 1e9

    def wait(self, event: Event, timeout_s: float) -> bool:
        """Wait until the event is stamped; False when the time is up first."""
        with self._changed:
            return self._changed.wait_for(lambda: event in self._stamps, timeout_s)

    def as_dict(self) -> dict[str, int]:
        """Return all stamps, nanoseconds by event name."""
        return {str(e): ns for e, ns in sorted(self._stamps.items(), key=lambda item: item[1])}


class Listener:
    """One AF_UNIX listener with one peer and a thread that reads it.

    Args:
        path: where to listen; at most 107 bytes (sun_path, unix(7)).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = threading.Event()
        """Set when the peer has hung up: the agent, or the QEMU that carried it, is gone."""
        self._peer: socket.socket | None = None
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        # The peer may be another user: an engine with user namespaces, or QEMU as libvirt-qemu.
        path.chmod(0o666)
        self._server.listen(1)
        self._thread = threading.Thread(target=self._serve, name=path.name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            peer, _ = self._server.accept()
        except OSError:
            return
        self._peer = peer
        with peer, contextlib.suppress(OSError):
            self._greet(peer)
            while data := peer.recv(65536):
                self._receive(data, time.monotonic_ns())
        self._peer = None
        self.closed.set()
        self._hung_up()

    def _greet(self, peer: socket.socket) -> None:
        """Say something to the peer that just connected."""

    def _receive(self, data: bytes, now_ns: int) -> None:
        """Take bytes that arrived at the given instant."""
        raise NotImplementedError

    def _hung_up(self) -> None:
        """Wake whoever waits for an answer that will not come."""

    def close(self) -> None:
        """Stop listening, hang up and remove the socket."""
        for end in (self._server, self._peer):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.path.unlink(missing_ok=True)
        self._thread.join(timeout=1.0)


class Channel(Listener):
    """The listener an instance's agent talks to: stamps its marks, carries requests to it.

    Lines from the agent: `INIT <nonce>`, `READY <nonce> <ns>` (so many nanoseconds before, the workload did not
    answer yet), and `DONE <id> <exit code> <bytes>` followed by so many bytes of output. Lines to the agent:
    `PING <nonce>` (ask the workload again, then say READY) and `RUN <id> <shell command>`.

    Args:
        path: where to listen.
        timeline: receives INIT and READY, stamped when the first byte of their line arrived.
        nonce: marks that carry another nonce are ignored: they are another instance's.
        greeting: sent as soon as the peer connects (a restored guest is asked to say that it lives).
    """

    def __init__(self, path: Path, timeline: Timeline, nonce: str, greeting: str = "") -> None:
        self.follow(timeline, nonce)
        self._greeting = greeting
        self._buffer = b""
        self._line_began_ns = 0
        self._reply: tuple[str, int, int] | None = None
        self._replies: dict[str, tuple[int, bytes]] = {}
        self._changed = threading.Condition()
        super().__init__(path)

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """Stamp the marks that carry this nonce on this timeline from now on: it runs on, or is asked anew."""
        # One assignment: the thread that reads the socket sees both or neither.
        self._marks = {f"{e.name} {nonce}".encode(): (timeline, e) for e in (Event.INIT, Event.READY)}

    def _greet(self, peer: socket.socket) -> None:
        if self._greeting:
            peer.sendall(self._greeting.encode() + b"\n")

    def _receive(self, data: bytes, now_ns: int) -> None:
        if not self._buffer:
            self._line_began_ns = now_ns
        self._buffer += data
        while self._take_reply() or self._take_line(now_ns):
            pass

    def _take_line(self, now_ns: int) -> bool:
        """Consume one whole line; False when there is none."""
        if self._reply is not None or b"\n" not in self._buffer:
            return False
        line, _, self._buffer = self._buffer.partition(b"\n")
        words = line.split()
        mark = self._marks.get(b" ".join(words[:2]))
        if mark is not None:
            timeline, event = mark
            slack_ns = int(words[2]) if len(words) > 2 and words[2].isdigit() else 0
            timeline.stamp(event, self._line_began_ns, slack_ns)
        elif len(words) == 4 and words[0] == b"DONE":
            self._reply = (words[1].decode(), int(words[2]), int(words[3]))
        self._line_began_ns = now_ns
        return True

    def _take_reply(self) -> bool:
        """Consume the output that a DONE line announced; False while it is not whole."""
        if self._reply is None or len(self._buffer) < self._reply[2]:
            return False
        name, code, size = self._reply
        output, self._buffer, self._reply = self._buffer[:size], self._buffer[size:], None
        with self._changed:
            self._replies[name] = (code, output)
            self._changed.notify_all()
        return True

    def _hung_up(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def send(self, line: str) -> bool:
        """Send one line to the agent; False if nobody is connected."""
        peer = self._peer
        if peer is None:
            return False
        try:
            peer.sendall(line.encode() + b"\n")
        except OSError:
            return False
        return True

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        """Run a shell command inside the instance; return (exit code, standard output and error together).

        Raises:
            InstanceDied: the agent is not there or went away.
            StartTimeout: no answer in time.
            ValueError: the command is more than one line.
        """
        if "\n" in command:
            raise ValueError("a command is one line")
        name = f"{time.monotonic_ns():x}"
        if not self.send(f"RUN {name} {command}"):
            raise InstanceDied(f"no agent is connected that could run: {command}")
        with self._changed:
            self._changed.wait_for(lambda: name in self._replies or self.closed.is_set(), timeout_s)
            if name in self._replies:
                return self._replies.pop(name)
        if self.closed.is_set():
            raise InstanceDied(f"the agent went away during: {command}")
        raise StartTimeout(f"no answer within {timeout_s:g} s to: {command}")


class Console(Listener):
    """The listener of a guest's console: stamps KERNEL at its first byte and keeps the tail for the reason."""

    _KEPT = 16384

    def __init__(self, path: Path, timeline: Timeline) -> None:
        self._timeline = timeline
        self._kept = b""
        super().__init__(path)

    def _receive(self, data: bytes, now_ns: int) -> None:
        self._timeline.stamp(Event.KERNEL, now_ns)
        self._kept = (self._kept + data)[-self._KEPT :]

    def tail(self, lines: int = 5) -> str:
        """Return the last lines that are not blank, control characters replaced."""
        text = self._kept.decode("utf-8", "replace").replace("\r", "")
        clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
        return "\n".join([line for line in clean.splitlines() if line.strip()][-lines:])
