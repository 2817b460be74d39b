"""Ratios of values that may be 0, and their logarithms. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping


def quotient(above: float, below: float) -> float:
    """Return above / below; equal values have the ratio 1, and what is above 0 is infinitely more than 0.

    Raises:
        ValueError: one is below 0, and the other is not the same.
    """
    if above == below:
        return 1.0
    if min(above, below) < 0.0:
        raise ValueError(f"values below 0 have no ratio: {above:g} to {below:g}")
    return above / below if below else math.inf


def ratios_per_block(
    numerators: Mapping[tuple[str, int], float], denominators: Mapping[tuple[str, int], float]
) -> dict[tuple[str, int], float]:
    """Return the quotient of every block that both have, in the order of the blocks.

    Raises:
        ValueError: values below 0 have no ratio.
    """
    common = sorted(numerators.keys() & denominators.keys())
    return {block: quotient(numerators[block], denominators[block]) for block in common}


def logarithm(ratio: float) -> float:
    """Return the natural logarithm of a ratio; that of 0 is minus infinity.

    Raises:
        ValueError: it is below 0.
    """
    return math.log(ratio) if ratio else -math.inf


def exponential(logarithm: float) -> float:
    """Return the ratio that has this logarithm; infinity where a float cannot hold it."""
    return math.inf if logarithm > 700.0 else math.exp(logarithm)
