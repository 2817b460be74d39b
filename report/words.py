"""The sentences of the report. Each states what was measured, between which events, how often and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.comparing.compare import Comparison, Verdict, compare_cell
from bench.comparing.stats import Estimate, values_needed
from bench.judging.evidence import Bound
from bench.judging.summary import emulators_own, userland
from bench.text import plural
from bench.units import Better, Unit, digits_for, format_interval, format_value
from report.data import Cell, MetricView, Params, ScenarioView, SubjectView, View

UPPER_BOUND = "software emulation: an upper bound"
"""What a sentence with an emulated subject carries."""

LOWER_BOUND = "software emulation: a lower bound"
"""The same where more is better."""

VERDICT_SIGNS = {
    Verdict.BETTER: "▼", Verdict.WORSE: "▲", Verdict.LESS: "▼", Verdict.MORE: "▲",
    Verdict.EQUIVALENT: "■", Verdict.INCONCLUSIVE: "○",
}  # fmt: skip
"""The shape that goes with each verdict, beside its word: colour is never the only sign."""


def enumeration(parts: Sequence[str], last: str = "and") -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}" if parts else ""


def sign_of(subject: SubjectView, metric: MetricView) -> str:
    """Return what stands before an emulated subject's value that is a bound, not the value. Empty for any other."""
    return Bound.of(metric.better, emulated=subject.emulated, exact=metric.exact).sign


def sentence(text: str) -> str:
    """Return the text as a sentence: a capital first, a full stop last; "" stays ""."""
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def estimated(estimate: Estimate | None, unit: Unit, sign: str = "") -> str:
    """Write an estimate with its interval: "431 ms [428–436]"; "–" where there is none."""
    return "–" if estimate is None else sign + format_interval(estimate.median, estimate.low, estimate.high, unit)


def brief(estimate: Estimate, metric: MetricView, sign: str = "") -> str:
    """Write a median with the digits that its interval allows; with two where there is none and values scatter."""
    told = estimate.low is not None or metric.exact or metric.constant
    digits = digits_for(estimate.median, estimate.low, estimate.high) if told else 2
    return sign + format_value(estimate.median, metric.unit, digits=digits)


def compared(comparison: Comparison | None, bound: str = "") -> str:
    """Write a comparison with its shape, and the sign of a bound if it is one: "▲ ≤ 100× [92–110], slower"."""
    if comparison is None:
        return "–"
    return f"{VERDICT_SIGNS[comparison.verdict]} {bounded(comparison, bound)}"


def bounded(comparison: Comparison, bound: str = "") -> str:
    """Write a comparison, the sign of a bound before its ratio if it has one: "≤ 100× [92–110], slower".

    Where its words tell the reciprocal, at least so many become at most so many times fewer.
    """
    sign = {"≤ ": "≥ ", "≥ ": "≤ "}.get(bound, bound) if comparison.turned else bound
    return f"{sign if comparison.ratio else ''}{comparison.text}"


_STATES = {"idle": "at rest", "loaded": "under load", "after": "after the load", "inflated": "balloon inflated"}


def conditions(params: Params) -> str:
    """Write parameters the way a reader says them: "3 instances, all its own parts"; "" for none."""
    return ", ".join(_condition(key, value) for key, value in params)


def _condition(key: str, value: str) -> str:
    if key == "instances":
        return "1 instance" if value == "1" else f"{value} instances"
    if (key, value) == ("part", "total"):
        return "all its own parts"
    if (key, value) == ("part", "with-engine"):
        return "with its engine's daemons"
    if key == "state":
        return _STATES.get(value, value)
    return value if key == "app" else f"{key} {value}"


def at(params: Params) -> str:
    """Write parameters after a noun: " (3 instances, all its own parts)"; "" for none."""
    return f" ({conditions(params)})" if params else ""


def tight(text: str) -> str:
    """Return the text with spaces and dashes at which no line breaks: a number stays with its unit and interval."""
    return text.replace(" ", "\u00a0").replace("–", "–\u2060")


def measured(metric: MetricView) -> str:
    """Write a metric with what it means: "requested→ready, until the workload answers"."""
    if metric.title.lower().startswith(f"{metric.name.lower()}:"):
        return metric.title
    return f"{metric.name}, {metric.title}" if metric.title else metric.name


