"""The pytest plugin: what pytest-benchmark stores is what the suite's clock stamped, and nothing is loaded unasked."""

from __future__ import annotations

import importlib.metadata
import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

READY = "requested→ready"

SCENARIO = """
title = "Starting"
question = "How long?"
probe = "startup"
headline = "%s"
baseline = "fast"
subjects = [%s]
[parameters]
%s
[[metrics]]
name = "requested→ready"
unit = "s"
[[metrics]]
name = "bytes-read"
unit = "B"
"""

FAST_AND_SLOW = {"fast": 'ready_s = "0.25"', "slow": 'ready_s = "25"'}


class Project:
    """A project of somebody's, with a folder of scenario files and a failing test of its own."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.folder = pytester.path / "scenarios"
        self.folder.mkdir()
        profiles = '[profiles.quick]\ntitle = "a"\nblocks = 6\n[profiles.longer]\ntitle = "b"\nblocks = 9\nwarmup = 2\n'
        (self.folder / "profiles.toml").write_text(profiles, "utf-8")
        (pytester.path / "test_own.py").write_text("def test_own():\n    assert False\n", "utf-8")
        monkeypatch.setenv("BENCH_CACHE", str(pytester.path / "cache"))

    def declare(self, subjects: dict[str, str], headline: str = READY, parameters: str = "") -> None:
        """Declare subjects of the fake backend, each with the text of its options, and one scenario."""
        text = [f'[subjects.{s}]\ntitle = "{s}"\nbackend = "fake"\noptions = {{ {o} }}' for s, o in subjects.items()]
        (self.folder / "subjects.toml").write_text("\n".join(text), "utf-8")
        names = ", ".join(f'"{name}"' for name in subjects)
        (self.folder / "startup.toml").write_text(SCENARIO % (headline, names, parameters), "utf-8")

    def run(self, *words: str) -> pytest.RunResult:
        """Run pytest with the plugin in a process of its own."""
        return self.pytester.runpytest_subprocess(
            "-p", "bench.pytest_plugin", "-p", "no:randomly", "--bench-scenarios", str(self.folder), *words, timeout=180
        )

    def measured(self, *words: str) -> dict[str, Any]:
        """Run the scenario; return pytest-benchmark's benchmarks by name."""
        file = self.pytester.path / "out.json"
        assert self.run("--bench-scenario", "startup", "--benchmark-json", str(file), *words).ret == 0
        return {b["name"]: b for b in json.loads(file.read_text("utf-8"))["benchmarks"]}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(pytester, monkeypatch)
    made.declare(FAST_AND_SLOW)
    return made


def drawn(subject: str, median: float, count: int) -> list[float]:
    """Return what the fake backend draws for a subject, nanoseconds kept."""
    chance, values = random.Random(f"0 {subject}"), []
    for _ in range(count):
        values.append(round(median * chance.lognormvariate(0.0, 0.1) * 1e9) / 1e9)
        chance.random()
    return values


def test_the_statistics_are_of_the_stamps_and_not_of_the_call(project: Project) -> None:
    began = time.monotonic()
    found = project.measured()
    assert set(found) == {"test_bench[startup-fast]", "test_bench[startup-slow]"}
    for subject, median in (("fast", 0.25), ("slow", 25.0)):
        stats = found[f"test_bench[startup-{subject}]"]["stats"]
        # One warm-up round is drawn before them. The fake's life is drawn, so no call lasts as long as it says.
        assert stats["data"] == drawn(subject, median, 7)[1:]
        assert stats["rounds"] == 6
    assert time.monotonic() - began < sum(found["test_bench[startup-slow]"]["stats"]["data"])
    extra = found["test_bench[startup-slow]"]["extra_info"]
    assert extra["samples"][f"{READY} (s)"] == found["test_bench[startup-slow]"]["stats"]["data"]
    assert len(extra["samples"]["stopping→removed (s)"]) == 6
    assert (extra["metric"], extra["subject"], extra["interleaved"]) == (READY, "slow", False)
    assert found["test_bench[startup-fast]"]["group"] == f"startup {READY}"


