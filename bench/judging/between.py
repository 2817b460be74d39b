"""Comparing runs: first what was different about them, then what they measured. Pure.

Blocks of two runs have nothing in common that dividing one by the other could cancel, so the ratio is that of
two independent samples: the Hodges–Lehmann estimate on logarithms with the interval that belongs to the rank-sum
test (M. Hollander, D. A. Wolfe, E. Chicken, "Nonparametric Statistical Methods", 3rd ed., 2014).
A value of 0 stands for one too small to be seen: 0 beside a positive value is a verdict without a figure.
It covers the noise inside both runs. It cannot cover what stayed the same throughout one run and was
different in the other (a reboot, a neighbour, a warmer room): only more runs can.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bench.comparing.compare import (
    MARGIN,
    Comparison,
    Params,
    Verdict,
    above_floor,
    conclude,
    noise_floor,
    tried,
    twins,
)
from bench.comparing.ratios import exponential, logarithm
from bench.comparing.stats import CONFIDENCE, Row, block_medians, groups, values_needed
from bench.errors import ExitCode
from bench.judging.summary import wholes
from bench.sample import Status
from bench.soundness import sound
from bench.store import Run
from bench.text import plural

VOLATILE = frozenset({"free_bytes", "available_bytes", "swap_used_bytes", "reap_latency_s"})
"""Facts that differ between any two readings and say little: never listed as a difference."""

_TOLD = (
    "started_utc", "ended_utc", "planned_trials", "expected_s", "command", "labels", "findings", "refusals", "stopped",
)  # fmt: skip
_OWN = frozenset(
    {"load", "run_id", "started", "ended", "elapsed_s", "ending", "seed", "order", "plan", "claims", *_TOLD}
)
"""Sections that every run has of its own."""

SETUP = (
    "engines", "accelerators", "version", "bench_version", "git_commit", "schema_version", "profile", "blocks",
)  # fmt: skip
"""Sections of run.json that bend every number: what differs there is told first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something about two runs that is not the same; None where one of them lacks it."""

    what: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """A cell that was tried in one of two runs only. A guest on KVM and the same on emulation are two of these."""

    scenario: str
    metric: str
    subject: str
    params: Params
    run: str


_Cell = TypeVar("_Cell", Comparison, Alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """One run beside an earlier one: what was different about them, then every subject beside itself.

    Attributes:
        first, second: run ids; ratios are second / first, so WORSE means that the second is worse.
        differences: of the hosts, engines, versions and subjects. Read them before any ratio.
        comparisons: `subject` is the subject in the second run, `baseline` the same label in the first.
        alone: what only one of the two runs tried.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]
    comparisons: tuple[Comparison, ...]
    alone: tuple[Alone, ...] = ()


