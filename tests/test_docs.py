"""The pages of docs/ and the code say the same: every name both ways, and every example is loaded and run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench import lazy, scenario
from bench.backends import abilities, load_backend
from bench.backends.base import Backend, Instance
from bench.commands.cli import app
from bench.commands.notebook import sources
from bench.comparing.stats import values_needed
from bench.errors import ExitCode
from bench.judging import claims as claim_files
from bench.judging.verdicts import ClaimVerdict, judge
from bench.messages import TrialFinished
from bench.plan import make_plan
from bench.probes.startup import CONTAINER_CHAIN, GUEST_CHAIN
from bench.running.places import new_run_id, open_session
from bench.running.runner import execute
from bench.sample import Status
from bench.scenario import Catalogue
from bench.screens.console import FAULT, UNREAD
from bench.store import Recorder, Run, read_run
from report import glossary

ROOT = Path(__file__).resolve().parent.parent
METHODS = (ROOT / "docs/methods.md").read_text("utf-8")
ADDING = (ROOT / "docs/adding.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {"methods.md": METHODS, "adding.md": ADDING}
COMMANDS: dict[str, Any] = getattr(typer.main.get_command(app), "commands", {})
EXAMPLES = {
    name: text
    for _, name, text in re.findall(r"^```(toml|python) ([\w.-]+)\n(.*?)^```$", ADDING, re.DOTALL | re.MULTILINE)
}


def tables(text: str) -> list[tuple[str, list[list[str]]]]:
    """Return every table of a page: the head's first cell, and the cells of each row."""
    found = []
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append((rows[0][0], rows[2:]))
    return found


def table(text: str, head: str) -> list[list[str]]:
    """Return the rows of the one table whose first column is so named."""
    fitting = [rows for name, rows in tables(text) if name == head]
    assert len(fitting) == 1, f"{len(fitting)} tables begin with {head!r}"
    return fitting[0]


def names(rows: list[list[str]]) -> list[str]:
    """Return the first column without its backquotes."""
    return [row[0].strip("`") for row in rows]


def test_events_are_those_of_the_clock_with_their_meanings() -> None:
    told = [(row[0].strip("`"), row[1]) for row in table(METHODS, "event")]
    assert told == glossary.events()


def test_chains_are_those_of_the_probe() -> None:
    for chain in (CONTAINER_CHAIN, GUEST_CHAIN):
        assert f"`{' → '.join(chain)}`" in METHODS


def test_every_scenario_has_its_metrics_both_ways(catalogue: Catalogue) -> None:
    sections = dict(re.findall(r"^### `([a-z-]+)`:[^\n]*\n(.*?)(?=^##)", METHODS, re.DOTALL | re.MULTILINE))
    documented = {name: sorted(names(table(text, "metric"))) for name, text in sections.items()}
    declared = {name: sorted(m.name for m in s.metrics) for name, s in catalogue.scenarios.items()}
    assert documented == declared, "docs/methods.md has a section for every scenario, a row for every metric"


def test_the_readme_lists_every_question(catalogue: Catalogue) -> None:
    listed = [(row[0].strip("`"), row[1]) for row in table(README, "scenario")]
    assert listed == [(name, s.question) for name, s in catalogue.scenarios.items()]


def test_the_readme_lists_every_subject_and_nothing_else(catalogue: Catalogue) -> None:
    listed = [name for row in table(README, "subject") for name in re.findall(r"`([\w-]+)`", row[0])]
    assert sorted(listed) == sorted(name for name, subject in catalogue.subjects.items() if not subject.twin_of)
    twins = re.search(r"^(.*) are measured a second time on purpose", README, re.MULTILINE)
    assert twins
    assert re.findall(r"`([\w-]+)`", twins[1]) == [name for name, s in catalogue.subjects.items() if s.twin_of]


def test_the_readme_lists_every_profile_and_the_default(catalogue: Catalogue) -> None:
    listed = {row[0].strip("`"): row[1] for row in table(README, "profile")}
    assert list(listed) == list(catalogue.profiles)
    for name, profile in catalogue.profiles.items():
        assert profile.title.startswith(listed[name].partition(";")[0]), name
    run = COMMANDS["run"].params
    [default] = [parameter.default for parameter in run if "--profile" in parameter.opts]
    assert [name for name, said in listed.items() if said.endswith("; the default")] == [default]


def test_the_readme_lists_every_command_and_its_options() -> None:
    rows = table(README, "command")
    listed = [row[0].split("`")[1].split()[1] for row in rows]
    assert sorted(listed) == sorted(COMMANDS)
    for command, row in zip(listed, rows, strict=True):
        known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", " ".join(row))) <= known, command


def test_the_readme_lists_every_exit_code_and_nothing_else() -> None:
    killed, unready = 128 + signal.SIGKILL, os.EX_UNAVAILABLE
    told = [int(code) for code in names(table(README, "code"))]
    assert told == sorted({*ExitCode, killed, unready, FAULT, UNREAD})


def test_the_readme_lists_every_notebook() -> None:
    linked = [re.findall(r"\]\(notebooks/(.*)\.ipynb\)", row[0]) for row in table(README, "notebook")]
    assert linked == [[source.stem] for source in sources()]


def test_constants_have_the_values_of_the_code() -> None:
    for path, value, _ in table(METHODS, "constant"):
        module, _, name = path.strip("`").rpartition(".")
        assert getattr(importlib.import_module(module), name) == pytest.approx(float(value)), path
    needed = values_needed()
    assert f"At 95 % it needs {needed} values" in METHODS
    assert f"below {needed} common blocks" in METHODS


def test_every_status_is_explained() -> None:
    assert [status for status in Status if status is not Status.OK and f"`{status}`" not in METHODS] == []