def test_storage_and_comparison_are_pytest_benchmarks_own(project: Project) -> None:
    words = ("--bench-scenario", "startup", "--benchmark-storage", str(project.pytester.path / "kept"))
    assert project.run(*words, "--benchmark-save", "base").ret == 0
    held = project.run(*words, "--benchmark-compare", "0001", "--benchmark-compare-fail", "median:1%")
    assert held.ret == 0
    project.declare({**FAST_AND_SLOW, "slow": 'ready_s = "50"'})
    failed = project.run(*words, "--benchmark-compare", "0001", "--benchmark-compare-fail", "median:1%")
    assert failed.ret != 0
    failed.stderr.fnmatch_lines(["*Performance has regressed*"])
    assert "startup-fast" not in failed.stderr.str()


def test_the_profile_decides_the_rounds_and_the_subjects_are_chosen(project: Project) -> None:
    found = project.measured("--bench-profile", "longer", "--bench-subject", "fast")
    assert list(found) == ["test_bench[startup-fast]"]
    assert found["test_bench[startup-fast]"]["stats"]["data"] == drawn("fast", 0.25, 11)[2:]


def test_parameters_are_benchmarks_of_their_own(project: Project) -> None:
    project.declare(FAST_AND_SLOW, parameters='mode = ["warm", "cold"]')
    found = project.measured("--bench-subject", "fast")
    assert set(found) == {"test_bench[startup-fast-mode=warm]", "test_bench[startup-fast-mode=cold]"}
    assert {b["params"]["conditions"] for b in found.values()} == {"mode=warm", "mode=cold"}


def test_own_subjects_are_taken_from_a_file(project: Project) -> None:
    text = '[subjects.slow]\ntitle = "mine"\nbackend = "fake"\noptions = { ready_s = "0.5", accelerator = "tcg" }\n'
    (project.pytester.path / "mine.toml").write_text(text, "utf-8")
    found = project.measured("--bench-subjects", "mine.toml")["test_bench[startup-slow]"]
    assert found["stats"]["data"] == drawn("slow", 0.5, 7)[1:]
    assert found["extra_info"]["subject"] == "slow@tcg", "an emulated guest is another subject"


def test_own_tests_run_only_when_they_are_named(project: Project) -> None:
    alone = project.run("--bench-scenario", "startup")
    alone.assert_outcomes(passed=2)
    both = project.run("--bench-scenario", "startup", "test_own.py")
    both.assert_outcomes(passed=2, failed=1)
    chosen = project.run("--bench-scenario", "startup", "test_own.py", "-k", "slow")
    chosen.assert_outcomes(passed=1, deselected=2)
    project.run().assert_outcomes(failed=1)


def test_the_header_says_that_nothing_is_interleaved(project: Project) -> None:
    project.run("--bench-scenario", "startup").stdout.fnmatch_lines(["bench: profile quick*not interleaved*"])
    assert "bench: profile" not in project.run().stdout.str()


def test_a_failed_round_fails_its_test_and_is_not_stored(project: Project) -> None:
    project.declare({**FAST_AND_SLOW, "slow": 'ready_s = "0.1", fail = "die", fail_every = "4"'})
    file = project.pytester.path / "out.json"
    done = project.run("--bench-scenario", "startup", "--benchmark-json", str(file))
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.re_match_lines([r".*requested→ready: failed: \S+ ended before ready.*killed on request"])
    stored = [b["name"] for b in json.loads(file.read_text("utf-8"))["benchmarks"]]
    assert stored == ["test_bench[startup-fast]"]


def test_who_cannot_be_measured_here_is_skipped_with_the_reason(project: Project) -> None:
    project.declare({**FAST_AND_SLOW, "slow": 'missing = "no such engine"'})
    done = project.run("--bench-scenario", "startup", "-rs")
    done.assert_outcomes(passed=1, skipped=1)
    done.stdout.fnmatch_lines(["*no such engine (remove the option)*"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bench-scenario", "startpu"], 'there is no scenario "startpu" (did you mean "startup"?)'),
        (["--bench-scenario", "startup", "--bench-subject", "fsat"], 'did you mean "fast"?'),
        (["--bench-scenario", "startup", "-p", "no:benchmark"], "needs pytest-benchmark"),
    ],
)
def test_a_mistake_is_a_usage_error(project: Project, words: list[str], told: str) -> None:
    done = project.run(*words)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert told in done.stderr.str()
    assert "Traceback" not in done.stderr.str()


