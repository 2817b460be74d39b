"""Scenario files: what is declared is found, and every fault is named with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.errors import ScenarioError, UsageError
from bench.scenario import DIRECTORY, Catalogue, Metric, load
from bench.units import Unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the suite's own files."""
    for path in DIRECTORY.glob("*.toml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_the_suites_own_files_have_no_fault(catalogue: Catalogue) -> None:
    assert {"startup", "disk", "memory", "cold"} <= catalogue.scenarios.keys()
    assert {"quick", "standard", "thorough"} <= catalogue.profiles.keys()
    rungs = [subject.rung for subject in catalogue.subjects.values()]
    assert rungs == sorted(rungs)


def test_three_faults_are_named_with_their_places(folder: Path) -> None:
    text = (folder / "startup.toml").read_text("utf-8")
    text = (
        text.replace('unit = "s"', 'unit = "sec"', 1).replace('"vm-bare",', '"vm-bear",').replace("probe =", "prob =")
    )
    (folder / "startup.toml").write_text(text, "utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(folder)
    message = caught.value.message
    assert "startup.toml: metrics[0].unit: " in message
    assert "found 'sec'" in message
    assert 'startup.toml: prob: unknown key; did you mean "probe"?' in message
    assert "startup.toml: probe: is missing" in message
    text = text.replace("prob =", "probe =").replace('unit = "sec"', 'unit = "s"')
    (folder / "startup.toml").write_text(text, "utf-8")
    with pytest.raises(
        ScenarioError, match=r"startup\.toml: subjects: there is no 'vm-bear'; did you mean \"vm-bare\""
    ):
        load(folder)


def test_files_that_are_no_toml_are_all_named(folder: Path) -> None:
    (folder / "one.toml").write_text("= 1", "utf-8")
    (folder / "two.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError) as caught:
        load(folder)
    assert "one.toml: is not TOML" in caught.value.message
    assert "two.toml: cannot be read" in caught.value.message


def test_a_subject_like_another_changes_only_what_it_says(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text(
        '[subjects.docker-runsc]\nlike = "docker"\ntitle = "gVisor"\noptions = { runtime = "runsc" }\n', "utf-8"
    )
    subjects = load(folder, (mine,)).subjects
    assert subjects["docker-runsc"].options == {**subjects["docker"].options, "runtime": "runsc"}
    assert subjects["docker-runsc"].backend == "docker"
    scenarios = load(folder, (mine,)).scenarios
    assert scenarios["startup"].subjects[-1] == "docker-runsc"
    assert "docker-runsc" in (scenarios["memory"].profiles["quick"].subjects or ())
    assert "docker-runsc" not in load(folder).scenarios["startup"].subjects
    assert subjects["docker-hostnet"].twin_of == ""


def test_unknown_likes_and_names(folder: Path, tmp_path: Path, catalogue: Catalogue) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text('[subjects.x]\nlike = "doker"\ntitle = "x"\n', "utf-8")
    with pytest.raises(
        ScenarioError, match=r"subjects\.x\.like: 'doker' is not defined above; did you mean \"docker\""
    ):
        load(folder, (mine,))
    with pytest.raises(UsageError, match='there is no scenario "startpu"') as caught:
        catalogue.pick("scenarios", ("startpu",))
    assert caught.value.hint == 'did you mean "startup"?'


def test_a_duration_names_its_events() -> None:
    assert Metric(name="requested→ready", unit=Unit.SECONDS).events == ("requested", "ready")
    assert Metric(name="pss", unit=Unit.BYTES).events == ("", "")
