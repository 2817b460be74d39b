"""What an instance sees and reaches of what is outside it: by looking, not by timing.

One small program (bench/rootfs/agent/look.c) is handed to an instance, to its neighbour and to the host, and what it
finds inside is compared with what is so outside. All that is looked for was planted for the trial and goes with it: a
file, a process with a secret in its memory, a port that answers with a word. Every search is given something inside
that it must find; if it does not, the answer is `failed`, not 0.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.backends.base import Instance
from bench.clock import Event
from bench.errors import InstanceError
from bench.probes import looking
from bench.probes.base import Workbench, run_inside, status_of
from bench.probes.looking import Host, View
from bench.rootfs.agent import look_binary
from bench.sample import Sample, Status

BACKDOOR = 31337
"""The port of the article's backdoor."""

WAYS = ("proc-mem", "ptrace", "process_vm_readv")
"""How the memory of another process is read: proc_pid_mem(5), ptrace(2), process_vm_readv(2)."""

_LOOK_S = 60.0
_CONNECT_S = 2.0
_CHUNK = 32_000
"""Characters handed over at once: the agent takes lines of up to 64 KiB."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A process with a secret: its number as it sees itself, where the secret lies, and the secret in hexadecimal."""

    pid: str
    address: str
    content: str


class Lookout:
    """The program inside an instance."""

    def __init__(self, instance: Instance, program: bytes) -> None:
        self.instance = instance
        self._path = f"/tmp/look-{instance.name}"  # noqa: S108  # inside the instance
        text = base64.b64encode(gzip.compress(program, mtime=0)).decode("ascii")
        for start in range(0, len(text), _CHUNK):
            self.shell(f"printf %s {text[start : start + _CHUNK]} >> {self._path}.z")
        path = self._path
        self.shell(f"base64 -d {path}.z | gzip -d > {path} && chmod 700 {path} && rm {path}.z")

    def shell(self, command: str) -> str:
        """Run a command inside; return what it printed.

        Raises:
            InstanceError: it failed, or the instance did.
        """
        return run_inside(self.instance, command, _LOOK_S)

    def look(self, *words: str) -> View:
        """Look around inside."""
        return looking.read(self.shell(" ".join((self._path, *words))))

    def hold(self, word: str) -> Secret:
        """Start a process with a secret inside."""
        return Secret(*self.shell(f"{self._path} hold {word}").split())

    def leave(self) -> None:
        """Remove the program: some subjects share one root directory."""
        with contextlib.suppress(InstanceError):
            self.shell(f"rm -f {self._path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything one trial looks at.

    Attributes:
        program: look, for the host's own use.
        word: what names the planted things; nobody else has it.
        marker: the file on the host, outside every instance.
        secret: the process on the host.
        host: what the host tells of itself; `inside`: what the instance does.
    """

    bench: Workbench
    program: Path
    word: str
    marker: Path
    secret: Secret
    instance: Lookout
    neighbour: Lookout
    host: Host
    inside: View


def isolation(bench: Workbench) -> Iterator[Sample]:
    """Start an instance and its neighbour, plant, look, ask; at last kill the instance and see to the neighbour."""
    program, word = look_binary(bench.session.cache), f"bench{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        live = [stack.enter_context(bench.launched()) for _ in range(2)]
        for instance in live:
            bench.wait(instance, Event.READY)
        lookouts = [Lookout(instance, program.read_bytes()) for instance in live]
        for lookout in lookouts:
            stack.callback(lookout.leave)
        marker = stack.enter_context(_planted_file(bench.session.scratch, word))
        secret = stack.enter_context(_planted_process(program, word))
        before = _on_host(program, word)
        inside = lookouts[0].look("facts", word[::-1])
        host = Host(before=before, after=_on_host(program, word), log=_kernel_log(program))
        scene = Scene(
            bench=bench, program=program, word=word, marker=marker, secret=secret, instance=lookouts[0],
            neighbour=lookouts[1], host=host, inside=inside,
        )  # fmt: skip
        for metrics, ask in QUESTIONS.items():
            try:
                yield from ask(scene)
            except InstanceError as error:
                yield from (bench.missing(name, error.message, status_of(error)) for name in metrics)


def _facts(scene: Scene) -> Iterator[Sample]:
    """Yield which facts of the host can be read inside, and whose kernel runs there."""
    yield from _parts(scene.bench, "host-facts", looking.shared(scene.host, scene.inside))
    yield _yes_or_no(scene.bench, "own-kernel", answer=looking.own_kernel(scene.host.before, scene.inside))


def _rights(scene: Scene) -> Iterator[Sample]:
    """Yield what root inside may do, and what is left to a program inside that is not root."""
    bench, inside = scene.bench, scene.inside
    yield _yes_or_no(bench, "root-is-hosts", answer=looking.is_hosts_root(scene.host.before, inside))
    yield bench.sample("capabilities", inside.capabilities("capabilities"))
    yield bench.sample("capabilities-bounding", inside.capabilities("capabilities-bounding"))
    refused = inside.text("nobody-error")
    if refused:
        yield bench.missing("capabilities-nobody", f"inside there is no user but root: {refused}")
    else:
        yield bench.sample("capabilities-nobody", inside.capabilities("nobody-capabilities"))
    for name in ("seccomp", "no-new-privileges", "writable-settings"):
        yield bench.sample(name, inside.number(name))


def _files(scene: Scene) -> Iterator[Sample]:
    """Yield the ways by which the host's file was found, and what else of files the search met."""
    bench, own = scene.bench, f"own-{scene.word}"
    place = f"/tmp/{own}"  # noqa: S108  # inside the instance
    scene.instance.shell(f"echo found > {place}")
    try:
        found = scene.instance.look("files", own, str(scene.marker))
    finally:
        scene.instance.shell(f"rm -f {place}")
    if found.text("own-found") == "0":
        raise InstanceError("the search inside did not even find the file that was planted there for it")
    ways = {way: found.text(way) == "1" for way in ("scan", "process-root", "second-root")}
    yield from _parts(bench, "host-file", ways)
    for name in ("mounts", "devices", "userland-files", "userland-bytes"):
        yield bench.sample(name, found.number(name))


def _system(scene: Scene) -> Iterator[Sample]:
    """Yield how much of an operating system is at work inside."""
    yield scene.bench.sample("processes", scene.inside.number("processes"))
    yield _yes_or_no(scene.bench, "init", answer=looking.has_init(scene.host.before, scene.inside))


def _memory(scene: Scene) -> Iterator[Sample]:
    """Yield the ways by which the secret of a process on the host, and of one of the neighbour's, was read."""
    yield from _parts(scene.bench, "host-memory", _read_ways(scene, scene.secret))
    held = scene.neighbour.hold(f"held-{scene.word}")
    # By the number the host knows it by: the instance has no other, unless it sees the neighbour's own.
    numbers = dict.fromkeys([*_numbers(f"held-{scene.word}"), held.pid])
    tried = [_read_ways(scene, Secret(pid, held.address, held.content)) for pid in numbers]
    yield from _parts(scene.bench, "neighbour-memory", {way: any(one[way] for one in tried) for way in WAYS})


def _read_ways(scene: Scene, secret: Secret) -> Mapping[str, bool | None]:
    read = scene.instance.look("memory", secret.pid, secret.address)
    return {way: read.text(way) == secret.content for way in WAYS}


def _port(scene: Scene) -> Iterator[Sample]:
    """Yield from where a port that is opened inside is reached; our backdoor is open to nobody beyond this host."""
    bench, before = scene.bench, scene.host.before
    opened = looking.doors(before, scene.inside)
    refused = _opened(scene, opened)
    if opened is None or refused:
        yield bench.missing("port-reached", refused)
        return
    if _answer_inside(scene.instance, "127.0.0.1") != scene.word:
        raise InstanceError("the port that was opened inside does not even answer inside")
    address, others = looking.own_address(before, scene.inside, opened), looking.other_addresses(before, opened)
    reached: dict[str, bool | None] = dict.fromkeys(("address", "neighbour"))
    if address:
        reached["address"] = _answer(address) == scene.word
        reached["neighbour"] = _answer_inside(scene.neighbour, address) == scene.word
    reached["host-loopback"] = _answer("127.0.0.1") == scene.word
    reached["host-addresses"] = any(_answer(ip) == scene.word for ip in others) if others else None
    yield from _parts(bench, "port-reached", reached, "there is no address by which the host could reach it")


def _opened(scene: Scene, addresses: tuple[str, ...] | None) -> str:
    """Open the port inside; return why that cannot be, or "".

    Raises:
        InstanceError: it should have been possible.
    """
    if addresses is None:
        return "it cannot be told whose network this is, so no port is opened on it"
    try:
        scene.instance.look("listen", str(BACKDOOR), scene.word, *addresses)
    except InstanceError as error:
        if "in use" in error.message:
            return f"somebody listens on port {BACKDOOR} of that network already"
        raise
    return ""


def _answer_inside(place: Lookout, address: str) -> str:
    try:
        return place.look("connect", address, str(BACKDOOR)).text("answer")
    except InstanceError:  # refused, or no way there
        return ""


def _answer(address: str) -> str:
    """Return what answers the host on the port: a connection alone proves nothing."""
    try:
        with socket.create_connection((address, BACKDOOR), _CONNECT_S) as peer:
            peer.settimeout(_CONNECT_S)
            return peer.recv(128).decode("ascii", "replace")
    except OSError:
        return ""


def _failure(scene: Scene) -> Iterator[Sample]:
    """Kill the instance; yield whether its neighbour still lives and answers."""
    neighbour = scene.neighbour
    scene.instance.leave()
    scene.instance.instance.stop()
    alive = neighbour.instance.alive()
    answered = alive and neighbour.shell("echo here").strip() == "here"
    yield _yes_or_no(scene.bench, "neighbour-unharmed", answer=answered)


Question = Callable[[Scene], Iterator[Sample]]

QUESTIONS: Mapping[tuple[str, ...], Question] = {
    ("host-facts", "own-kernel"): _facts,
    ("root-is-hosts", "capabilities", "capabilities-bounding", "capabilities-nobody", "seccomp",
     "no-new-privileges", "writable-settings"): _rights,
    ("host-file", "mounts", "devices", "userland-files", "userland-bytes"): _files,
    ("processes", "init"): _system,
    ("host-memory", "neighbour-memory"): _memory,
    ("port-reached",): _port,
    ("neighbour-unharmed",): _failure,
}  # fmt: skip
"""What is asked, by the metrics it gives; the last one ends the instance."""


def _parts(
    bench: Workbench, metric: str, found: Mapping[str, bool | None], unknown: str = "this host does not tell"
) -> Iterator[Sample]:
    """Yield 1 or 0 for every part, and how many are 1; a part that is not known has its reason and is not counted."""
    for part, value in found.items():
        if value is None:
            yield bench.missing(metric, unknown, Status.UNSUPPORTED, part=part)
        else:
            yield bench.sample(metric, float(value), part=part)
    yield bench.sample(metric, float(sum(value is True for value in found.values())), part="total")


def _yes_or_no(bench: Workbench, metric: str, *, answer: bool | None) -> Sample:
    return bench.sample(metric, None if answer is None else float(answer))


@contextlib.contextmanager
def _planted_file(directory: Path, word: str) -> Iterator[Path]:
    """Put a file on the host that everybody may read, outside every instance's root directory."""
    place = directory / f"marker-{word}"
    place.mkdir(mode=0o755)
    marker = place / word
    marker.write_text("found\n", "ascii")
    try:
        yield marker.resolve()
    finally:
        marker.unlink(missing_ok=True)
        place.rmdir()


@contextlib.contextmanager
def _planted_process(program: Path, word: str) -> Iterator[Secret]:
    """Run a process with a secret on the host."""
    with subprocess.Popen([str(program), "hold", word, "stay"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Secret(*(process.stdout.readline() if process.stdout else "").split())
        finally:
            process.kill()


def _on_host(program: Path, word: str) -> View:
    """Look around on the host."""
    done = subprocess.run(
        [str(program), "facts", word[::-1]], capture_output=True, text=True, timeout=_LOOK_S, check=True
    )
    return looking.read(done.stdout)


def _kernel_log(program: Path) -> frozenset[str]:
    """Return the messages of the host's kernel; none where it does not tell them to us."""
    done = subprocess.run([str(program), "log"], capture_output=True, timeout=_LOOK_S, check=True)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return frozenset(line.partition(" ")[2].strip() for line in lines)


def _numbers(word: str) -> list[str]:
    """Return the host's numbers of the processes that have this word on their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in place.read_bytes().split(b"\0"):
                found.append(place.parent.name)
    return found
