"""What the report says, apart from how it looks."""

from __future__ import annotations

import csv
import io
import itertools
import random
from typing import Any

import pytest

from bench.clock import Event
from bench.store import Run
from report.data import View, view
from report.figures import DotChart, ForestChart, RampChart, StackChart
from report.model import Figure, Page, Section, build
from tests.unit.report_runs import make_run, row


@pytest.fixture(scope="module")
def page() -> Page:
    return build(make_run())


def section(page: Page, name: str) -> Section:
    return next(s for s in page.sections if s.key == f"scenario-{name}")


def figure(page: Page, key: str) -> Figure:
    found = {f.key: f for s in page.sections for f in s.figures}
    return found[key]


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


def test_a_claim_is_judged_only_of_those_it_speaks_of_and_never_by_an_emulated_guest_above_it(page: Page):
    assert page.ladder is not None
    container, guest = page.ladder.notes
    assert container == "The claim: “a container needs only 50 ms”: over 50 ms: docker."
    assert "under 60 s are vm-bare@kvm and vm-distro@tcg" in guest
    slow = build(_slower(make_run(), "vm-distro@tcg", 3.0))
    assert slow.ladder is not None
    assert "over it only by emulation, so not told: vm-distro@tcg" in slow.ladder.notes[1]


def _slower(run: Run, label: str, factor: float) -> Run:
    rows = tuple(
        {**r, "value": r["value"] * factor} if r["subject"] == label and r["value"] is not None else r for r in run.rows
    )
    return Run(path=run.path, info=run.info, facts=run.facts, rows=rows)


def test_failures_are_counted_by_trial_with_their_reason_and_no_instance_name(page: Page):
    table = section(page, "startup").failures
    assert table is not None
    told = {r.head: r.cells for r in table.rows}
    assert told["docker"] == ("failed", "3 trials", "an instance ended before ready")
    assert told["podman"] == ("skipped", "not run", "it is not installed")


def test_a_failed_trial_is_neither_a_value_nor_forgotten(page: Page):
    table = section(page, "startup").headline
    assert table is not None
    docker = next(r for r in table.rows if r.head == "docker")
    assert docker.cells[2:] == ("6", "3 of 9 failed")


def test_the_table_beside_a_figure_carries_the_figures_numbers(page: Page):
    assert page.ladder is not None
    assert isinstance(page.ladder.chart, DotChart)
    assert page.ladder.table is not None
    beside = {r.head: r.cells[0] for r in page.ladder.table.rows}
    for drawn in page.ladder.chart.rows:
        assert beside[drawn.label] == (drawn.text or "–")


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


def test_the_noise_floor_is_what_the_twins_differ_by(page: Page):
    said = dict(page.trust.lines)["noise floor"]
    assert "process-twin beside process" in said
    assert "0.5%" in said
    assert "The widest 95 % interval of a pair is" in said.replace("\u00a0", " ")
    assert "not known better" not in said
    alone = make_run()
    rows = tuple(r for r in alone.rows if r["subject"] != "process-twin")
    without = build(Run(path=alone.path, info=alone.info, facts={}, rows=rows))
    assert "No A/A pair" in dict(without.trust.lines)["noise floor"]


def test_a_floor_is_known_no_better_than_its_interval():
    run = make_run()
    wild = tuple(
        {**r, "value": r["value"] * (1.0, 0.5, 2.0)[r["block"] % 3]}
        if r["subject"] == "process-twin" and r["value"] is not None
        else r
        for r in run.rows
    )
    said = dict(build(Run(path=run.path, info=run.info, facts={}, rows=wild)).trust.lines)["noise floor"]
    assert "not known better than that" in said
    few = dict(build(make_run(blocks=5)).trust.lines)["noise floor"]
    assert "No pair has enough blocks for an interval" in few


