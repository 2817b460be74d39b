"""The pictures of the report as data: what is drawn, in which order, beside which table."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from bench.store import Run
from report.axes import WIDE, _spaced, room_for
from report.figures import DotChart, RampChart, StackChart
from report.model import Figure, Page
from report.page import build
from report.pictures import key_of
from tests.unit.report_runs import make_run, row


@pytest.fixture(scope="module")
def page() -> Page:
    return build(make_run())


def figure(page: Page, key: str) -> Figure:
    found = {f.key: f for s in page.sections for f in s.figures}
    return found[key]


def test_the_table_beside_a_figure_carries_the_figures_numbers(page: Page):
    assert page.ladder is not None
    assert isinstance(page.ladder.chart, DotChart)
    assert page.ladder.table is not None
    beside = {r.head: r.cells[0] for r in page.ladder.table.rows}
    for drawn in page.ladder.chart.rows:
        assert beside[drawn.label] == (drawn.text or "–")


@pytest.mark.parametrize(
    ("declared", "sign"), [({}, "≤"), ({"better": "higher"}, "≥"), ({"exact": True}, ""), ({"better": "neither"}, "~")]
)
def test_a_row_says_which_bound_an_emulated_value_is(declared: dict[str, Any], sign: str) -> None:
    run = make_run()
    scenario: dict[str, Any] = run.info["scenarios"]["startup"]
    headline = {**scenario["metrics"][0], **declared}
    scenarios = {"startup": {**scenario, "metrics": [headline, *scenario["metrics"][1:]]}}
    drawn = build(replace(run, info={**run.info, "scenarios": scenarios})).ladder
    assert drawn is not None
    assert isinstance(drawn.chart, DotChart)
    signs = {r.label: r.bound for r in drawn.chart.rows}
    assert signs["vm-distro@tcg"] == sign
    assert signs["docker"] == signs["vm-bare@kvm"] == ""


def test_phases_stand_in_the_order_of_life_and_panels_keep_bars_comparable(page: Page):
    chart = figure(page, "startup-phases").chart
    assert isinstance(chart, StackChart)
    assert [part.key for part in chart.parts] == ["requested→created", "created→init", "init→ready"]
    panels = chart.panels()
    assert [s.label for panel in panels for s in panel] == [
        "process",
        "process-twin",
        "docker",
        "vm-bare@kvm",
        "vm-distro@tcg",
    ]
    for panel in panels:
        lengths = [s.length for s in panel]
        assert max(lengths) <= 6.0 * min(lengths)


def test_memory_is_attributed_to_its_owners(page: Page):
    chart = figure(page, "memory-owners-pss-instances-3").chart
    assert isinstance(chart, StackChart)
    docker = next(s for s in chart.stacks if s.label == "docker")
    assert [key for key, _ in docker.parts] == ["workload", "shim", "control-plane"]
    assert docker.total is not None
    assert docker.total == pytest.approx((3 * 10.2 + 100.0) * 2**20, rel=0.01)


def test_disk_stands_as_shared_and_unique(page: Page):
    chart = figure(page, "disk-shares").chart
    assert isinstance(chart, StackChart)
    docker = next(s for s in chart.stacks if s.label == "docker")
    assert [value for _, value in docker.parts] == [3 << 20, 4096.0, 8192.0, 12288.0]


def test_few_pictures_of_a_section_are_unfolded_and_the_first_always_is(page: Page):
    for one in page.sections:
        if one.figures:
            assert not one.figures[0].folded
            assert 1 <= sum(not f.folded for f in one.figures) <= 3


def figures_of(rows: list[dict[str, Any]], **scenario: Any) -> dict[str, Figure]:
    made = build(Run(path=make_run().path, info={"scenarios": {"churn": scenario}}, facts={}, rows=tuple(rows)))
    return {f.key: f for f in made.sections[0].figures}


def test_what_grows_with_the_number_of_instances_is_drawn_over_it():
    rows = [
        row("churn", "docker", metric, 10.0 * n + b, b, trial=b, params={"instances": str(n)}, unit="B")
        for b in range(3) for n in (1, 2, 10) for metric in ("taken", "memory-step")
    ]  # fmt: skip
    found = figures_of(rows)
    assert "churn-ramp-memory-step" not in found
    chart = found["churn-ramp-taken"].chart
    assert isinstance(chart, RampChart)
    assert chart.ramps[0].points == ((1.0, 11.0), (2.0, 21.0), (10.0, 101.0))
    table = found["churn-ramp-taken"].table
    assert table is not None
    assert [r.cells for r in table.rows] == [("1", "11.0 B"), ("2", "21.0 B"), ("10", "101 B")]
    assert not any("ramp" in key for key in figures_of([r for r in rows if r["params"]["instances"] != "10"]))


def test_every_cycle_is_drawn_in_each_mode_with_its_95th_percentile():
    rows = []
    for b, mode in itertools.product(range(6), ("serial", "parallel")):
        rows += [
            row("churn", "docker", "rate", 1.0 + b, b, trial=b, params={"mode": mode}, unit="1/s", better="higher")
        ]
        many = [
            row("churn", "docker", "requested→ready", 0.1 * n, b, trial=b, params={"mode": mode}) for n in (1, 2, 3)
        ]
        parts = [
            row("churn", "docker", "requested→ready", value, b, trial=b, params={"mode": mode, "part": part})
            for part, value in (("p50", 0.2), ("p95", 0.3))
        ]
        rows += [*many, *parts]
    found = figures_of(rows, headline="rate")
    keys = [key for key in found if "latency" in key]
    assert keys == ["churn-latency-requested-to-ready-mode-parallel", "churn-latency-requested-to-ready-mode-serial"]
    chart = found[keys[0]].chart
    assert isinstance(chart, DotChart)
    assert (len(chart.rows[0].values), chart.rows[0].mark) == (18, 0.3)
    table = found[keys[0]].table
    assert table is not None
    assert any("part p50" in column for column in table.columns)


def test_a_control_plane_that_is_not_in_the_total_is_told_beside_it():
    rows = [
        row("churn", "docker", "cpu", value, b, trial=b, params={"instances": "1", "part": part}, unit="cpu-s/h")
        for b in range(3) for part, value in (("workload", 1.0), ("shim", 0.5), ("total", 1.5), ("control-plane", 7.0))
    ]  # fmt: skip
    made = figures_of(rows)["churn-owners-cpu-instances-1"].chart
    assert isinstance(made, StackChart)
    assert made.stacks[0].text == "1.50 CPU s/h + 7.00 CPU s/h"
    assert made.total_text == "median of cpu, without the control plane"


def test_a_handful_of_trials_is_no_curve():
    assert any("ecdf" in f.key for s in build(make_run(blocks=4)).sections for f in s.figures)
    assert not any("ecdf" in f.key for s in build(make_run(blocks=3)).sections for f in s.figures)


def test_phases_of_one_picture_never_share_a_colour():
    names = ["requested→created", "created→started", "created→init", "started→kernel", "kernel→init", "init→ready",
             "requested→init", "requested→ready"]  # fmt: skip
    rows = [
        row("churn", "docker", name, 1.0, b, trial=b, params={"part": "phase", "place": "0"})
        for b in range(3) for name in names
    ]  # fmt: skip
    chart = figures_of(rows, headline="requested→ready", metrics=[{"name": "requested→ready", "unit": "s"}])
    parts = next(f.chart.parts for f in chart.values() if isinstance(f.chart, StackChart))
    assert sorted(part.shade for part in parts) == list(range(8))


def test_words_of_an_axis_are_left_out_evenly_and_its_origin_stays():
    ticks = [(x * 50.0, f"{x * 5} CPU s/h" if x else "0") for x in range(8)]
    kept = _spaced(ticks)
    assert kept[0][1] == "0"
    assert len({round(b[0] - a[0]) for a, b in itertools.pairwise(kept)}) == 1
    assert all(b[0] - a[0] >= (len(a[1]) + len(b[1])) * 3.8 for a, b in itertools.pairwise(kept))
    assert _spaced(ticks[:1]) == ticks[:1]
    assert _spaced([]) == []


def test_a_long_value_beside_its_row_has_room():
    assert room_for(["short"], 190.0) == 190.0
    assert room_for(["0.0549 CPU s/h + 8.69 CPU s/h"], 190.0) > 29 * 7.0
    assert room_for(["9" * 500], 190.0) < WIDE / 2.0


def test_words_that_differ_in_strange_signs_only_have_keys_of_their_own():
    strange = [("内存",), ("磁盘",), ("a b",), ("a_b",), ("A b",), ("x",), ("?",), ("内", "存")]
    keys = [key_of(*words) for words in strange]
    assert len(set(keys)) == len(strange)
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)
    assert key_of("churn", "requested→ready", "vm-direct@tcg") == "churn-requested-to-ready-vm-direct-tcg"
