"""However a run ends, nothing is left of it and its results are readable. Real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.running.sweeper import start_time
from bench.store import read_run
from tests.waiting import until

CLINGY = Path(__file__).with_name("clingy.py")

SUBJECTS = """
[subjects.process]
title = "the floor"
backend = "clingy"
options = { ready_s = "0.001", stall = "%s" }
"""
SCENARIO = """
title = "Starting"
question = "How long?"
probe = "startup"
headline = "requested→ready"
subjects = ["process"]
[[metrics]]
name = "requested→ready"
unit = "s"
"""
PROFILE = """
[profiles.quick]
blocks = 6
"""


class Started:
    """A run of the clingy backend under way."""

    def __init__(self, folder: Path, stall: str, close_s: float = 0.0) -> None:
        scenarios, self.notes, self.results = folder / "scenarios", folder / "notes", folder / "results"
        scenarios.mkdir()
        self.notes.mkdir()
        (scenarios / "subjects.toml").write_text(SUBJECTS % stall, "utf-8")
        (scenarios / "startup.toml").write_text(SCENARIO, "utf-8")
        (scenarios / "profiles.toml").write_text(PROFILE, "utf-8")
        environment = {**os.environ, "CLINGY": str(self.notes), "CLINGY_CLOSE": str(close_s)}
        environment |= {"BENCH_CACHE": str(folder / "cache"), "PYTHONPATH": str(CLINGY.parent.parent.parent)}
        words = ["run", "all", "--no-report", "--scenarios", str(scenarios), "--results", str(self.results)]
        self.front = subprocess.Popen(
            [sys.executable, CLINGY, *words, "--scratch", str(folder)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def wait_for(self, note: str, patience_s: float = 20.0) -> str:
        """Return a note's text as soon as it is there."""
        content = until(lambda: _text(self.notes / note), patience_s)
        assert content, f"no note {note!r}"
        return str(content)

    def end(self) -> tuple[int, str]:
        """Wait for the command's end; return its exit code and what it said on standard error."""
        _, said = self.front.communicate(timeout=30)
        return self.front.returncode, said

    def left_over(self) -> list[str]:
        """Return what is still there of the run's processes and folders."""
        pids = [self.wait_for(name) for name in ("child", "orphan")] + [_text(self.notes / "stalled")]
        processes = [f"process {pid}" for pid in pids if pid and start_time(int(pid))]
        return processes + [f for f in self.wait_for("folders").splitlines() if Path(f).exists()]

    def measured(self) -> int:
        """Return how many trials can be read."""
        (path,) = self.results.iterdir()
        return len({row["trial"] for row in read_run(path).rows if row["status"] == "ok"})

    def ending(self) -> str:
        """Return how the run says it ended."""
        (path,) = self.results.glob("*/run.json")
        return str(json.loads(path.read_text("utf-8"))["ending"])


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start runs; whatever a failed test leaves is killed by its session."""
    begun: list[Started] = []

    def begin(stall: str = "", close_s: float = 0.0) -> Started:
        begun.append(Started(tmp_path, stall, close_s))
        return begun[-1]

    yield begin
    for started in begun:
        if started.front.poll() is None:
            started.front.kill()
            started.front.wait()


def test_a_run_that_ends_by_itself_leaves_nothing(start: Callable[..., Started]) -> None:
    started = start()
    code, said = started.end()
    assert (code, started.ending(), started.measured()) == (0, "complete", 7), said
    assert started.left_over() == []


@pytest.mark.parametrize(
    ("number", "whom", "code", "ending"),
    [
        (signal.SIGINT, "group", 130, "interrupted"),
        (signal.SIGTERM, "front", 143, "terminated"),
        (signal.SIGHUP, "front", 143, "terminated"),
        (signal.SIGTERM, "worker", 143, "terminated"),
        (signal.SIGKILL, "worker", 137, "killed"),
        (signal.SIGKILL, "front", -9, ""),
        (signal.SIGQUIT, "group", -3, ""),
    ],
)
def test_however_it_is_ended_nothing_is_left_and_the_results_are_kept(
    start: Callable[..., Started], number: signal.Signals, whom: str, code: int, ending: str
) -> None:
    started = start(stall="4")
    worker = int(started.wait_for("stalled"))
    assert worker != started.front.pid
    started.left_over()
    if whom == "group":
        os.killpg(started.front.pid, number)
    else:
        os.kill({"front": started.front.pid, "worker": worker}[whom], number)
    assert code == started.end()[0]
    until(lambda: not started.left_over())
    assert started.left_over() == []
    assert (ending, 3) == (started.ending(), started.measured())


def test_a_second_interrupt_does_not_cut_the_clean_up_short(start: Callable[..., Started]) -> None:
    started = start(stall="2", close_s=1.0)
    started.wait_for("stalled")
    os.killpg(started.front.pid, signal.SIGINT)
    time.sleep(0.4)
    os.killpg(started.front.pid, signal.SIGINT)
    os.killpg(started.front.pid, signal.SIGTERM)
    code, said = started.end()
    assert code == 130
    assert "cleaning up" in said
    assert (started.notes / "closed").exists()
    assert started.left_over() == []


def _supervised(body: str) -> subprocess.CompletedProcess[str]:
    """Run a program that supervises the function `work` it defines; it prints the exit code last."""
    imports = "import os, subprocess, time\nfrom bench.running.supervisor import supervise\n"
    program = f"{imports}{body}\nprint(supervise('t', work))"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False,
        cwd=CLINGY.parent.parent.parent,
    )  # fmt: skip


def test_the_workers_exit_code_is_passed_on() -> None:
    assert _supervised("def work(guard): return 7").stdout == "7\n"


def test_an_unexpected_exception_of_the_worker_is_shown_and_gives_70() -> None:
    done = _supervised("def work(guard): raise ZeroDivisionError('by zero')")
    assert done.stdout == "70\n"
    assert "ZeroDivisionError: by zero" in done.stderr


@pytest.mark.parametrize(
    ("body", "code"),
    [("return 0", 0), ("raise KeyboardInterrupt", 130), ("os.kill(os.getpid(), 9)", 137)],
)
def test_what_could_not_be_removed_is_told_however_the_run_ended(body: str, code: int) -> None:
    done = _supervised(f"""
