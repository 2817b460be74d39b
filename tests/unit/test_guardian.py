"""The guardian sweeps what it was told of, nothing else, and whoever dies first."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.frames import CHOICE
from bench.running import leftovers, sweeper
from bench.running.guardian import Guardian
from bench.running.places import new_run_id, open_session
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def sleeper(**options: Any) -> subprocess.Popen[bytes]:
    """Start a process that would outlive the test."""
    return subprocess.Popen(["sleep", "60"], start_new_session=True, **options)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = sleeper()
    yield process
    process.kill()
    process.wait()


def take(*lines: str) -> sweeper.Watchlist:
    """Return a watch list that was told these lines, blanks for tabs."""
    watch = sweeper.Watchlist()
    for line in lines:
        watch.take(line.replace(" ", "\t"))
    return watch


@contextlib.contextmanager
def guarding(run_id: str) -> Iterator[Guardian]:
    """A guardian of this very process, swept at the end; it spares the children: they are other tests' engines."""
    guardian = Guardian(run_id, children=False)
    try:
        yield guardian
    finally:
        guardian.sweep()
        os.waitpid(guardian.pid, 0)


def test_a_guardian_that_spares_children_lets_them_live(child: subprocess.Popen[bytes]) -> None:
    with guarding(new_run_id()):
        pass
    assert child.poll() is None


