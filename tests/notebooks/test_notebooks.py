"""The notebooks run on any run, say what bench says, and stand in the repository as the sample run gives them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import psutil
import pytest

from bench.commands.cli import main
from bench.commands.notebook import built, copied, execute, sources
from bench.errors import UsageError
from bench.frames import CHOICE
from bench.judging.summary import summarise
from bench.store import DIRECTORY, Recorder, Run, read_run
from report.data import view
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = DIRECTORY / "sample"
NAMES = [source.stem for source in sources()]

CHECKS = {
    "01-ms-vs-minutes": (
        "beside[['scenario', 'subject', 'by_hand', 'median']]",
        "intervals[['low_by_hand', 'low']].set_axis(['by_hand', 'recorded'], axis='columns')",
        "intervals[['high_by_hand', 'high']].set_axis(['by_hand', 'recorded'], axis='columns')",
        "ratios[['ratio_by_hand', 'ratio']].set_axis(['by_hand', 'recorded'], axis='columns')",
    ),
    "02-where-the-time-goes": ("pd.DataFrame({'by_hand': sums, 'recorded': wholes})",),
    "03-memory-and-disk": (
        "pd.concat([slopes_beside, disk_beside]).set_axis(['by_hand', 'recorded'], axis='columns')",
    ),
    "05-the-other-questions": ("beside[['scenario', 'subject', 'by_hand', 'median']]",),
}
"""What a notebook worked out by hand beside what bench has, as frames."""


def source_of(name: str) -> Path:
    """Return a notebook's source file."""
    return next(source for source in sources() if source.stem == name)


def run_on(name: str, *paths: Path) -> tuple[Any, list[list[dict[str, Any]]]]:
    """Execute a notebook on runs; return it, and the rows of each of its checks."""
    notebook = built(source_of(name))
    cells = len(notebook.cells)
    for check in CHECKS.get(name, ()):
        line = f"print(({check}).to_json(orient='records', double_precision=15))"
        notebook.cells.append(nbformat.v4.new_code_cell(line))
    execute(notebook, source_of(name).parent, {CHOICE: os.pathsep.join(map(str, paths))})
    rows = [json.loads(cell.outputs[0]["text"]) for cell in notebook.cells[cells:]]
    del notebook.cells[cells:]
    return notebook, rows


