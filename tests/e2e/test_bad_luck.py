"""What can go wrong under a run of real engines: the message, what is kept, what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import read_run
from bench.errors import ExitCode
from tests.e2e.leftovers import left_behind, still_there

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 240


class Running:
    """`bench run` at work: its lines as they come."""

    def __init__(self, results: Path, *words: str, **environment: str) -> None:
        self.results = results
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", *words, "--results", str(results)],
            cwd=ROOT, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def until(self, wanted: Callable[[str], bool]) -> None:
        """Read on until a line is as wanted."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if wanted(line):
                return
            assert time.monotonic() < deadline, self.text
        pytest.fail(f"it ended before the awaited line:\n{self.text}")

    def end(self) -> int:
        """Read to the end; return the exit code."""
        assert self.process.stdout is not None
        self.lines += [line.rstrip() for line in self.process.stdout]
        return self.process.wait(PATIENCE_S)

    @property
    def text(self) -> str:
        """All it printed so far, on one line: a terminal's width breaks sentences anywhere."""
        return " ".join(" ".join(self.lines).split())

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return next(self.results.glob("*/run.json")).parent

    def nothing_left(self) -> None:
        """Assert that the run left nothing."""
        nothing_left(self.folder.name)

    def ending(self) -> str:
        """Return what run.json says of the end."""
        return str(json.loads((self.folder / "run.json").read_text("utf-8"))["ending"])


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start runs, and end them whatever the test found."""
    running: list[Running] = []

    def start(*words: str, results: Path = tmp_path, **environment: str) -> Running:
        running.append(Running(results, *words, **environment))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.terminate()
        one.end()
        if one.process.stdout is not None:
            one.process.stdout.close()


def nothing_left(run_id: str) -> None:
    """Assert that a run left nothing."""
    assert still_there(lambda: left_behind(run_id)) == []


def trial(line: str) -> bool:
    return line.startswith("[") and "warm-up" not in line


def pids(name: str, run_id: str) -> list[int]:
    """Return the processes of this name that belong to the run."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "comm").read_text().strip() == name and run_id[-6:].encode() in (
                place / "cmdline"
            ).read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def test_an_engine_that_dies_costs_its_own_trials(started: Callable[..., Running]) -> None:
    run = started("startup", "--subject", "docker", "--subject", "process", DOCKER_HOST="")
    run.until(trial)
    engine = pids("dockerd", run.folder.name)
    assert engine, "the run has a daemon of its own"
    os.kill(engine[0], signal.SIGKILL)
    assert run.end() == ExitCode.SOME_TRIALS_FAILED
    rows = [r for r in read_run(run.folder).rows if r["metric"] == "requested→ready" and r["phase"] == "measure"]
    assert len([r for r in rows if r["subject"] == "process" and r["status"] == "ok"]) == 6
    failed = [r for r in rows if r["subject"] == "docker" and r["status"] == "failed"]
    assert failed
    assert all(r["value"] is None and "docker" in r["reason"] for r in failed)
    assert run.ending() == "complete"
    run.nothing_left()


def test_sigterm_keeps_what_was_measured_and_leaves_nothing(started: Callable[..., Running]) -> None:
    run = started(
        "startup", "--subject", "docker", "--subject", "vm-direct-tuned", "--subject", "process", DOCKER_HOST=""
    )
    run.until(lambda line: trial(line) and "vm-direct-tuned" in line)
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == ExitCode.TERMINATED
    assert run.ending() == "terminated"
    assert any(r["status"] == "ok" and r["phase"] == "measure" for r in read_run(run.folder).rows)
    run.nothing_left()


def test_kill_nine_leaves_nothing_either(started: Callable[..., Running]) -> None:
    run = started("startup", "--subject", "docker", "--subject", "vm-direct-tuned", DOCKER_HOST="")
    run.until(trial)
    run.process.kill()
    run.end()
    assert any(r["status"] == "ok" for r in read_run(run.folder).rows)
    run.nothing_left()


def test_clean_does_what_a_killed_guardian_could_not(started: Callable[..., Running]) -> None:
    run = started("startup", "--subject", "docker", "--subject", "vm-direct-tuned", DOCKER_HOST="")
    run.until(trial)
    (guardian,) = [
        int(child) for child in Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
        if b"sweeper.py" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]  # fmt: skip
    os.kill(guardian, signal.SIGKILL)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait(PATIENCE_S)
    left = left_behind(run.folder.name)
    assert any("dockerd" in line for line in left), left
    words = [sys.executable, "-m", "bench", "clean", "--yes"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == ExitCode.DONE, done.stdout + done.stderr
    assert f"removed directory /run/bench-{run.folder.name[-6:]}" in done.stdout
    run.nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_pytest_with_the_plugin_leaves_nothing_either(tmp_path: Path, number: signal.Signals) -> None:
    words = ["-p", "bench.pytest_plugin", "--bench-scenario", "startup", "--bench-subject", "docker"]
    with (tmp_path / "said").open("wb") as said:
        tests = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words, "--bench-profile", "thorough"], cwd=tmp_path,
            env={**os.environ, "DOCKER_HOST": ""}, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        run_id = instance_of(tests)
        tests.send_signal(number)
        assert tests.wait(PATIENCE_S) != 0
    finally:
        tests.kill()
        tests.wait()
    nothing_left(run_id)


def instance_of(tests: subprocess.Popen[bytes]) -> str:
    """Wait until an instance of this pytest's run is there; return the run's id."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and tests.poll() is None:
        for place in Path("/run").glob("bench-*"):
            with contextlib.suppress(OSError, ValueError):
                pid, _, run_id = (place / "owner").read_text().split()
                if pid == str(tests.pid) and any(path.name.startswith("bench-") for path in place.iterdir()):
                    return run_id
        time.sleep(0.05)
    return pytest.fail("no instance was started")


def test_a_full_disk_is_said_and_what_fits_is_kept(started: Callable[..., Running], tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        run = started("startup", "--subject", "process", "--subject", "namespaces", results=small)
        code = run.end()
        assert code == ExitCode.SOME_TRIALS_FAILED, run.text
        assert "results cannot be written" in run.text
        assert "free some space" in run.text
        assert any(r["status"] == "ok" for r in read_run(run.folder).rows)
        run.nothing_left()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_without_any_engine_the_rest_is_measured(tmp_path: Path) -> None:
    """A host that has bubblewrap and little else: what is missing is named with the command that brings it."""
    hidden = "mount -t tmpfs tmpfs /usr/sbin && mount --bind /dev/null /usr/bin/qemu-system-x86_64"
    words = [sys.executable, "-m", "bench", "run", "startup", "--results", str(tmp_path / "results")]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{hidden} && exec "$0" "$@"', *words],
        cwd=ROOT, env={**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}, text=True,
        capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == ExitCode.DONE, said
    run = read_run(next((tmp_path / "results").glob("*/run.json")).parent)
    measured = {r["subject"] for r in run.rows if r["status"] == "ok"}
    assert {"process", "namespaces"} <= measured
    assert not any(name.startswith(("docker", "vm")) for name in measured)
    skipped = {r["subject"] for r in run.rows if r["status"] == "skipped"}
    assert {"docker", "vm-direct"} <= skipped
    assert "apt" in said
    assert "docker.io" in said
