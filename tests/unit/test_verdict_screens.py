"""The verdicts on the terminal, and the command that asks for them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.commands.cli import app
from bench.judging.claims import load
from bench.judging.verdicts import judge
from bench.screens.claims import judgement_screen, verdicts_screen
from bench.screens.results import closing
from bench.store import Run
from tests.unit.report_runs import make_run
from tests.unit.test_claims import WHOLE
from tests.unit.test_verdicts import whole_run


def console(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, color_system=None, emoji=False)


def said(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_every_claim_is_told_and_fits_80_columns() -> None:
    screen = console()
    judgements = judge(make_run(), load(), {"startup"})
    verdicts_screen(screen, judgements)
    for judgement in judgements:
        assert f"\n{judgement.claim.id}" in said(screen)
    assert f"not measured: {sum(j.verdict == 'not measured' for j in judgements)}" in said(screen)
    assert max(map(len, said(screen).splitlines())) <= 80


def test_a_claim_is_a_paragraph_where_a_table_has_no_room() -> None:
    judgements = judge(make_run(), load(), {"startup"})
    narrow, wide = console(80), console(120)
    for screen in (narrow, wide):
        verdicts_screen(screen, judgements)
    assert re.search(r"^claim +says +why *$", said(wide), re.MULTILINE)
    assert not re.search(r"^claim +says", said(narrow), re.MULTILINE)
    longest = max(len(judgement.claim.id) for judgement in judgements)
    for judgement in judgements:
        told, reason = said(narrow).partition(f"\n{judgement.claim.id} ")[2].split("\n")[:2]
        assert judgement.claim.english.startswith(" ".join(told.split()))
        assert reason.startswith(" " * longest)


def test_one_claim_is_told_with_its_evidence() -> None:
    screen = console(100)
    (judgement,) = (j for j in judge(make_run(), load(), ()) if j.claim.id == "distance-costs")
    judgement_screen(screen, judgement)
    text = said(screen)
    assert "离目标进程越远" in text
    assert "startup requested→ready: above 1 × of the one before" in text
    assert "undecided: absent" in text
    assert "absent: it is not in this run" in text


def test_what_a_stranger_wrote_is_text_and_no_markup() -> None:
    run = make_run()
    evil = Run(path=run.path, info=run.info, facts={}, rows=tuple(
        {**row, "subject": "[bold]docker[/]", "backend": "docker", "reason": "[link=x]"} for row in run.rows
    ))  # fmt: skip
    screen = console(200)
    judgements = judge(evil, load(), ())
    verdicts_screen(screen, judgements)
    for judgement in judgements:
        judgement_screen(screen, judgement)
    assert "[bold]docker[/]" in said(screen)


def test_the_closing_screen_has_a_line() -> None:
    screen = console(100)
    closing(screen, whole_run())
    assert "claims       refuted: vm-minutes" in said(screen)
    assert "→ bench claims nowhere" in said(screen)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "run.json").write_text("{}", "utf-8")
    monkeypatch.setattr("bench.store.read_run", lambda path: make_run(folder=path))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    return tmp_path


def test_the_command_judges_the_newest_run_and_a_users_claims(results: Path) -> None:
    mine = results / "mine.toml"
    mine.write_text(WHOLE.replace('"docker"', '"vm-bare"'), "utf-8")
    done = CliRunner().invoke(app, ["claims", "--claims", str(mine), "--about", "mine"])
    assert done.exit_code == 0, done.output
    assert "holds for vm-bare@kvm 3" in done.output
    assert "vm-minutes" in CliRunner().invoke(app, ["claims", "run-1"]).output
    wrong = CliRunner().invoke(app, ["claims", "--about", "vm-minute"])
    assert getattr(wrong.exception, "hint", "") == 'did you mean "vm-minutes"?'


def test_the_report_gets_the_verdicts(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Run] = []

    def write(run: Run, path: Path) -> Path:
        seen.append(run)
        return path

    monkeypatch.setattr("bench.commands.measure.reporter", lambda: write)
    done = CliRunner().invoke(app, ["report"])
    assert done.exit_code == 0, done.output
    assert [told["id"] for told in seen[0].info["claims"]] == [claim.id for claim in load()]
