"""Pictures of several rows under one head: modes, accounts of memory, tools; and cold starts beside warm ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from bench.store import Run
from report.drawings import draw
from report.figures import Dots, ForestChart, GroupChart, RatioRow
from report.groups import GUEST, HOST
from report.model import Figure
from report.page import build
from tests.unit.report_runs import SUBJECTS, make_run, row

MIB = float(1 << 20)


def figures_of(rows: Iterable[dict[str, Any]], **scenario: Any) -> dict[str, Figure]:
    """Return the pictures of a run of one scenario, by their keys."""
    info = {"scenarios": {"it": scenario}, "subjects": SUBJECTS}
    made = build(Run(path=make_run().path, info=info, facts={}, rows=tuple(rows)))
    return {f.key: f for f in made.sections[0].figures}


def tool_rows(blocks: int = 7) -> list[dict[str, Any]]:
    """Return four tools of three subjects; whatever the unit, docker costs twice and the guest four times as much."""
    metrics = (("nginx", "1/s", "higher", 100.0), ("read", "B/s", "higher", 5.0), ("fault", "s", "lower", 0.1),
               ("calls", "1/s", "higher", 9.0))  # fmt: skip
    factors = (("process", 1.0), ("docker", 2.0), ("vm-distro@tcg", 4.0))
    return [
        row("it", subject, metric, value * (factor if better == "lower" else 1.0 / factor), b, unit=unit, better=better)
        for b in range(blocks)
        for subject, factor in factors
        for metric, unit, better, value in metrics
    ]


def test_all_tools_of_all_subjects_stand_in_one_unfolded_picture_where_right_is_worse() -> None:
    rows = [r for r in tool_rows() if (r["subject"], r["metric"]) != ("docker", "calls")]
    rows += [row("it", "docker", "calls", None, b, unit="1/s", better="higher") for b in range(7)]
    refused = {"subject": "vm-bare@kvm", "value": None, "status": "unsupported", "reason": "no such tool"}
    rows += [{**r, **refused} for r in rows if r["subject"] == "process"]
    figure = figures_of(rows, headline="nginx", baseline="process")["it-tools"]
    assert isinstance(figure.chart, GroupChart)
    assert not figure.folded
    assert [g.label for g in figure.chart.groups] == ["nginx", "read", "fault", "calls"]
    found = {(g.label, r.label): r for g in figure.chart.groups for r in g.rows if isinstance(r, RatioRow)}
    for tool in ("nginx", "read", "fault"):
        assert found[tool, "docker"].ratio == pytest.approx(2.0)
        assert found[tool, "docker"].verdict == "worse"
        guest = found[tool, "vm-distro@tcg"]
        assert guest.ratio == pytest.approx(4.0)
        assert guest.bound == "≤"
        assert guest.text == "≤ 4.00× [4.00–4.00], slower"
    assert found["calls", "docker"].trouble == "failed: it broke"
    assert figure.notes == ("Not drawn: vm-bare@kvm, unsupported: no such tool.",)
    assert figure.table is not None
    assert len(figure.table.rows) == 8
    assert "failed: it broke" in draw(figure.chart, narrow=False)


def test_few_tools_and_tools_that_do_not_count_by_the_second_are_no_such_picture() -> None:
    few = [r for r in tool_rows() if r["metric"] != "calls"]
    assert "it-tools" not in figures_of(few, headline="nginx", baseline="process")
    assert "it-tools" not in figures_of(tool_rows(), headline="fault", baseline="process")


def test_all_modes_of_all_subjects_stand_side_by_side_in_the_first_picture() -> None:
    rows = [
        row("it", subject, "time", (place + 1.0) * size, b, params={"mode": mode})
        for b in range(6)
        for (place, mode), (subject, size) in itertools.product(
            enumerate(("a", "b", "c")), {"docker": 1.0, "process": 0.1}.items()
        )
    ]
    figures = figures_of(rows)
    first = next(iter(figures.values()))
    assert first.key == "it-modes"
    assert not first.folded
    assert not any("dots" in key for key in figures)
    assert isinstance(first.chart, GroupChart)
    assert [(g.label, [(r.label, r.values) for r in g.rows if isinstance(r, Dots)]) for g in first.chart.groups] == [
        (subject, [(mode, ((place + 1.0) * size,) * 6) for place, mode in enumerate(("a", "b", "c"))])
        for subject, size in (("process", 0.1), ("docker", 1.0))
    ]
    assert first.table is not None
    assert first.table.columns[1:4] == ("time (mode a)", "time (mode b)", "time (mode c)")


MEMORY: dict[str, Any] = {
    "headline": "pss-slope", "baseline": "docker",
    "metrics": [{"name": name, "unit": "B"} for _, name, _ in HOST]
    + [{"name": name, "unit": "B", "exact": True, "better": "neither"} for _, name, _ in GUEST],
}  # fmt: skip


def memory_rows(referee: float = 12.0) -> list[dict[str, Any]]:
    """Return one instance's accounts: Docker's, with its daemons apart, and a guest's, with its own view."""
    rows = []
    for b in range(6):
        for subject, accounts in {
            "docker": (4.0, 2.0, 6.0, 5.0, referee), "vm-distro@tcg": (400.0, 390.0, 410.0, 395.0, 420.0)
        }.items():  # fmt: skip
            for (_, metric, params), value in zip(HOST, accounts, strict=True):
                rows.append(row("it", subject, metric, value * MIB, b, unit="B", params=dict(params)))
        daemons = {"instances": "1", "part": "control-plane"}
        rows += [row("it", "docker", m, 100.0 * MIB, b, unit="B", params=daemons) for m in ("pss", "uss")]
        rows += [row("it", "vm-distro@tcg", m, v * MIB, b, unit="B", params={"part": "guest"})
                 for m, v in (("guest-used", 60.0), ("guest-total", 240.0))]  # fmt: skip
        rows.append(row("it", "process", "pss", 1.0 * MIB, b, unit="B", params={"instances": "1", "part": "total"}))
    no = {"status": "unsupported", "reason": "it has no control group"}
    return [*rows, row("it", "process", "cgroup-current", None, 0, unit="B", **no)]


