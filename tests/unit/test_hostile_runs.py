"""A stranger's folder at every command that reads one: words instead of faults, no markup, nothing for the terminal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from report_runs import row
from typer.testing import CliRunner
from written_runs import READY, scenario, series, write_run

from bench.commands.cli import app
from bench.exports import FORMATS

EVIL = "[/x]\x1b[31m\x1b]0;owned\x07[link=x]\u202e"
"""What rich would take for markup that ends nothing, what a terminal would obey, and a mark that turns a line."""


def words_of_a_stranger(folder: Path) -> None:
    metric = {"name": EVIL, "unit": "s", "better": "lower", "title": EVIL, "counted": EVIL}
    told = {"title": EVIL, "question": EVIL, "headline": EVIL, "baseline": EVIL, "metrics": [metric]}
    rows = [
        *series(EVIL, 1.0, metric=EVIL, backend=EVIL), *series(f"{EVIL}@tcg", 2.0, metric=EVIL, backend="libvirt"),
        *series("failing", None, metric=EVIL, reason=EVIL), *series(f"{EVIL}2", 2.0, 1, metric=EVIL, reason=EVIL),
    ]  # fmt: skip
    rows = [{**r, "scenario": EVIL, "params": {EVIL: EVIL}} for r in rows]
    write_run(
        folder, "evil", rows, facts={EVIL: {EVIL: EVIL}}, scenarios={EVIL: told}, labels={EVIL: EVIL}, command=EVIL,
        profile=EVIL, engines={EVIL: {EVIL: EVIL}}, findings=[{"level": EVIL, "what": EVIL, "remedy": EVIL}] * 9,
    )  # fmt: skip
    info = folder / "evil" / "run.json"
    info.write_text(json.dumps({**json.loads(info.read_text("utf-8")), "run_id": EVIL, "ending": EVIL}), "utf-8")


def other_shapes(folder: Path) -> None:
    rows = series("docker", 1.0)
    wrong = {"scenarios": [], "subjects": 3, "manifests": "x", "labels": 7, "profile": ["x"], "command": {"a": 1}}
    write_run(folder, "evil", rows, **wrong, findings=5, stopped="x", engines=[1], refusals=2, order=None)


def shapes_within(folder: Path) -> None:
    told: dict[str, Any] = {
        "startup": {"metrics": 3, "title": [1], "emulation": 4, "order": 10**300},
        "x": None,
        "y": [],
    }
    write_run(folder, "evil", series("docker", 1.0), scenarios=told, subjects={"docker": 3}, manifests={"docker": []})


def wrong_rows(folder: Path) -> None:
    rows = [
        *series("docker", 1.0), *series("furlongs", 1.0, unit="furlong"), *series("sideways", 1.0, better="sideways"),
        *series("nothing", 0.0), *series("huge", 1.7e308), *series("tiny", 5e-324), *series("odd", 1.0, status="odd"),
        *(row("startup", "lost", READY, None, b, status="ok") for b in range(8)),
        *(row("startup", "endless", READY, math.inf, b) for b in range(8)),
        row("startup", "nowhere", READY, 1.0, 0, trial=None, unit=None, better=None, phase=None),
        row("startup", "nowhere", READY, 1.0, 0, trial=None, backend=None, reason=None),
    ]  # fmt: skip
    rows += [{**rows[-1], "block": None}, {**rows[0], "block": None}]
    write_run(folder, "evil", rows, scenarios={"startup": scenario(READY)})


@pytest.fixture(params=[words_of_a_stranger, other_shapes, shapes_within, wrong_rows], ids=lambda make: make.__name__)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with one run of ours and one of a stranger."""
    write_run(tmp_path, "good", series("process", 1.0) + series("docker", 1.0))
    request.param(tmp_path)
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def checked(*words: str) -> str:
    """Run a command and see that it ends in words that a terminal can show."""
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert [c for c in done.output if not (c.isprintable() or c == "\n")] == [], words
    return done.output


def test_every_screen_ends_in_words(folder: Path) -> None:
    screens = [
        ["show", "evil"], ["claims", "evil"], ["claims", "evil", "--about", "vm-minutes"], ["runs"],
        ["compare", "good", "evil"], ["compare", "evil", "good", "--fail-on", "slower"], ["compare", "evil", "evil"],
    ]  # fmt: skip
    for words in screens:
        text = checked(*words)
        # A path is one word, and longer than a line.
        too_long = [line for line in text.splitlines() if len(line.rstrip()) > 80 and str(folder) not in line]
        assert too_long == [], words


def test_every_page_is_made(folder: Path) -> None:
    for words in (["report", "evil"], ["report", "good", "evil"]):
        page = Path(checked(*words).splitlines()[-1]).read_text("utf-8")
        assert "\x1b" not in page
        assert EVIL not in page


@pytest.mark.parametrize("form", FORMATS)
def test_every_export_ends_in_words(folder: Path, form: str) -> None:
    done = CliRunner().invoke(app, ["export", "evil", "--format", form])
    assert done.exit_code in (0, 3), (done.output, done.exc_info)


def test_a_reason_is_given_for_what_could_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rows(tmp_path)
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    told = " ".join(checked("show", "evil").split())
    assert 'furlongs (8×): its unit, "furlong", is unknown to this version' in told
    assert "8 of 8 failed" in told


def test_a_complaint_has_nothing_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from bench.errors import UsageError
    from bench.screens.console import complain

    complain(UsageError(f"there is no {EVIL}", f"try {EVIL}"))
    assert "\x1b" not in capsys.readouterr().err
