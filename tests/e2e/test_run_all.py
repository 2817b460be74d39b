"""The README's command on real engines, once: everything after it is asked of the run it left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import load_run, read_run
from bench.errors import ExitCode
from bench.scenario import load
from bench.store import Run
from tests.e2e.leftovers import left_behind, still_there

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 2100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One run of the command: what it said, what it left."""

    code: int
    lines: tuple[str, ...]
    folder: Path

    @property
    def text(self) -> str:
        """All it printed."""
        return "\n".join(self.lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """`bench run all --profile quick`, as a user without a terminal runs it."""
    results = tmp_path_factory.mktemp("results")
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    command = [sys.executable, "-m", "bench", "run", "all", "--profile", "quick", "--results", str(results)]
    deadline, lines = time.monotonic() + PATIENCE_S, []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            print(lines[-1])  # noqa: T201  # a run of minutes shows its progress in CI too
            if time.monotonic() > deadline:
                process.terminate()
        code = process.wait(60)
    folders = [path.parent for path in results.glob("*/run.json")]
    assert len(folders) == 1, lines[-20:]
    yield Finished(code=code, lines=tuple(lines), folder=folders[0])
    assert still_there(lambda: left_behind(folders[0].name)) == []


@pytest.fixture(scope="module")
def run(finished: Finished) -> Run:
    return read_run(finished.folder)


def test_it_ends_well(finished: Finished, run: Run) -> None:
    assert finished.code == ExitCode.DONE, finished.text[-3000:]
    assert run.info["ending"] == "complete"


def test_nothing_failed(run: Run) -> None:
    failed = {(r["scenario"], r["subject"], r["reason"]) for r in run.rows if r["status"] in ("failed", "timeout")}
    assert failed == set()


def test_every_scenario_measured_every_subject(run: Run) -> None:
    catalogue = load()
    measured: dict[str, set[str]] = defaultdict(set)
    for row in run.rows:
        if row["status"] == "ok" and row["phase"] == "measure":
            measured[row["scenario"]].add(row["subject"].partition("@")[0])
    for scenario in catalogue.scenarios.values():
        change = scenario.profiles.get("quick")
        names = (change.subjects if change else None) or scenario.subjects
        assert set(names) - scenario.excluded.keys() <= measured[scenario.name], scenario.name


def test_the_headline_has_enough_blocks_for_a_verdict(run: Run) -> None:
    counts: dict[str, int] = defaultdict(int)
    for row in run.rows:
        if (row["scenario"], row["metric"], row["phase"], row["status"]) == (
            "startup",
            "requested→ready",
            "measure",
            "ok",
        ):
            counts[row["subject"]] += 1
    assert counts
    assert min(counts.values()) >= 6, dict(counts)


def test_phases_sum_to_the_total_of_the_same_trial(run: Run) -> None:
    totals: dict[int, float] = {}
    sums: dict[int, float] = defaultdict(float)
    for row in run.rows:
        if row["scenario"] == "startup" and row["status"] == "ok":
            if row["params"].get("part") == "phase":
                sums[row["trial"]] += row["value"]
            elif row["metric"] == "requested→ready":
                totals[row["trial"]] = row["value"]
    assert len(totals) > 50
    for trial, total in totals.items():
        assert sums[trial] == pytest.approx(total, abs=1e-8)


def test_the_ladder_rises(run: Run) -> None:
    """Not a claim about this host's figures: only the order that no noise can turn around."""
    frame = load_run(run.path)
    chosen = frame[(frame.metric == "requested→ready") & (frame.scenario == "startup") & (frame.phase == "measure")]
    medians = chosen.groupby("subject").value.median()
    order = ["process", "oci-runc", "docker"]
    assert list(medians[order]) == sorted(medians[order])
    distro = next(name for name in medians.index if name.startswith("vm-distro"))
    direct = next(name for name in medians.index if name.startswith("vm-direct@"))
    assert medians["docker"] < medians[direct] < medians[distro]


def test_emulated_guests_are_subjects_of_their_own(run: Run) -> None:
    guests = {row["subject"] for row in run.rows if row["backend"] == "libvirt" and row["status"] == "ok"}
    assert guests
    assert all(name.endswith(("@tcg", "@kvm")) for name in guests)


def test_it_made_a_report(finished: Finished) -> None:
    page = (finished.folder / "report.html").read_text("utf-8")
    assert "vm-distro" in page
    assert "Content-Security-Policy" in page


def test_the_first_medians_came_as_soon_as_the_plan_allows(finished: Finished, run: Run) -> None:
    """Not at the end of the question: when the warm-up and one measured block of the first one are through."""
    first, order = run.info["order"][0][0], run.info["order"]
    measured = min(block for scenario, _, _, block, phase in order if scenario == first and phase == "measure")
    planned = sum(scenario == first and block <= measured for scenario, _, _, block, _ in order)
    said = next(place for place, line in enumerate(finished.lines) if "after block 1" in line)
    places = [int(found[1]) for line in finished.lines[:said] if (found := re.match(r"\[ *(\d+)/", line))]
    assert places[-1] == planned
    assert finished.lines[said].startswith(f"{first} after block 1")
