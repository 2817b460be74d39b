"""The matrix of yes and no: every subject a column, every question a row, in signs and words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import report
from bench.scenario import load
from bench.units import Better
from report import sections, walls
from report.data import view
from report.model import Table
from tests.unit.report_runs import make_run, row

NAMES = ("host-facts", "own-kernel", "capabilities", "seccomp", "userland-files")
WALLS: dict[str, Any] = {
    "title": "Walls", "question": "What is seen?", "headline": "host-facts", "baseline": "process", "order": 40,
    "metrics": [
        {"name": name, "unit": "1", "better": "neither", "title": f"of {name}", "constant": name != "userland-files"}
        for name in NAMES
    ],
}  # fmt: skip
FOUND: dict[str, dict[str, float | None]] = {
    "process": {"boot-id": 1, "load": 1, "disks": 1, "own-kernel": 0, "capabilities": 41, "seccomp": 0},
    "docker": {"boot-id": 1, "load": None, "disks": 0, "own-kernel": 0, "capabilities": 14, "seccomp": 2},
    "vm-distro@tcg": {"boot-id": 0, "load": 0, "disks": 0, "own-kernel": 1, "capabilities": 41, "seccomp": 0},
}


def rows(block: int = 0, **instead: float | None) -> list[dict[str, Any]]:
    """Return one block of samples; `instead` changes what Docker has."""
    found = []
    for subject, values in FOUND.items():
        facts = {part: values[part] for part in ("boot-id", "load", "disks")}
        for part, value in facts.items():
            status = {} if value is not None else {"status": "unsupported", "reason": "the host idles"}
            found.append(row("walls", subject, "host-facts", value, block, unit="1", params={"part": part}, **status))
        total = float(sum(value or 0 for value in facts.values()))
        found.append(row("walls", subject, "host-facts", total, block, unit="1", params={"part": "total"}))
        for name in ("own-kernel", "capabilities", "seccomp"):
            value = instead.get(name.replace("-", "_"), values[name]) if subject == "docker" else values[name]
            found.append(row("walls", subject, name, value, block, unit="1"))
        found.append(row("walls", subject, "userland-files", 12.0, block, unit="1"))
    refused = {"status": "unsupported", "reason": "nothing inside", "trial": -1}
    return [*found, *(row("walls", "vm-bare@kvm", name, None, -1, unit="1", **refused) for name in NAMES)]


def matrices(samples: list[dict[str, Any]], **changes: Any) -> tuple[Table, ...]:
    """Return the tables of a run with these samples."""
    run = make_run(scenarios={"walls": {**WALLS, **changes}})
    seen = view(type(run)(path=run.path, info=run.info, facts=run.facts, rows=tuple(samples)))
    return walls.matrices(seen, seen.scenarios["walls"])


def test_questions_are_rows_and_subjects_columns_in_the_order_of_the_ladder() -> None:
    whole, parts = matrices(rows())
    assert whole.columns == ("question", "process", "docker", "vm-distro@tcg")
    assert [(r.head, r.cells) for r in whole.rows] == [
        ("Of host-facts", ("● 3 of 3", "◐ 1 of 2", "○ 0 of 3")),
        ("Of own-kernel", ("○ no", "○ no", "● yes")),
        ("Of capabilities", ("41", "14", "41")),
        ("Of seccomp", ("○ none", "● a filter", "○ none")),
    ]
    assert [(r.head, r.cells) for r in parts.rows] == [
        ("host-facts: boot id", ("● yes", "● yes", "○ no")),
        ("host-facts: load", ("● yes", "–", "○ no")),
        ("host-facts: disks", ("● yes", "○ no", "○ no")),
    ]


def test_a_failure_is_named_and_is_no_no() -> None:
    whole, _ = matrices(rows(own_kernel=None, capabilities=None))
    assert whole.rows[1].cells == ("○ no", "failed", "● yes")
    assert whole.rows[2].cells == ("41", "failed", "41")


def test_blocks_that_disagree_show_both() -> None:
    whole, _ = matrices([*rows(), *rows(1, own_kernel=1.0, capabilities=13.0, seccomp=7.0)])
    assert [r.cells[1] for r in whole.rows[1:]] == ["◐ no or yes", "13–14", "◐ filter or 7"]


def test_an_answer_says_whether_it_keeps_apart_where_the_metric_says_which_one_does() -> None:
    better = {"host-facts": "lower", "own-kernel": "higher"}
    metrics = [{**m, "better": better.get(m["name"], "neither")} for m in WALLS["metrics"]]
    whole, parts = matrices(rows(), metrics=metrics)
    assert [r.cells for r in whole.rows] == [
        ("● 3 of 3, leaks", "◐ 1 of 2, leaks", "○ 0 of 3, apart"),
        ("○ no, shared", "○ no, shared", "● yes, apart"),
        ("41", "14", "41"),
        ("○ none", "● a filter", "○ none"),
    ]
    assert parts.rows[1].cells == ("● yes, leaks", "–", "○ no, apart")
    whole, _ = matrices([*rows(own_kernel=None), *rows(1, own_kernel=1.0)], metrics=metrics)
    assert whole.rows[1].cells == ("○ no, shared", "● yes, apart", "● yes, apart")
    whole, _ = matrices([*rows(), *rows(1, own_kernel=1.0)], metrics=metrics)
    assert whole.rows[1].cells[1] == "◐ no or yes, shared"
    lower = [{**m, "better": "lower"} for m in metrics]
    whole, _ = matrices([*rows(), *rows(1, own_kernel=1.0)], metrics=lower)
    assert whole.rows[1].cells[:2] == ("○ no, apart", "◐ no or yes, shared")


def test_every_answer_that_is_put_into_words_belongs_to_a_declared_question() -> None:
    declared = {m.name: m for m in load().scenarios["isolation"].metrics}
    assert walls.WORDS.keys() | walls.LEAKS.keys() <= declared.keys()
    told = {name for name, metric in declared.items() if metric.constant and metric.better is not Better.NEITHER}
    assert told == {
        "host-facts", "own-kernel", "host-file", "host-memory", "neighbour-memory", "port-reached", "root-is-hosts",
        "neighbour-unharmed",
    }  # fmt: skip
    assert told >= walls.LEAKS.keys()


def test_what_scatters_makes_no_matrix() -> None:
    assert matrices(rows(), metrics=[{**m, "constant": False} for m in WALLS["metrics"]]) == ()
    assert matrices(rows(), metrics=[{**m, "constant": "yes"} for m in WALLS["metrics"]]) == ()


def test_the_section_and_the_page_have_it(tmp_path: Path) -> None:
    run = make_run(scenarios={"walls": WALLS})
    whole = type(run)(path=run.path, info=run.info, facts=run.facts, rows=tuple(rows()))
    seen = view(whole)
    section = sections.section(seen, seen.scenarios["walls"], on_ladder=False)
    assert [table.caption for table in section.matrices] == [
        "What was found, question by question",
        "The same part by part",
    ]
    page = report.write(whole, tmp_path / "report.html").read_text("utf-8")
    assert page.count("◐ 1 of 2") == 1
    assert "● yes, or all of it" in page
