"""From samples to verdicts: the ratio of a subject to its baseline, block by block, and between runs. Pure.

How a verdict is reached inside one run. In each block the subject's value is divided by the baseline's, which
cancels what both suffered in that block; the median of the logarithms of these ratios is the ratio, and its
order-statistic interval (bench.comparing.stats) is the interval. The verdict looks at where the whole interval lies:

    beyond the margin on one side   BETTER or WORSE (LESS or MORE where no direction is better)
    inside the margin               EQUIVALENT
    anywhere else                   INCONCLUSIVE, as is everything below six common blocks

0 divided by a positive value is 0, a positive value divided by 0 is infinite, equal values have the ratio 1: so "none"
beside "five" is a verdict, though the ratio is no figure. Values below 0 have no ratio.

The margin (5 % unless told otherwise) is symmetric in the ratio's logarithm: 1/1.05 … 1.05. That a difference
must clear the margin, not only 1, is criterion's noise threshold; it keeps false alarms between equal subjects
far below the nominal 5 %, which matters because a report shows dozens of comparisons.

Many comparisons at once: each interval holds for its own comparison. `firm` says whether the verdict also stands
when the intervals are widened so that all comparisons of one table (one metric of one scenario) hold together,
by Bonferroni's inequality: level 1 - (1 - level)/m. Holm's step-down would be a little less strict but has no
plain intervals, and an interval is what the reader sees. Six blocks are never enough to be firm in a table of
two or more; `bench.comparing.stats.values_needed` says how many are.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bench.comparing.ratios import exponential, logarithm, ratios_per_block
from bench.comparing.stats import CONFIDENCE, Row, block_medians, groups, median_interval, values_needed
from bench.sample import Phase, Status
from bench.text import plural
from bench.units import Better, Unit, format_interval

MARGIN = 0.05
"""Differences up to this share count as none."""

Params = tuple[tuple[str, str], ...]


class Verdict(StrEnum):
    """What a comparison says about a subject beside its baseline."""

    BETTER = "better"
    WORSE = "worse"
    LESS = "less"
    """Smaller, where neither direction is better."""
    MORE = "more"
    """Larger, where neither direction is better."""
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One subject beside one baseline in one metric.

    Attributes:
        params: what both have in common, as sorted (name, value) pairs.
        ratio: subject / baseline; None when no block has both, and where it is 0 or infinite: the verdict knows.
        low, high: interval of the ratio at 95 %; None where there are too few blocks, or an end is 0 or infinite.
        blocks: in how many blocks both have a value (between runs: in the smaller of the two).
        lost: blocks in which one of them has none: failures and timeouts are not in the ratio.
        margin: differences up to this share count as none.
        reason: why the verdict is this one, one sentence part without a full stop.
        firm: the verdict also stands with the intervals widened for the whole table.
    """

    scenario: str
    metric: str
    params: Params
    subject: str
    baseline: str
    unit: Unit
    better: Better
    ratio: float | None
    low: float | None
    high: float | None
    blocks: int
    lost: int
    margin: float
    verdict: Verdict
    reason: str
    firm: bool = False

    @property
    def deviation(self) -> float | None:
        """How far the ratio is from 1 in either direction, as a factor of at least 1."""
        return None if self.ratio is None else max(self.ratio, 1.0 / self.ratio)

    @property
    def word(self) -> str:
        """The verdict in the word that suits the unit: faster, slower, less, more, equivalent, inconclusive."""
        if self.ratio is None or self.verdict in (Verdict.EQUIVALENT, Verdict.INCONCLUSIVE):
            return str(self.verdict)
        more = self.ratio > 1.0
        match self.unit:
            case Unit.SECONDS:
                return "slower" if more else "faster"
            case Unit.PER_SECOND | Unit.BYTES_PER_SECOND if self.better is Better.HIGHER:
                return "faster" if more else "slower"
            case _:
                return "more" if more else "less"

    @property
    def turned(self) -> bool:
        """True when its words tell the reciprocal: a factor above 1 and "faster" or "slower"."""
        return self.ratio is not None and self.ratio < 1.0 and self.word in ("faster", "slower")

    @property
    def text(self) -> str:
        """The comparison in words: "14.6× [13.9–15.2], slower", "0.31× [0.30–0.33], less".

        Speeds are turned so that the factor is above 1: "3.2× [3.0–3.3], faster".
        """
        if self.ratio is None:
            return f"{self.word}: {self.reason}"
        ratio, low, high = self.ratio, self.low, self.high
        if self.turned:
            ratio, low, high = 1.0 / ratio, _inverse(high), _inverse(low)
        return f"{format_interval(ratio, low, high, Unit.RATIO)}, {self.word}"


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1.0 / value