def representatives(view: View, scenario: ScenarioView, params: Params) -> list[SubjectView]:
    """Return the few subjects a sentence can hold: the baseline, the first of each family, the pair people ask for."""
    cells = view.row(scenario.name, scenario.headline, params)
    known = [s for s in view.ordered(cells) if cells[s.label].values and not s.twin_of]
    chosen = [s for s in known if s.name == scenario.baseline][:1]
    for subject in known:
        if subject.family not in {s.family for s in chosen}:
            chosen.append(subject)
    guests = [s for s in known if s.family == "vm"]
    chosen = list(dict.fromkeys((*chosen, *guests[-1:], *_asked_for(view, known))))
    return sorted(chosen, key=lambda s: s.order)


def _asked_for(view: View, known: Sequence[SubjectView]) -> tuple[SubjectView, ...]:
    """Return the pair whose ratio people ask for: the last VM and a container; () where there is none.

    The container of the same userland, if there is one: otherwise contents would be compared, not kinds.
    """
    guest = next((s for s in reversed(known) if s.family == "vm" and s.name != "vm-restored"), None)
    containers = [s for s in known if s.family == "docker"]
    if guest is None or not containers:
        return ()
    same = userland(view.info, guest.label)
    return guest, next((s for s in containers if same and userland(view.info, s.label) == same), containers[0])


def values(view: View, scenario: ScenarioView) -> list[tuple[SubjectView, str]]:
    """Return each representative with its headline's median, a bound marked: (docker, "408 ms")."""
    metric = scenario.metrics.get(scenario.headline)
    if metric is None:
        return []
    params = view.principal(scenario.name, scenario.headline)
    found = []
    for subject in representatives(view, scenario, params):
        estimate = view.estimates[scenario.name, subject.label, metric.name, params]
        found.append((subject, tight(brief(estimate, metric, sign_of(subject, metric)))))
    return found


def answer(view: View, scenario: ScenarioView) -> str:
    """Return the scenario's answer in one sentence: what each representative takes."""
    metric = scenario.metrics.get(scenario.headline)
    params = view.principal(scenario.name, scenario.headline)
    chosen = representatives(view, scenario, params)
    if metric is None or not chosen:
        return "Nothing could be measured here; the reasons stand in the section."
    bound = UPPER_BOUND if metric.better is not Better.HIGHER else LOWER_BOUND
    parts = [
        f"{subject.label} {text}"
        f"{f' ({bound}{emulators_part(view, scenario, subject)})' if sign_of(subject, metric) else ''}"
        for subject, text in values(view, scenario)
    ]
    beside = guest_beside_container(view, scenario)
    counted = f"{metric.counted[:1].upper()}{metric.counted[1:]}: " if metric.counted else ""
    return f"{counted}{enumeration(parts)}.{f' {beside}' if beside else ''}"


def emulators_part(view: View, scenario: ScenarioView, subject: SubjectView) -> str:
    """Return what of an emulated guest's headline is the emulator's own: "; 32 MiB of it translated code", or ""."""
    name, noun = scenario.emulation
    found = view.estimates.get((scenario.name, subject.label, name, ()))
    if found is None or not subject.emulated:
        return ""
    return f"; {tight(emulators_own(found.median, scenario.metrics[name].unit, noun))}"


def emulation(view: View, scenario: ScenarioView) -> str:
    """Return what of the emulated representatives' headline is the emulator's own, as a sentence; "" for nothing."""
    told = [
        f"{subject.label} {part.removeprefix('; ')}"
        for subject, _ in values(view, scenario)
        if (part := emulators_part(view, scenario, subject))
    ]
    return f"Only emulation has this: {enumeration(told)}." if told else ""


def guest_beside_container(view: View, scenario: ScenarioView) -> str:
    """Return the ratio people ask for: the last VM beside Docker, block by block; "" where there is none.

    The larger is said to be so many times the smaller; an emulated guest's ratio is said as the bound that it is.
    """
    metric, params = scenario.metrics[scenario.headline], view.principal(scenario.name, scenario.headline)
    cells = view.row(scenario.name, metric.name, params)
    pair = _asked_for(view, [s for s in view.ordered(cells) if cells[s.label].values and not s.twin_of])
    if not pair:
        return ""
    guest, container = pair
    own, other = (_rows(view, scenario, subject.label, params) for subject in pair)
    c = compare_cell(own, other)
    if c.ratio is None:
        return ""
    more, less, spans = guest, container, (c.ratio, c.low, c.high)
    bound = Bound.of(metric.better, emulated=guest.emulated, exact=metric.exact)
    if c.ratio < 1.0:
        more, less, bound = container, guest, bound.turned
        spans = 1.0 / c.ratio, _inverse(c.high), _inverse(c.low)
    ratio = format_interval(*spans, Unit.RATIO) if c.low is not None else format_value(spans[0], Unit.RATIO, digits=2)
    kind = "as long as" if metric.unit is Unit.SECONDS else "as many as" if _counts(metric.unit) else "as much as"
    verb = "takes" if metric.better is not Better.HIGHER else "reaches"
    asides = [] if c.low is not None else [f"{plural(c.blocks, 'block')}: no interval"]
    if "" != userland(view.info, guest.label) != userland(view.info, container.label) != "":
        asides.append("of another userland")
    aside = f" ({'; '.join(asides)})" if asides else ""
    return f"{more.label} {verb} {_BOUNDS[bound]}{tight(ratio)} {kind} {less.label}{aside}."


