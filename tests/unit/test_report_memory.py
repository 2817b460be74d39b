"""What screen and report say of memory and of doing nothing: emulators' own code, the load, the engine's daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_runs import SUBJECTS, row

from bench.judging.summary import summarise, telling
from bench.store import Run
from report import words
from report.data import view
from report.page import build
from report.sections import section

MIB = 1 << 20
SLOPES = {"docker": 5.0, "vm-bare@kvm": 40.0, "vm-distro@tcg": 400.0}
LOAD = {"docker": (2.0, 66.0, 0.0), "vm-distro@tcg": (400.0, 500.0, 90.0)}
"""MiB: PSS at rest, under load, and what is kept."""

NAMES = ("pss-slope", "translated-slope", "load-pss", "load-kept", "load-returned")
MEMORY: dict[str, Any] = {
    "title": "Memory", "question": "How much?", "headline": "pss-slope", "baseline": "docker", "order": 20,
    "metrics": [{"name": name, "unit": "B"} for name in NAMES],
    "emulation": {"metric": "translated-slope", "noun": "translated code"},
}  # fmt: skip


def rows(kept_by_docker: float = 0.0) -> Iterator[dict[str, Any]]:
    for block in range(7):
        for subject, slope in SLOPES.items():
            yield row("memory", subject, "pss-slope", slope * MIB, block, unit="B")
            if subject.startswith("vm"):
                yield row("memory", subject, "translated-slope", 0.1 * slope * MIB, block, unit="B")
        for subject, (idle, loaded, kept) in LOAD.items():
            held = kept_by_docker if subject == "docker" else kept
            for metric, state, value in (
                ("load-pss", "idle", idle), ("load-pss", "loaded", loaded), ("load-kept", "after", held),
                ("load-returned", "after", loaded - idle - held),
            ):  # fmt: skip
                yield row("memory", subject, metric, value * MIB, block, unit="B", params={"state": state})


def run_of(samples: Iterator[dict[str, Any]], name: str, scenario: dict[str, Any]) -> Run:
    info = {"run_id": "run-1", "scenarios": {name: scenario}, "subjects": SUBJECTS}
    return Run(path=Path("nowhere"), info=info, facts={}, rows=tuple(samples))


def test_an_emulated_guests_memory_never_stands_without_its_translated_code() -> None:
    run = run_of(rows(), "memory", MEMORY)
    [answer] = summarise(run).answers
    assert "400 MiB [400–400] (40.0 MiB of it translated code)" in answer.sentence
    seen = view(run)
    told = words.answer(seen, seen.scenarios["memory"]).replace("\u00a0", " ")
    assert "400 MiB (software emulation: an upper bound; 40.0 MiB of it translated code)" in told
    [glance] = build(run).answers
    assert "Only emulation has this: vm-distro@tcg 40.0 MiB of it translated code." in glance.note.replace(
        "\u00a0", " "
    )
    for text in (answer.sentence, told, glance.note.replace("\u00a0", " ")):
        assert text.count("translated code") == 1, "a virtualised guest has none"


@pytest.mark.parametrize("emulation", [None, "nonsense", {}, {"metric": "missing", "noun": "x"}])
def test_a_run_that_declares_no_such_thing_says_nothing_of_it(emulation: Any) -> None:
    run = run_of(rows(), "memory", {**MEMORY, "emulation": emulation})
    [answer] = summarise(run).answers
    seen = view(run)
    assert "of it" not in answer.sentence + words.answer(seen, seen.scenarios["memory"])


def test_the_picture_of_the_load_adds_up_to_what_was_held_under_it() -> None:
    seen = view(run_of(rows(), "memory", MEMORY))
    figures = section(seen, seen.scenarios["memory"], on_ladder=False).figures
    [figure] = [f for f in figures if f.title == "What the host gets back after the load"]
    stacks = {stack.label: stack for stack in figure.chart.stacks}  # type: ignore[union-attr]
    assert stacks.keys() == LOAD.keys()
    for label, (idle, loaded, kept) in LOAD.items():
        shown = dict(stacks[label].parts)
        assert (shown["idle"], shown["load-kept"]) == (idle * MIB, kept * MIB)
        assert sum(shown.values()) == stacks[label].total == loaded * MIB


def test_less_than_nothing_kept_is_drawn_as_nothing_and_stays_in_the_tables() -> None:
    seen = view(run_of(rows(kept_by_docker=-1.0), "memory", MEMORY))
    told = section(seen, seen.scenarios["memory"], on_ladder=False)
    [figure] = [f for f in told.figures if f.title == "What the host gets back after the load"]
    [docker] = [s for s in figure.chart.stacks if s.label == "docker"]  # type: ignore[union-attr]
    assert dict(docker.parts)["load-kept"] == 0.0
    [table] = [t for t in told.details if t.caption.startswith("load-kept")]
    assert any("-1" in cell or "−1" in cell for r in table.rows if r.head == "docker" for cell in r.cells)


IDLE: dict[str, Any] = {
    "title": "Doing nothing", "question": "What?", "headline": "cpu", "baseline": "docker", "order": 32,
    "metrics": [{"name": "cpu", "unit": "cpu-s/h"}],
}  # fmt: skip


def idle_rows(parts: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for block, (subject, value), (place, part) in (
        (b, s, p) for b in range(7) for s in {"docker": 1.0, "vm-distro@tcg": 9.0}.items() for p in enumerate(parts)
    ):
        params = {"part": part, "instances": "1"}
        yield row("idle", subject, "cpu", value + 100.0 * place, block, unit="cpu-s/h", params=params)


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (("total", "vmm", "with-engine"), "with-engine"), (("with-engine", "total"), "with-engine"),
        (("control-plane", "total"), "total"),
    ],
)  # fmt: skip
def test_the_idle_answer_is_with_the_engines_daemons_where_the_run_has_that(parts: tuple[str, ...], shown: str) -> None:
    run = run_of(idle_rows(parts), "idle", IDLE)
    [answer] = summarise(run).answers
    assert dict(answer.params)["part"] == shown
    assert dict(view(run).principal("idle", "cpu"))["part"] == shown


def test_few_instances_are_shown_before_many_and_wholes_before_parts() -> None:
    told = [
        (("instances", "4"), ("part", "with-engine")), (("instances", "1"), ("part", "total")),
        (("instances", "1"), ("part", "vmm")), (("instances", "1"), ("part", "with-engine")), (),
    ]  # fmt: skip
    assert sorted(told, key=telling) == [told[3], told[0], told[4], told[1], told[2]]
