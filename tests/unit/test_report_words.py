"""What the report answers: sentences, values at a glance, the matrix, bounds and ratios."""

from __future__ import annotations

import pytest

from bench.store import Run
from report.data import View, view
from report.figures import DotChart
from report.model import Page
from report.page import build
from tests.unit.report_runs import SUBJECTS, make_run, row


@pytest.fixture(scope="module")
def page() -> Page:
    return build(make_run())


def test_an_answer_names_every_family_once_and_the_dearest_guest(page: Page):
    plain = page.sections[0].sentence.replace("\u00a0", " ").replace("\u2060", "")
    assert plain == (
        "process 4.08 ms, docker 408 ms, vm-bare@kvm 306 ms and "
        "vm-distro@tcg ≤ 40.8 s (software emulation: an upper bound). "
        "vm-distro@tcg takes at most 100.0× [100.0–100.0] as long as docker."
    )


def test_a_guest_is_put_beside_the_container_of_its_own_userland():
    manifests = {"podman": {"root file system": "debian (1)"}, "docker": {"root file system": "minimal (2)"},
                 "vm-distro@tcg": {"rootfs": "debian"}}  # fmt: skip
    run = make_run(manifests=manifests)
    assert "as long as docker (of another userland)." in build(run).sections[0].sentence
    rows = [r for r in run.rows if r["subject"] != "podman"]
    rows += [row("startup", "podman", "requested→ready", 0.5, b, trial=b * 10 + 9) for b in range(9)]
    assert (
        "as long as podman."
        in build(Run(path=run.path, info=run.info, facts={}, rows=tuple(rows))).sections[0].sentence
    )


def test_an_answer_rests_on_both_events_names_blocks_and_intervals(page: Page):
    evidence = page.sections[0].evidence.replace("\u00a0", " ").replace("\u2060", "")
    assert evidence.startswith("requested→ready, until the workload answers. Medians over 6 to 9 blocks.")
    assert "Beside process, with 95 % intervals: docker 100× [" in evidence
    assert "vm-distro@tcg ≤ 10000×" in evidence
    assert "no verdict" not in evidence


def test_below_six_blocks_no_interval_and_no_verdict_is_given():
    few = build(make_run(blocks=5))
    assert "Below 6 blocks there is no interval and no verdict." in few.sections[0].evidence
    assert "Beside process, without intervals: docker 100×" in few.sections[0].evidence.replace("\u00a0", " ")
    assert "as long as docker (4 blocks: no interval)." in few.sections[0].sentence
    assert {cell.verdict for r in few.matrix.rows for cell in r.cells} <= {
        "inconclusive",
        "baseline",
        "missing",
        "alone",
    }
    assert "Below 6 blocks no verdict is given." in dict(few.trust.lines)["blocks"]


def test_the_matrix_leaves_twins_out_and_says_what_was_skipped(page: Page):
    rows = {r.label: r for r in page.matrix.rows}
    assert list(rows) == ["process", "docker", "vm-bare@kvm", "vm-distro@tcg", "podman"]
    assert rows["process"].cells[0].ratio == "baseline"
    assert rows["podman"].cells[0].value == "skipped"
    assert rows["docker"].cells[0].verdict == "worse"
    assert rows["docker"].cells[0].ratio.startswith("▲\u00a0")


def test_an_emulated_subject_is_marked_wherever_it_has_a_number(page: Page):
    emulated = next(r for r in page.matrix.rows if r.label == "vm-distro@tcg")
    assert emulated.emulated
    assert all(cell.value.startswith("≤ ") for cell in emulated.cells)
    assert page.ladder is not None
    chart = page.ladder.chart
    assert isinstance(chart, DotChart)
    dots = {r.label: r for r in chart.rows}
    assert dots["vm-distro@tcg"].text.startswith("≤ ")
    assert not dots["vm-bare@kvm"].text.startswith("≤ ")
    assert any("software emulation" in note.what for note in page.trust.notes)


def test_values_of_zero_and_below_are_drawn_and_have_no_ratio():
    rows = tuple(
        row("memory", s, "memavailable-slope", v * (b + 1), b, unit="B")
        for s, v in (("docker", -4096.0), ("process", 0.0))
        for b in range(7)
    )
    info = {"scenarios": {"memory": {"baseline": "process", "headline": "memavailable-slope"}}}
    made = build(Run(path=make_run().path, info=info, facts={}, rows=rows))
    cells = {r.label: r.cells[0] for r in made.matrix.rows}
    assert cells["docker"].value == "-16 KiB"
    assert cells["docker"].verdict == "inconclusive"


def test_answers_at_a_glance_carry_the_same_values_as_their_sentences(page: Page):
    for answer, section_ in zip(page.answers, page.sections, strict=True):
        assert answer.values
        assert all(f"{value.label} {value.text}" in section_.sentence for value in answer.values)
        assert answer.note in section_.sentence
        assert answer.rests_on.partition(",")[0].partition(" (")[0] in section_.evidence


def test_an_emulated_guests_ratio_is_a_bound_and_a_containers_is_none(page: Page):
    cells = {r.label: r.cells[0].ratio.replace("\u00a0", " ") for r in page.matrix.rows}
    assert cells["vm-distro@tcg"].startswith("▲ ≤ 10000×")
    assert cells["docker"].startswith("▲ 100×")
    assert page.forest is not None
    texts = {r.head: r.cells[0] for r in page.forest.table.rows} if page.forest.table else {}
    assert texts["vm-distro@tcg"].startswith("≤ 10000×")


def test_the_way_most_subjects_were_tried_in_is_shown_first_and_failing_is_trying():
    def tried(status: str) -> View:
        rows = [row("churn", s, "t", 1.0, 0, params={"mode": mode}) for s in ("a", "b") for mode in ("x", "y")]
        rows[0] = row("churn", "a", "t", None, 0, params={"mode": "x"}, status=status)
        return view(Run(path=make_run().path, info={}, facts={}, rows=tuple(rows)))

    assert tried("failed").principal("churn", "t") == (("mode", "x"),)
    assert tried("unsupported").principal("churn", "t") == (("mode", "y"),)


def test_an_emulated_guests_lower_speed_is_at_most_so_many_times_slower():
    rows = tuple(
        row("churn", s, "rate", v * (1.0 + 0.001 * b), b, unit="1/s", better="higher")
        for s, v in (("docker", 8.0), ("vm-distro@tcg", 2.0))
        for b in range(7)
    )
    metric = {"name": "rate", "unit": "1/s", "better": "higher"}
    churn = {"baseline": "docker", "headline": "rate", "metrics": [metric]}
    info = {"subjects": SUBJECTS, "scenarios": {"churn": churn}}
    made = build(Run(path=make_run().path, info=info, facts={}, rows=rows))
    cell = next(r for r in made.matrix.rows if r.label == "vm-distro@tcg").cells[0]
    assert (cell.value, cell.ratio.replace("\u00a0", " ").replace("\u2060", "")) == (
        "≥ 2.01 /s", "▲ ≤ 4.00× [4.00–4.00], slower",
    )  # fmt: skip
    assert made.answers[0].note.replace("\u00a0", " ").startswith("docker reaches at most 4.00×")