def test_a_guardian_that_spares_nobody_takes_what_was_not_named(child: subprocess.Popen[bytes]) -> None:
    program = (
        "import subprocess\nfrom bench.running.guardian import Guardian\n"
        "guardian = Guardian('20261123-221450-a1b2c3')\nother = subprocess.Popen(['sleep', '60'])\n"
        "print(guardian.sweep() == [f'process sleep {other.pid}'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    assert child.poll() is None


def test_a_sweep_with_nothing_to_remove_says_nothing() -> None:
    guardian = Guardian(new_run_id(), children=False)
    assert guardian.sweep() == []
    os.waitpid(guardian.pid, 0)


def test_a_watched_process_is_swept_and_a_released_one_is_not(child: subprocess.Popen[bytes]) -> None:
    # The guardian sweeps its front process's children anyway, so the test watches on behalf of another process.
    program = (
        "import sys, time\nfrom bench.running.guardian import Guardian\nguardian = Guardian('20261123-221450-a1b2c3')\n"
        "for verb, pid in zip(sys.argv[1::2], sys.argv[2::2]):\n    getattr(guardian, verb)('process', pid)\n"
        "print(guardian.sweep())"
    )
    spared = sleeper()
    words = ["watch", str(spared.pid), "watch", str(child.pid), "release", str(spared.pid)]
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"process sleep {child.pid}" in done.stdout
    assert child.wait(5) == -signal.SIGKILL
    assert spared.poll() is None
    spared.kill()
    spared.wait()


def test_a_number_that_was_given_to_another_process_is_not_killed(child: subprocess.Popen[bytes]) -> None:
    started = int(sweeper.start_time(child.pid))
    watch = take(f"+ process {child.pid} {started - 1}")
    assert sweeper.doomed(watch, front=-1) == set()
    assert sweeper.doomed(take(f"+ process {child.pid} {started}"), front=-1) == {child.pid}


def test_descendants_go_with_a_watched_process() -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 61 & sleep 62 & wait"], start_new_session=True)
    assert until(lambda: len(psutil.Process(shell.pid).children()) == 2)
    watch = take(f"+ process {shell.pid} {sweeper.start_time(shell.pid)}")
    assert len(sweeper.doomed(watch, front=-1)) == 3
    sweeper.kill_all(watch, front=-1)
    shell.wait(5)
    assert sweeper.doomed(watch, front=-1) == set()


def test_a_process_is_known_by_the_runs_mark_in_its_environment() -> None:
    run_id = new_run_id()
    marked = sleeper(env={sweeper.MARK: run_id, "PATH": os.environ["PATH"]})
    other = sleeper(env={sweeper.MARK: run_id + "0", "PATH": os.environ["PATH"]})
    try:
        until(lambda: sweeper.doomed(take(f"+ marked {run_id}"), front=-1))
        assert sweeper.doomed(take(f"+ marked {run_id}"), front=-1) == {marked.pid}
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


def test_nobody_is_killed_that_the_sweeper_itself_descends_from() -> None:
    """As when somebody exported a run's mark in the shell in which they type `bench clean`."""
    run_id = new_run_id()
    program = (
        "import subprocess, sys\nfrom bench.running import sweeper\nwatch = sweeper.Watchlist()\n"
        "watch.take(f'+\\tmarked\\t{sys.argv[1]}')\nother = subprocess.Popen(['sleep', '60'])\n"
        "print(sweeper.kill_all(watch, -1) == [f'process sleep {other.pid}'])"
    )
    shell = ["sh", "-c", '"$@"; echo still here', "sh", sys.executable, "-c", program, run_id]
    environment = {**os.environ, sweeper.MARK: run_id}
    done = subprocess.run(shell, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["True", "still here", ""], done.stderr


def test_the_mark_is_not_what_chooses_the_run_of_a_notebook() -> None:
    assert sweeper.MARK != CHOICE


def test_only_folders_named_like_ours_are_removed(tmp_path: Path) -> None:
    ours, foreign = tmp_path / "bench-a1b2c3", tmp_path / "precious"
    for path in (ours, foreign):
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "file").touch()
    (ours / "link").symlink_to(foreign)
    (ours / "sub").chmod(0o500)
    for path in (ours, foreign, ours / ".." / "precious"):
        sweeper.remove_directory(str(path))
    assert not ours.exists()
    assert (foreign / "sub" / "file").exists()


def test_a_link_is_removed_and_what_is_behind_it_is_not(tmp_path: Path) -> None:
    ours, precious = tmp_path / "bench-a1b2c3", tmp_path / "precious"
    (precious / "sub").mkdir(parents=True)
    ours.mkdir()
    (ours / "link").symlink_to(precious)
    assert sweeper.remove_directory(str(ours / "link" / "sub")) == []
    assert (precious / "sub").exists()
    (tmp_path / "bench-link").symlink_to(precious)
    assert sweeper.remove_directory(str(tmp_path / "bench-link")) == [f"directory {tmp_path / 'bench-link'}"]
    assert (precious / "sub").exists()


def mounted(mount: list[str], folder: Path, *, detach: bool = True) -> str:
    """Mount and remove the folder in a namespace of its own, which needs no root; return what was said and is left."""
    program = (
        "import pathlib, subprocess, sys\nfrom bench.running import sweeper\n"
        f"subprocess.run({mount!r}, check=True)\n"
        + ("" if detach else "sweeper._mounts = lambda path: []\n")
        + "print(sweeper.remove_directory(sys.argv[1]), [p.name for p in pathlib.Path(sys.argv[1]).rglob('*')])"
    )
    words = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", program, str(folder)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("by_link", [False, True])
def test_mounts_are_detached_and_what_they_show_survives(tmp_path: Path, *, by_link: bool) -> None:
    ours, precious = tmp_path / "bench-a1b2c3", tmp_path / "precious"
    (ours / "a b").mkdir(parents=True)
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    named = tmp_path / "link" / ours.name if by_link else ours
    assert mounted(["mount", "--bind", str(precious), str(ours / "a b")], named) == f"{[f'directory {ours}']} []"
    assert not ours.exists()
    assert (precious / "file").exists()


def test_another_file_system_is_not_entered(tmp_path: Path) -> None:
    ours = tmp_path / "bench-a1b2c3"
    (ours / "disk").mkdir(parents=True)
    mount = ["sh", "-c", 'mount -t tmpfs none "$0" && touch "$0/file"', str(ours / "disk")]
    assert mounted(mount, ours, detach=False) == f"{[f'NOT REMOVED: directory {ours}']} ['disk', 'file']"


def test_a_guest_is_known_by_its_name_and_root() -> None:
    command = "/usr/bin/qemu-system-x86_64\0-name\0guest=bench-a1b2c3-4,debug-threads=on\0-S\0-mon\0/run/x/e\0"
    assert sweeper._is_guest(command, [("bench-a1b2c3-",)])
    assert sweeper._is_guest(command, [("bench-a1b2c3-", "/run/x")])
    assert not sweeper._is_guest(command, [("bench-a1b2c3-", "/run/y")])
    assert not sweeper._is_guest(command, [("bench-ffffff-",)])
    assert not sweeper._is_guest(command.replace("/usr/bin/qemu-system-x86_64", "/bin/sh"), [("bench-a1b2c3-",)])


class Engine(socketserver.ThreadingUnixStreamServer):
    """As much of the Docker Engine API as the sweep needs: lists by label, deletes."""

    def __init__(self, path: Path) -> None:
        self.objects = {
            ("containers", "c1"): "bench.run=r1",
            ("containers", "c2"): "bench.run=r2",
            ("images", "sha256:i1"): "bench.run=r1",
            ("images", "sha256:i2"): "bench.run=r2",
            ("networks", "n1"): "bench.run=r1",
            ("volumes", "v1"): "bench.run=r1",
        }
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Engine

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        from urllib.parse import parse_qs, urlsplit

        asked = urlsplit(self.path)
        kind = asked.path.split("/")[1]
        (label,) = json.loads(parse_qs(asked.query)["filters"][0])["label"]
        key = "Name" if kind == "volumes" else "Id"
        found: Any = [
            {key: n, "Labels": {"bench.run": held.partition("=")[2]}}
            for (k, n), held in self.server.objects.items()
            if k == kind and label in (held, "bench.run")
        ]
        self._answer(200, {"Volumes": found} if kind == "volumes" else found)

    def do_DELETE(self) -> None:
        _, kind, name = self.path.partition("?")[0].split("/")
        found = self.server.objects.pop((kind, name), None)
        # Of an image it tells which of its names and layers are gone.
        self._answer(404 if found is None else 200 if kind == "images" else 204, None)

    def _answer(self, status: int, content: Any) -> None:
        self.send_response(status)
        self.end_headers()
        if content is not None:
            self.wfile.write(json.dumps(content).encode())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "s")
    yield made
    made.shutdown()
    made.server_close()


