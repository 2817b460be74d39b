"""What the report says, apart from how it looks."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import pytest

from bench.clock import Event
from bench.store import Run
from report.model import Page, Section
from report.page import build
from tests.unit.report_runs import make_run, row


@pytest.fixture(scope="module")
def page() -> Page:
    return build(make_run())


def section(page: Page, name: str) -> Section:
    return next(s for s in page.sections if s.key == f"scenario-{name}")


def test_failures_are_counted_by_trial_with_their_reason_and_no_instance_name(page: Page):
    table = section(page, "startup").failures
    assert table is not None
    told = {r.head: r.cells for r in table.rows}
    assert told["docker"] == ("failed", "3 trials", "an instance ended before ready")
    assert told["podman"] == ("skipped", "not run", "it is not installed")


def test_a_failed_trial_is_neither_a_value_nor_forgotten(page: Page):
    table = section(page, "startup").headline
    assert table is not None
    docker = next(r for r in table.rows if r.head == "docker")
    assert docker.cells[2:] == ("6", "3 of 9 failed")


def test_the_noise_floor_is_what_the_twins_differ_by(page: Page):
    said = dict(page.trust.lines)["noise floor"]
    assert "process-twin beside process" in said
    assert "0.5%" in said
    assert "The widest 95 % interval of a pair is" in said.replace("\u00a0", " ")
    assert "not known better" not in said
    alone = make_run()
    rows = tuple(r for r in alone.rows if r["subject"] != "process-twin")
    without = build(Run(path=alone.path, info=alone.info, facts={}, rows=rows))
    assert "No A/A pair" in dict(without.trust.lines)["noise floor"]


def test_a_floor_is_known_no_better_than_its_interval():
    run = make_run()
    wild = tuple(
        {**r, "value": r["value"] * (1.0, 0.5, 2.0)[r["block"] % 3]}
        if r["subject"] == "process-twin" and r["value"] is not None
        else r
        for r in run.rows
    )
    said = dict(build(Run(path=run.path, info=run.info, facts={}, rows=wild)).trust.lines)["noise floor"]
    assert "not known better than that" in said
    few = dict(build(make_run(blocks=5)).trust.lines)["noise floor"]
    assert "No pair has enough blocks for an interval" in few


def test_what_was_not_read_is_unknown_and_never_zero(page: Page):
    assert "waiting for input and output (PSI): unknown" in dict(page.trust.lines)["beside the trials"]
    cpu = next(t for t in page.environment if t.caption == "cpu")
    assert ("boost", ("unknown",)) in [(r.head, r.cells) for r in cpu.rows]


def test_findings_are_sentences_and_one_missing_engine_is_one_note():
    refused = [
        {"scenario": name, "subject": subject, "reason": "no engine answers", "hint": "start it", "missing": True}
        for name in ("startup", "memory")
        for subject in ("docker", "podman")
    ]
    senseless = {"scenario": "disk", "subject": "process", "reason": "it has no disk", "missing": False}
    found = [{"level": "warning", "what": "work waits", "why": "the trials wait too", "remedy": "end it"}]
    notes = build(make_run(findings=found, refusals=[*refused, senseless])).trust.notes
    assert (notes[0].what, notes[0].why, notes[0].remedy) == ("Work waits.", "The trials wait too.", "end it")
    assert [(n.what, n.remedy) for n in notes[2:]] == [
        ("Not run in startup and memory: docker and podman; no engine answers.", "start it")
    ]


def test_an_unfinished_run_says_so():
    cut = build(make_run(ending="interrupted"))
    assert cut.ending == "interrupted"
    assert "ended early: interrupted" in dict(cut.trust.lines)["ending"]


def test_what_a_scenario_has_otherwise_is_a_table_of_its_own_beside_its_like():
    manifests = {
        "vm-distro@tcg": {"memory": "256 MiB"},
        "process in startup": {"limits": "CPU 1"},
        "vm-distro in startup@tcg": {"limits": "CPU 1, monitor included", "memory": "1024 MiB"},
    }
    tables = {t.caption: t for t in build(make_run(manifests=manifests)).manifests}
    assert set(tables) == {"virtual machines", "As “Starting” has them"}
    own = tables["As “Starting” has them"]
    assert own.columns == ("part", "process", "vm-distro@tcg ≤")
    assert [(row.head, row.cells) for row in own.rows] == [
        ("limits", ("CPU 1", "CPU 1, monitor included")), ("memory", ("–", "1024 MiB")),
    ]  # fmt: skip


def test_the_manifest_shows_what_is_common_once_and_marks_what_differs(page: Page):
    assert page.shared is not None
    assert [(r.head, r.cells) for r in page.shared.rows] == [("agent", ("sha256:1",))]
    guests = next(t for t in page.manifests if t.caption == "virtual machines")
    assert guests.columns == ("part", "vm-bare@kvm", "vm-distro@tcg ≤")
    kernel = next(r for r in guests.rows if r.head == "kernel")
    assert (kernel.cells, kernel.marked) == (("6.1", "6.12"), (1,))


def test_the_seed_is_in_the_command_once():
    assert build(make_run()).command == "bench run all --seed 7"
    assert build(make_run(command="bench run all")).command == "bench run all --seed 7"


def test_every_event_is_explained_in_the_clocks_own_words(page: Page):
    assert [name for name, _ in page.events] == [str(event) for event in Event]
    assert dict(page.events)["ready"].startswith("The workload answered")


def test_the_summary_is_csv_with_unscaled_values_and_runs_no_formula():
    run = make_run()
    evil = row("startup", "=cmd()", "requested→ready", 1.0, 0)
    table = list(
        csv.DictReader(
            io.StringIO(build(Run(path=run.path, info=run.info, facts={}, rows=(*run.rows, evil))).summary_csv)
        )
    )
    wanted = [r for r in table if (r["subject"], r["metric"], r["params"]) == ("docker", "requested→ready", "")]
    assert [float(r["median"]) for r in wanted] == [pytest.approx(0.408)]
    assert wanted[0]["failures"] == "3"
    assert not any(value.startswith(("=", "+", "@")) for r in table for value in r.values())


def test_the_model_is_the_same_whatever_the_order_of_the_rows():
    run = make_run()
    rows = list(run.rows)
    random.Random(1).shuffle(rows)
    assert build(Run(path=run.path, info=run.info, facts=run.facts, rows=tuple(rows))) == build(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"scenarios": {}}, {"scenarios": "x"}, {"subjects": None}, {"subjects": {"docker": 3}}, {"manifests": []},
        {"refusals": {}}, {"engines": 4}, {"command": None}, {"seed": None}, {"findings": [1, {"what": "x"}]},
        {"scenarios": {"startup": {"metrics": [3, {"name": "requested→ready", "unit": "furlong", "better": "best"}]}}},
        {"scenarios": {"startup": {"headline": "no such metric"}}}, {"claims": "x"}, {"profile": 3}, {"ending": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_strangers_run_json_costs_words_and_not_the_report(changes: dict[str, Any]):
    made = build(make_run(**changes))
    assert len(made.sections) == 3
    assert made.sections[0].sentence


def test_an_empty_run_is_a_page_that_says_so():
    empty = build(Run(path=make_run().path, info={}, facts={}, rows=()))
    assert (empty.answers, empty.sections, empty.ladder) == ((), (), None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "12", True])
def test_a_stored_value_that_is_no_finite_number_has_failed(value: Any):
    rows = tuple({**row("startup", "docker", "requested→ready", 1.0, b), "value": value} for b in range(6))
    made = build(Run(path=make_run().path, info={}, facts={}, rows=rows))
    table = made.sections[0].failures
    assert table is not None
    assert table.rows[0].cells[2] == "the stored value is not a finite number"