def paired_ratio(ratios: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float | None, float | None]:
    """Return the median of the ratios' logarithms as a ratio, and its interval (None: too few blocks).

    Raises:
        ValueError: there is no ratio, or one is below 0.
    """
    logarithms = [logarithm(ratio) for ratio in ratios]
    if not logarithms:
        raise ValueError("there is no ratio")
    interval = median_interval(logarithms, confidence)
    middle = exponential(statistics.median(logarithms))
    return (middle, exponential(interval[0]), exponential(interval[1])) if interval else (middle, None, None)


def judge(low: float, high: float, margin: float, better: Better) -> tuple[Verdict, str]:
    """Return the verdict on an interval of a ratio, and the reason."""
    most = 1.0 + margin
    if 1.0 / most <= low and high <= most:
        return Verdict.EQUIVALENT, f"the whole interval lies within {margin:.0%} of 1"
    if low > most or high < 1.0 / most:
        more = low > most
        reason = f"the whole interval lies beyond {margin:.0%}"
        if better is Better.NEITHER:
            return (Verdict.MORE if more else Verdict.LESS), reason
        return (Verdict.BETTER if more == (better is Better.HIGHER) else Verdict.WORSE), reason
    if low <= 1.0 <= high:
        return Verdict.INCONCLUSIVE, f"the interval holds 1 and reaches beyond {margin:.0%}"
    return Verdict.INCONCLUSIVE, f"there is a difference, but it may be less than {margin:.0%}"


def compare(
    rows: Iterable[Row], baseline: str | Mapping[str, str], *, margin: float = MARGIN,
    confidence: float = CONFIDENCE, floors: Sequence[Comparison] = (), phase: Phase | str | None = Phase.MEASURE,
) -> list[Comparison]:  # fmt: skip
    """Compare every subject with the baseline of its scenario, in every metric and parameter cell.

    Args:
        rows: of one run, or of several whose blocks are pooled (bench.store.merged_rows).
        baseline: the label ratios are taken to, or one for each scenario.
        floors: the run's A/A comparisons (`noise_floor`): a difference no larger than what the same subject
            showed against itself is INCONCLUSIVE.

    Scenarios without a baseline, and cells in which the baseline was not tried, are left out; so are subjects
    that were skipped or are unsupported. A subject that only failed is there, INCONCLUSIVE.
    """
    cells = groups(tried(rows), by=("scenario", "metric", "subject"), phase=phase)
    found = []
    for (scenario, metric, subject, params), own in cells.items():
        base = baseline if isinstance(baseline, str) else baseline.get(str(scenario), "")
        if subject != base and (scenario, metric, base, params) in cells:
            other = cells[scenario, metric, base, params]
            found.append((own, other, compare_cell(own, other, margin=margin, confidence=confidence)))
    judged = [(own, other, above_floor(comparison, floors)) for own, other, comparison in found]
    table_sizes = _table_sizes(comparison for _, _, comparison in judged)
    return [
        replace(c, firm=_firm(c, compare_cell(own, other, margin=margin, confidence=_widened(confidence, size))))
        for own, other, c in judged
        for size in [table_sizes[c.scenario, c.metric]]
    ]


