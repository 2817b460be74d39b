"""From samples to estimates: medians with order-statistic intervals, slopes, drift. Pure; no outlier is dropped.

Why order statistics: the interval of a median from the sorted values needs no assumption about the shape of
the distribution, and of independent values covers at least what it promises at every n (H. A. David and
H. N. Nagaraja, "Order Statistics", 3rd ed., 2003; W. J. Conover, "Practical Nonparametric Statistics",
3rd ed., 1999). It is not interpolated to hit the nominal level exactly: that would
be narrower and an approximation. The price is that 95 % needs at least six values.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.sample import Phase, Status

CONFIDENCE = 0.95
"""The level of every interval unless it says otherwise."""

_P95_NEEDS = 20
"""Below this many values the 95th percentile is simply the maximum."""

Key = tuple[Hashable, ...]
"""What a group of rows has in common: the columns asked for, then the parameters as sorted pairs."""

Row = Mapping[str, Any]
"""One row of the samples, as bench.store.Run.rows holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a group of values says, in the unit of its values.

    Attributes:
        median: the middle value, or the mean of the two middle ones.
        low, high: interval of the median at `confidence`; None where there are too few independent values.
        confidence: the nominal level; the true coverage is never less.
        n: how many values.
        blocks: how many of them count as independent; several values of one block count once.
        minimum, maximum, mean: of all values.
        p95: the smallest value that at least 95 % of the values do not exceed; None below 20 values.
        failures: how many measurements failed or timed out beside these values. A group with failures is
            biased towards those who survived.
    """

    median: float
    low: float | None
    high: float | None
    confidence: float
    n: int
    blocks: int
    minimum: float
    maximum: float
    mean: float
    p95: float | None
    failures: int = 0

    @property
    def exact(self) -> bool:
        """True when all values are equal."""
        return self.minimum == self.maximum


def values_needed(confidence: float = CONFIDENCE) -> int:
    """Return how many values an order-statistic interval of this level needs: 6 at 95 %, 8 at 99 %.

    The widest interval, from the smallest to the largest value, misses the median with probability 2 · (1/2)^n.
    """
    _check_confidence(confidence)
    n = 1
    while 2.0 * 0.5**n > 1.0 - confidence:
        n += 1
    return n


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the interval of the median of values in their order of measurement; None when there are too few.

    The k-th smallest and k-th largest value, k as large as P(B < k) ≤ (1 - confidence) / 2 allows, where B is
    binomial with n tries of probability 1/2 (David and Nagaraja): B counts the values below the median. Where values
    resemble those before them, this count scatters more, by √((1 + r) / (1 - r)) with the `persistence` r (Bayley and
    Hammersley, 1946, "The effective number of independent observations …"), and k leaves the middle by so much more.

    Raises:
        ValueError: the level is not between 0 and 1.
    """
    _check_confidence(confidence)
    n = len(values)
    half, tail, k = (1.0 - confidence) / 2.0, 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2**n
        if tail > half * (1.0 + 1e-12):
            break
        k += 1
    if k == 0:
        return None
    r = persistence(values)
    k = max(1, round(n / 2 - (n / 2 - k) * math.sqrt((1.0 + r) / (1.0 - r))))
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def persistence(values: Sequence[float]) -> float:
    """Return how much the side of the median on which a value falls resembles the side of the one before, 0 … 0.9.

    The lag-1 autocorrelation of the signs, so that an outlier weighs no more than any value, with the correction
    (1 + 3 r) / n of its bias (M. G. Kendall, 1954, "Note on bias in the estimation of autocorrelation"). Values that
    alternate count as independent: an interval is never made narrower.
    """
    middle = statistics.median(values)
    r = autocorrelation([float((value > middle) - (value < middle)) for value in values])
    return min(max(r + (1.0 + 3.0 * r) / len(values), 0.0), 0.9) if r is not None else 0.0


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """Return the estimate of independent values, or None when there are none.

    Raises:
        ValueError: a value is not finite (what is missing is left out by the caller, never passed as NaN).
    """
    return _estimate(values, values, confidence) if values else None