def test_whatever_an_engine_holds_of_one_run_is_removed(engine: Engine) -> None:
    removed = sweeper.remove_containers(str(engine.server_address), "bench.run=r1")
    assert removed == ["container c1", "image i1", "network n1", "volume v1"]
    assert list(engine.objects) == [("containers", "c2"), ("images", "sha256:i2")]


@pytest.mark.parametrize("place", ["usual", "DOCKER_HOST", "XDG_RUNTIME_DIR"])
def test_clean_sees_what_dead_runs_left_in_an_engine_and_spares_living_ones(
    engine: Engine, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = Path(str(engine.server_address))
    monkeypatch.setattr("bench.running.leftovers.runtime_bases", list)
    monkeypatch.setattr(leftovers, "_SOCKETS", (str(socket),) if place == "usual" else ())
    for name in ("DOCKER_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    if place == "DOCKER_HOST":
        monkeypatch.setenv(place, f"unix://{socket}")
    elif place == "XDG_RUNTIME_DIR":
        socket.rename(tmp_path / "docker.sock")
        monkeypatch.setenv(place, str(tmp_path))
    dead, living = "20261123-221450-0d0d0d", "20261123-221450-a11a11"
    engine.objects = {("images", "sha256:i1"): f"bench.run={dead}", ("images", "sha256:i2"): f"bench.run={living}"}
    # Of another user's run nothing can be seen but its guardian.
    with guarding(living):
        # A program that is just being started has no words yet.
        until(lambda: "a11a11" in leftovers._guarded())
        (found,) = leftovers.find(tmp_path)
        assert found.entry[0] == "containers"
        assert found.entry[2] == f"bench.run={dead}"
        assert leftovers.remove([found]) == ["image i1"]
        assert list(engine.objects) == [("images", "sha256:i2")]
    assert [item.entry[2] for item in leftovers.find(tmp_path)] == [f"bench.run={living}"]


def test_a_run_may_end_while_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.running.leftovers.runtime_bases", lambda: [tmp_path])
    monkeypatch.setattr(leftovers, "_SOCKETS", ())
    folder, real = tmp_path / "bench-0c0c0c", leftovers._words
    folder.mkdir()

    def ends(path: Path) -> list[str]:
        if folder.is_dir():
            folder.rmdir()
        return real(path)

    monkeypatch.setattr(leftovers, "_words", ends)
    assert leftovers.find(tmp_path) == []
    assert not folder.exists()


def test_a_run_is_alive_whose_owner_file_is_still_empty_or_lies_with_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for base in (mine, theirs):
        base.mkdir()
    monkeypatch.setattr("bench.running.leftovers.runtime_bases", lambda: [mine])
    monkeypatch.setattr(leftovers, "_SOCKETS", ())
    monkeypatch.setattr(leftovers, "_ELSEWHERE", (str(theirs.relative_to("/")),))
    young, known = mine / "bench-0a0a0a", mine / "bench-0b0b0b"
    for folder in (young, known, theirs / "bench-0b0b0b"):
        folder.mkdir()
    (young / "owner").touch()
    (known / "owner").write_text("999999999\t1\t20261123-221450-0b0b0b\n")
    owner = f"{child.pid}\t{sweeper.start_time(child.pid)}\t20261123-221450-0b0b0b\n"
    (theirs / "bench-0b0b0b" / "owner").write_text(owner)
    assert leftovers.find(mine) == []
    (theirs / "bench-0b0b0b" / "owner").write_text("")
    os.utime(theirs / "bench-0b0b0b", (0, 0))
    os.utime(young, (0, 0))
    assert [item.entry for item in leftovers.find(mine)] == [("directory", str(young)), ("directory", str(known))]


def test_an_engine_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    assert sweeper.remove_containers(str(tmp_path / "nobody"), "bench.run=r1") == []


def test_words_that_would_break_the_protocol_are_refused() -> None:
    with guarding(new_run_id()) as guardian, pytest.raises(ValueError, match="cannot be told"):
        guardian.watch("directory", "/run/bench-x\n-\tdirectory\t/")


def test_lines_without_sense_are_ignored() -> None:
    assert take("", "+", "+ x", "nonsense", "- directory /y").entries == {}


def test_clean_finds_the_journal_of_a_dead_run_and_not_that_of_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    base, scratch = tmp_path / "run", tmp_path / "scratch"
    base.mkdir()
    scratch.mkdir()
    monkeypatch.setattr("bench.running.leftovers.runtime_bases", lambda: [base])
    monkeypatch.setattr("bench.running.places.runtime_bases", lambda: [base])
    monkeypatch.setattr(leftovers, "_SOCKETS", ())
    with open_session(new_run_id(), scratch=scratch) as alive:
        dead = base / "bench-0d0d0d"
        dead.mkdir()
        started = sweeper.start_time(child.pid)
        (dead / "owner").write_text("999999999\t1\t20261123-221450-0d0d0d\n")
        (dead / "journal").write_text(
            f"front\t999999999\t1\t20261123-221450-0d0d0d\n+\tprocess\t{child.pid}\t{started}\n+\tdirectory\t{dead}\n"
        )
        found = leftovers.find(scratch)
        assert {item.entry[0] for item in found} == {"process", "directory"}
        assert not any(str(alive.directory) in item.text or str(alive.scratch) in item.text for item in found)
        removed = leftovers.remove(found)
        assert f"process sleep {child.pid}" in removed
        assert not dead.exists()
        assert leftovers.find(scratch) == []
        assert alive.directory.exists()
    assert not alive.directory.exists()
    assert not alive.scratch.exists()
