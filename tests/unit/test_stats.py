"""Estimates hold what their docstrings promise: coverage, exactness, honesty about what is missing."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bench.comparing import stats

finite = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)
positive = st.floats(min_value=1e-6, max_value=1e6, allow_nan=False)


def row(value: float | None, **columns: Any) -> dict[str, Any]:
    """Return one row of samples with sensible columns."""
    base = {
        "run_id": "r", "scenario": "startup", "subject": "docker", "metric": "requested→ready", "unit": "s",
        "better": "lower", "phase": "measure", "block": 0, "params": {}, "reason": "",
        "status": "ok" if value is not None else "failed", "value": value,
    }  # fmt: skip
    return {**base, **columns}


def alternating(n: int) -> list[int]:
    """0 … n - 1, one from below the middle after one from above it: nothing sticks to the one before."""
    low, high = list(range(n // 2)), list(range(n // 2, n))
    return [value for pair in itertools.zip_longest(high, low) for value in pair if value is not None]


@pytest.mark.parametrize("n", range(1, 60))
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_is_the_narrowest_that_keeps_its_promise(n: int, confidence: float) -> None:
    interval = stats.median_interval(alternating(n), confidence)
    if interval is None:
        assert 1 - 2 * binom.cdf(0, n, 0.5) < confidence
        return
    k = int(interval[0]) + 1
    assert interval[1] == n - k
    assert 1 - 2 * binom.cdf(k - 1, n, 0.5) >= confidence - 1e-12
    assert 1 - 2 * binom.cdf(k, n, 0.5) < confidence


def test_values_that_stick_to_the_one_before_widen_the_interval() -> None:
    values = alternating(40)
    assert stats.persistence(values) == 0.0
    assert stats.median_interval(values) == (13, 26)
    drifting = sorted(values)
    assert stats.persistence(drifting) == 0.9
    assert stats.median_interval(drifting) == (0, 39)
    assert stats.persistence([7.0] * 40) == 0.0
    wild = [1e9 if value == 39 else value for value in values]
    assert stats.persistence(wild) == stats.persistence(values), "an outlier weighs no more than any value"


@pytest.mark.parametrize(("n", "inherited"), [(15, 0.2), (15, 0.4), (40, 0.2), (40, 0.4)])
def test_the_interval_covers_the_true_median_of_correlated_values(n: int, inherited: float) -> None:
    chance = random.Random(f"{n} {inherited}")
    hits = 0
    for _ in range(1000):
        values = [chance.gauss(0.0, 1.0)]
        while len(values) < n:
            values.append(inherited * values[-1] + math.sqrt(1.0 - inherited**2) * chance.gauss(0.0, 1.0))
        interval = stats.median_interval(values)
        assert interval is not None
        hits += interval[0] <= 0.0 <= interval[1]
    # 1000 draws have a standard error of 0.8 points at most.
    assert hits / 1000 >= 0.93


def test_how_many_values_an_interval_needs() -> None:
    assert [stats.values_needed(level) for level in (0.9, 0.95, 0.99)] == [5, 6, 8]
    assert stats.median_interval([1.0] * 5) is None
    assert stats.median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.median_interval([1.0] * 10, level)


@given(st.lists(finite, min_size=1, max_size=60))
def test_an_estimate_is_ordered(values: list[float]) -> None:
    found = stats.estimate(values)
    assert found is not None
    assert found.minimum <= found.median <= found.maximum
    assert (found.low is None) == (found.high is None) == (len(values) < 6)
    assert (found.p95 is None) == (len(values) < 20)
    if found.low is not None and found.high is not None:
        assert found.minimum <= found.low <= found.median <= found.high <= found.maximum
    if found.p95 is not None:
        assert sum(v <= found.p95 for v in values) >= 0.95 * len(values)


def test_no_values_no_estimate_and_nan_is_no_value() -> None:
    assert stats.estimate([]) is None
    with pytest.raises(ValueError, match="not finite"):
        stats.estimate([1.0, math.nan])


def test_a_constant_sample_is_exact() -> None:
    found = stats.estimate([7.0] * 6)
    assert found is not None
    assert found.exact
    assert (found.low, found.median, found.high) == (7.0, 7.0, 7.0)
    assert not stats.estimate([7.0] * 5 + [7.5]).exact  # type: ignore[union-attr]


@pytest.mark.parametrize("n", [6, 10, 20, 30])
def test_the_interval_covers_the_true_median(n: int) -> None:
    chance = random.Random(n)
    hits = 0
    for _ in range(600):
        interval = stats.median_interval([chance.lognormvariate(0.0, 0.3) for _ in range(n)])
        assert interval is not None
        hits += interval[0] <= 1.0 <= interval[1]
    # True coverage is at least 95 %; 600 draws have a standard error of at most 0.9 points.
    assert hits / 600 >= 0.93
    assert n > 6 or hits < 600


def test_groups_keep_parameters_and_phases_apart() -> None:
    rows = [row(1.0, params={"part": "a"}), row(2.0, params={"part": "b"}), row(9.0, phase="warmup")]
    found = stats.estimates(rows)
    assert {key[-1]: e.median for key, e in found.items()} == {(("part", "a"),): 1.0, (("part", "b"),): 2.0}
    assert [e.n for e in stats.estimates(rows, params=False).values()] == [2]
    assert [e.median for e in stats.estimates(rows, params=False, phase=None).values()] == [2.0]


def test_failures_are_counted_and_never_a_zero() -> None:
    rows = [row(1.0), row(None, block=1), row(None, block=2, status="timeout"), row(None, block=3, status="skipped")]
    (found,) = stats.estimates(rows).values()
    assert (found.n, found.minimum, found.failures) == (1, 1.0, 2)
    only_failed = [row(None), row(None, block=1)]
    assert stats.estimates(only_failed) == {}
    assert list(stats.outcomes(only_failed).values()) == [{"failed": 2}]


def test_values_of_one_block_are_not_independent() -> None:
    rows = [row(float(10 * block + step), block=block) for block in range(5) for step in range(3)]
    (found,) = stats.estimates(rows).values()
    assert (found.n, found.blocks, found.median, found.low) == (15, 5, 21.0, None)
    assert (found.minimum, found.maximum) == (0.0, 42.0)


def test_blocks_of_two_runs_are_different_blocks() -> None:
    rows = [row(1.0, run_id="a"), row(3.0, run_id="b"), row(5.0, run_id="b")]
    assert stats.block_medians(rows) == {("a", 0): 1.0, ("b", 0): 4.0}


@given(st.lists(finite, min_size=1))
def test_the_distribution_ends_at_one(values: list[float]) -> None:
    xs, shares = stats.ecdf(values)
    assert xs == sorted(set(values))
    assert shares[-1] == 1.0
    assert all(a < b for a, b in itertools.pairwise(shares))
    assert shares[0] == values.count(min(values)) / len(values)


@given(
    st.integers(-100, 100), st.integers(-1000, 1000), st.lists(st.integers(1, 12), min_size=6, max_size=20)
)  # fmt: skip
def test_the_slope_of_a_line_is_found(rise: int, start: int, xs: list[int]) -> None:
    found = stats.slope(xs, [start + rise * x for x in xs])
    if len(set(xs)) < 2:
        assert found is None
        return
    assert found is not None
    assert found.slope == pytest.approx(rise)
    assert found.intercept == pytest.approx(start)
    if found.low is not None:
        assert found.low == pytest.approx(rise)
        assert found.high == pytest.approx(rise)


def test_a_slope_bears_a_wild_point_and_covers_the_truth() -> None:
    chance = random.Random(3)
    hits = 0
    for _ in range(200):
        xs = [1, 2, 3, 4] * 5
        ys = [100.0 + 7.0 * x + chance.gauss(0.0, 2.0) for x in xs]
        ys[4] += 1000.0
        found = stats.slope(xs, ys)
        assert found is not None
        assert abs(found.slope - 7.0) < 3.0
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 7.0 <= found.high
    assert 0.90 <= hits / 200 < 1.0


def test_a_slope_without_a_relation_keeps_its_promise_with_ties_in_both() -> None:
    chance, hits = random.Random(8), 0
    for _ in range(300):
        found = stats.slope([1, 2, 3] * 6, [float(chance.randint(0, 2)) for _ in range(18)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.0 <= found.high
    assert hits / 300 >= 0.93


def test_kendalls_variance_is_that_of_all_orders() -> None:
    xs, ys = [1, 1, 2, 3, 3], [1, 2, 2, 2, 5]

    def score(order: tuple[int, ...]) -> int:
        points = list(zip(xs, order, strict=True))
        products = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in itertools.combinations(points, 2)]
        return sum(product > 0 for product in products) - sum(product < 0 for product in products)

    scores = [score(order) for order in itertools.permutations(ys)]
    assert stats._kendall_variance(xs, ys) == pytest.approx(statistics.pvariance(scores))


def test_a_slope_needs_points() -> None:
    few = stats.slope([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert few is not None
    assert (few.slope, few.low, few.high) == (1.0, None, None)
    alike = stats.slope([1, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 1])
    assert alike is not None
    assert (alike.slope, alike.low) == (1.0, None)
    assert stats.slope([2] * 8, [1, 2, 3, 4, 5, 6, 7, 8]) is None
    with pytest.raises(ValueError, match="2 x for 1 y"):
        stats.slope([1, 2], [1])
    with pytest.raises(ValueError, match="not finite"):
        stats.slope([1, 2], [1, math.inf])


def test_drift_is_a_share_of_the_median_over_the_run() -> None:
    times = [float(60 * i) for i in range(10)]
    rising = stats.drift(times, [1.0 + 0.1 * i for i in range(10)])
    assert rising is not None
    assert rising.over_run == pytest.approx(0.9 / 1.45)
    assert rising.present
    assert rising.span_s == 540.0
    steady = stats.drift(times, [1.0] * 10)
    assert steady is not None
    assert (steady.over_run, steady.present) == (0.0, False)
    chance = random.Random(5)
    noisy = [stats.drift(times, [chance.gauss(1.0, 0.1) for _ in times]) for _ in range(200)]
    assert 0 < sum(d.present for d in noisy if d is not None) <= 25
    assert stats.drift(times, [0.0] * 10) is None
    assert stats.drift([], []) is None


def test_autocorrelation_tells_waves_from_noise() -> None:
    assert stats.autocorrelation([1.0, 2.0, 3.0, 4.0]) == pytest.approx(0.25)
    assert stats.autocorrelation([1.0, -1.0] * 50) == pytest.approx(-0.99)
    assert stats.autocorrelation([1.0, 2.0]) is None
    assert stats.autocorrelation([4.0] * 9) is None
    chance = random.Random(1)
    noise = [chance.random() for _ in range(400)]
    assert abs(stats.autocorrelation(noise) or 9.0) < 0.15


@given(st.lists(positive, min_size=6, max_size=40), st.floats(min_value=0.01, max_value=100.0))
def test_an_estimate_scales_with_its_unit(values: list[float], factor: float) -> None:
    plain, scaled = stats.estimate(values), stats.estimate([v * factor for v in values])
    assert plain is not None
    assert scaled is not None
    assert scaled.median == pytest.approx(plain.median * factor)
    assert scaled.low == pytest.approx((plain.low or 0.0) * factor)
    assert plain.median == statistics.median(values)


def test_the_95th_percentile_is_the_19th_of_20() -> None:
    found = stats.estimate([float(value) for value in range(1, 21)])
    assert found is not None
    assert found.p95 == 19.0
