"""The command line: exit codes as a table, words for every mistake, screens that fit 80 columns."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from written_runs import series, write_run

from bench.commands.cli import app, main
from bench.commands.measure import _write_report
from bench.screens.console import guarded
from bench.store import read_run

ROOT = Path(__file__).resolve().parents[2]

SCENARIO = """
title = "Starting"
question = "How long?"
probe = "startup"
headline = "requested→ready"
subjects = [%s]
[[metrics]]
name = "requested→ready"
unit = "s"
"""


class Bench:
    """Runs `bench` on a folder of fake subjects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scenarios, self.results = folder / "scenarios", folder / "results"
        self.scenarios.mkdir()
        (self.scenarios / "profiles.toml").write_text('[profiles.quick]\ntitle = "first"\nblocks = 6\n', "utf-8")

    def subjects(self, **options: str) -> None:
        """Declare subjects, each with the text of its options table."""
        text = "\n".join(
            f'[subjects.{name}]\ntitle = "{name}"\nbackend = "fake"\nrung = {rung}\noptions = {{ {table} }}'
            for rung, (name, table) in enumerate(options.items())
        )
        (self.scenarios / "subjects.toml").write_text(text, "utf-8")
        names = ", ".join(f'"{name}"' for name in options)
        (self.scenarios / "startup.toml").write_text(SCENARIO % names, "utf-8")

    def __call__(self, *words: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
        """Run one command as a process."""
        environment = {**os.environ, "COLUMNS": str(columns), "BENCH_CACHE": str(self.folder / "cache")}
        environment["BENCH_RESULTS"] = str(self.results)
        where = ["--scenarios", str(self.scenarios)] if words[0] in ("run", "plan", "show", "list", "doctor") else []
        return subprocess.run(
            [sys.executable, "-m", "bench", *words, *where], cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.subjects(process='ready_s = "0.001"', docker='ready_s = "0.2"', vm='ready_s = "20", accelerator = "tcg"')
    return made


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ('ready_s = "0.1"', 0),
        ('ready_s = "0.1", fail = "die", fail_every = "3"', 1),
        ('fail = "refuse"', 3),
        ('missing = "no such engine"', 3),
    ],
)
def test_the_exit_code_says_how_it_went(bench: Bench, options: str, code: int) -> None:
    bench.subjects(process=options)
    done = bench("run", "all", "--no-report", "--seed", "1")
    assert done.returncode == code, done.stderr


def test_a_skipped_subject_is_no_failure(bench: Bench) -> None:
    bench.subjects(process='ready_s = "0.1"', vm='missing = "no such engine"')
    done = bench("run", "all", "--no-report")
    assert done.returncode == 0
    assert re.search(r"skipped +vm: no such engine \(remove the option\)", done.stdout)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "startpu"], 'there is no scenario "startpu"\n  → did you mean "startup"?'),
        (["run", "all", "--subject", "dokcer"], 'there is no subject "dokcer"\n  → did you mean "docker"?'),
        (["run", "all", "--profile", "quik"], 'there is no profile "quik"\n  → did you mean "quick"?'),
        (["run", "all", "--label", "x"], '--label needs the form key=value, not "x"'),
        (["run", "all", "--budget", "soon"], '--budget: "soon" is no quantity'),
        (["run", "all", "--budget", "3 MiB"], '--budget needs a time, not "3 MiB"'),
        (["run", "all", "--events", "xml"], '--events knows "json"'),
        (["run", "all", "--results", "/proc/nowhere"], "/proc/nowhere cannot be written"),
        (["run", "all", "--subjects", "/nowhere.toml"], "nowhere.toml: cannot be read"),
        (["show", "dokcer"], 'did you mean "docker"?'),
        (["report", "20990101"], 'there is no run "20990101"'),
        (["compare", "one"], "compare needs two runs"),
    ],
)
def test_a_mistake_is_told_with_its_remedy_and_nothing_is_started(bench: Bench, words: list[str], told: str) -> None:
    if words[0] in ("report", "compare"):
        assert bench("run", "all", "--no-report").returncode == 0
    before = sorted(bench.results.glob("*")) if bench.results.exists() else []
    done = bench(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert before == (sorted(bench.results.glob("*")) if bench.results.exists() else [])


PLACES = sorted(
    (name, parameter.opts[0])
    for name, command in getattr(typer.main.get_command(app), "commands", {}).items()
    for parameter in command.params
    if (parameter.metavar or "").startswith(("DIR", "FILE"))
)
"""Every option of every command that names a file or a folder."""
WORDS = {
    "run": ["all"], "plan": ["all"], "show": ["one"], "compare": ["one", "one"], "export": ["--format", "csv"],
}  # fmt: skip
"""What else a command needs."""


def test_the_options_that_name_a_place_are_found() -> None:
    assert {("run", "--scratch"), ("plan", "--subjects"), ("report", "--out"), ("simulate", "--docs")} <= {*PLACES}


@pytest.mark.parametrize(("command", "option"), PLACES)
def test_a_place_that_is_not_there_is_told_with_its_remedy(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "one", series("process", 0.01))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    place = "/proc/nowhere/" + ("x.toml" if option in ("--subjects", "--claims", "--out", "--output") else "")
    monkeypatch.setattr(sys, "argv", ["bench", command, *WORDS.get(command, []), option, place])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2, said.err
    assert "/proc/nowhere" in said.err
    assert "\n  → " in said.err
    assert said.out == ""


@pytest.mark.parametrize("words", [["notebook"], ["notebook", "--refresh"]])
def test_a_notebook_without_its_library_is_told_with_the_remedy(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "one", series("process", 0.01))
    real = importlib.util.find_spec
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "nbformat" else real(name, *more)
    )
    monkeypatch.setitem(sys.modules, "nbformat", None)
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "bench: nbformat is not installed\n  → pip install nbformat" in capsys.readouterr().err


