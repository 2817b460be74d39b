"""The guardian sweeps what it was told of, nothing else, and whoever dies first."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import leftovers, sweeper
from bench.guardian import Guardian
from bench.places import new_run_id, open_session

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


def test_it_starts_within_a_blink() -> None:
    began = time.monotonic()
    guardian = Guardian("20261123-221450-a1b2c3")
    said = guardian.sweep()
    os.waitpid(guardian.pid, 0)
    assert said == []
    assert time.monotonic() - began < 1.0


def test_a_watched_process_is_swept_and_a_released_one_is_not(child: subprocess.Popen[bytes]) -> None:
    # The guardian sweeps its front process's children anyway, so the test watches on behalf of another process.
    program = (
        "import sys, time\nfrom bench.guardian import Guardian\nguardian = Guardian('20261123-221450-a1b2c3')\n"
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
    time.sleep(0.2)
    watch = take(f"+ process {shell.pid} {sweeper.start_time(shell.pid)}")
    assert len(sweeper.doomed(watch, front=-1)) == 3
    sweeper.kill_all(watch, front=-1)
    shell.wait(5)
    assert sweeper.doomed(watch, front=-1) == set()


def test_a_process_is_known_by_the_runs_mark_in_its_environment() -> None:
    run_id = new_run_id()
    marked = sleeper(env={sweeper.MARK: run_id, "PATH": os.environ["PATH"]})
    other = sleeper(env={sweeper.MARK: run_id + "0", "PATH": os.environ["PATH"]})
    time.sleep(0.1)
    try:
        assert sweeper.doomed(take(f"+ marked {run_id}"), front=-1) == {marked.pid}
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


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


def test_mounts_are_detached_and_what_they_show_survives(tmp_path: Path) -> None:
    """In a namespace of its own, so that it needs no root and leaves no mount behind."""
    ours, precious = tmp_path / "bench-a1b2c3", tmp_path / "precious"
    (ours / "a b").mkdir(parents=True)
    precious.mkdir()
    (precious / "file").touch()
    program = (
        "import subprocess, sys\nfrom bench import sweeper\n"
        "subprocess.run(['mount', '--bind', sys.argv[1], sys.argv[2] + '/a b'], check=True)\n"
        "print(sweeper.remove_directory(sys.argv[2]))"
    )
    words = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", program, str(precious), str(ours)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([f"directory {ours}"])
    assert not ours.exists()
    assert (precious / "file").exists()


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
        self._answer(204 if self.server.objects.pop((kind, name), None) else 404, None)

    def _answer(self, status: int, content: Any) -> None:
        self.send_response(status)
        self.end_headers()
        if content is not None:
            self.wfile.write(json.dumps(content).encode())


def test_containers_networks_and_volumes_of_one_run_are_removed(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "s")
    removed = sweeper.remove_containers(str(tmp_path / "s"), "bench.run=r1")
    engine.shutdown()
    engine.server_close()
    assert removed == ["container c1", "network n1", "volume v1"]
    assert list(engine.objects) == [("containers", "c2")]


def test_an_engine_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    assert sweeper.remove_containers(str(tmp_path / "nobody"), "bench.run=r1") == []


def test_words_that_would_break_the_protocol_are_refused() -> None:
    guardian = Guardian(new_run_id())
    try:
        with pytest.raises(ValueError, match="cannot be told"):
            guardian.watch("directory", "/run/bench-x\n-\tdirectory\t/")
    finally:
        guardian.sweep()
        os.waitpid(guardian.pid, 0)


def test_lines_without_sense_are_ignored() -> None:
    assert take("", "+", "+ x", "nonsense", "- directory /y").entries == {}


def test_clean_finds_the_journal_of_a_dead_run_and_not_that_of_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    base, scratch = tmp_path / "run", tmp_path / "scratch"
    base.mkdir()
    scratch.mkdir()
    monkeypatch.setattr("bench.leftovers.runtime_bases", lambda: [base])
    monkeypatch.setattr("bench.places.runtime_bases", lambda: [base])
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