def test_what_was_not_read_is_unknown_and_never_zero(page: Page):
    assert "waiting for input and output (PSI): unknown" in dict(page.trust.lines)["beside the trials"]
    cpu = next(t for t in page.environment if t.caption == "cpu")
    assert ("boost", ("unknown",)) in [(r.head, r.cells) for r in cpu.rows]


def test_findings_are_sentences_and_one_missing_engine_is_one_note():
    refused = [
        {"scenario": name, "subject": subject, "reason": "no engine answers", "hint": "start it", "missing": True}
        for name in ("startup", "memory")
        for subject in ("docker", "podman")
    ]
    senseless = {"scenario": "disk", "subject": "process", "reason": "it has no disk", "missing": False}
    found = [{"level": "warning", "what": "work waits", "why": "the trials wait too", "remedy": "end it"}]
    notes = build(make_run(findings=found, refusals=[*refused, senseless])).trust.notes
    assert (notes[0].what, notes[0].why, notes[0].remedy) == ("Work waits.", "The trials wait too.", "end it")
    assert [(n.what, n.remedy) for n in notes[2:]] == [
        ("Not run in startup and memory: docker and podman; no engine answers.", "start it")
    ]


def test_an_unfinished_run_says_so():
    cut = build(make_run(ending="interrupted"))
    assert cut.ending == "interrupted"
    assert "ended early: interrupted" in dict(cut.trust.lines)["ending"]


def test_the_manifest_shows_what_is_common_once_and_marks_what_differs(page: Page):
    assert page.shared is not None
    assert [(r.head, r.cells) for r in page.shared.rows] == [("agent", ("sha256:1",))]
    guests = next(t for t in page.manifests if t.caption == "virtual machines")
    assert guests.columns == ("part", "vm-bare@kvm", "vm-distro@tcg ≤")
    kernel = next(r for r in guests.rows if r.head == "kernel")
    assert (kernel.cells, kernel.marked) == (("6.1", "6.12"), (1,))


def test_the_seed_is_in_the_command_once():
    assert build(make_run()).command == "bench run all --seed 7"
    assert build(make_run(command="bench run all")).command == "bench run all --seed 7"


def test_every_event_is_explained_in_the_clocks_own_words(page: Page):
    assert [name for name, _ in page.events] == [str(event) for event in Event]
    assert dict(page.events)["ready"].startswith("The workload answered")


def test_the_summary_is_csv_with_unscaled_values_and_runs_no_formula():
    run = make_run()
    evil = row("startup", "=cmd()", "requested→ready", 1.0, 0)
    table = list(
        csv.DictReader(
            io.StringIO(build(Run(path=run.path, info=run.info, facts={}, rows=(*run.rows, evil))).summary_csv)
        )
    )
    wanted = [r for r in table if (r["subject"], r["metric"], r["params"]) == ("docker", "requested→ready", "")]
    assert [float(r["median"]) for r in wanted] == [pytest.approx(0.408)]
    assert wanted[0]["failures"] == "3"
    assert not any(value.startswith(("=", "+", "@")) for r in table for value in r.values())


def test_the_model_is_the_same_whatever_the_order_of_the_rows():
    run = make_run()
    rows = list(run.rows)
    random.Random(1).shuffle(rows)
    assert build(Run(path=run.path, info=run.info, facts=run.facts, rows=tuple(rows))) == build(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"scenarios": {}}, {"scenarios": "x"}, {"subjects": None}, {"subjects": {"docker": 3}}, {"manifests": []},
        {"refusals": {}}, {"engines": 4}, {"command": None}, {"seed": None}, {"findings": [1, {"what": "x"}]},
        {"scenarios": {"startup": {"metrics": [3, {"name": "requested→ready", "unit": "furlong", "better": "best"}]}}},
        {"scenarios": {"startup": {"headline": "no such metric"}}}, {"claims": "x"}, {"profile": 3}, {"ending": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_strangers_run_json_costs_words_and_not_the_report(changes: dict[str, Any]):
    made = build(make_run(**changes))
    assert len(made.sections) == 3
    assert made.sections[0].sentence


def test_an_empty_run_is_a_page_that_says_so():
    empty = build(Run(path=make_run().path, info={}, facts={}, rows=()))
    assert (empty.answers, empty.sections, empty.ladder) == ((), (), None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "12", True])