def compare_runs(runs: Sequence[Run], *, margin: float = MARGIN) -> list[RunComparison]:
    """Compare every run with the first one.

    Raises:
        ValueError: fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError("comparing runs takes at least two")
    first, *others = map(sound, runs)
    return [_compare_two(first, run, margin) for run in others]


def _compare_two(first: Run, second: Run, margin: float) -> RunComparison:
    floors = [floor for run in (first, second) for floor in noise_floor(run.rows, twins(run.info), margin=margin)]
    old, new = (groups(tried(run.rows), by=("scenario", "metric", "subject")) for run in (first, second))
    found = [compare_samples(new[key], rows, margin=margin) for key, rows in old.items() if key in new]
    found.sort(key=lambda comparison: _rank(first.info, comparison))
    return RunComparison(
        first=first.run_id, second=second.run_id, differences=tuple(differences(first, second)),
        comparisons=tuple(above_floor(comparison, floors) for comparison in found),
        alone=(*_alone(old, new, first.run_id), *_alone(new, old, second.run_id)),
    )  # fmt: skip


def _rank(info: Mapping[str, Any], cell: Comparison) -> tuple[Any, ...]:
    """Return what comparisons are sorted by: the scenarios in their order, in each the subjects by rung."""
    order = info["scenarios"].get(cell.scenario, {}).get("order")
    rung = info["subjects"].get(cell.subject, {}).get("rung")
    places = (place if isinstance(place, int) else 1 << 30 for place in (order, rung))
    return next(places), cell.scenario, cell.metric, cell.params, next(places), cell.subject


def _alone(mine: Mapping[Any, Any], others: Mapping[Any, Any], run: str) -> Iterator[Alone]:
    for scenario, metric, subject, params in mine:
        if (scenario, metric, subject, params) not in others:
            yield Alone(scenario=scenario, metric=metric, subject=subject, params=params, run=run)


def headlines_only(compared: RunComparison, headlines: Mapping[str, str]) -> RunComparison:
    """Return the comparison with the headline metric of every scenario alone, and of its wholes that shown first.

    Args:
        headlines: metric by scenario (`bench.judging.summary.headlines`).
    """
    return replace(
        compared, comparisons=tuple(_whole_headlines(compared.comparisons, headlines)),
        alone=tuple(_whole_headlines(compared.alone, headlines)),
    )  # fmt: skip


def _whole_headlines(cells: Sequence[_Cell], headlines: Mapping[str, str]) -> Iterator[_Cell]:
    kept = [cell for cell in cells if headlines.get(cell.scenario) == cell.metric]
    shown = {name: wholes(c.params for c in kept if c.scenario == name) for name in headlines}
    return (cell for cell in kept if cell.params in shown[cell.scenario])


def gate(compared: Sequence[RunComparison], fail_on: Iterable[str] = ()) -> ExitCode:
    """Return what a comparison says to the shell.

    Args:
        fail_on: "slower": FAIL_ON if the whole interval of anything lies beyond the margin on its metric's worse
            side. "inconclusive": INCONCLUSIVE if anything has no verdict, or was tried in the first run only.

    Slower goes before inconclusive. A pair of runs without any ratio is NOTHING_MEASURED, whatever was asked: a gate
    that compared nothing must not look like one that held.
    """
    if any(all(c.ratio is None and c.verdict is Verdict.INCONCLUSIVE for c in pair.comparisons) for pair in compared):
        return ExitCode.NOTHING_MEASURED
    verdicts = {c.verdict for pair in compared for c in pair.comparisons}
    lost = any(a.run == pair.first for pair in compared for a in pair.alone)
    if "slower" in fail_on and Verdict.WORSE in verdicts:
        return ExitCode.FAIL_ON
    if "inconclusive" in fail_on and (lost or Verdict.INCONCLUSIVE in verdicts):
        return ExitCode.INCONCLUSIVE
    return ExitCode.DONE


def compare_samples(own: Sequence[Row], other: Sequence[Row], *, margin: float = MARGIN) -> Comparison:
    """Compare the rows of one cell in one run with those of the same cell in another: own / other."""
    above, below = list(block_medians(own).values()), list(block_medians(other).values())
    interval, otherwise = _ratio(above, below)
    failed = sum(row["status"] != Status.OK for row in (*own, *other))
    return conclude(
        own[0], other[0], interval, blocks=min(len(above), len(below)), lost=failed,
        margin=margin, otherwise=otherwise,
    )  # fmt: skip


def _ratio(above: list[float], below: list[float]) -> tuple[tuple[float | None, float | None, float | None], str]:
    """Return (ratio, low, high) and, where there is no interval, why."""
    if not above or not below:
        return (None, None, None), "one of the runs has no value"
    fewest, needed = min(len(above), len(below)), values_needed()
    constant = len({*above, *below}) == 1
    if not constant and min(*above, *below) < 0.0:
        return (None, None, None), "values below 0 have no ratio"
    first, second = ([0.0 if constant else logarithm(value) for value in values] for values in (above, below))
    ratio = exponential(statistics.median(_shift(a, b) for a in first for b in second))
    if fewest < needed:
        return (ratio, None, None), f"{plural(fewest, 'block')} in one of the runs; a verdict needs {needed}"
    low, high = shift_interval(first, second)
    return (ratio, exponential(low), exponential(high)), ""


def _shift(x: float, y: float) -> float:
    """Return x - y; 0 for equal values, so that two logarithms of 0 are none apart."""
    return 0.0 if x == y else x - y


def shift_interval(xs: Sequence[float], ys: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of how far xs lie above ys, distribution-free if both have the same shape.

    The k-th smallest and k-th largest of all differences x - y, k as large as P(U < k) ≤ (1 - confidence) / 2
    allows under the rank-sum statistic's exact distribution (Hollander, Wolfe and Chicken, section 4.3).

    Raises:
        ValueError: there are too few values for that level.
    """
    half, tail, k = (1.0 - confidence) / 2.0, 0, 0
    total = math.comb(len(xs) + len(ys), len(xs))
    for count in _rank_sum_counts(len(xs), len(ys)):
        tail += count
        if tail / total > half:
            break
        k += 1
    if k == 0:
        raise ValueError(f"{len(xs)} and {len(ys)} values are too few for an interval of {confidence:.0%}")
    gaps = sorted(_shift(x, y) for x in xs for y in ys)
    return gaps[k - 1], gaps[-k]


def _rank_sum_counts(first: int, second: int) -> list[int]:
    """Return in how many orders of two samples U is 0, 1, …: the coefficients of the Gaussian binomial.

    H. B. Mann and D. R. Whitney, 1947, "On a test of whether one of two random variables is stochastically
    larger than the other", Annals of Mathematical Statistics 18.
    """
    size = first * second
    counts = [1] + [0] * size
    for step in range(1, first + 1):
        for place in range(size, second + step - 1, -1):
            counts[place] -= counts[place - second - step]
        for place in range(step, size + 1):
            counts[place] += counts[place - step]
    return counts


def differences(first: Run, second: Run) -> list[Difference]:
    """Return what is not the same about two runs: engines and versions, then the hosts' facts, then what was asked.

    A scenario or subject that only one of them knows is one difference, not one for each of its attributes.
    """
    infos = (_shortened(first.info, second.info), _shortened(second.info, first.info))
    found = []
    for title, contents in (("facts", (first.facts, second.facts)), ("info", infos)):
        old, new = (dict(_leaves(content)) for content in contents)
        for what in sorted(old.keys() | new.keys()):
            last = what.rpartition(".")[2]
            if old.get(what) != new.get(what) and last not in VOLATILE and what.partition(".")[0] not in _OWN:
                found.append(Difference(what=f"{title}.{what}", first=old.get(what), second=new.get(what)))
    return sorted(found, key=lambda difference: difference.what.split(".")[:2] not in [["info", s] for s in SETUP])


_NAMED = ("scenarios", "subjects", "manifests")


def _shortened(info: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's info with two words for each scenario or subject of which the other run says nothing."""
    return {
        **info,
        **{
            section: {
                name: told if name in other.get(section, {}) else "only here" for name, told in info[section].items()
            }
            for section in _NAMED
            if section in info
        },
    }


def _leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of nested tables with its place, "cpu.governor"; lists of what has no name are values."""
    if isinstance(content, list) and content and all(isinstance(one, Mapping) and "name" in one for one in content):
        content = {one["name"]: one for one in content}
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, content