def _estimate(values: Sequence[float], independent: Sequence[float], confidence: float) -> Estimate:
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a value that is not finite cannot be estimated; leave missing values out")
    interval = median_interval(independent, confidence)
    low, high = interval or (None, None)
    ordered = sorted(values)
    n = len(ordered)
    return Estimate(
        median=statistics.median(independent), low=low, high=high, confidence=confidence, n=n,
        blocks=len(independent), minimum=ordered[0], maximum=ordered[-1], mean=statistics.fmean(ordered),
        p95=ordered[math.ceil(0.95 * n) - 1] if n >= _P95_NEEDS else None,
    )  # fmt: skip


def key_of(row: Row, by: Sequence[str] = ("scenario", "subject", "metric"), *, params: bool = True) -> Key:
    """Return the group a row belongs to: its columns `by`, then its parameters as sorted (name, value) pairs."""
    columns = tuple(row[name] for name in by)
    return (*columns, tuple(sorted((row.get("params") or {}).items()))) if params else columns


def groups(
    rows: Iterable[Row], *, by: Sequence[str] = ("scenario", "subject", "metric"), params: bool = True,
    phase: Phase | str | None = Phase.MEASURE,
) -> dict[Key, list[Row]]:  # fmt: skip
    """Return the rows by group, in their order; rows of another phase are left out (None: every phase counts)."""
    found: dict[Key, list[Row]] = {}
    for row in rows:
        if phase is None or row["phase"] == phase:
            found.setdefault(key_of(row, by, params=params), []).append(row)
    return found


def estimates(
    rows: Iterable[Row], *, by: Sequence[str] = ("scenario", "subject", "metric"), params: bool = True,
    phase: Phase | str | None = Phase.MEASURE, confidence: float = CONFIDENCE,
) -> dict[Key, Estimate]:  # fmt: skip
    """Return an estimate for every group that has a value.

    Several values of one block are not independent: the median and its interval then come from the medians
    of the blocks, the extremes from all values. Groups of which every measurement failed are not here but in
    `outcomes`.
    """
    found: dict[Key, Estimate] = {}
    for key, group in groups(rows, by=by, params=params, phase=phase).items():
        values = [row["value"] for row in group if row["status"] == Status.OK]
        if values:
            failures = sum(row["status"] in (Status.FAILED, Status.TIMEOUT) for row in group)
            independent = [value for _, value in sorted(block_medians(group).items())]
            found[key] = replace(_estimate(values, independent, confidence), failures=failures)
    return found


def outcomes(
    rows: Iterable[Row], *, by: Sequence[str] = ("scenario", "subject", "metric"), params: bool = True,
    phase: Phase | str | None = Phase.MEASURE,
) -> dict[Key, Counter[str]]:  # fmt: skip
    """Return how often each status occurred in every group, groups without any value included."""
    grouped = groups(rows, by=by, params=params, phase=phase)
    return {key: Counter(str(row["status"]) for row in group) for key, group in grouped.items()}


def block_medians(rows: Iterable[Row]) -> dict[tuple[str, int], float]:
    """Return the median of the values of each block, by (run, block); blocks without a value are absent.

    Blocks of different runs are different blocks, so that rows of several runs may be pooled.
    """
    values: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        if row["status"] == Status.OK:
            values.setdefault((str(row.get("run_id", "")), row["block"]), []).append(row["value"])
    return {block: statistics.median(found) for block, found in values.items()}


