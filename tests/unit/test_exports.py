"""Exports are read back by those they are for, or by a schema of their form; what is missing never becomes 0."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as prometheus_families
from report_runs import make_run, row
from written_runs import READY, bench, scenario, series, write_run

from bench.comparing.stats import estimate
from bench.errors import UsageError
from bench.exports import FORMATS, Export, export
from bench.exports.openmetrics import _SUFFIXES
from bench.judging.summary import comparisons, summarise
from bench.store import COLUMNS, DIRECTORY, Run, read_run
from bench.units import Unit

SCHEMAS = Path(__file__).resolve().parents[1] / "data" / "schemas"


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with times, bytes, failures, refusals and a rate, of which more is better."""
    made: Run = make_run()
    rates = [row("rate", "docker", "starts", 3.0 + b / 10, b, unit="1/s", better="higher") for b in range(6)]
    ratios = [row("rate", "docker", "share", 0.5, b, unit="ratio", better="neither") for b in range(6)]
    return replace(made, rows=(*made.rows, *rates, *ratios))


@pytest.fixture(scope="module")
def docker() -> list[float]:
    """What docker's starts took in that run."""
    return [r["value"] for r in make_run().rows if (r["subject"], r["metric"]) == ("docker", READY) and r["value"]]


def checked(run: Run, form: str, schema: str) -> Any:
    """Export, hold the result against its schema, return it."""
    content = json.loads(export(run, form).text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    known = json.loads((SCHEMAS / f"{schema}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(known)
    jsonschema.validate(content, known, jsonschema.Draft202012Validator)
    return content


def test_the_csv_holds_every_sample_and_pandas_reads_it(run: Run) -> None:
    frame = pd.read_csv(io.StringIO(export(run, "csv").text))
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(run.rows)
    assert frame["value"].isna().sum() == sum(r["value"] is None for r in run.rows) > 0
    assert frame["value"].dropna().tolist() == [r["value"] for r in run.rows if r["value"] is not None]
    assert [json.loads(text) for text in frame["params"]] == [r["params"] for r in run.rows]


def test_the_csv_of_estimates_has_a_line_for_what_failed_too(run: Run, docker: list[float]) -> None:
    lines = list(csv.DictReader(io.StringIO(export(run, "csv-estimates").text)))
    (known,) = [line for line in lines if (line["subject"], line["metric"]) == ("docker", READY)]
    found = estimate(docker)
    assert found is not None
    assert (float(known["median"]), float(known["low"]), float(known["high"])) == (found.median, found.low, found.high)
    assert (known["n"], known["failed"], known["skipped"]) == ("6", "3", "0")
    (gone,) = [line for line in lines if (line["subject"], line["metric"]) == ("podman", READY)]
    assert (gone["median"], gone["low"], gone["mean"], gone["n"], gone["skipped"]) == ("", "", "", "0", "1")
    assert gone["reasons"] == "it is not installed"


def test_the_json_says_what_screen_and_report_say(run: Run) -> None:
    content = checked(run, "json", "document")
    ratios = {(c["scenario"], c["metric"], c["subject"]): c for c in content["comparisons"] if not c["params"]}
    expected = [c for c in comparisons(run) if not c.params]
    assert expected
    for found in expected:
        told = ratios[found.scenario, found.metric, found.subject]
        assert (told["ratio"], told["low"], told["verdict"]) == (found.ratio, found.low, found.verdict)
    assert {"scenario": "startup", "subject": "docker", "failed": 3} in content["failed_trials"]
    assert {"scenario": "startup", "subject": "process", "failed": 0} in content["failed_trials"]
    assert "podman" not in {told["subject"] for told in content["failed_trials"]}
    gone = [told for told in content["estimates"] if told["subject"] == "podman"]
    assert gone
    assert all(told["estimate"] is None and told["missing"] == {"skipped": 1} for told in gone)


def test_markdown_has_the_headlines_of_the_closing_screen(run: Run) -> None:
    text = export(run, "markdown").text
    for answer in summarise(run).answers:
        assert f"## {answer.title}: {answer.metric}" in text
    assert re.search(
        r"^\| docker \| 4\d\d ms .* \(3 of 9 failed\) \| \d+× .* \| slower \| 6 \| 3 \|$", text, re.MULTILINE
    )
    assert re.search(r"^\| podman \| skipped \| – \|  \| 0 \|  \|$", text, re.MULTILINE)
    assert "- skipped podman (1 trial): it is not installed" in text


def test_a_stranger_writes_no_markup_into_markdown() -> None:
    rows = [*series("a|b\n<script>", 1.0), row("startup", "c", READY, None, 8, reason="![x](http://x) <b>")]
    text = export(Run(path=Path("x"), info={"run_id": "# [r](x)"}, facts={}, rows=tuple(rows)), "markdown").text
    assert re.findall(r"(?<!\\)[<>]|(?<!\\)\[x|(?<!\\)\]\(", text) == []
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in text.splitlines() if line.startswith("| a"))


def test_pytest_benchmark_compares_two_of_our_files(run: Run, docker: list[float], tmp_path: Path) -> None:
    for name in ("0001_one.json", "0002_two.json"):
        (tmp_path / name).write_text(export(run, "pytest-benchmark").text, "utf-8")
    files = [str(tmp_path / name) for name in ("0001_one.json", "0002_two.json")]
    words = ["compare", *files, "--columns=median,rounds", "--csv", str(tmp_path / "out.csv"), "--sort=name"]
    # Started by its entry point's function: a virtual environment that was moved has no working script.
    program = "import sys\nfrom pytest_benchmark.cli import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"startup {READY}" in done.stdout
    assert "startup/docker" in done.stdout
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))
    medians = {float(line["median"]) for line in lines if line["name"].endswith(f"startup/docker {READY}")}
    assert medians == {statistics.median(docker)}
    assert len([line for line in lines if "startup/docker" in line["name"]]) == 4
    assert "pss" not in done.stdout