from bench.running.guardian import Guardian
real = Guardian.sweep
Guardian.sweep = lambda self: [*real(self), "container 0123", "NOT REMOVED: directory /run/bench-a1b2c3"]
def work(guard): {body}
""")
    assert done.stdout == f"{code}\n"
    told = "bench: NOT REMOVED: directory /run/bench-a1b2c3\n  → bench clean tries it again\n"
    assert done.stderr.endswith(told)
    assert done.stderr.count("NOT REMOVED") == 1
    assert ("swept: container 0123" in done.stderr) == (code == 137)


def test_orphans_are_reaped_while_the_worker_works() -> None:
    body = """
def work(guard):
    pid = int(subprocess.run("sleep 0.1 & echo $!", shell=True, capture_output=True, text=True).stdout)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.02)
    return 9 if os.path.exists(f"/proc/{pid}") else 0
"""
    assert _supervised(body.replace('"sleep 0.1 & echo $!"', '"sleep 0.1 >/dev/null & echo $!"')).stdout == "0\n"


def test_an_orphan_without_any_mark_is_swept_as_the_fronts_own_child() -> None:
    body = """
def work(guard):
    script = "sleep 60 >/dev/null 2>&1 & echo $!"
    words = ["env", "-i", "setsid", "sh", "-c", script]
    print(subprocess.run(words, capture_output=True, text=True).stdout, flush=True)
    return 0
"""
    pid, code = _supervised(body).stdout.split()
    assert code == "0"
    assert not start_time(int(pid))
