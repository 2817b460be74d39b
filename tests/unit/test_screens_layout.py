"""How the screens are laid out: whole words in headings, bounds marked, reasons once, facts for people."""

from __future__ import annotations

from io import StringIO

import pytest
from report_runs import make_run
from rich.console import Console

from bench.between import compare_runs
from bench.between_screens import between_screen
from bench.screens import closing, facts_screen


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


def test_facts_are_written_for_people() -> None:
    screen = console(100)
    facts = {"memory": {"total_bytes": 2**34, "swap": None}, "cpu": {"governors": (), "list": ("a", "b")}, "x": 0.12345}
    facts_screen(screen, facts)
    lines = [" ".join(line.split()) for line in said(screen).splitlines()]
    assert "memory.total bytes 16.0 GiB" in lines
    assert "memory.swap unknown" in lines
    assert "cpu.governors none" in lines
    assert "cpu.list a, b" in lines
    assert "x 0.1234" in lines or "x 0.1235" in lines
