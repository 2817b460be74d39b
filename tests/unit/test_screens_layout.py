"""How the screens are laid out: whole words in headings, bounds marked, reasons once, facts for people."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from report_runs import make_run
from rich.console import Console

from bench.backends.base import Availability
from bench.commands.doctor import examine
from bench.errors import ExitCode
from bench.host.facts import read_facts
from bench.host.findings import Level
from bench.judging.between import compare_runs
from bench.plan import make_plan
from bench.scenario import Catalogue
from bench.screens.comparison import between_screen
from bench.screens.host import facts_screen
from bench.screens.results import closing, plan_screen, record_screen, runs_screen


def console(width: int) -> Console:
    return Console(file=StringIO(), width=width, highlight=False)


def said(screen: Console) -> str:
    assert isinstance(screen.file, StringIO)
    return screen.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_no_heading_is_broken_within_a_word_and_no_line_is_too_long(width: int) -> None:
    screen = console(width)
    closing(screen, make_run())
    text = said(screen)
    headings = [line for line in text.splitlines() if line.startswith("subject")]
    assert headings
    assert "requested→ready" in " ".join(headings)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())


def test_an_emulated_value_is_marked_as_a_bound_in_sentence_and_table() -> None:
    screen = console(120)
    closing(screen, make_run())
    text = " ".join(said(screen).split())
    assert "vm-distro@tcg ≤ 40.8 s [40.0–41.6]" in text
    assert "docker ≤" not in text


def test_what_makes_no_sense_is_counted_and_what_was_skipped_is_explained() -> None:
    run = make_run()
    rows = [
        {**row, "status": "unsupported", "value": None, "block": -1, "trial": -1 - i, "reason": f"no sense {i}"}
        for i, row in enumerate(run.rows[:3])
    ]
    screen = console(120)
    closing(screen, type(run)(path=run.path, info=run.info, facts=run.facts, rows=(*run.rows, *rows)))
    assert "3 questions made no sense for a subject" in said(screen)
    assert "no sense 0" not in said(screen)
    assert "skipped      podman" in said(screen)


def test_a_comparison_gives_every_reason_once_below_its_table() -> None:
    screen = console(80)
    between_screen(screen, compare_runs([make_run(blocks=4), make_run(blocks=4, run_id="run-2")]))
    text = said(screen)
    assert "because" not in text
    table, _, reasons = text.partition("undecided")
    assert "INCONCLUSIVE" in table
    assert "INCONCLUSIVE" not in reasons
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert len(text.splitlines()) < 120


def test_facts_are_written_for_people_in_a_paragraph_a_table() -> None:
    screen = console(100)
    facts = {
        "memory": {"total_bytes": 2**34, "swap": None, "pressure": {"cpu": 0.03}},
        "cpu": {"governors": (), "list": ("a", "b")}, "x": 0.12345, "reap_s": 48e-6,
    }  # fmt: skip
    facts_screen(screen, facts)
    assert [" ".join(line.split()) for line in said(screen).splitlines()] == [
        "host x 0.1235; reap 48.0 µs", "memory total 16.0 GiB; swap unknown", "pressure cpu 0.03",
        "cpu governors none; list a, b",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_is_a_table_first_and_one_block_a_question(catalogue: Catalogue, width: int) -> None:
    lines, text = planned(catalogue, width)
    assert lines[0].split() == ["question", "subjects", "blocks", "trials", "about"]
    assert [line.split()[0] for line in lines[1 : len(catalogue.scenarios) + 1]] == list(catalogue.scenarios)
    assert re.search(r"^startup +\d+ +\d+ and 1 to warm up +up to \d+ +\S+ min *$", text, re.MULTILINE)
    assert "trials in all, about" in " ".join(text.split()).partition("Starting (startup)")[0]
    assert text.count("first block") == len(catalogue.scenarios)
    assert "+ 5 more, their order drawn by the seed" in text
    assert all(len(line) <= width for line in lines)
    assert len(lines) < 200


def test_a_plan_has_all_orders_for_who_asks(catalogue: Catalogue) -> None:
    text = planned(catalogue, 80, orders=True)[1]
    assert "first block" not in text
    assert "drawn by the seed" not in text
    blocks = re.findall(r"^(?:block|warm-up) +\d+", text, re.MULTILINE)
    assert len(blocks) > 5 * len(catalogue.scenarios)


def test_what_makes_no_sense_is_a_line_a_question_and_its_record_says_why(catalogue: Catalogue) -> None:
    text = " ".join(planned(catalogue, 80)[1].split())
    for scenario in catalogue.scenarios.values():
        first, *more = scenario.excluded
        assert re.search(rf"unsupported {scenario.name}: {first}\b", text)
        assert len(more) < 3 or f" and {len(more) - 2} more" in text
        screen = console(80)
        record_screen(screen, f"scenario {scenario.name}", scenario)
        record = " ".join(said(screen).split())
        assert all(" ".join(reason.split()) in record for reason in scenario.excluded.values())
    assert "skipped docker-crun: no such engine (get one)" in text


def planned(catalogue: Catalogue, width: int, **more: bool) -> tuple[list[str], str]:
    """Return the screen of the standard plan of everything, as lines and whole."""
    screen = console(width)
    plan = make_plan(
        list(catalogue.scenarios.values()), catalogue.subjects, catalogue.profiles["standard"], 7,
        unavailable={"docker-crun": ("no such engine", "get one")},
    )  # fmt: skip
    available = {name: Availability(usable=True, detail="an engine") for name in catalogue.subjects}
    plan_screen(screen, plan, available, **more)
    return [line.rstrip() for line in said(screen).splitlines()], said(screen)


def test_a_record_is_laid_out_without_what_is_empty(catalogue: Catalogue) -> None:
    screen = console(80)
    record_screen(screen, "scenario disk", catalogue.scenarios["disk"])
    text = said(screen)
    assert "None" not in text
    assert "{" not in text
    assert re.search(r"^ +standard: *\n +blocks = 6 *\n +warmup = 0 *\n +subjects = docker, ", text, re.MULTILINE)
    assert "three-instances: three ready instances, what they share counted" in text
    assert "\nemulation" not in text
    record_screen(screen, "a claim", [("says", "[/x] that")])
    assert "[/x] that" in said(screen)


def test_runs_of_everything_say_all() -> None:
    screen = console(80)
    names: dict[str, Any] = {f"question-{n}": {} for n in range(10)}
    runs: list[tuple[str, dict[str, Any]]] = [
        ("one", {"scenarios": names, "command": "bench run all --profile quick"}),
        ("two", {"scenarios": {"startup": {}}, "command": "bench run startup"}),
        ("three", {"scenarios": [1]}),
    ]
    runs_screen(screen, runs)
    lines = [line.split() for line in said(screen).splitlines()]
    assert lines[1] == ["one", "all", "10", "cut", "short"]
    assert lines[2] == ["two", "startup", "cut", "short"]
    assert len(lines) == 4


def test_the_rest_of_the_findings_is_in_the_runs_own_report() -> None:
    findings = [{"level": "warning", "what": f"finding {n}", "why": "because", "remedy": "mend"} for n in range(6)]
    run = make_run(folder=Path("results/run-1"), findings=findings)
    for page, place in ((None, "bench report run-1"), (Path("report.html"), "in the report")):
        screen = console(100)
        closing(screen, run, page)
        assert f"2 more: {place}" in said(screen)
        assert "doctor" not in said(screen)


def test_the_doctor_ends_with_what_is_to_be_mended(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usable = {"docker": Availability(usable=True, detail="an engine")}
    monkeypatch.setattr("bench.commands.doctor.availability", lambda subjects: usable)
    monkeypatch.setattr("bench.commands.doctor.read_host", lambda cache: read_facts(pool=cache))
    monkeypatch.setenv("COLUMNS", "80")
    assert examine(catalogue, None, "run") is ExitCode.DONE
    text = capsys.readouterr().out
    facts, subjects = text.index("\nmemory "), text.index("\nusable ")
    findings = [text.index(f"\n{level} ") for level in Level if f"\n{level} " in text]
    assert facts < subjects < min(findings)
    assert len(text[:subjects].splitlines()) < 45
