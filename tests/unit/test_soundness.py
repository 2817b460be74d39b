"""What a stranger's folder may hold: readers get tables where tables belong, and rows that say what they are."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_runs import make_run, row

from bench.errors import ExitCode
from bench.judging.summary import summarise
from bench.soundness import finite, sound
from bench.store import Run
from bench.text import clean, few, harmless, printable


def run_of(*rows: dict[str, Any], **info: Any) -> Run:
    return Run(path=Path("x"), info={"run_id": "r", **info}, facts={}, rows=rows)


def test_a_run_of_ours_stays_as_it_is() -> None:
    run = make_run()
    mended = sound(run)
    assert all(old is new for old, new in zip(run.rows, mended.rows, strict=True))
    assert mended.facts == run.facts
    assert mended.info == {**run.info, "findings": []}


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"value": None}, "failed", "the stored value is not a finite number"),
        ({"value": math.nan}, "failed", "the stored value is not a finite number"),
        ({"value": 1.75e308}, "failed", "the stored value is not a finite number"),
        ({"unit": "furlong"}, "failed", 'its unit, "furlong", is unknown to this version'),
        ({"unit": None}, "failed", 'its unit, "None", is unknown to this version'),
        ({"status": "odd"}, "failed", 'its status, "odd", is unknown to this version'),
        ({"unit": "furlong", "status": "skipped", "reason": "not here"}, "skipped", "not here"),
        ({"better": "sideways"}, "ok", ""),
        ({"params": {"mode": None}, "block": None, "trial": None, "reason": None}, "ok", ""),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_has_failed(change: dict[str, Any], status: str, reason: str) -> None:
    (found,) = sound(run_of({**row("startup", "docker", "pss", 1.0, 0, unit="B"), **change})).rows
    assert (found["status"], found["reason"]) == (status, reason)
    assert (found["value"] is None) == (status == "failed") or status == "skipped"
    assert found["better"] in ("lower", "neither")
    assert found["unit"] in ("B", "1")
    assert all(isinstance(value, str) for value in found["params"].values())


@pytest.mark.parametrize("content", [[], 3, "x", None, {"startup": []}, {"startup": {"metrics": 3}}, [{}]])
@pytest.mark.parametrize("place", ["scenarios", "subjects", "manifests", "findings", "stopped", "labels"])
def test_a_run_is_summed_up_whatever_stands_in_its_run_json(place: str, content: Any) -> None:
    run = make_run()
    found = summarise(replace(run, info={**run.info, place: content}))
    assert found.exit_code is ExitCode.SOME_TRIALS_FAILED
    assert found.answers


def test_what_is_nested_beyond_measure_is_cut() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"x": [deep]}
    assert "None" in str(finite(deep))
    assert finite({"a": [math.inf, -math.inf, 10**400, 1e99, True]}) == {"a": [None, None, None, 1e99, True]}


def test_words_of_a_stranger_steer_nothing() -> None:
    assert printable("a\x1b[31mb\r\u202ec\nd") == "a [31mb  c\nd"
    assert clean(" a\n\x1b\tb ") == "a b"
    assert clean("x" * 700) == "x" * 599 + "…"
    assert (clean(None), clean(0)) == ("", "0")
    assert [harmless(value) for value in ("=1", "a", -1, None)] == ["'=1", "a", -1, None]
    assert [few("abcd", most) for most in (2, 3, 4)] == ["a, b and 2 more", "a, b, c and 1 more", "a, b, c, d"]