def test_pytest_benchmarks_json_keeps_what_its_form_has_no_place_for(run: Run, docker: list[float]) -> None:
    made = export(run, "pytest-benchmark")
    content = json.loads(made.text)
    (known,) = [b for b in content["benchmarks"] if b["fullname"] == f"startup/docker {READY}"]
    assert known["stats"]["data"] == docker
    assert known["extra_info"]["failures"] == 3
    assert known["extra_info"]["low"] == min(docker)
    assert not [b for b in content["benchmarks"] if "podman" in b["name"] or 0 in b["stats"]["data"]]
    assert any("holds times only: " in note and "pss" in note and "starts" in note for note in made.notes)


def test_hyperfines_form_is_kept(run: Run, docker: list[float]) -> None:
    content = checked(run, "hyperfine", "hyperfine")
    (known,) = [r for r in content["results"] if r["command"] == f"startup/docker {READY}"]
    assert known["times"] == docker
    assert (known["failures"], known["user"], len(known["exit_codes"])) == (3, None, len(docker))
    assert not [r for r in content["results"] if "podman" in r["command"] or "pss" in r["command"]]


def test_bencher_gets_every_unit_with_its_interval(run: Run, docker: list[float]) -> None:
    content = checked(run, "bmf", "bmf")
    found = estimate(docker)
    assert found is not None
    assert content["startup/docker"][f"{READY} (s)"] == {
        "value": found.median, "lower_value": found.low, "upper_value": found.high,
    }  # fmt: skip
    assert content["startup/docker"]["failed trials"] == {"value": 3}
    assert content["memory/docker[instances=1,part=total]"]["pss (B)"]["value"] > 2**20
    assert set(content["disk/docker"]["three-instances (B)"]) == {"value"}, "one block has no interval"
    assert not [name for name in content if "podman" in name]


