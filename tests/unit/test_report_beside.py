"""Several runs side by side: differences first, each headline with its ratio to the first run, one closed page."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

import report
from bench.store import Run
from report.beside import BesidePage, build
from report.figures import ForestChart
from tests.unit.report_runs import CLAIM, make_run, row
from tests.unit.test_report_page import EVIL, read


def other(label: str = "docker", factor: float = 2.0, **facts: Any) -> Run:
    run = make_run(folder=Path("run-2"), run_id="run-2")
    rows = tuple(
        {**r, "run_id": "run-2", "value": r["value"] * factor} if r["subject"] == label and r["value"] else r
        for r in run.rows
    )
    return Run(path=run.path, info=run.info, facts={**run.facts, **facts}, rows=rows)


@pytest.fixture(scope="module")
def page() -> BesidePage:
    return build([make_run(), other(kernel="6.12")])


def test_what_was_different_is_told_before_any_number(page: BesidePage):
    setup, host, rest = page.differences
    assert (setup.table, rest.table) == (None, None)
    assert host.table is not None
    assert [(r.head, r.cells, r.marked) for r in host.table.rows] == [("kernel", ("–", "6.12"), (1,))]
    assert [r.cells[0] for r in page.runs.rows] == ["run-1", "run-2"]


def test_another_engine_or_accelerator_is_the_first_difference_and_open(tmp_path: Path):
    changes: dict[str, Any] = {
        "engines": {"docker": {"version": "27"}},
        "accelerators": {"kernel": "tcg"},
        "seed": 8,
        "labels": {"a": 1},
    }
    runs = [make_run(), make_run(run_id="run-2", **changes)]
    setup, host, rest = build(runs).differences
    assert setup.table is not None
    assert [(r.head, r.cells) for r in setup.table.rows] == [
        ("accelerators · kernel", ("–", "tcg")), ("engines · docker · version", ("20.10", "27")),
    ]  # fmt: skip
    assert (host.table, rest.table) == (None, None)
    text = report.write_comparison(runs, tmp_path / "a.html").read_text("utf-8")
    assert f"<details open><summary>{setup.title}: 2 things not the same" in text


def test_sentences_that_flipped_stand_on_top_with_the_reasons():
    said = {"c1": "refuted", "c2": "supported", "c3": "refuted", "c4": "depends"}
    judged: list[dict[str, Any]] = [
        {**CLAIM, "id": key, "english": key, "verdict": verdict} for key, verdict in said.items()
    ]
    otherwise = [{**one, "verdict": {"c2": "not measured", "c3": "supported"}.get(one["id"], one["verdict"])}
                 for one in judged if one["id"] != "c4"]  # fmt: skip
    made = build([make_run(claims=judged), make_run(run_id="run-2", claims=otherwise)])
    assert made.flipped is not None
    assert [(r.note, r.cells, r.marked) for r in made.flipped.rows] == [
        ("c3", ("✕ refuted: fails for vm-bare", "● supported: fails for vm-bare"), (1,)),
        ("c2", ("● supported: fails for vm-bare", "– not measured: fails for vm-bare"), (1,)),
    ]
    assert made.kept is not None
    assert [(r.note, r.cells) for r in made.kept.rows] == [
        ("c1", ("✕ refuted", "✕ refuted")),
        ("c4", ("◐ depends", "–")),
    ]
    assert "2 sentences judged otherwise" in made.lead
    assert [kind.table for kind in made.differences] == [None, None, None]
    assert build([make_run(), make_run()]).flipped is None


def test_of_two_wholes_the_one_with_the_engine_is_compared():
    rows = [row("memory", "docker", "pss", size, b, params={"part": part, "instances": "1"}, unit="B")
            for part, size in (("total", 1.0), ("with-engine", 100.0), ("shim", 0.5)) for b in range(6)]  # fmt: skip
    run = make_run()
    runs = [Run(path=run.path, info={**run.info, "run_id": name}, facts={}, rows=tuple(rows)) for name in ("a", "b")]
    (section,) = build(runs).sections
    assert ["with its engine's daemons" in pair.table.caption for pair in section.pairs] == [True]


def test_the_numbers_the_command_and_the_runs_are_carried_along(page: BesidePage):
    lines = list(csv.DictReader(io.StringIO(page.csv)))
    (docker,) = [n for n in lines if (n["run"], n["scenario"], n["subject"]) == ("run-2", "startup", "docker")]
    assert float(docker["ratio"]) == pytest.approx(2.0, rel=0.01)
    assert (docker["n"], docker["failures"], docker["verdict"]) == ("6", "3", "worse")
    (podman,) = [n for n in lines if (n["run"], n["scenario"], n["subject"]) == ("run-1", "startup", "podman")]
    assert (podman["median"], podman["n"], podman["verdict"]) == ("", "0", "")
    assert page.commands == ("bench report nowhere run-2", "bench compare nowhere run-2")
    assert page.foot[1] == ("B", "run-2, commit abc, seed 7")


def test_every_headline_stands_beside_itself_with_ratio_and_interval(page: BesidePage):
    startup = page.sections[0].pairs[0]
    cells = {r.head: r.cells for r in startup.table.rows}
    assert cells["docker"][0].startswith("408 ms [")
    assert cells["docker"][1].startswith("816 ms [")
    assert cells["docker"][2].startswith("▲ 2.0")
    assert "slower" in cells["docker"][2]
    assert cells["process"][2].endswith("equivalent")
    assert cells["podman"] == ("–", "–", "–")
    assert startup.figure is not None
    assert isinstance(startup.figure.chart, ForestChart)
    assert {r.label for r in startup.figure.chart.rows} == set(cells) - {"podman"}


def test_more_than_two_runs_are_each_put_beside_the_first():
    made = build([make_run(), other(), other("process", 0.5)])
    table = made.sections[0].pairs[0].table
    assert table.columns == ("subject", "A", "B", "C", "B beside A", "C beside A")
    cells = {r.head: r.cells for r in table.rows}
    assert "slower" in cells["docker"][3]
    assert cells["docker"][4].endswith("equivalent")
    assert "faster" in cells["process"][4]


def test_what_one_run_alone_has_is_named_and_not_compared():
    run = make_run()
    fewer = Run(path=run.path, info={**run.info, "run_id": "run-2"}, facts=run.facts,
                rows=tuple(r for r in run.rows if r["scenario"] != "disk" and r["subject"] != "docker"))  # fmt: skip
    made = build([run, fewer])
    assert [s.title for s in made.sections] == ["Starting", "Memory"]
    assert made.lonely == (("Disk", "asked in A only"),)
    assert made.sections[0].alone == ("Only in A, not in B: docker.",)


def test_the_page_is_closed_whole_and_the_same_every_time(tmp_path: Path):
    runs = [make_run(), other(kernel="6.12")]
    first = report.write_comparison(runs, tmp_path / "a.html").read_text("utf-8")
    assert report.write_comparison(runs, tmp_path / "b.html").read_text("utf-8") == first
    found = read(first)
    assert not found.tags & {"script", "iframe", "object", "embed", "base", "form", "img"}
    assert all(link.startswith(("#", "data:")) for link in found.links)
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)


def test_nothing_a_stranger_writes_becomes_markup(tmp_path: Path):
    evil = make_run(run_id=EVIL, command=EVIL, scenarios={EVIL: {"title": EVIL}}, subjects={EVIL: {"title": EVIL}})
    rows = tuple({**r, "subject": EVIL} if r["subject"] == "docker" else r for r in evil.rows)
    runs = [make_run(), Run(path=evil.path, info=evil.info, facts={EVIL: {EVIL: EVIL}}, rows=rows)]
    found = read(report.write_comparison(runs, tmp_path / "evil.html").read_text("utf-8"))
    assert not found.tags & {"script", "img"}
    assert found.handlers == []


def test_runs_with_nothing_in_common_have_a_page_that_says_so(tmp_path: Path):
    made = build([make_run(), Run(path=tmp_path, info={}, facts={}, rows=())])
    assert made.sections == ()
    assert [title for title, _ in made.lonely] == ["Disk", "Memory", "Starting"]


def test_one_run_cannot_be_compared():
    with pytest.raises(ValueError, match="at least two"):
        build([make_run()])


@pytest.mark.parametrize("changes", [{"scenarios": "x"}, {"scenarios": {"startup": 3}}, {"subjects": 3}, {"run_id": 4}])
def test_a_strangers_run_json_costs_words_and_not_the_page(changes: dict[str, Any]):
    assert build([make_run(), make_run(**changes)]).runs.rows