def test_a_stored_value_that_is_no_finite_number_has_failed(value: Any):
    rows = tuple({**row("startup", "docker", "requested→ready", 1.0, b), "value": value} for b in range(6))
    made = build(Run(path=make_run().path, info={}, facts={}, rows=rows))
    table = made.sections[0].failures
    assert table is not None
    assert table.rows[0].cells[2] == "the stored value is not a finite number"


def test_values_of_zero_and_below_are_drawn_and_have_no_ratio():
    rows = tuple(
        row("memory", s, "memavailable-slope", v * (b + 1), b, unit="B")
        for s, v in (("docker", -4096.0), ("process", 0.0))
        for b in range(7)
    )
    info = {"scenarios": {"memory": {"baseline": "process", "headline": "memavailable-slope"}}}
    made = build(Run(path=make_run().path, info=info, facts={}, rows=rows))
    cells = {r.label: r.cells[0] for r in made.matrix.rows}
    assert cells["docker"].value == "-16.0 KiB"
    assert cells["docker"].verdict == "inconclusive"


CLAIM = {
    "id": "minutes", "quotation": "虚拟机需要数分钟启动", "english": "a VM takes minutes", "source": "a page",
    "measured": "from … to …", "forgets": "", "verdict": "refuted", "reason": "fails for vm-bare",
    "evidence": [
        {"text": f"vm-{n} 1 s", "condition": "at least 60 s", "metric": "requested→ready", "scenario": "startup",
         "value": 1.0, "outcome": "fails", "decides": True, "reason": ""}
        for n in range(9)
    ] + [{"text": "process 4 ms", "condition": "at least 60 s", "metric": "m", "value": 0.004, "outcome": "holds",
          "decides": False}],
}  # fmt: skip


def test_every_claim_has_a_card_and_those_not_measured_are_counted_and_kept():
    later = {"id": "later", "english": "it nests", "verdict": "not measured", "reason": "nobody asks it yet"}
    found = build(make_run(claims=[later, CLAIM, {**CLAIM, "verdict": "not measurable here"}])).claims
    assert found is not None
    assert [text for _, _, text in found.counts] == ["1 refuted", "1 not measurable here", "1 not measured"]
    assert [card.verdict for card in found.judged] == ["refuted", "not measurable here"]
    assert [(card.english, card.gist) for card in found.unmeasured] == [("it nests", "Nobody asks it yet.")]
    assert len({sign for sign, _, _ in found.counts}) == 3


def test_a_card_carries_the_quotation_in_its_language_and_the_numbers_that_decide():
    found = build(make_run(claims=[CLAIM])).claims
    assert found is not None
    card = found.judged[0]
    assert (card.language, card.quotation) == ("zh", CLAIM["quotation"])
    ((condition, texts),) = card.numbers
    assert condition == "requested→ready at least 60 s"
    assert texts[0].replace("\u00a0", " ") == "✕ vm-0 1 s"
    assert texts[-1] == "and 3 more, below"
    assert card.evidence is not None
    assert len(card.evidence.rows) == 10
    assert card.evidence.rows[-1].note == "beside it, without a say"


def test_a_subjects_name_keeps_its_small_letter_at_the_beginning_of_a_reason():
    told = [{**CLAIM, "evidence": [], "reason": reason} for reason in ("docker: 1 block", "fails for vm-bare")]
    found = build(make_run(claims=told)).claims
    assert found is not None
    assert [card.gist for card in found.judged] == ["docker: 1 block.", "Fails for vm-bare."]


