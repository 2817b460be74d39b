"""The arithmetic of churn, against numpy's and on made-up cycles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.probes.cycles import DRIFT_NEEDS, NEEDED, Cycle, drift, due_at, per_second, quantile
from bench.sample import Status

times = st.lists(st.floats(0.001, 100.0), min_size=1, max_size=250)


@given(times, st.sampled_from(sorted(NEEDED)))
def test_a_quantile_is_numpys_or_withheld(values: list[float], share: float) -> None:
    found = quantile(values, share)
    if len(values) < NEEDED[share]:
        assert found is None
    else:
        assert found == np.quantile(values, share, method="inverted_cdf")


@given(times, st.integers(0, 50), st.sampled_from(sorted(NEEDED)))
def test_who_waits_for_ever_waits_longer_than_any(values: list[float], beyond: int, share: float) -> None:
    found = quantile(values, share, beyond)
    everybody = [*values, *[math.inf] * beyond]
    if len(everybody) < NEEDED[share]:
        assert found is None
    else:
        true = np.quantile(everybody, share, method="inverted_cdf")
        assert found == (None if math.isinf(true) else true)


@pytest.mark.parametrize(("share", "needed"), [(0.95, 20), (0.99, 100)])
def test_too_few_values_have_no_tail(share: float, needed: int) -> None:
    assert quantile([1.0] * (needed - 1), share) is None
    assert quantile([1.0] * needed, share) == 1.0
    # One value fewer, and the quantile would be the maximum and nothing else.
    assert math.ceil(share * needed) < needed


@given(st.integers(0, 10**15), st.floats(0.1, 1000.0), st.integers(0, 500))
def test_arrivals_are_evenly_spaced_for_ever(began: int, rate: float, number: int) -> None:
    due, following = due_at(began, rate, number), due_at(began, rate, number + 1)
    assert abs((following - due) - 1e9 / rate) <= 1.0 + 1e-6 * 1e9 / rate
    assert due_at(began, rate, 0) == began


def cycle(asked: float, ready: float, gone: float) -> Cycle:
    return Cycle(requested_ns=round(asked * 1e9), ready_ns=round(ready * 1e9), removed_ns=round(gone * 1e9))


def test_speed_is_whole_cycles_over_the_time_of_all() -> None:
    overlapping = [cycle(1, 2, 3), cycle(1, 2, 5), cycle(3, 4, 4)]
    assert per_second(overlapping, 4.0) == pytest.approx(3 / 4)
    lost = Cycle(requested_ns=0, status=Status.FAILED, reason="no")
    assert per_second([*overlapping, lost], 64.0) == pytest.approx(3 / 64), "it took time and counts for nothing"
    assert per_second([lost], 1.0) is None
    assert per_second([], 1.0) is None


def test_one_that_was_looked_at_has_no_time_of_removal_and_was_whole() -> None:
    looked = replace(cycle(1, 2, 3), looked=True)
    assert looked.seconds("requested", "ready") == 1.0
    assert looked.seconds("requested", "removed") is None
    assert per_second([looked], 2.0) == 0.5


def test_latency_counts_from_when_it_was_due() -> None:
    late = Cycle(due_ns=1_000_000_000, requested_ns=3_000_000_000, ready_ns=4_000_000_000)
    assert late.seconds("arrival", "ready") == 3.0
    assert late.seconds("requested", "ready") == 1.0
    assert late.seconds("arrival", "removed") is None
    assert cycle(1, 2, 3).seconds("arrival", "ready") is None


@given(st.integers(DRIFT_NEEDS, 300), st.floats(0.5, 4.0))
def test_a_drift_is_found_and_none_where_there_is_none(count: int, factor: float) -> None:
    assert drift([1.0] * count) == 1.0
    stepped = [1.0] * (count // 2) + [factor] * (count - count // 2)
    assert drift(stepped) == pytest.approx(factor)
    assert drift(stepped[: DRIFT_NEEDS - 1]) is None