def _inverse(value: float | None) -> float | None:
    return 1.0 / value if value else None


_BOUNDS = {Bound.UPPER: "at most ", Bound.LOWER: "at least ", Bound.EXACT: "", Bound.NONE: "perhaps "}
"""How a bound is said before a ratio."""


def _counts(unit: Unit) -> bool:
    return unit in (Unit.COUNT, Unit.PER_SECOND)


def _rows(view: View, scenario: ScenarioView, label: str, params: Params) -> list[Mapping[str, Any]]:
    """Return the measured values of one subject's headline as rows."""
    wanted = (scenario.name, label, scenario.headline, "ok")
    return [
        row
        for row in view.rows
        if (row["scenario"], row["subject"], row["metric"], row["status"]) == wanted and row["phase"] != "warmup"
        and tuple(sorted((k, v) for k, v in row["params"].items() if k != "place")) == params
    ]  # fmt: skip


def rests_on(view: View, scenario: ScenarioView) -> str:
    """Return what an answer is of and how often: "requested→ready (mode warm), 6 blocks."."""
    params, counts = view.principal(scenario.name, scenario.headline), _blocks(view, scenario)
    if not counts:
        return ""
    return f"{scenario.headline}{at(params)}, {_in_blocks(counts)}."


def _blocks(view: View, scenario: ScenarioView) -> list[int]:
    """Return how many blocks each subject's headline has."""
    wanted = (scenario.name, scenario.headline, view.principal(scenario.name, scenario.headline))
    return [e.blocks for (name, _, m, p), e in view.estimates.items() if (name, m, p) == wanted]


def _in_blocks(counts: Sequence[int]) -> str:
    few, many = min(counts), max(counts)
    return plural(many, "block") if few == many else f"{few} to {many} blocks"


def has_interval(view: View, scenario: ScenarioView) -> bool:
    """Say whether the headline has an interval for anybody: without one, figures are first impressions."""
    wanted = (scenario.name, scenario.headline, view.principal(scenario.name, scenario.headline))
    return any(e.low is not None for (name, _, m, p), e in view.estimates.items() if (name, m, p) == wanted)


def evidence(view: View, scenario: ScenarioView) -> str:
    """Return what the answer rests on: the metric and its events, n, the ratios with their intervals."""
    metric = scenario.metrics.get(scenario.headline)
    params = view.principal(scenario.name, scenario.headline)
    counts = _blocks(view, scenario)
    if metric is None or not counts:
        return ""
    ratios, sure = [], False
    for subject in representatives(view, scenario, params):
        c = view.comparisons.get((scenario.name, subject.label, metric.name, params))
        if c is not None and c.ratio is not None:
            ratio = sign_of(subject, metric) + format_interval(c.ratio, c.low, c.high, Unit.RATIO)
            ratios.append(f"{subject.label} {tight(ratio)}")
            sure = sure or c.low is not None
    certainty = "with 95\u00a0% intervals" if sure else "without intervals"
    beside = f" Beside {scenario.baseline}, {certainty}: {enumeration(ratios)}." if ratios else ""
    needed = values_needed()
    enough = "" if max(counts) >= needed else f" Below {needed} blocks there is no interval and no verdict."
    return f"{measured(metric)}{at(params)}. Medians over {_in_blocks(counts)}.{beside}{enough}"


def trouble(cell: Cell) -> str:
    """Write how many trials of a cell failed: "2 of 15 failed"; where none has a value, the first reason."""
    tries = len(cell.values) + len(cell.missing)
    if not cell.values:
        status, reason = cell.missing[0] if cell.missing else ("", "")
        return f"{status}: {reason}" if reason else status
    return f"{len(cell.failed)} of {tries} failed" if cell.failed else ""