def test_a_subject_that_the_profile_does_not_ask_is_told_with_the_profile_that_does(bench: Bench) -> None:
    profiles = "".join(f'[profiles.{name}]\ntitle = "t"\nblocks = 6\n' for name in ("quick", "standard", "thorough"))
    (bench.scenarios / "profiles.toml").write_text(profiles, "utf-8")
    with (bench.scenarios / "startup.toml").open("a", encoding="utf-8") as file:
        file.write('[profiles.quick]\nsubjects = ["process"]\n[excluded]\ndocker = "it is no ship"\n')
    done = bench("run", "startup", "--subject", "vm")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'the profile quick does not ask "vm"\n  → --profile standard or thorough does\n' in done.stderr
    assert bench("plan", "startup", "--subject", "vm", "--profile", "standard").returncode == 0


def test_a_subject_that_makes_no_sense_is_told_with_the_reason(bench: Bench) -> None:
    text = (SCENARIO % '"process"') + '[excluded]\nvm = "it is no ship"\n'
    (bench.scenarios / "startup.toml").write_text(text, "utf-8")
    done = bench("run", "startup", "--subject", "vm")
    assert done.returncode == 2
    assert 'startup cannot be asked of "vm": it is no ship' in done.stderr


def test_the_plan_says_what_a_budget_makes_of_it(bench: Bench) -> None:
    assert "The budget is 30 min: enough for all of it" in bench("plan", "all", "--budget", "30 min").stdout
    assert "The budget is 10 s: each question ends in its share" in bench("plan", "all", "--budget", "10 s").stdout
    assert "The budget is" not in bench("plan", "all").stdout


def test_the_plan_shows_every_block_when_asked(bench: Bench) -> None:
    assert "block  5" not in bench("plan", "all").stdout
    assert "block  5" in bench("plan", "all", "--orders").stdout


def test_what_is_declared_is_shown_without_python(bench: Bench) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "bench", "show", "disk"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "written-mb = 100" in shown
    assert not re.search(r"None|\{'|\['", shown)


@pytest.mark.parametrize("words", [["list"], ["run", "all", "--no-report"]])
def test_a_reader_that_has_gone_is_told_by_the_exit_code(bench: Bench, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "BENCH_RESULTS": str(bench.results), "BENCH_CACHE": str(bench.folder / "cache")}
    command = [sys.executable, "-m", "bench", *words, "--scenarios", str(bench.scenarios)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == 141, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_pipe_that_breaks_elsewhere_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    assert guarded(broken) == 70
    said = capsys.readouterr().err
    assert "BrokenPipeError" in said
    Path(said.partition("details: ")[2].strip()).unlink()


def test_a_fault_of_the_report_costs_the_run_nothing_but_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path, "one", series("process", 0.01))

    def broken(*_: object) -> Path:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("bench.commands.measure.reporter", lambda: broken)
    assert _write_report(run) is None
    said = capsys.readouterr().err
    assert "the report cannot be made: ZeroDivisionError: by zero" in said
    assert "  → bench report one\n" in said
    assert "Traceback" in (run.path / "log.txt").read_text("utf-8")


def test_wrong_files_are_told_with_every_fault(bench: Bench) -> None:
    (bench.scenarios / "startup.toml").write_text(SCENARIO % '"process"' + 'colour = "red"\n', "utf-8")
    (bench.scenarios / "subjects.toml").write_text('[subjects.process]\ntitle = "x"\nbakend = "fake"\n', "utf-8")
    done = bench("run", "all")
    assert done.returncode == 2
    assert "metrics[0].colour: unknown key" in done.stderr
    assert 'subjects.process.bakend: unknown key; did you mean "backend"?' in done.stderr