def test_every_source_is_cited_and_every_citation_has_a_source() -> None:
    body, _, sources = METHODS.partition("## Sources")
    cited = {int(n) for found in re.findall(r"\[(\d+(?:, \d+)*)\]", body) for n in found.split(", ")}
    listed = [int(n) for n in re.findall(r"^(\d+)\. ", sources, re.MULTILINE)]
    assert listed == list(range(1, len(listed) + 1))
    assert cited == set(listed)


@pytest.mark.parametrize("page", [*PAGES, "README.md"])
def test_links_lead_somewhere(page: str) -> None:
    place = ROOT / "docs" / page if page in PAGES else ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)\)", place.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (place.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_are_named_exist(page: str) -> None:
    paths = re.findall(r"`((?:tests|bench|scenarios|docs|report)/[\w./-]*)`", PAGES[page])
    assert [path for path in paths if not (ROOT / path).exists()] == []
    for dotted in re.findall(r"`(bench\.[a-z_.]+\.[A-Za-z_]+)`", PAGES[page]):
        module, _, name = dotted.rpartition(".")
        assert hasattr(importlib.import_module(module), name), dotted


@pytest.mark.parametrize(("head", "protocol"), [("method of a backend", Backend), ("method of an instance", Instance)])
def test_methods_of_a_protocol_are_all_there(head: str, protocol: type) -> None:
    methods = {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")}
    assert methods, "the protocol could not be read"
    assert set(names(table(ADDING, head))) == methods


def test_every_ability_is_listed_with_its_methods_and_who_asks() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)`[^|]*\| ([^|]+) \| `([\w/.]+)` \|$", ADDING, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", methods)) for name, methods, _ in rows}
    kinds = [kind for kind in vars(abilities).values() if getattr(kind, "__module__", "") == abilities.__name__]
    assert kinds, "the protocols could not be read"
    assert told == {kind.__name__: {name for name in vars(kind) if not name.startswith("_")} for kind in kinds}
    assert [name for name, _, asker in rows if name not in (ROOT / asker).read_text("utf-8")] == []


def test_commands_of_the_examples_exist() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", ADDING, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) >= 4
    for program, command, *words in lines:
        assert program == "bench"
        options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, command


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's examples as files: the scenario among the suite's own, the modules known by their entry points."""
    shutil.copytree(scenario.DIRECTORY, tmp_path / "scenarios")
    for name, text in EXAMPLES.items():
        place = tmp_path / "scenarios" if name == "shell.toml" else tmp_path
        (place / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = tomllib.loads(EXAMPLES["pyproject.toml"])["project"]["entry-points"]
    points = [
        importlib.metadata.EntryPoint(name, value, group)
        for group, table in told.items()
        for name, value in table.items()
    ]
    monkeypatch.setattr(lazy, "entry_points", lambda *, group: [point for point in points if point.group == group])
    return tmp_path


def extended(folder: Path) -> Catalogue:
    """Return what is declared with the examples."""
    return scenario.load(folder / "scenarios", (folder / "my.toml",))


def test_example_subjects_are_declared(extension: Path) -> None:
    catalogue = extended(extension)
    gvisor, docker = catalogue.subjects["docker-gvisor"], catalogue.subjects["docker"]
    assert gvisor.backend == "docker"
    assert dict(gvisor.options) == {**docker.options, "runtime": "runsc"}
    assert catalogue.subjects["patient-twin"].twin_of == "patient"


def run_example(folder: Path) -> Run:
    """Run the example's scenario on the example's subject and record it."""
    catalogue = extended(folder)
    asked = catalogue.scenarios["shell"]
    plan = make_plan([asked], catalogue.subjects, catalogue.profiles["quick"], 1, only=("patient",))
    recorder = Recorder(folder / "results", "run", "host")
    told = asked.model_dump(mode="json", exclude={"profiles"})
    subjects = {s.name: s.model_dump(mode="json") for s in plan.subjects}
    recorder.describe({"scenarios": {"shell": told}, "subjects": subjects})
    with open_session(new_run_id()) as session, contextlib.closing(
        execute(plan, session, {"patient": load_backend("patient")})
    ) as messages:  # fmt: skip
        for message in messages:
            if isinstance(message, TrialFinished):
                recorder.record(message.result)
    recorder.finish("complete")
    return read_run(folder / "results" / "run")


def test_examples_run_together_and_the_claim_is_judged(extension: Path) -> None:
    run = run_example(extension)
    measured = [row for row in run.rows if row["phase"] == "measure" and row["block"] >= 0]
    assert {row["subject"] for row in measured} == {"patient", "patient-twin"}
    metrics = {m.name for m in extended(extension).scenarios["shell"].metrics}
    assert {row["metric"] for row in measured} == metrics
    assert {row["status"] for row in measured} == {"ok"}
    assert all(row["value"] > 0 for row in measured)
    (judgement,) = judge(run, claim_files.load(None, (extension / "claims.toml",)), ("shell",))
    assert judgement.verdict is ClaimVerdict.SUPPORTED, judgement.reason


def test_example_backend_refuses_what_it_cannot_do(extension: Path) -> None:
    subject = extended(extension).subjects["patient"]
    assert load_backend("patient").check(subject).usable
    answer = load_backend("patient").check(subject.model_copy(update={"options": {}}))
    assert not answer.usable
    assert answer.reason
    assert answer.hint


def test_example_code_keeps_the_rules(extension: Path) -> None:
    modules = sorted(str(extension / name) for name in EXAMPLES if name.endswith(".py"))
    assert len(modules) == 2
    checks = (["ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "INP001"], ["mypy", "--strict"])
    for words in checks:
        done = subprocess.run(
            [sys.executable, "-m", *words, *modules], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
