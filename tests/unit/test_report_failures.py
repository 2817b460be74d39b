"""What failed is drawn or named in every picture, never dropped; and how many values a picture rests on is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.store import Run
from bench.units import Unit
from report.charts import SENTINELS
from report.data import view
from report.drawings import draw
from report.figures import DriftChart, EcdfChart, ForestChart, GroupChart, Ramp, RampChart, StackChart, Track
from report.model import Figure
from report.page import build
from report.pictures import counted, not_drawn
from tests.unit.report_runs import SUBJECTS, make_run, row


def figures_of(rows: list[dict[str, Any]], **scenario: Any) -> dict[str, Figure]:
    """Return the pictures of a run of one scenario, by their keys."""
    info = {"scenarios": {"it": scenario}, "subjects": SUBJECTS}
    made = build(Run(path=make_run().path, info=info, facts={}, rows=tuple(rows)))
    return {f.key: f for f in made.sections[0].figures}


def drawn(figure: Figure) -> str:
    """Return both forms of a picture as SVG."""
    return draw(figure.chart, narrow=False) + draw(figure.chart, narrow=True)


def ramp(subject: str, most: int, blocks: int = 6, **reached: str) -> list[dict[str, Any]]:
    """Return the rows of a ramp to so many instances; one more failed."""
    rows = []
    for b in range(blocks):
        numbers = range(1, most + 1)
        rows += [row("it", subject, "requested→ready", 0.1 * n, b, params={"instances": str(n)}) for n in numbers]
        why = reached.get(f"block{b}", reached["reason"])
        rows.append(row("it", subject, "instances-reached", most, b, unit="1", reason=why))
    return rows


RAMP = {"headline": "instances-reached", "metrics": [{"name": "instances-reached", "unit": "1", "better": "higher"}]}


def test_a_ramp_ends_in_a_cross_where_a_start_failed() -> None:
    rows = ramp("docker", 5, reason="maximum: 5 were asked for")
    rows += ramp("vm-bare@kvm", 3, reason="failed-start: it broke")
    lost = [row("it", "vm-bare@kvm", "requested→ready", None, b, params={"instances": "4"}) for b in range(6)]
    never = [row("it", "process", "requested→ready", None, b, params={"instances": "1"}) for b in range(6)]
    figure = figures_of([*rows, *lost, *never], **RAMP)["it-ramp-requested-to-ready"]
    assert isinstance(figure.chart, RampChart)
    ramps = {r.label: r for r in figure.chart.ramps}
    assert (ramps["docker"].lost, ramps["vm-bare@kvm"].lost) == ((), (4.0,))
    assert (ramps["process"].points, ramps["process"].lost) == ((), (1.0,))
    assert "vm-bare@kvm at 4: 6 of 6 failed, it broke." in figure.notes
    assert "process at 1: 6 of 6 failed, it broke." in figure.notes
    assert "docker: 5, the profile" in drawn(figure)
    assert ">process: failed at 1</text>" in drawn(figure)


def test_a_ramp_shows_the_interval_of_each_median_or_every_value_where_there_is_none() -> None:
    many = figures_of(ramp("docker", 3, reason="maximum: 3"), **RAMP)["it-ramp-requested-to-ready"].chart
    few = figures_of(ramp("docker", 3, blocks=2, reason="maximum: 3"), **RAMP)["it-ramp-requested-to-ready"].chart
    assert isinstance(many, RampChart)
    assert isinstance(few, RampChart)
    assert (len(many.ramps[0].spans), len(many.ramps[0].raw)) == (3, 0)
    assert (len(few.ramps[0].spans), len(few.ramps[0].raw)) == (0, 6)


def test_a_ramp_says_why_it_stopped_and_a_declared_maximum_is_no_limit_of_the_host() -> None:
    rows = ramp("docker", 5, reason="maximum: 5 were asked for")
    rows += ramp("vm-bare@kvm", 3, reason="memory-floor: one more would leave too little", block0="slow-start: 9 s")
    notes = " ".join(figures_of(rows, **RAMP)["it-dots"].notes)
    assert "docker: 5, the profile's maximum; vm-bare@kvm: 3, one more would leave too little (5 of 6)" in notes
    assert "3, 9 s (1 of 6)" in notes
    assert "A profile's maximum is no limit of the host." in notes
    limited = figures_of(ramp("docker", 3, reason="memory-floor: one more would leave too little"), **RAMP)
    assert not any("maximum" in note for note in limited["it-dots"].notes)


def test_what_is_said_beside_a_value_is_kept() -> None:
    rows = [row("it", s, "fit", 5.0 + b, b, unit="1", reason="by PSS") for b in range(3) for s in ("docker", "process")]
    assert "By PSS: process and docker." in figures_of(rows)["it-dots"].notes
    seen = view(Run(path=make_run().path, info={}, facts={}, rows=tuple(rows)))
    assert seen.cells["it"]["fit", ()]["docker"].told == ("by PSS",) * 3


def test_a_whole_whose_parts_failed_stands_below_the_panels_with_its_reason() -> None:
    rows = [
        row("it", s, "cpu", value, b, params={"instances": "1", "part": part}, unit="B")
        for b in range(3) for s in ("docker", "process") for part, value in (("workload", 1.0), ("total", 0.0))
    ]  # fmt: skip
    rows += [row("it", "vm-bare@kvm", "cpu", None, b, params={"instances": "1", "part": "total"}) for b in range(3)]
    rows += [row("it", "podman", "cpu", None, -1, trial=-1, status="unsupported", reason="it is not here")]
    figure = figures_of(rows)["it-owners-cpu-instances-1"]
    assert isinstance(figure.chart, StackChart)
    stacks = {s.label: s for s in figure.chart.stacks}
    assert stacks["vm-bare@kvm"].trouble == "failed: it broke"
    assert not any(s.trouble for panel in figure.chart.panels() for s in panel)
    assert drawn(figure).count("failed: it broke") == 2
    assert figure.notes == ("Not drawn: podman, unsupported: it is not here.",)
    assert figure.table is not None
    assert "failed: it broke" in {r.head: r.cells[-1] for r in figure.table.rows}["vm-bare@kvm"]


def test_a_whole_of_nothing_is_drawn_too() -> None:
    def stacks(zero: str) -> list[list[str]]:
        sizes = {"docker": 9.0, "process": 1.0, "vm-bare@kvm": 1000.0, zero: 0.0}
        rows = [
            row("it", s, "cpu", value, b, params={"instances": "1", "part": part}, unit="B")
            for b in range(3) for s, value in sizes.items() for part in ("workload", "total")
        ]  # fmt: skip
        figure = figures_of(rows)["it-owners-cpu-instances-1"]
        assert isinstance(figure.chart, StackChart)
        assert drawn(figure)
        return [[s.label for s in panel] for panel in figure.chart.panels()]

    assert stacks("podman") == [["process", "podman"], ["docker"], ["vm-bare@kvm"]]
    rows = [row("it", "docker", "cpu", 0.0, b, params={"part": part}, unit="B") for b in range(3)
            for part in ("workload", "total")]  # fmt: skip
    assert drawn(next(f for f in figures_of(rows).values() if isinstance(f.chart, StackChart)))


def test_every_part_has_a_letter_in_the_key_and_where_it_is_wide_enough() -> None:
    rows = [
        row("it", "docker", "cpu", value, b, params={"part": part}, unit="B")
        for b in range(3) for part, value in (("workload", 60.0), ("shim", 39.0), ("vmm", 0.1), ("total", 99.1))
    ]  # fmt: skip
    figure = next(f for f in figures_of(rows).values() if isinstance(f.chart, StackChart))
    wide = draw(figure.chart, narrow=False)
    letters = [wide.count(f">{letter}</text>") for letter in "ABC"]
    assert letters == [2, 1, 2], "workload, VMM and shim: a sliver has no room for its letter"


def test_a_subject_without_a_ratio_has_a_cross_and_its_reason_in_the_forest() -> None:
    rows = [row("it", s, "time", v, b) for b in range(7) for s, v in (("process", 1.0), ("docker", 2.0))]
    rows += [row("it", "vm-bare@kvm", "time", None, b) for b in range(7)]
    rows += [row("it", "podman", "time", None, -1, trial=-1, status="skipped", reason="it is not installed")]
    figure = figures_of(rows, baseline="process")["it-forest-figure"]
    assert isinstance(figure.chart, ForestChart)
    lost = {r.label: r for r in figure.chart.rows}["vm-bare@kvm"]
    assert (lost.ratio, lost.trouble, lost.broken) == (None, "failed: it broke", True)
    assert drawn(figure).count("failed: it broke") == 2
    assert figure.notes == ("Not drawn: podman, skipped: it is not installed.",)
    assert figure.caption.endswith("n = 0 to 7 blocks.") or figure.caption.endswith("n = 7 blocks.")


def test_a_subject_that_always_failed_has_a_curve_that_never_rises() -> None:
    rows = [row("it", "docker", "time", 1.0 + b, b) for b in range(5)]
    rows += [row("it", "podman", "time", None, b) for b in range(5)]
    figure = figures_of(rows)["it-ecdf-docker"]
    assert isinstance(figure.chart, EcdfChart)
    lost = {c.label: c for c in figure.chart.curves}["podman"]
    assert (lost.values, lost.failed, lost.trouble) == ((), 5, "failed: it broke")
    assert "podman n = 0 and 5 failed" in figure.caption
    assert "failed: it broke" in drawn(figure)
    assert figure.table is not None
    assert {r.head: r.cells[-2:] for r in figure.table.rows}["podman"] == ("0", "5")


def test_a_failed_trial_is_a_cross_in_its_block_of_the_drift_and_every_subject_is_named() -> None:
    figure = build(make_run()).trust.figure
    assert figure is not None
    assert isinstance(figure.chart, DriftChart)
    tracks = {t.label: t for t in figure.chart.tracks}
    assert (tracks["docker"].lost, len(tracks["docker"].points)) == ((2, 5, 8), 6)
    assert all(f">{label}</text>" in drawn(figure) for label in tracks)


def test_crosses_intervals_and_single_values_are_really_drawn() -> None:
    ramp_ = Ramp(
        label="a", points=((1.0, 1.0), (2.0, 2.0)), spans=((1.0, 0.5, 1.5),), raw=((2.0, 1.0),) * 3, lost=(3.0,)
    )
    track = Track(label="a", points=((0, 1.0), (1, 1.1)), lost=(2,))
    for chart in (RampChart(unit=Unit.BYTES, ramps=(ramp_,)), DriftChart(tracks=(track,))):
        assert SENTINELS["alarm"] in draw(chart, narrow=False)
    for lost in (
        RampChart(unit=Unit.BYTES, ramps=(replace(ramp_, lost=()),)),
        DriftChart(tracks=(replace(track, lost=()),)),
    ):
        assert SENTINELS["alarm"] not in draw(lost, narrow=False)
    whole = draw(RampChart(unit=Unit.BYTES, ramps=(ramp_,)), narrow=False)
    for less in (replace(ramp_, spans=((1.0, 0.5, 0.5),)), replace(ramp_, raw=())):
        assert draw(RampChart(unit=Unit.BYTES, ramps=(less,)), narrow=False) != whole


def test_every_picture_says_on_how_many_values_it_rests() -> None:
    page = build(make_run())
    figures = [f for s in page.sections for f in s.figures]
    figures += [f for f in (page.ladder, page.forest, page.trust.figure) if f]
    assert len(figures) > 8
    assert [f.key for f in figures if "n = " not in f.caption] == []
    assert page.ladder is not None
    assert page.ladder.caption.endswith("n = 6 to 9.")


@pytest.mark.parametrize(
    ("counts", "noun", "text"),
    [((), "", ""), ((0,), "", ""), ((6, 6), "", "n = 6."), ((4, 0, 9), "blocks", "n = 4 to 9 blocks.")],
)
def test_how_many_is_said_once(counts: tuple[int, ...], noun: str, text: str) -> None:
    assert counted(counts, noun) == text


def test_who_is_missing_is_named_once_for_each_reason() -> None:
    absent = [("a", "skipped: no."), ("b", "skipped: no."), ("a", "skipped: no."), ("c", "")]
    assert not_drawn(absent) == ("Not drawn: a and b, skipped: no.", "Not drawn: c, it has no value.")


def test_groups_name_what_failed_and_what_was_not_asked() -> None:
    rows = [row("it", "docker", "time", 1.0, b, params={"mode": mode}) for b in range(3) for mode in ("x", "y", "z")]
    rows += [row("it", "process", "time", 2.0, b, params={"mode": "x"}) for b in range(3)]
    rows += [row("it", "process", "time", None, b, params={"mode": "y"}) for b in range(3)]
    rows += [row("it", "process", "time", None, 0, params={"mode": "z"}, status="unsupported", reason="no z here")]
    figure = figures_of(rows)["it-modes"]
    assert isinstance(figure.chart, GroupChart)
    assert [(g.label, [r.label for r in g.rows]) for g in figure.chart.groups] == [
        ("process", ["x", "y"]), ("docker", ["x", "y", "z"]),
    ]  # fmt: skip
    assert figure.notes == ("Not drawn: z of process, unsupported: no z here.",)
    assert drawn(figure).count("failed: it broke") == 2