def test_a_fault_in_bench_is_one_line_and_a_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("bench.scenario.load", broken)
    monkeypatch.setattr(sys, "argv", ["bench", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 70
    told = capsys.readouterr().err
    assert told.startswith("bench: a fault in bench: ZeroDivisionError: by zero\n")
    log = Path(told.partition("details: ")[2].strip())
    assert "Traceback" in log.read_text()
    log.unlink()
    monkeypatch.setattr(sys, "argv", ["bench", "list", "--debug"])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize("columns", [80, 120])
def test_the_screens_fit(bench: Bench, columns: int) -> None:
    bench.subjects(
        process='ready_s = "0.001"', docker='ready_s = "0.2"', broken='fail = "die"', gone='missing = "no engine"'
    )
    assert bench("run", "all", "--no-report", "--seed", "5").returncode == 1
    (run,) = bench.results.iterdir()
    screens = [["show", run.name], ["show", "startup"], ["list"], ["plan", "all"], ["runs"], ["run", "--help"]]
    for words in screens:
        done = bench(*words, columns=columns)
        too_long = [line for line in done.stdout.splitlines() if len(line.rstrip()) > columns and run.name not in line]
        assert too_long == [], words
        assert done.returncode == 0, done.stderr


def test_the_closing_screen_answers_in_a_sentence_and_says_how_to_repeat_it(bench: Bench) -> None:
    done = bench("run", "all", "--no-report", "--seed", "5", columns=100)
    assert re.search(r"^Starting: process \S+ ms \[.*, vm@tcg ≤ \S+ s \[", done.stdout, re.MULTILINE)
    assert re.search(r"again .*bench run all .*--seed 5", " ".join(done.stdout.split()))
    assert "--profile standard" in done.stdout
    assert "samples.parquet" in done.stdout


def test_the_same_seed_gives_the_same_order(bench: Bench) -> None:
    for _ in range(2):
        bench("run", "all", "--no-report", "--seed", "5", "--label", "who=me")
    first, second = (read_run(path) for path in bench.results.iterdir())
    assert first.info["order"] == second.info["order"]
    assert first.info["labels"] == {"who": "me"}
    assert "vm@tcg" in first.info["subjects"]


def test_events_are_json_lines_and_nothing_else(bench: Bench) -> None:
    done = bench("run", "all", "--no-report", "--events", "json")
    looking, *events = [json.loads(line) for line in done.stdout.splitlines()]
    assert looking == {"event": "preparing", "text": "looking at this host"}
    assert events[0]["event"] == "run-started"
    assert events[0]["trials"] == 21 == sum(event["event"] == "trial-finished" for event in events)
    assert [event["event"] for event in events[-2:]] == ["run-finished", "written"]
    assert read_run(events[-1]["run"]).info["ending"] == "complete"


def test_dry_run_starts_nothing(bench: Bench) -> None:
    done = bench("run", "all", "--dry-run")
    assert "21 trials in all" in done.stdout
    assert not bench.results.exists()


def test_measured_costs_make_the_next_plan(bench: Bench) -> None:
    assert "about 21 s" in bench("plan", "all").stdout
    bench("run", "all", "--no-report")
    assert "about 21 s" not in bench("plan", "all").stdout


def test_every_command_and_option_has_help() -> None:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_who_left_early_is_planned_counted_kept_and_shown(bench: Bench) -> None:
    profile = '[profiles.quick]\ntitle = "first"\nblocks = 10\n[profiles.close]\ntitle = "looks"\nblocks = 10\n'
    (bench.scenarios / "profiles.toml").write_text(profile + "width = 0.05\nlooks = [8]\n", "utf-8")
    bench.subjects(process='sigma = "0.001"', docker='sigma = "0.001"', wild='sigma = "2"')
    assert "up to 33 trials in all" in bench("plan", "all", "--profile", "close").stdout
    assert "up to" not in bench("plan", "all").stdout
    done = bench("run", "all", "--no-report", "--seed", "1", "--profile", "close", "--budget", "5m", columns=200)
    assert "; 2 trials not needed" in done.stderr
    (path,) = (path for path in bench.results.iterdir() if (path / "run.json").is_file())
    kept = {entry["subject"]: (entry["rule"], entry["blocks"]) for entry in read_run(path).info["stopped"]}
    assert kept == {"process": ("blocks", 10), "docker": ("width", 8), "wild": ("blocks", 10)}
    for text in (done.stdout, bench("show", path.name, columns=200).stdout):
        assert re.search(r"stopped +startup: docker after 8 of 10 blocks \(±0\.\d%\); 2 pairings used all", text)
    assert "--budget 5m --seed 1" in done.stdout