def test_a_gist_counts_who_says_what_and_repeats_no_figure():
    evidence = CLAIM["evidence"]
    mixed = [{**evidence[0], "outcome": "undecided", "reason": "1 block; a verdict needs 6"}, *evidence[1:]]
    doubtful = [{**mixed[0]}, {**mixed[0], "reason": ""}, {**mixed[0]}]
    told = [CLAIM, {**CLAIM, "evidence": mixed}, {**CLAIM, "evidence": doubtful}, {**CLAIM, "evidence": mixed[:1]}]
    found = build(make_run(claims=told)).claims
    assert found is not None
    assert [card.gist for card in found.judged] == [
        "requested→ready at least 60 s: fails for all 9.",
        "requested→ready at least 60 s: fails for 8 of 9, undecided for 1 of 9.",
        "requested→ready at least 60 s: undecided for all 3.",
        "Undecided: 1 block; a verdict needs 6.",
    ]


def test_answers_at_a_glance_carry_the_same_values_as_their_sentences(page: Page):
    for answer, section_ in zip(page.answers, page.sections, strict=True):
        assert answer.values
        assert all(f"{value.label} {value.text}" in section_.sentence for value in answer.values)
        assert answer.note in section_.sentence
        assert answer.rests_on.partition(",")[0].partition(" (")[0] in section_.evidence


def test_at_most_two_pictures_of_a_section_are_unfolded_and_the_first_always_is(page: Page):
    for one in page.sections:
        if one.figures:
            assert not one.figures[0].folded
            assert 1 <= sum(not f.folded for f in one.figures) <= 2


def test_an_emulated_guests_ratio_is_a_bound_and_a_containers_is_none(page: Page):
    cells = {r.label: r.cells[0].ratio.replace("\u00a0", " ") for r in page.matrix.rows}
    assert cells["vm-distro@tcg"].startswith("▲ ≤ 10000×")
    assert cells["docker"].startswith("▲ 100×")
    assert page.forest is not None
    texts = {r.head: r.cells[0] for r in page.forest.table.rows} if page.forest.table else {}
    assert texts["vm-distro@tcg"].startswith("≤ 10000×")


@pytest.mark.parametrize("claims", [[3], [{"evidence": 3}], [{"evidence": [3, {"outcome": []}], "verdict": 4}]])
def test_a_strangers_claims_cost_words_and_not_the_report(claims: list[Any]):
    assert build(make_run(claims=claims)).claims is not None


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


def test_many_tools_stand_in_one_picture_where_right_is_worse_for_rates_and_times_alike():
    rows = [
        row("churn", subject, metric, value * (factor if better == "lower" else 1.0 / factor), b,
            trial=2 * b + (factor > 1), unit=unit, better=better)
        for b in range(7) for subject, factor in (("process", 1.0), ("docker", 2.0))
        for metric, unit, better, value in (("nginx", "1/s", "higher", 100.0), ("read", "B/s", "higher", 5.0),
                                            ("fault", "s", "lower", 0.1), ("calls", "1/s", "higher", 9.0))
    ]  # fmt: skip
    chart = figures_of(rows, headline="nginx", baseline="process")["churn-tools-docker"].chart
    assert isinstance(chart, ForestChart)
    assert [r.label for r in chart.rows] == ["nginx", "read", "fault", "calls"]
    assert [r.ratio for r in chart.rows] == [pytest.approx(2.0)] * 4
    assert {r.verdict for r in chart.rows} == {"worse"}


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


def test_the_way_most_subjects_were_tried_in_is_shown_first_and_failing_is_trying():
    def tried(status: str) -> View:
        rows = [row("churn", s, "t", 1.0, 0, params={"mode": mode}) for s in ("a", "b") for mode in ("x", "y")]
        rows[0] = row("churn", "a", "t", None, 0, params={"mode": "x"}, status=status)
        return view(Run(path=make_run().path, info={}, facts={}, rows=tuple(rows)))

    assert tried("failed").principal("churn", "t") == (("mode", "x"),)
    assert tried("unsupported").principal("churn", "t") == (("mode", "y"),)