def test_the_actions_files_have_one_direction_each(run: Run, docker: list[float]) -> None:
    smaller, bigger = (checked(run, form, "github-action") for form in ("github-action", "github-action-bigger"))
    by_name = {told["name"]: told for told in smaller}
    found = estimate(docker)
    assert found is not None
    assert found.high is not None
    known = by_name[f"startup/docker {READY}"]
    assert (known["value"], known["unit"]) == (found.median, "s")
    assert float(known["range"].removeprefix("± ")) == pytest.approx(found.high - found.median, rel=0.01)
    assert {"n: 6", "failed: 3", "run: run-1"} <= set(known["extra"].splitlines())
    assert by_name["startup/docker failed trials"]["value"] == 3
    assert "range" not in by_name["disk/docker three-instances"]
    assert [told["name"] for told in bigger] == ["rate/docker starts"]
    assert not [name for name in by_name if "podman" in name or "starts" in name or name.endswith("share")]
    notes = export(run, "github-action").notes
    assert any("github-action-bigger" in note and "starts" in note for note in notes)
    assert any("neither" in note and "share" in note for note in notes)


def test_a_lopsided_interval_gets_its_larger_half() -> None:
    values = (1.0, 1.0, 1.0, 1.0, 1.0, 9.0)
    rows = tuple(row("startup", "docker", READY, value, block) for block, value in enumerate(values))
    told = json.loads(export(Run(path=Path("x"), info={"run_id": "r"}, facts={}, rows=rows), "github-action").text)
    assert (told[0]["value"], told[0]["range"]) == (1.0, "± 8.00")


def test_prometheus_reads_both_ways(run: Run, docker: list[float]) -> None:
    text = export(run, "openmetrics").text
    known = {family.name: family for family in openmetrics_families(text)}
    family = known["bench_startup_requested_to_ready_seconds"]
    assert (family.type, family.unit) == ("gauge", "seconds")
    values = {sample.labels["subject"]: sample.value for sample in family.samples}
    assert values["docker"] == statistics.median(docker)
    assert "podman" not in values
    assert 0.0 not in values.values()
    low = {s.labels["subject"]: s.value for s in known["bench_startup_requested_to_ready_low_seconds"].samples}
    assert low["docker"] == min(docker)
    counts = {s.labels["subject"]: s.value for s in known["bench_startup_requested_to_ready_measurements"].samples}
    assert counts["docker"] == 6
    failed = {tuple(s.labels.values()): s.value for s in known["bench_failed_trials"].samples}
    assert (failed["startup", "docker"], failed["startup", "process"]) == (3, 0)
    assert known["bench_memory_pss_bytes"].unit == "bytes"
    assert {s.labels.get("part") for s in known["bench_memory_pss_bytes"].samples} >= {"total", "vmm"}
    assert "bench_disk_three_instances_low_bytes" not in known
    older = {f.name: f for f in prometheus_families(text)}
    assert {name: len(f.samples) for name, f in older.items()} == {name: len(f.samples) for name, f in known.items()}


def test_hostile_names_do_not_break_openmetrics() -> None:
    odd = 'a"b\\c\nd'
    rows = [
        *series(odd, 1.0, params={"subject": odd, "1x": "y", "ä": "z"}),
        *series(odd, 2.0, metric="pss low", unit="B"), *series(odd, 3.0, metric="pss", unit="B"),
        *series(odd, 4.0, metric="pss-low", unit="B"),
    ]  # fmt: skip
    run = Run(path=Path("x"), info={"run_id": odd, "subjects": "x"}, facts={"host_id": math.nan}, rows=tuple(rows))
    families = list(openmetrics_families(export(run, "openmetrics").text))
    assert len({family.name for family in families}) == len(families)
    (sample,) = next(f for f in families if f.name == "bench_startup_requested_to_ready_seconds").samples
    assert sample.labels["subject"] == sample.labels["param_subject"] == odd
    values = sorted(s.value for f in families for s in f.samples if f.unit == "bytes" and "median" in f.documentation)
    assert values[-1] == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_not_a_number_is_a_failure_in_every_format(form: str) -> None:
    rows = [
        *series("docker", 1.0),
        row("startup", "docker", READY, math.nan, 8),
        row("startup", "vm", READY, math.inf, 0),
    ]
    run = Run(path=Path("x"), info={"run_id": "r", "seed": math.nan}, facts={"x": [math.inf]}, rows=tuple(rows))
    text = export(run, form).text
    assert re.findall(r"\b(nan|inf|infinity)\b", text, re.IGNORECASE) == []
    assert rows[-2]["value"] is not None, "the run itself is left as it was"


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "csv"])
def test_a_run_without_a_number_says_so(form: str) -> None:
    failed = Run(path=Path("x"), info={"run_id": "r"}, facts={}, rows=tuple(series("docker", None)))
    made: Export = export(failed, form)
    assert made.count == (1 if form == "csv-estimates" else 0)