def texts_of(notebook: Any) -> list[list[str]]:
    """Return what every code cell shows, as text; of a picture, that there is one."""
    return [
        [
            output.get("text") or output["data"]["text/plain"] + " png" * ("image/png" in output["data"])
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def assert_agrees(name: str, run: Run, rows: list[list[dict[str, Any]]]) -> None:
    """What a notebook found by hand is what bench estimates and what the report prints."""
    for row in (row for check in rows for row in check):
        first, second = row["by_hand"], row.get("recorded", row.get("median"))
        assert first == pytest.approx(second, rel=1e-9), row
    if name not in ("01-ms-vs-minutes", "05-the-other-questions"):
        return
    told = {(row["scenario"], row["subject"]): row["by_hand"] for row in rows[0]}
    asked = {scenario for scenario, _ in told}
    summary = {
        (answer.scenario, label): cell.estimate.median
        for answer in summarise(run).answers
        for label, cell in answer.cells.items()
        if cell.estimate is not None and (answer.scenario in asked or name.startswith("01"))
    }
    assert told == pytest.approx(summary)
    seen = view(run)
    principal = {s.name: seen.principal(s.name, s.headline) for s in seen.scenarios.values()}
    reported = {
        (scenario, label): e.median
        for (scenario, label, metric, params), e in seen.estimates.items()
        if metric == seen.scenarios[scenario].headline and params == principal[scenario]
    }
    assert told == pytest.approx({key: value for key, value in reported.items() if key in summary})


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of this very minute on real engines; it lacks most scenarios."""
    results = tmp_path_factory.mktemp("results")
    words = ["run", "startup", "memory", "--subject", "process", "--subject", "oci-runc", "--no-report", "--seed", "7"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words, "--results", str(results)], cwd=ROOT, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(path.parent for path in results.glob("*/run.json"))


@pytest.mark.parametrize("name", NAMES)
def test_source_and_notebook_have_the_same_cells(name: str) -> None:
    source = source_of(name)
    written = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(written)
    cells = [(cell.cell_type, cell.source) for cell in jupytext.read(source).cells]
    assert [(cell.cell_type, cell.source) for cell in written.cells] == cells
    assert written.metadata["jupytext"]["formats"] == "ipynb,py:percent"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_sample_gives_the_committed_outputs(name: str) -> None:
    assert (SAMPLE / "run.json").is_file(), (
        "results/sample is missing: commit a run there, then bench notebook --refresh"
    )
    again, rows = run_on(name, SAMPLE)
    assert_agrees(name, read_run(SAMPLE), rows)
    written = nbformat.read(source_of(name).with_suffix(".ipynb"), as_version=4)
    assert texts_of(written) == texts_of(again), "bench notebook --refresh"
    errors = [o for cell in written.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert errors == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fresh_run_is_read_and_its_numbers_agree(name: str, fresh: Path) -> None:
    notebook, rows = run_on(name, fresh)
    if name in CHECKS and name != "05-the-other-questions":
        assert all(rows), "nothing was checked"
        assert sum(map(len, rows)) >= 3
    assert_agrees(name, read_run(fresh), rows)
    shown = "\n".join(text for cell in texts_of(notebook) for text in cell)
    if name in ("03-memory-and-disk", "04-your-own-question", "05-the-other-questions"):
        assert "this run did not ask it" in shown


@pytest.mark.slow
def test_one_query_sees_two_runs(fresh: Path) -> None:
    notebook, _ = run_on("04-your-own-question", SAMPLE, fresh)
    [starts] = [cell for cell in notebook.cells if "group by all order by run_id" in cell.source]
    shown = starts.outputs[0]["data"]["text/plain"]
    assert {read_run(SAMPLE).run_id, read_run(fresh).run_id} <= set(shown.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_run_without_any_of_the_scenarios_is_no_error(name: str, tmp_path: Path) -> None:
    """One number of a question that no notebook asks."""
    recorder = Recorder(tmp_path, "stranger", "host")
    recorder.describe({"scenarios": {"other": {"headline": "length"}}})
    row = {
        "run_id": "stranger", "scenario": "other", "subject": "thing", "backend": "none", "params": [], "trial": 0,
        "block": 0, "position": 0, "metric": "length", "value": 2.0, "unit": "1", "better": "lower",
        "phase": "measure", "status": "ok",
    }  # fmt: skip
    recorder.record_rows([row], "part-00000")
    recorder.finish("complete")
    notebook, _ = run_on(name, tmp_path / "stranger")
    shown = "\n".join(text for cell in texts_of(notebook) for text in cell)
    assert "this run did not ask it" in shown


def test_copies_are_the_readers_own(tmp_path: Path) -> None:
    said: list[str] = []
    copied(tmp_path / "mine", say=said.append)
    copies = sorted((tmp_path / "mine").glob("*.ipynb"))
    assert [path.stem for path in copies] == NAMES
    assert said == []
    copies[0].write_text("mine", "utf-8")
    copied(tmp_path / "mine", say=said.append)
    assert copies[0].read_text("utf-8") == "mine"
    assert len(said) == len(copies)
    assert all(line.startswith("kept") for line in said)


def test_missing_jupyterlab_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else found(name))
    recorder = Recorder(tmp_path, "some", "host")
    recorder.describe({})
    words = ["bench", "notebook", "some", "--results", str(tmp_path), "--no-browser"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "jupyterlab is not installed" in capsys.readouterr().err


def test_notebooks_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="come with the repository"):
        sources(tmp_path)


def status_of(address: str, token: str = "") -> int:
    """Return the status with which a request is answered."""
    request = urllib.request.Request(address, headers={"Authorization": f"token {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_jupyterlab_serves_this_host_only_with_a_token_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "some", "host")
    recorder.describe({})
    listed = ["git", "-C", str(ROOT), "status", "--porcelain", "--", "notebooks"]
    before = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    command = [sys.executable, "-m", "bench", "notebook", "some", "--results", str(tmp_path), "--no-browser"]
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / "c"), "JUPYTER_DATA_DIR": str(tmp_path / "d")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.fullmatch(r"(http://127\.0\.0\.1:(\d+))/lab\?token=(\S+)\n", line)
            assert address, line
            server = psutil.Process(process.pid).children()[0]
            listening = [c.laddr for c in server.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
            assert {(place.ip, place.port) for place in listening} >= {("127.0.0.1", int(address[2]))}
            assert {place.ip for place in listening} == {"127.0.0.1"}
            assert address[3] not in " ".join(server.cmdline())
            assert server.environ()[CHOICE] == str(tmp_path / "some")
            assert status_of(f"{address[1]}/api/contents") == 403
            assert status_of(f"{address[1]}/api/contents", address[3]) == 200
        finally:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert until(lambda: not server.is_running()), "JupyterLab outlived the command"
    assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout == before
    assert sorted(path.stem for path in (tmp_path / "notebooks").glob("*.ipynb")) == NAMES