def test_a_headline_that_is_no_time_is_refused(project: Project) -> None:
    project.declare(FAST_AND_SLOW, headline="bytes-read")
    done = project.run("--bench-scenario", "startup")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "holds times only; startup's headline bytes-read is in B: bench run startup" in done.stderr.str()


def test_a_profiler_and_a_dry_pass_get_their_rounds(project: Project) -> None:
    project.run("--bench-scenario", "startup", "--benchmark-cprofile=tottime").assert_outcomes(passed=2)
    project.run("--bench-scenario", "startup", "--benchmark-disable").assert_outcomes(passed=2)


def test_tests_beside_it_do_not_carry_the_runs_mark(project: Project) -> None:
    text = "import os\ndef test_own():\n    assert 'BENCH_OWNER' not in os.environ\n"
    (project.pytester.path / "test_own.py").write_text(text, "utf-8")
    order = "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    (project.pytester.path / "conftest.py").write_text(order, "utf-8")
    done = project.run("--bench-scenario", "startup", "test_own.py", "-v")
    done.assert_outcomes(passed=3)
    assert done.stdout.str().index("startup-fast") < done.stdout.str().index("test_own.py::test_own")


OTHERS = """
import subprocess, pytest
@pytest.fixture(scope="session")
def server():
    # The engines are set up after this and torn down before it: their sweep is over when it is asked.
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        open("server", "w").write(str(process.poll()))
        process.kill()
@pytest.fixture(autouse=True)
def always(server, bench_engines):
    pass
"""


def test_children_of_other_fixtures_are_not_swept(project: Project) -> None:
    (project.pytester.path / "conftest.py").write_text(OTHERS, "utf-8")
    project.run("--bench-scenario", "startup").assert_outcomes(passed=2)
    assert (project.pytester.path / "server").read_text("utf-8") == "None", "it still ran"


def test_a_subject_for_which_the_question_makes_no_sense_is_skipped(project: Project) -> None:
    file = project.folder / "startup.toml"
    file.write_text(file.read_text("utf-8").replace(READY, "requested→kernel"), "utf-8")
    stored = project.pytester.path / "out.json"
    done = project.run("--bench-scenario", "startup", "-rs", "--benchmark-json", str(stored))
    done.assert_outcomes(skipped=2)
    done.stdout.fnmatch_lines(["*requested→kernel: unsupported: *"])
    assert not stored.exists() or json.loads(stored.read_text("utf-8"))["benchmarks"] == []


def test_nobody_gets_it_unasked() -> None:
    points = importlib.metadata.entry_points(group="pytest11")
    assert [point.value for point in points if point.value.startswith("bench")] == []
    assert "benchmark" in {point.name for point in points}


@pytest.mark.engine("docker")
@pytest.mark.slow
def test_docker_is_measured_and_nothing_is_left(pytester: pytest.Pytester) -> None:
    file = pytester.path / "out.json"
    words = (
        "--bench-scenario",
        "startup",
        "--bench-subject",
        "docker",
        "-k",
        "not twin",
        "--benchmark-json",
        str(file),
    )
    done = pytester.runpytest_subprocess("-p", "bench.pytest_plugin", *words, timeout=240)
    assert done.ret == 0, done.stdout.str()
    (made,) = json.loads(file.read_text("utf-8"))["benchmarks"]
    assert made["name"] == "test_bench[startup-docker-mode=warm]"
    assert made["stats"]["rounds"] >= 6
    assert 0.02 < made["stats"]["median"] < 20.0
    samples = made["extra_info"]["samples"]
    assert samples[f"{READY} (s)"] == made["stats"]["data"]
    assert all(i <= r for i, r in zip(samples["requested→init (s)"], samples[f"{READY} (s)"], strict=True))
    assert _left(made["extra_info"]["run_id"]) == []


def _left(run_id: str) -> list[str]:
    """Return the run's directories and processes that are still there."""
    name = f"bench-{run_id[-6:]}"
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    places = [str(path) for path in (Path("/run") / name, Path("/var/tmp") / name) if path.exists()]
    return places + [line for line in listed if name in line]