def tried(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of measurements that were attempted: neither skipped nor unsupported."""
    return [row for row in rows if row["status"] in (Status.OK, Status.FAILED, Status.TIMEOUT)]


def compare_cell(
    own: Sequence[Row], other: Sequence[Row], *, margin: float = MARGIN, confidence: float = CONFIDENCE
) -> Comparison:
    """Compare the rows of one subject with those of another in the same metric and parameters, by blocks."""
    numerators, denominators = block_medians(own), block_medians(other)
    blocks = {(str(row.get("run_id", "")), row["block"]) for row in (*own, *other)}
    common = numerators.keys() & denominators.keys()
    problem, ratios = "", {}
    try:
        ratios = ratios_per_block(numerators, denominators)
    except ValueError as error:
        problem = str(error)
    interval = paired_ratio(list(ratios.values()), confidence) if ratios else (None, None, None)
    if not problem:
        few = f"{plural(len(common), 'common block')}; a verdict needs {values_needed(confidence)}"
        problem = few if common else "no block has a value of both"
    return conclude(
        own[0], other[0], interval, blocks=len(common), lost=len(blocks) - len(common),
        margin=margin, otherwise=problem,
    )  # fmt: skip


def conclude(
    own: Row, other: Row, interval: tuple[float | None, float | None, float | None], *, blocks: int, lost: int,
    margin: float, otherwise: str,
) -> Comparison:  # fmt: skip
    """Return the comparison of two cells, each named by one of its rows, with the verdict on its interval.

    Args:
        interval: ratio, low, high; the verdict takes them as they are, 0 and infinity included.
        otherwise: the reason for INCONCLUSIVE where there is no interval.
    """
    ratio, low, high = interval
    verdict, reason = Verdict.INCONCLUSIVE, otherwise
    if low is not None and high is not None:
        verdict, reason = judge(low, high, margin, Better(own["better"]))
    if not _is_figure(low) or not _is_figure(high):
        low = high = None
    if ratio is not None and not _is_figure(ratio):
        reason = f"{reason}: {_ZEROS.get(ratio, 'now the one, now the other is 0')}"
        ratio = None
    return Comparison(
        scenario=own["scenario"], metric=own["metric"], params=tuple(sorted((own.get("params") or {}).items())),
        subject=own["subject"], baseline=other["subject"], unit=Unit(own["unit"]), better=Better(own["better"]),
        ratio=ratio, low=low, high=high, blocks=blocks, lost=lost, margin=margin, verdict=verdict, reason=reason,
    )  # fmt: skip


_ZEROS = {0.0: "it is 0 in most blocks", math.inf: "the baseline is 0 in most blocks"}


def _is_figure(ratio: float | None) -> bool:
    return ratio is not None and 0.0 < ratio < math.inf


def above_floor(comparison: Comparison, floors: Sequence[Comparison]) -> Comparison:
    """Return the comparison, INCONCLUSIVE if its difference is no larger than the A/A pair's."""
    floor = floor_of(comparison, floors)
    deviation = comparison.deviation
    decided = comparison.verdict not in (Verdict.EQUIVALENT, Verdict.INCONCLUSIVE)
    if not decided or floor is None or deviation is None or deviation > floor:
        return comparison
    reason = f"the same subject differed from itself by as much ({floor - 1.0:.1%})"
    return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)


def floor_of(comparison: Comparison, floors: Sequence[Comparison]) -> float | None:
    """Return the noise floor that belongs to a comparison, as a factor of at least 1; None where there is none.

    The largest deviation among the A/A pairs of the same scenario, metric and parameters that repeat the
    subject or its baseline, or among all of them if none does.
    """
    cell = (comparison.scenario, comparison.metric, comparison.params)
    fitting = [f for f in floors if (f.scenario, f.metric, f.params) == cell and f.deviation is not None]
    near = [f for f in fitting if f.baseline in (comparison.subject, comparison.baseline)]
    return max((f.deviation or 1.0 for f in near or fitting), default=None)


def noise_floor(rows: Iterable[Row], twin_of: Mapping[str, str], *, margin: float = MARGIN) -> list[Comparison]:
    """Compare every twin with the subject it repeats: what comes out is this run's noise, not a difference.

    Args:
        twin_of: label of the original by label of the twin (`twins`).
    """
    content = list(rows)
    return [
        comparison
        for twin, original in twin_of.items()
        for comparison in compare([r for r in content if r["subject"] in (twin, original)], original, margin=margin)
    ]


def twins(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the label of the original by label of the twin, from a run's run.json (its "subjects" by label).

    A twin measured on KVM repeats the original on KVM: "vm-direct-twin@kvm" → "vm-direct@kvm".
    """
    subjects = info.get("subjects")
    found = {}
    for label, entry in (subjects if isinstance(subjects, Mapping) else {}).items():
        original = entry.get("twin_of") if isinstance(entry, Mapping) else None
        if isinstance(original, str) and original:
            _, at, accelerator = str(label).partition("@")
            found[str(label)] = original if "@" in original else f"{original}{at}{accelerator}"
    return found


def _table_sizes(comparisons: Iterable[Comparison]) -> dict[tuple[str, str], int]:
    sizes: dict[tuple[str, str], int] = {}
    for comparison in comparisons:
        table = (comparison.scenario, comparison.metric)
        sizes[table] = sizes.get(table, 0) + 1
    return sizes


def _widened(confidence: float, comparisons: int) -> float:
    """Return the level at which so many intervals hold together at `confidence` (Bonferroni's inequality)."""
    return 1.0 - (1.0 - confidence) / comparisons


def _firm(comparison: Comparison, wide: Comparison) -> bool:
    return comparison.verdict is not Verdict.INCONCLUSIVE and comparison.verdict is wide.verdict