def test_one_instances_memory_stands_by_every_account_and_the_guests_view_apart() -> None:
    figure = figures_of(memory_rows(), **MEMORY)["it-accounts"]
    assert isinstance(figure.chart, GroupChart)
    assert not figure.folded
    groups = {g.label: {r.label: r for r in g.rows if isinstance(r, Dots)} for g in figure.chart.groups}
    assert list(groups) == ["process", "docker", "vm-distro@tcg", "vm-distro@tcg, seen from inside"]
    assert list(groups["docker"]) == [name for name, _, _ in HOST]
    assert groups["docker"]["PSS"].median == 4.0 * MIB
    assert groups["docker"]["PSS"].mark == 104.0 * MIB
    assert groups["docker"]["PSS slope"].mark is None
    assert groups["vm-distro@tcg"]["PSS"].mark is None, "nobody's daemons are in it"
    assert list(groups["vm-distro@tcg, seen from inside"]) == [name for name, _, _ in GUEST]
    assert "docker 2.00 MiB (USS) to 12.0 MiB (MemAvailable slope), 6.0×" in figure.notes[0]
    assert figure.notes[1] == "Not drawn: cgroup charge of process, unsupported: it has no control group."


def test_the_hosts_view_and_the_guests_never_share_a_column() -> None:
    table = figures_of(memory_rows(), **MEMORY)["it-accounts"].table
    assert table is not None
    inside = [name for name, _, _ in GUEST]
    for r in table.rows:
        host, guest = r.cells[1], r.cells[3]
        assert (guest != "–") is (r.cells[0] in inside)
        assert guest == "–" or host == "–"


def test_a_referee_below_zero_spoils_no_axis_and_keeps_its_number() -> None:
    figure = figures_of(memory_rows(referee=-3.0), **MEMORY)["it-accounts"]
    picture = draw(figure.chart, narrow=False)
    assert ">10 MiB</text>" in picture, "the axis is still logarithmic"
    assert "-3.00 MiB" in picture


def test_a_run_without_all_the_accounts_has_no_such_picture() -> None:
    metrics = [m for m in MEMORY["metrics"] if m["name"] != "cgroup-current"]
    rows = [r for r in memory_rows() if r["metric"] != "cgroup-current"]
    assert "it-accounts" not in figures_of(rows, **{**MEMORY, "metrics": metrics})


def test_cold_starts_are_told_as_so_many_times_the_warm_ones_block_by_block() -> None:
    rows = []
    for b, (subject, factor) in itertools.product(range(7), {"docker": 3.0, "vm-distro@tcg": 1.5}.items()):
        # The host is twice as slow in every other block: beside each other's blocks only the factor is left.
        slow = 1.0 + b % 2
        for mode, size in (("warm", 1.0), ("cold", factor)):
            rows.append(row("it", subject, "requested→ready", size * slow, b, params={"mode": mode}))
    rows += [row("it", "process", "requested→ready", 1.0, b, params={"mode": "warm"}) for b in range(7)]
    rows += [row("it", "process", "requested→ready", None, b, params={"mode": "cold"}) for b in range(7)]
    figures = figures_of(rows, headline="requested→ready", order=2)
    figure = figures["it-cold-over-warm"]
    assert next(iter(figures)) == "it-cold-over-warm"
    assert not figure.folded
    assert isinstance(figure.chart, ForestChart)
    found = {r.label: r for r in figure.chart.rows}
    assert found["docker"].ratio == pytest.approx(3.0)
    assert found["docker"].low == pytest.approx(3.0)
    assert (found["docker"].verdict, found["docker"].bound) == ("worse", "")
    assert found["vm-distro@tcg"].bound == "~", "of two upper bounds nothing is known of the ratio"
    assert found["process"].trouble == "failed: it broke"
    assert "it-cold-over-warm" not in figures_of([r for r in rows if r["params"]["mode"] == "warm"])