def ecdf(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the empirical distribution: the distinct values ascending, and the share of values up to each."""
    counts = Counter(values)
    xs = sorted(counts)
    total, shares = 0, []
    for x in xs:
        total += counts[x]
        shares.append(total / len(values))
    return xs, shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """A straight line through points: y rises by `slope` for each x.

    Attributes:
        low, high: interval of the slope at `confidence`; None where the points are too few or too much alike.
        intercept: y at x = 0: the median of y - slope · x.
    """

    slope: float
    low: float | None
    high: float | None
    intercept: float
    confidence: float
    n: int


def slope(xs: Sequence[float], ys: Sequence[float], confidence: float = CONFIDENCE) -> Slope | None:
    """Return the Theil–Sen line: the median of the slopes of all pairs of points with different x.

    It bears up to 29 % wild points. The interval is Sen's (P. K. Sen, 1968, "Estimates of the regression
    coefficient based on Kendall's tau", Journal of the American Statistical Association 63), with Kendall's
    variance for ties in both (M. G. Kendall, "Rank Correlation Methods", 4th ed., 1970, chapter 4). Own code
    because scipy's `theilslopes` leaves out the terms for ties in both and then returns NaN. None without two
    different x.

    Raises:
        ValueError: xs and ys differ in length, or a value is not finite.
    """
    if len(xs) != len(ys):
        raise ValueError(f"{len(xs)} x for {len(ys)} y")
    if not all(math.isfinite(value) for value in (*xs, *ys)):
        raise ValueError("a point that is not finite lies on no line")
    pairs = itertools.combinations(zip(xs, ys, strict=True), 2)
    slopes = sorted((second[1] - first[1]) / (second[0] - first[0]) for first, second in pairs if first[0] != second[0])
    if not slopes:
        return None
    middle = statistics.median(slopes)
    spread = statistics.NormalDist().inv_cdf((1.0 + confidence) / 2.0) * math.sqrt(_kendall_variance(xs, ys))
    rank = math.floor((len(slopes) - spread) / 2.0)
    enough = rank >= 1 and len(xs) >= values_needed(confidence)
    return Slope(
        slope=middle, low=slopes[rank - 1] if enough else None, high=slopes[-rank] if enough else None,
        intercept=statistics.median(y - middle * x for x, y in zip(xs, ys, strict=True)), confidence=confidence,
        n=len(xs),
    )  # fmt: skip


def _kendall_variance(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the variance of Kendall's S without a relation between xs and ys, ties in both allowed."""
    n = len(xs)
    ties = [list(Counter(values).values()) for values in (xs, ys)]
    two, three = ([sum(math.perm(t, size) for t in tied) for tied in ties] for size in (2, 3))
    weighted = [sum(t * (t - 1) * (2 * t + 5) for t in tied) for tied in ties]
    variance = (n * (n - 1) * (2 * n + 5) - sum(weighted)) / 18.0 + two[0] * two[1] / (2.0 * n * (n - 1))
    # Exactly 0 where all y are equal, and rounding must not take it below.
    return max(variance + (three[0] * three[1] / (9.0 * n * (n - 1) * (n - 2)) if n > 2 else 0.0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a metric moved while it was measured.

    Attributes:
        over_run: change from the first to the last measurement along the Theil–Sen line, as a share of the
            median: 0.1 is 10 % more at the end.
        low, high: interval of over_run.
        span_s: seconds between the first and the last measurement.
        n: how many values.
    """

    over_run: float
    low: float
    high: float
    span_s: float
    n: int

    @property
    def present(self) -> bool:
        """True when the interval excludes "no change"."""
        return self.low > 0.0 or self.high < 0.0


def drift(times_s: Sequence[float], values: Sequence[float], confidence: float = CONFIDENCE) -> Drift | None:
    """Return the drift of values over the seconds at which they were measured; None where it has no interval.

    Given over the run rather than per hour: a run of two minutes says nothing about an hour. Also None when
    the median is 0, of which nothing is a share.
    """
    line = slope(times_s, values, confidence)
    middle = abs(statistics.median(values)) if values else 0.0
    if line is None or line.low is None or line.high is None or middle == 0.0:
        return None
    span_s = max(times_s) - min(times_s)
    low, middle_share, high = (s * span_s / middle for s in (line.low, line.slope, line.high))
    return Drift(over_run=middle_share, low=low, high=high, span_s=span_s, n=line.n)


def autocorrelation(values: Sequence[float]) -> float | None:
    """Return the lag-1 autocorrelation of values in the order of their measurement, -1 … 1.

    r₁ = Σ (xₜ - m)(xₜ₊₁ - m) / Σ (xₜ - m)² (G. E. P. Box and G. M. Jenkins, "Time Series Analysis", section 2.1).
    Independent values give about 0 ± 2/√n; well above it, intervals are too narrow. None below three values
    and for constant ones.
    """
    if len(values) < 3 or min(values) == max(values):
        return None
    mean = statistics.fmean(values)
    deviations = [value - mean for value in values]
    shared = sum(first * second for first, second in itertools.pairwise(deviations))
    return shared / sum(deviation * deviation for deviation in deviations)


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a level of confidence lies between 0 and 1, not at {confidence!r}")