def test_warm_up_and_phases_are_in_the_raw_table_only() -> None:
    rows = [
        *series("docker", 1.0),
        row("startup", "docker", READY, 77.0, 0, phase="warmup"),
        row("startup", "docker", "requested→created", 55.0, 0, params={"part": "phase", "place": "0"}),
    ]
    run = Run(path=Path("x"), info={"run_id": "r"}, facts={}, rows=tuple(rows))
    assert {form for form in FORMATS if re.search(r"77\.0|55\.0", export(run, form).text)} == {"csv"}


def test_every_unit_has_a_name_in_openmetrics() -> None:
    assert set(_SUFFIXES) == set(Unit)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_the_sample(form: str) -> None:
    assert export(read_run(DIRECTORY / "sample"), form).count > 0


def test_a_unit_that_nobody_knows_is_a_failure_that_says_so() -> None:
    rows = tuple(series("docker", 1.0, unit="parsec"))
    made = export(Run(path=Path("x"), info={"run_id": "r"}, facts={}, rows=rows), "csv-estimates")
    (line,) = csv.DictReader(io.StringIO(made.text))
    assert (line["n"], line["failed"], line["median"]) == ("0", "8", "")
    assert line["reasons"] == 'its unit, "parsec", is unknown to this version'


def test_a_ratio_to_nothing_is_a_verdict_without_a_figure() -> None:
    rows = (*series("process", 0.0), *series("docker", 5.0))
    info = {"run_id": "r", "scenarios": {"startup": scenario(READY)}}
    run = Run(path=Path("x"), info=info, facts={}, rows=rows)
    (told,) = checked(run, "json", "document")["comparisons"]
    assert (told["ratio"], told["low"], told["verdict"]) == (None, None, "worse")
    assert "| docker | 5.0" in export(run, "markdown").text


def test_a_wrong_format_is_told() -> None:
    with pytest.raises(UsageError, match='no format "bmff"'):
        export(make_run(), "bmff")


def everything(folder: Path) -> Iterator[tuple[str, subprocess.CompletedProcess[str]]]:
    for form in FORMATS:
        yield form, bench(folder, "export", "one", "--format", form)


def test_the_command_writes_to_the_screen_or_a_file(tmp_path: Path) -> None:
    run = write_run(tmp_path, "one", series("process", 0.01) + series("docker", 0.4))
    for form, done in everything(tmp_path):
        nothing = form == "github-action-bigger"
        assert done.returncode == (3 if nothing else 0), done.stderr
        assert done.stdout == export(run, form).text
    target = tmp_path / "made.prom"
    done = bench(tmp_path, "export", "--format", "openmetrics", "--output", str(target))
    assert (done.returncode, done.stdout) == (0, "")
    assert target.read_text("utf-8") == export(run, "openmetrics").text
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["made.prom"]


def test_what_is_left_out_is_told_beside_the_text(tmp_path: Path) -> None:
    told = {"scenarios": {"startup": scenario("pss", "B")}}
    write_run(tmp_path, "one", series("docker", 0.4) + series("docker", 9.0, metric="pss", unit="B"), **told)
    done = bench(tmp_path, "export", "one", "--format", "hyperfine")
    assert "1 estimate left out, this format holds times only: pss" in done.stderr
    assert "pss" not in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "cvs"], 'did you mean "csv"?'),
        (["--format", "csv", "--output", "/proc/nowhere/x"], "/proc/nowhere/x cannot be written"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, words: list[str], told: str) -> None:
    write_run(tmp_path, "one", series("docker", 0.4))
    done = bench(tmp_path, "export", "one", *words)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_every_format_is_in_the_help() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "bench", "export", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert [form for form in FORMATS if not re.search(rf"^  {form}  +\S", told, re.MULTILINE)] == []
