"""The frames for notebooks say what the rest of bench says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from report_runs import make_run

import bench
from bench.comparing.stats import estimates
from bench.frames import (
    asked,
    chosen_paths,
    comparisons_frame,
    estimates_frame,
    floors_frame,
    headlines_frame,
    side_by_side,
    values_of,
)
from bench.judging.summary import comparisons, summarise
from bench.store import COLUMNS, Recorder

READY = "requested→ready"


def test_every_public_name_is_there() -> None:
    assert [name for name in bench.__all__ if not hasattr(bench, name)] == []
    with pytest.raises(AttributeError, match="nonsense"):
        _ = bench.nonsense


def test_every_estimate_is_one_row() -> None:
    run = make_run()
    frame = estimates_frame(run)
    told = {
        (row["scenario"], row["subject"], row["metric"], tuple(sorted(row["params"].items()))): row["median"]
        for row in frame.to_dict("records")
    }
    assert told == {key: e.median for key, e in estimates(run.rows).items()}
    assert len(frame) == len(told)


def test_subjects_stand_in_the_order_of_the_ladder() -> None:
    run = make_run()
    found = list(estimates_frame(run).query("scenario == 'startup'")["subject"].unique())
    rungs = [run.info["subjects"][label]["rung"] for label in found]
    assert len(rungs) > 2
    assert rungs == sorted(rungs)


def test_comparisons_and_floors_are_those_of_the_screens() -> None:
    run = make_run()
    frame = comparisons_frame(run)
    told = sorted(
        (row["subject"], row["metric"], row["conditions"], row["verdict"]) for row in frame.to_dict("records")
    )
    expected = [
        (c.subject, c.metric, ", ".join(f"{k}={v}" for k, v in c.params), str(c.verdict)) for c in comparisons(run)
    ]
    assert told == sorted(expected)
    assert told
    floors = floors_frame(run)
    assert len(floors) > 0
    assert all(subject.startswith(base) for subject, base in zip(floors["subject"], floors["baseline"], strict=True))


def test_headlines_are_those_of_the_closing_screen() -> None:
    run = make_run()
    told = {(row["scenario"], row["subject"]): row["median"] for row in headlines_frame(run).to_dict("records")}
    expected = {
        (answer.scenario, label): cell.estimate.median
        for answer in summarise(run).answers
        for label, cell in answer.cells.items()
        if cell.estimate
    }
    assert told == expected


def test_values_that_count_are_measured_ok_and_no_phases() -> None:
    import pandas as pd

    run = make_run()
    samples = pd.DataFrame(run.rows, columns=list(COLUMNS))
    found = values_of(samples, "startup", READY)
    assert len(found) > 0
    assert set(found["phase"]) == {"measure"}
    assert set(found["status"]) == {"ok"}
    assert not any(math.isnan(value) for value in found["value"])
    assert not any(params.get("part") == "phase" for params in found["params"])
    none = values_of(samples, "nowhere", READY, mode="warm")
    assert none.empty
    assert none.groupby("subject")["value"].median().empty
    phase = pd.DataFrame([{**samples.loc[found.index[0]].to_dict(), "params": {"part": "phase"}}])
    both = pd.concat([samples, phase], ignore_index=True)
    assert len(values_of(both, "startup", READY)) == len(found)
    assert len(values_of(both, "startup", READY, part="phase")) == 1


def test_texts_stand_side_by_side_in_the_order_asked_for() -> None:
    frame = estimates_frame(make_run()).query("scenario == 'startup'")
    table = side_by_side(frame, only=["nothing", READY])
    assert list(table.columns) == ["nothing", READY]
    assert set(table["nothing"]) == {"–"}
    assert "–" not in set(table[READY])


def test_what_was_not_asked_is_said() -> None:
    told = asked(make_run(), "startup", "nowhere").splitlines()
    assert told[0].startswith("startup: ")
    assert "9 measured blocks" in told[0]
    assert "did not ask" in told[1]


def test_empty_run_gives_empty_frames() -> None:
    run = replace(make_run(), rows=())
    for frame in (estimates_frame(run), comparisons_frame(run), floors_frame(run), headlines_frame(run)):
        assert frame.empty
        assert "text" in frame.columns


def test_runs_are_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("20260101-first", "20260102-second"):
        Recorder(tmp_path, name, "host").describe({})
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    monkeypatch.setenv("BENCH_RUN", f"20260102:{tmp_path / '20260101-first'}")
    assert [path.name for path in chosen_paths()] == ["20260102-second", "20260101-first"]
    assert bench.chosen_run().run_id == "20260102-second"
