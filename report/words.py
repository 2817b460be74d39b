"""The sentences of the report. Each states what was measured, between which events, how often and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from bench.compare import Comparison, Verdict
from bench.stats import Estimate, values_needed
from bench.text import plural
from bench.units import Unit, format_interval, format_value
from report.data import Cell, MetricView, Params, ScenarioView, SubjectView, View

UPPER_BOUND = "software emulation: an upper bound"
"""What every mention of an emulated subject carries."""

VERDICT_SIGNS = {
    Verdict.BETTER: "▼", Verdict.WORSE: "▲", Verdict.LESS: "▼", Verdict.MORE: "▲",
    Verdict.EQUIVALENT: "■", Verdict.INCONCLUSIVE: "○",
}  # fmt: skip
"""The shape that goes with each verdict, beside its word: colour is never the only sign."""


def enumeration(parts: Sequence[str], last: str = "and") -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}" if parts else ""


def estimated(estimate: Estimate | None, unit: Unit) -> str:
    """Write an estimate with its interval: "431 ms [428–436]"; "–" where there is none."""
    return "–" if estimate is None else format_interval(estimate.median, estimate.low, estimate.high, unit)


def compared(comparison: Comparison | None) -> str:
    """Write a comparison with its sign: "▲ 100× [92–110], slower"."""
    return "–" if comparison is None else f"{VERDICT_SIGNS[comparison.verdict]} {comparison.text}"


def named(subject: SubjectView) -> str:
    """Write a subject's label, marked where it was emulated."""
    return f"{subject.label} ({UPPER_BOUND})" if subject.emulated else subject.label


def conditions(params: Params) -> str:
    """Write parameters the way a reader says them: "instances = 3, part = total"; "" for none."""
    return ", ".join(f"{key} = {value}" for key, value in params)


def measured(metric: MetricView) -> str:
    """Write a metric with what it means: "requested→ready (until the workload answers)"."""
    return f"{metric.name} ({metric.title})" if metric.title else metric.name


def representatives(view: View, scenario: ScenarioView, params: Params) -> list[SubjectView]:
    """Return the few subjects a sentence can hold: the baseline, the first of each family, the last VM."""
    cells = view.row(scenario.name, scenario.headline, params)
    known = [s for s in view.ordered(cells) if cells[s.label].values and not s.twin_of]
    chosen = [s for s in known if s.name == scenario.baseline][:1]
    for subject in known:
        if subject.family not in {s.family for s in chosen}:
            chosen.append(subject)
    guests = [s for s in known if s.family == "vm"]
    chosen += [s for s in guests[-1:] if s not in chosen]
    return sorted(chosen, key=lambda s: s.order)


def answer(view: View, scenario: ScenarioView) -> str:
    """Return the scenario's answer in one sentence."""
    metric = scenario.metrics.get(scenario.headline)
    params = view.principal(scenario.name, scenario.headline)
    chosen = representatives(view, scenario, params)
    if metric is None or not chosen:
        return "nothing could be measured here; the reasons stand in the section."
    parts = []
    for subject in chosen:
        key = (scenario.name, subject.label, metric.name, params)
        text = f"{subject.label} {format_value(view.estimates[key].median, metric.unit)}"
        comparison = view.comparisons.get(key)
        asides = [format_interval(comparison.ratio, comparison.low, comparison.high, Unit.RATIO)] if comparison else []
        asides += [UPPER_BOUND] if subject.emulated else []
        parts.append(f"{text} ({'; '.join(asides)})" if asides else text)
    return f"{enumeration(parts)}."


def evidence(view: View, scenario: ScenarioView) -> str:
    """Return what the answer rests on: the metric's name, the interval, n, and whether verdicts can be given."""
    metric = scenario.metrics.get(scenario.headline)
    params = view.principal(scenario.name, scenario.headline)
    counts = [
        view.estimates[k].blocks
        for k in view.estimates
        if (k[0], k[2], k[3]) == (scenario.name, scenario.headline, params)
    ]
    if metric is None or not counts:
        return ""
    few, many = min(counts), max(counts)
    blocks = plural(many, "block") if few == many else f"{few} to {many} blocks"
    beside = f"; in brackets the ratio to {scenario.baseline} with its 95 % interval" if scenario.baseline else ""
    where = f" at {conditions(params)}" if params else ""
    verdict = "" if many >= values_needed() else f" Below {values_needed()} blocks no verdict is given."
    return f"Median of {measured(metric)}{where}, {blocks}{beside}.{verdict}"


def trouble(cell: Cell) -> str:
    """Write how many trials of a cell failed: "2 of 15 failed"; where none has a value, the first reason."""
    tries = len(cell.values) + len(cell.missing)
    if not cell.values:
        status, reason = cell.missing[0] if cell.missing else ("", "")
        return f"{status}: {reason}" if reason else status
    return f"{len(cell.failed)} of {tries} failed" if cell.failed else ""


def within(view: View, scenario: ScenarioView, params: Params, limit: float) -> tuple[list[str], list[str], list[str]]:
    """Return the labels whose headline lies wholly at or below a limit, wholly above it, and astride it.

    Where there is no interval (too few blocks), the label is astride: the median alone decides nothing.
    """
    below, above, astride = [], [], []
    cells = view.row(scenario.name, scenario.headline, params)
    for subject in view.ordered(cells):
        estimate = view.estimates.get((scenario.name, subject.label, scenario.headline, params))
        if estimate is None or subject.twin_of:
            continue
        low, high = estimate.low, estimate.high
        side = astride if low is None or high is None else below if high <= limit else above if low > limit else astride
        side.append(subject.label)
    return below, above, astride


def limit_sentence(view: View, scenario: ScenarioView, params: Params, limit: float, claim: str) -> str:
    """Say which subjects keep a claim's limit. An emulated subject above it proves nothing about a virtualised one."""
    below, above, astride = within(view, scenario, params, limit)
    slow = [label for label in above if not view.subject(label).emulated]
    unknown = [label for label in above if view.subject(label).emulated]
    parts = [f"within it: {enumeration(below)}" if below else "within it: none"]
    parts += [f"beyond it: {enumeration(slow)}"] if slow else []
    parts += [f"beyond it only by emulation, so not told: {enumeration(unknown)}"] if unknown else []
    parts += [f"not told by these samples: {enumeration(astride)}"] if astride else []
    return f"{claim}: {'; '.join(parts)}."
