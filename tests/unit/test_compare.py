"""Verdicts: symmetric, blind to scale, silent without evidence, and right about as often as they promise."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.comparing.compare import Comparison, Verdict, compare, compare_cell, floor_of, judge, noise_floor, twins
from bench.comparing.stats import persistence
from bench.judging.between import _rank_sum_counts, compare_runs, differences, headlines_only, shift_interval
from bench.store import Run
from bench.text import plural
from bench.units import Better

positive = st.floats(min_value=1e-3, max_value=1e3, allow_nan=False)
pairs = st.lists(st.tuples(positive, positive), min_size=1, max_size=15)


def rows(subject: str, values: Sequence[float | None], **columns: Any) -> list[dict[str, Any]]:
    """Return one row a block."""
    base = {
        "run_id": "r", "scenario": "startup", "subject": subject, "metric": "requested→ready", "unit": "s",
        "better": "lower", "phase": "measure", "params": {}, "reason": "",
    }  # fmt: skip
    return [
        {**base, "block": block, "value": value, "status": "failed" if value is None else "ok", **columns}
        for block, value in enumerate(values)
    ]


def one(own: Sequence[float | None], other: Sequence[float | None], **columns: Any) -> Comparison:
    """Compare two series block by block."""
    return compare_cell(rows("a", own, **columns), rows("b", other, **columns))


@given(pairs)
def test_turning_the_pair_turns_the_ratio(values: list[tuple[float, float]]) -> None:
    there = one([a for a, _ in values], [b for _, b in values])
    back = one([b for _, b in values], [a for a, _ in values])
    assert there.ratio is not None
    assert back.ratio is not None
    assert there.ratio * back.ratio == pytest.approx(1.0)
    if there.low is not None and back.high is not None:
        assert there.low * back.high == pytest.approx(1.0)
    turned = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    assert back.verdict is turned.get(there.verdict, there.verdict)


@given(pairs, st.floats(min_value=0.25, max_value=8.0))
def test_the_scale_of_the_values_does_not_matter(values: list[tuple[float, float]], factor: float) -> None:
    plain = one([a for a, _ in values], [b for _, b in values])
    scaled = one([a * factor for a, _ in values], [b * factor for _, b in values])
    assert scaled.ratio == pytest.approx(plain.ratio)
    assert scaled.low == pytest.approx(plain.low)


@given(pairs, st.integers(0, 14), st.floats(min_value=1.0, max_value=10.0))
def test_a_slower_block_never_makes_a_subject_faster(
    values: list[tuple[float, float]], which: int, factor: float
) -> None:
    own, other = [a for a, _ in values], [b for _, b in values]
    before, stuck = one(own, other), persistence([a / b for a, b in values])
    own[which % len(own)] *= factor
    after, sticks = one(own, other), persistence([a / b for a, b in zip(own, other, strict=True)])
    # Where neighbours are less alike than before, the interval may become narrower on both sides.
    for name in ("ratio", "low", "high") if sticks == stuck else ("ratio",):
        first, second = getattr(before, name), getattr(after, name)
        assert first is None or second >= first * (1 - 1e-12)


@given(pairs, st.randoms())
def test_the_order_of_the_rows_does_not_matter(values: list[tuple[float, float]], chance: random.Random) -> None:
    content = rows("a", [a for a, _ in values]) + rows("b", [b for _, b in values])
    shuffled = chance.sample(content, len(content))
    assert compare(content, "b")[0] == compare(shuffled, "b")[0]


@pytest.mark.parametrize("blocks", range(1, 6))
def test_below_six_blocks_there_is_no_verdict(blocks: int) -> None:
    found = one([10.0] * blocks, [1.0] * blocks)
    assert (found.verdict, found.low) == (Verdict.INCONCLUSIVE, None)
    assert found.ratio == pytest.approx(10.0)
    assert found.reason == f"{plural(blocks, 'common block')}; a verdict needs 6"


@pytest.mark.parametrize(
    ("low", "high", "better", "verdict"),
    [
        (1.06, 1.20, Better.LOWER, Verdict.WORSE),
        (0.80, 0.94, Better.LOWER, Verdict.BETTER),
        (1.06, 1.20, Better.HIGHER, Verdict.BETTER),
        (0.80, 0.94, Better.HIGHER, Verdict.WORSE),
        (1.06, 1.20, Better.NEITHER, Verdict.MORE),
        (0.80, 0.94, Better.NEITHER, Verdict.LESS),
        (0.96, 1.04, Better.LOWER, Verdict.EQUIVALENT),
        (1.02, 1.03, Better.LOWER, Verdict.EQUIVALENT),
        (1.00, 1.00, Better.NEITHER, Verdict.EQUIVALENT),
        (1.02, 1.20, Better.LOWER, Verdict.INCONCLUSIVE),
        (0.90, 1.20, Better.LOWER, Verdict.INCONCLUSIVE),
        (0.94, 1.01, Better.HIGHER, Verdict.INCONCLUSIVE),
    ],
)
def test_where_the_interval_lies_decides(low: float, high: float, better: Better, verdict: Verdict) -> None:
    assert judge(low, high, 0.05, better)[0] is verdict


def test_the_words_suit_the_unit() -> None:
    slow, fast = [4.0] * 6, [1.0] * 6
    assert one(slow, fast).text == "4.00× [4.00–4.00], slower"
    assert one(fast, slow).text == "4.00× [4.00–4.00], faster"
    assert one(fast, slow, unit="1/s", better="higher").text == "4.00× [4.00–4.00], slower"
    assert one(fast, slow, unit="B").text == "0.250× [0.250–0.250], less"
    assert one([None] * 6, slow).text == "inconclusive: no block has a value of both"


def test_failed_blocks_are_lost_and_said() -> None:
    found = one([None, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0], [1.0] * 6 + [None])
    assert (found.blocks, found.lost, found.verdict) == (5, 2, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("own", "other", "verdict", "reason"),
    [
        ([0.0] * 6, [1.0] * 6, Verdict.BETTER, "it is 0 in most blocks"),
        ([5.0] * 6, [0.0] * 6, Verdict.WORSE, "the baseline is 0 in most blocks"),
        ([0.0] * 5, [1.0] * 5, Verdict.INCONCLUSIVE, "it is 0 in most blocks"),
        ([0.0] * 3 + [1.0] * 3, [1.0] * 3 + [0.0] * 3, Verdict.INCONCLUSIVE, "now the one, now the other is 0"),
        ([-1.0] * 6, [1.0] * 6, Verdict.INCONCLUSIVE, "values below 0 have no ratio: -1 to 1"),
    ],
)
def test_nothing_beside_something_is_a_verdict_without_a_figure(
    own: list[float], other: list[float], verdict: Verdict, reason: str
) -> None:
    found = one(own, other)
    assert (found.verdict, found.ratio, found.low, found.high) == (verdict, None, None, None)
    assert found.reason.endswith(reason)
    assert (found.deviation, found.text) == (None, f"{verdict}: {found.reason}")


def test_equal_values_are_equivalent_though_they_are_nothing() -> None:
    assert one([0.0] * 6, [0.0] * 6).verdict is Verdict.EQUIVALENT
    assert one([-1.0] * 6, [-1.0] * 6).verdict is Verdict.EQUIVALENT


def test_a_few_blocks_of_nothing_cost_the_figure_of_a_bound_and_no_more() -> None:
    found = one([0.0] + [2.0] * 8, [1.0] * 9)
    assert [found.ratio, found.low] == pytest.approx([2.0, 2.0])
    assert found.verdict is Verdict.WORSE
    found = one([2.0] * 6, [0.0] + [1.0] * 5)
    assert found.ratio == pytest.approx(2.0)
    assert (found.low, found.high, found.verdict) == (None, None, Verdict.WORSE)


def test_subjects_that_were_not_tried_are_left_out() -> None:
    content = rows("b", [1.0] * 6) + rows("a", [None] * 6, status="unsupported") + rows("c", [None] * 6)
    assert [(c.subject, c.ratio) for c in compare(content, "b")] == [("c", None)]
    assert compare(content, {"other": "b"}) == []


def test_cells_with_other_parameters_are_other_comparisons() -> None:
    content = rows("b", [1.0] * 6, params={"part": "x"}) + rows("a", [2.0] * 6, params={"part": "x"})
    content += rows("a", [2.0] * 6)
    (found,) = compare(content, {"startup": "b"})
    assert found.params == (("part", "x"),)


def test_a_table_of_many_needs_more_blocks_to_be_firm() -> None:
    def table(blocks: int, subjects: int) -> list[bool]:
        content = rows("base", [1.0] * blocks)
        for number in range(subjects):
            content += rows(f"s{number}", [9.0] * blocks)
        return [c.firm for c in compare(content, "base")]

    assert table(6, 1) == [True]
    assert table(6, 2) == [False, False]
    assert table(10, 15) == [True] * 15


def test_the_noise_floor_silences_what_is_no_larger() -> None:
    content = rows("base", [1.0] * 8) + rows("twin", [1.25] * 8) + rows("near", [0.85] * 8) + rows("far", [2.0] * 8)
    floors = noise_floor(content, {"twin": "base"})
    assert [f.deviation for f in floors] == [pytest.approx(1.25)]
    found = {c.subject: c for c in compare(content, "base", floors=floors)}
    assert found["near"].verdict is Verdict.INCONCLUSIVE
    assert "25.0%" in found["near"].reason
    assert found["far"].verdict is Verdict.WORSE
    assert floor_of(found["far"], floors) == pytest.approx(1.25)
    assert {c.subject: c.verdict for c in compare(content, "base")}["near"] is Verdict.BETTER


def test_the_floor_of_the_own_pair_goes_before_that_of_others() -> None:
    content = (
        rows("base", [1.0] * 8) + rows("base-twin", [1.1] * 8) + rows("vm", [9.0] * 8) + rows("vm-twin", [18.0] * 8)
    )
    floors = noise_floor(content, {"base-twin": "base", "vm-twin": "vm"})
    content += rows("x", [3.0] * 8)
    found = {c.subject: c for c in compare(content, "base", floors=floors)}
    assert floor_of(found["x"], floors) == pytest.approx(1.1)
    assert floor_of(found["vm"], floors) == pytest.approx(2.0)
    assert floor_of(found["x"], []) is None


def test_twins_are_read_from_a_run_and_strangers_are_not_trusted() -> None:
    info = {"subjects": {"d-twin": {"twin_of": "d"}, "v-twin@kvm": {"twin_of": "v"}, "d": {"twin_of": ""}, "x": 3}}
    assert twins(info) == {"d-twin": "d", "v-twin@kvm": "v@kvm"}
    assert twins({"subjects": ["hostile"]}) == twins({}) == {}


def simulate(
    draw: Callable[[random.Random], float], ratio: float, blocks: int, runs: int, seed: int
) -> list[Comparison]:
    """Compare subjects whose true ratio is known, each block with a disturbance that both share."""
    chance, found = random.Random(seed), []
    for _ in range(runs):
        shared = [chance.lognormvariate(0.0, 0.5) for _ in range(blocks)]
        own = [s * ratio * draw(chance) for s in shared]
        other = [s * draw(chance) for s in shared]
        found.append(one(own, other))
    return found


@pytest.mark.parametrize(("blocks", "sigma"), [(6, 0.1), (15, 0.1), (15, 0.3)])
def test_equal_subjects_are_rarely_called_different(blocks: int, sigma: float) -> None:
    found = simulate(lambda chance: chance.lognormvariate(0.0, sigma), 1.0, blocks, 300, blocks)
    covered = sum((c.low or 9.0) <= 1.0 <= (c.high or 0.0) for c in found)
    alarms = sum(c.verdict in (Verdict.BETTER, Verdict.WORSE) for c in found)
    assert covered / 300 >= 0.92
    assert alarms / 300 <= 0.03


def test_a_difference_at_the_margin_is_rarely_called_beyond_it() -> None:
    found = simulate(lambda chance: chance.lognormvariate(0.0, 0.1), 1.05, 15, 300, 2)
    assert sum(c.verdict is Verdict.WORSE for c in found) / 300 <= 0.06
    assert all(c.verdict is not Verdict.BETTER for c in found)


def test_a_real_difference_is_found() -> None:
    found = simulate(lambda chance: chance.lognormvariate(0.0, 0.1), 1.5, 15, 100, 4)
    assert sum(c.verdict is Verdict.WORSE for c in found) >= 98


def run(name: str, content: list[dict[str, Any]], **facts: Any) -> Run:
    """Return a run as the store would."""
    info = {"run_id": name, "seed": len(name), "versions": {"bench": "0.1.0"}, "subjects": {"twin": {"twin_of": "a"}}}
    return Run(path=Path(name), info=info, facts=facts, rows=tuple(content))


def test_runs_are_compared_after_their_facts() -> None:
    first = run(
        "first", rows("a", [1.0, 1.1, 0.9, 1.0, 1.05, 0.95]), cpu={"governor": "performance"}, load={"load": [1]}
    )
    second = run(
        "second", rows("a", [2.0, 2.1, 1.9, 2.0, 2.05, 1.95]), cpu={"governor": "powersave"}, load={"load": [2]}
    )
    (found,) = compare_runs([first, second])
    assert [(d.what, d.first, d.second) for d in found.differences] == [
        ("facts.cpu.governor", "performance", "powersave")
    ]
    (comparison,) = found.comparisons
    assert comparison.verdict is Verdict.WORSE
    assert comparison.ratio == pytest.approx(2.0, rel=0.01)
    assert differences(first, first) == []
    assert differences(first, replace(first, info={**first.info, "stopped": [{"blocks": 6}], "claims": [{}]})) == []
    with pytest.raises(ValueError, match="at least two"):
        compare_runs([first])


def test_comparisons_come_in_the_order_of_questions_and_rungs() -> None:
    content = [row for s in ("z", "a", "m") for row in rows(s, [1.0] * 6)]
    content += rows("a", [1.0] * 6, scenario="cold")
    told = {
        "scenarios": {"startup": {"order": 2}, "cold": {"order": 1}},
        "subjects": {"z": {"rung": 1}, "m": {"rung": 2}},
    }
    both = [replace(run(name, content), info={"run_id": name, **told}) for name in ("first", "second")]
    (found,) = compare_runs(both)
    assert [(c.scenario, c.subject) for c in found.comparisons] == [
        ("cold", "a"), ("startup", "z"), ("startup", "m"), ("startup", "a"),
    ]  # fmt: skip


def test_a_subject_that_one_run_lacks_is_one_difference() -> None:
    told = {"subjects": {"a": {"rung": 1}}, "scenarios": {"s": {"metrics": [{"name": "m", "unit": "s"}]}}}
    more = {"subjects": {"a": {"rung": 2}, "b": {"rung": 3, "title": "x"}},
            "scenarios": {"s": {"metrics": [{"name": "m", "unit": "B"}]}}}  # fmt: skip
    first, second = (replace(run("r", []), info={"run_id": "r", **info}) for info in (told, more))
    assert [(d.what, d.first, d.second) for d in differences(first, second)] == [
        ("info.scenarios.s.metrics.m.unit", "s", "B"), ("info.subjects.a.rung", 1, 2),
        ("info.subjects.b", None, "only here"),
    ]  # fmt: skip
    assert [(d.what, d.first) for d in differences(second, first)][-1] == ("info.subjects.b", "only here")


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ([2.0] * 5, "5 blocks in one of the runs; a verdict needs 6"),
        ([2.0], "1 block in one of the runs; a verdict needs 6"),
        ([None] * 6, "one of the runs has no value"),
        ([-1.0] * 6, "values below 0 have no ratio"),
    ],
)
def test_runs_that_cannot_be_compared_say_why(own: list[float | None], reason: str) -> None:
    (found,) = compare_runs([run("first", rows("a", [1.0] * 6)), run("second", rows("a", own))])
    assert (found.comparisons[0].verdict, found.comparisons[0].reason) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize(
    ("first", "second", "verdict", "reason"),
    [
        ([0.0] * 6, [5.0] * 6, Verdict.WORSE, "the baseline is 0 in most blocks"),
        ([5.0] * 6, [0.0] * 6, Verdict.BETTER, "it is 0 in most blocks"),
        ([0.0] * 3 + [5.0] * 3, [5.0] * 3 + [0.0] * 3, Verdict.INCONCLUSIVE, "holds 1 and reaches beyond 5%"),
        ([0.0] * 6, [0.0] * 5 + [5.0], Verdict.INCONCLUSIVE, "holds 1 and reaches beyond 5%"),
    ],
)
def test_nothing_that_becomes_something_is_worse(
    first: list[float], second: list[float], verdict: Verdict, reason: str
) -> None:
    (found,) = compare_runs([run("first", rows("a", first)), run("second", rows("a", second))])
    (comparison,) = found.comparisons
    assert comparison.verdict is verdict
    assert comparison.reason.endswith(reason)


def test_numbers_beyond_floats_are_compared_without_a_fault() -> None:
    (found,) = compare_runs([run("first", rows("a", [1e-300] * 6)), run("second", rows("a", [1e99] * 6))])
    assert found.comparisons[0].verdict is Verdict.WORSE


def test_constant_metrics_of_two_runs_are_equivalent() -> None:
    (found,) = compare_runs([run("first", rows("a", [0.0] * 6)), run("second", rows("a", [0.0] * 6))])
    assert found.comparisons[0].verdict is Verdict.EQUIVALENT


@pytest.mark.parametrize(
    ("parts", "shown"),
    [(("total", "with-engine", "shim"), "with-engine"), (("shim", "total"), "total"), (("shim",), None)],
)
def test_the_headline_of_a_scenario_is_the_whole_that_is_shown_first(parts: Sequence[str], shown: str | None) -> None:
    ready = [row for part in parts for row in rows("a", [1.0] * 6, params={"part": part, "instances": "1"})]
    more = [row for part in parts for row in rows("b", [1.0] * 6, params={"part": part, "instances": "1"})]
    (found,) = compare_runs([run("first", ready), run("second", ready + more)])
    kept = headlines_only(found, {"startup": "requested→ready"})
    wanted = [] if shown is None else [(("instances", "1"), ("part", shown))]
    assert [c.params for c in kept.comparisons] == wanted
    assert [a.params for a in kept.alone] == wanted
    assert headlines_only(found, {"startup": "another"}).comparisons == ()


def test_a_run_with_a_loud_twin_silences_the_comparison() -> None:
    quiet, loud = rows("a", [1.0] * 6), rows("a", [1.2] * 6) + rows("twin", [1.8] * 6)
    (found,) = compare_runs([run("first", quiet), run("second", loud)])
    assert found.comparisons[0].verdict is Verdict.INCONCLUSIVE


def test_the_shift_interval_covers_and_is_exact() -> None:
    # Five and five at 95 %: U below 3 has probability 4/252 ≤ 0.025, so the third smallest difference counts.
    assert shift_interval([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5) == (1.0, 5.0)
    gaps = sorted(x - y for x in (11, 25, 33, 47, 58) for y in (2, 5, 7, 12, 20))
    assert shift_interval([11, 25, 33, 47, 58], [2, 5, 7, 12, 20]) == (gaps[2], gaps[-3])
    with pytest.raises(ValueError, match="too few"):
        shift_interval([1.0, 2.0], [1.0, 2.0])
    chance, hits = random.Random(7), 0
    for _ in range(300):
        low, high = shift_interval([chance.gauss(3, 1) for _ in range(8)], [chance.gauss(0, 1) for _ in range(6)])
        hits += low <= 3.0 <= high
    assert 0.92 <= hits / 300 < 1.0
    assert not math.isinf(low)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 3), (3, 3), (4, 2), (5, 4)])
def test_the_rank_sum_distribution_is_that_of_all_orders(first: int, second: int) -> None:
    everybody = set(range(first + second))
    scores = [
        sum(mine > yours for mine in chosen for yours in everybody.difference(chosen))
        for chosen in itertools.combinations(everybody, first)
    ]
    assert _rank_sum_counts(first, second) == [scores.count(u) for u in range(first * second + 1)]
