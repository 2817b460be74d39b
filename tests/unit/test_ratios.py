"""Ratios of values that may be 0: nothing is dropped, nothing is made up."""

from __future__ import annotations

import math

import pytest

from bench.comparing.ratios import exponential, logarithm, quotient, ratios_per_block


@pytest.mark.parametrize(
    ("above", "below", "ratio"),
    [(3.0, 2.0, 1.5), (0.0, 2.0, 0.0), (2.0, 0.0, math.inf), (0.0, 0.0, 1.0), (-1.0, -1.0, 1.0)],
)
def test_zero_is_a_value_and_equal_ones_are_once_as_much(above: float, below: float, ratio: float) -> None:
    assert quotient(above, below) == ratio
    assert exponential(logarithm(ratio)) == pytest.approx(ratio)


@pytest.mark.parametrize(("above", "below"), [(-1.0, 2.0), (2.0, -1.0), (-1.0, 0.0)])
def test_values_below_zero_have_no_ratio(above: float, below: float) -> None:
    with pytest.raises(ValueError, match="no ratio"):
        quotient(above, below)


def test_only_common_blocks_have_one_in_their_order() -> None:
    above = {("r", 2): 5.0, ("r", 0): 2.0, ("r", 1): 0.0}
    assert list(ratios_per_block(above, {("r", 1): 0.0, ("r", 0): 4.0}).items()) == [(("r", 0), 0.5), (("r", 1), 1.0)]
