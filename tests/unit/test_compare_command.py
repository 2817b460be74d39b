"""`bench compare`: differences first, words that shout, and exit codes a pipeline can rely on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from written_runs import READY, bench, scenario, series, write_run

BASE = {"process": 0.01, "docker": 0.4, "vm@kvm": 2.0}


def pair(folder: Path, second: dict[str, float | None], blocks: int = 8, **more: Any) -> None:
    """Write a run of the three subjects, and one that differs from it by what is given."""
    write_run(folder, "one", [r for s, v in BASE.items() for r in series(s, v, blocks, **more)])
    write_run(folder, "two", [r for s, v in {**BASE, **second}.items() for r in series(s, v, blocks, **more)])


@pytest.mark.parametrize(
    ("second", "blocks", "asked", "code"),
    [
        ({}, 8, ["slower", "inconclusive"], 0),
        ({"docker": 0.8}, 8, [], 0),
        ({"docker": 0.8}, 8, ["slower"], 4),
        ({"docker": 0.8}, 8, ["inconclusive"], 0),
        ({"docker": 0.2}, 8, ["slower"], 0),
        ({"docker": 0.42}, 8, ["slower"], 0),
        ({"docker": 0.42}, 8, ["inconclusive"], 5),
        ({"docker": 0.8}, 5, ["slower"], 0),
        ({"docker": 0.8}, 5, ["slower", "inconclusive"], 5),
        ({"docker": 0.8, "vm@kvm": 2.1}, 8, ["inconclusive", "slower"], 4),
        ({"docker": None}, 8, ["slower"], 0),
        ({"docker": None}, 8, ["inconclusive"], 5),
    ],
)
def test_the_exit_code_is_what_was_asked_for(
    tmp_path: Path, second: dict[str, float | None], blocks: int, asked: list[str], code: int
) -> None:
    pair(tmp_path, second, blocks)
    done = bench(tmp_path, "compare", "one", "two", *(word for what in asked for word in ("--fail-on", what)))
    assert done.returncode == code, done.stdout + done.stderr


def test_failures_that_were_none_before_fail_the_gate(tmp_path: Path) -> None:
    told = {"scenarios": {"startup": scenario("failures", "1")}}
    for name, value in (("one", 0.0), ("two", 5.0)):
        write_run(tmp_path, name, series("docker", value, metric="failures", unit="1"), **told)
    done = bench(tmp_path, "compare", "one", "two", "--fail-on", "slower")
    assert done.returncode == 4
    assert re.search(r"startup docker +– +8 +WORSE", done.stdout)
    assert re.search(r"no figure +the whole interval lies beyond 5%: the baseline is 0 in most blocks", done.stdout)


def test_two_runs_of_one_host_and_suite_are_the_same(tmp_path: Path) -> None:
    for name, rule in (("one", "width"), ("two", "blocks")):
        write_run(tmp_path, name, series("docker", 1.0), stopped=[{"rule": rule}], started_utc=name)
    assert (
        "Their facts, engines, versions and subjects are the same." in bench(tmp_path, "compare", "one", "two").stdout
    )


def test_what_only_one_run_has_is_counted_beyond_a_few(tmp_path: Path) -> None:
    write_run(tmp_path, "one", [row for n in range(20) for row in series(f"s{n}", 1.0, 1)] + series("docker", 1.0))
    write_run(tmp_path, "two", series("docker", 1.0))
    assert "startup s5 and 14 more" in " ".join(bench(tmp_path, "compare", "one", "two").stdout.split())


@pytest.mark.parametrize(("better", "factor", "code"), [("higher", 0.5, 4), ("higher", 2, 0), ("neither", 2, 0)])
def test_which_way_is_worse_the_metric_says(tmp_path: Path, better: str, factor: float, code: int) -> None:
    told = {"scenarios": {"startup": scenario("rate", "1/s", better)}}
    for name, value in (("one", 100.0), ("two", 100.0 * factor)):
        write_run(tmp_path, name, series("docker", value, metric="rate", unit="1/s", better=better), **told)
    assert bench(tmp_path, "compare", "one", "two", "--fail-on", "slower").returncode == code


def test_differences_stand_before_ratios_and_verdicts_shout(tmp_path: Path) -> None:
    write_run(tmp_path, "one", [r for s, v in BASE.items() for r in series(s, v)], engines={"docker": "20.10"})
    slower = {"process": 0.005, "docker": 0.8, "vm@kvm": 2.0}
    rows = [r for s, v in slower.items() for r in series(s, v)]
    write_run(tmp_path, "two", rows, engines={"docker": "27.1"}, facts={"cpu": {"model": "another", "count": 2}})
    done = bench(tmp_path, "compare", "one", "two")
    differs, ratios = done.stdout.index("differs"), done.stdout.index("verdict")
    assert differs < done.stdout.index("info.engines.docker") < done.stdout.index("facts.cpu.model") < ratios
    assert re.search(r"startup docker +2\.00× \[\S+–\S+\] +8 +SLOWER", done.stdout)
    assert re.search(r"startup process +0\.50\d*× \[\S+\] +8 +FASTER", done.stdout)
    assert re.search(r"startup vm@kvm +1\.0\d*× \[\S+\] +8 +EQUIVALENT", done.stdout)


def test_more_bytes_are_not_slower_but_worse(tmp_path: Path) -> None:
    told = {"scenarios": {"startup": scenario("pss", "B")}}
    for name, value in (("one", 2.0**20), ("two", 2.0**22)):
        write_run(tmp_path, name, series("docker", value, metric="pss", unit="B"), **told)
    done = bench(tmp_path, "compare", "one", "two", "--fail-on", "slower")
    assert done.returncode == 4
    assert "MORE (worse)" in done.stdout


def test_every_run_is_compared_with_the_first(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 1.0), ("three", 3.0)):
        write_run(tmp_path, name, series("docker", value))
    done = bench(tmp_path, "compare", "one", "two", "three", "--fail-on", "slower")
    assert done.returncode == 4
    assert "two beside one" in done.stdout
    assert "three beside one" in done.stdout
    assert "three beside two" not in done.stdout


def test_accelerators_are_never_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "one", series("vm@kvm", 2.0) + series("docker", 1.0))
    write_run(tmp_path, "two", series("vm@tcg", 40.0) + series("docker", 1.0))
    done = bench(tmp_path, "compare", "one", "two", "--fail-on", "slower")
    assert done.returncode == 0
    assert "SLOWER" not in done.stdout
    assert "only in one: startup vm@kvm" in done.stdout
    assert "only in two: startup vm@tcg" in done.stdout
    assert bench(tmp_path, "compare", "one", "two", "--fail-on", "inconclusive").returncode == 5


def test_runs_with_nothing_in_common_pass_no_gate(tmp_path: Path) -> None:
    write_run(tmp_path, "one", series("vm@kvm", 2.0))
    write_run(tmp_path, "two", series("vm@tcg", 40.0))
    for asked in ([], ["--fail-on", "slower"]):
        done = bench(tmp_path, "compare", "one", "two", *asked)
        assert done.returncode == 3
        assert "nothing in common" in done.stdout


def test_the_margin_decides_what_counts(tmp_path: Path) -> None:
    pair(tmp_path, {"docker": 0.44})
    words = ("compare", "one", "two", "--fail-on", "slower")
    assert bench(tmp_path, *words).returncode == 4
    assert bench(tmp_path, *words, "--margin", "0.2").returncode == 0


def test_an_unknown_condition_is_told(tmp_path: Path) -> None:
    pair(tmp_path, {})
    done = bench(tmp_path, "compare", "one", "two", "--fail-on", "faster")
    assert done.returncode == 2
    assert 'not "faster"' in done.stderr


def test_a_name_from_a_stranger_is_no_markup(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path, name, series("[red]docker[/red]", 1.0), engines={"[bold]x": name})
    done = bench(tmp_path, "compare", "one", "two")
    assert done.returncode == 0, done.stderr
    assert "[red]docker[/red]" in done.stdout
    assert "[bold]x" in done.stdout
    assert READY not in done.stderr


def test_the_report_of_several_runs_is_one_page_beside_the_last(tmp_path: Path) -> None:
    pair(tmp_path, {"docker": 0.8})
    done = bench(tmp_path, "report", "one", "two")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "two" / "comparison.html"))
    page = (tmp_path / "two" / "comparison.html").read_text("utf-8")
    assert "slower" in page
    assert "judged by each run" in page
