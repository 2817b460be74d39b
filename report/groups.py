"""Pictures of several rows under one head: the modes of a subject, accounts of its memory, all subjects of a tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench.comparing.compare import Comparison, compare_cell
from bench.units import Better, Unit, format_interval, format_value
from report import pictures, words
from report.data import Params, ScenarioView, SubjectView, View
from report.figures import Dots, ForestChart, Group, GroupChart, RatioRow
from report.model import Figure, Row, Table

FEWEST_TOOLS = 4
"""So many metrics of a rate are worth one picture of all of them."""

_ONE = (("instances", "1"), ("part", "total"))
_DAEMONS = (("instances", "1"), ("part", "control-plane"))

HOST: tuple[tuple[str, str, Params], ...] = (
    ("PSS", "pss", _ONE), ("USS", "uss", _ONE),
    ("cgroup charge", "cgroup-current", (("instances", "1"), ("part", "first"))),
    ("PSS slope", "pss-slope", ()), ("MemAvailable slope", "memavailable-slope", ()),
)  # fmt: skip
"""The host's accounts of one instance's memory: name, metric, parameters."""

GUEST: tuple[tuple[str, str, Params], ...] = (
    ("used, to the guest", "guest-used", (("part", "guest"),)),
    ("all, to the guest", "guest-total", (("part", "guest"),)),
)
"""What the guest believes: no account of the host's."""

_Absent = tuple[str, str, str]
"""What is missing, of which subject, and why."""

_COLD, _WARM = (("mode", "cold"),), (("mode", "warm"),)


def modes(view: View, scenario: ScenarioView, variants: Sequence[Params]) -> Figure:
    """Return the headline of every subject in every way it was asked, side by side."""
    metric = scenario.metrics[scenario.headline]
    by_variant = {p: {r.label: r for r in pictures.rows_of_dots(view, scenario, metric.name, p)} for p in variants}
    groups: list[Group] = []
    absent: list[_Absent] = []
    for subject in view.ordered({label for rows in by_variant.values() for label in rows}):
        rows = [replace(of[subject.label], label=_way(p)) for p, of in by_variant.items() if subject.label in of]
        groups += _grouped(subject, subject.label, rows, absent)
    told = "; ".join(f"{g.label} {', '.join(f'{r.label} {r.text}' for r in g.rows if r.text)}" for g in groups)
    return Figure(
        key=pictures.key_of(scenario.name, "modes"),
        title=f"{pictures.capital(metric.title or metric.name)}, in every way it was asked",
        description=f"{metric.name}: {told}.",
        caption=f"{_DOTS_OF.format(metric.name)} {_n(groups)}",
        notes=_not_drawn(absent), chart=GroupChart(unit=metric.unit, groups=tuple(groups)),
        table=pictures.estimate_table(view, scenario, [(metric.name, p) for p in variants], words.measured(metric)),
    )  # fmt: skip


def _grouped(subject: SubjectView, label: str, rows: Sequence[Dots], absent: list[_Absent]) -> list[Group]:
    """Return a subject's rows that have a value or failed as a group, if there are any; the others go to the absent."""
    shown = tuple(r for r in rows if r.median is not None or r.broken)
    missing = [(r.label, subject.label, r.trouble) for r in rows if r not in shown and r.trouble]
    absent += missing if shown else [("", *missing[0][1:])] if missing else []
    return [Group(label=label, family=subject.family, rows=shown)] if shown else []


def _not_drawn(absent: Iterable[_Absent]) -> tuple[str, ...]:
    """Say what is missing of whom and why: "Not drawn: criu and restore of a and b, unsupported: …"."""
    whose: dict[tuple[str, str], dict[str, None]] = {}
    for what, label, why in absent:
        whose.setdefault((what, why), {})[label] = None
    parts: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (what, why), labels in whose.items():
        parts.setdefault((tuple(labels), why), []).append(what)
    return pictures.not_drawn(
        (" of ".join(filter(None, (words.enumeration(whats), words.enumeration(labels)))), why)
        for (labels, why), whats in parts.items()
    )


_DOTS_OF = "Diamond: median of {}; thick bar: its 95 % interval; points: every trial; cross: failed."


def _way(params: Params) -> str:
    """Return what tells one way from the others: "unpause" for a mode alone, else all the parameters."""
    return params[0][1] if [key for key, _ in params] == ["mode"] else words.conditions(params) or "plain"


def _n(groups: Iterable[Group]) -> str:
    return pictures.counted(len(r.values) for g in groups for r in g.rows if isinstance(r, Dots))


# ── one instance's memory ──


def accounts(view: View, scenario: ScenarioView) -> Figure | None:
    """Return one instance's memory by every account of the host, and apart from it what its guest believes."""
    if not {metric for _, metric, _ in HOST} <= scenario.metrics.keys():
        return None
    groups: list[Group] = []
    guests: list[Group] = []
    absent: list[_Absent] = []
    table: list[Row] = []
    for subject in view.ordered(view.row(scenario.name, *HOST[0][1:])):
        if subject.name in scenario.excluded or subject.twin_of:
            continue
        found = [_account(view, scenario, subject, *account) for account in HOST]
        inside = [row for row in (_account(view, scenario, subject, *account) for account in GUEST) if row.values]
        groups += _grouped(subject, subject.label, found, absent)
        guests += _grouped(subject, f"{subject.label}, seen from inside", inside, [])
        table += [_account_row(subject, r, host=True) for r in found]
        table += [_account_row(subject, r, host=False) for r in inside]
    if not groups:
        return None
    return Figure(
        key=pictures.key_of(scenario.name, "accounts"), title="One instance's memory, by every account",
        description=f"Between the least and the most of the host's accounts: {'; '.join(_apart(groups))}.",
        caption=f"{_DOTS_OF.format('one account')} Upright stroke: with the engine's daemons, which are there once "
        "for all instances. A slope is what one more takes. What a guest believes is no account of the host's and "
        f"stands below it. A value of 0 or below stands at the left edge. {_n((*groups, *guests))}",
        notes=(f"The account alone decides: {'; '.join(_apart(groups))}.", *_not_drawn(absent)),
        chart=GroupChart(unit=Unit.BYTES, groups=(*groups, *guests)),
        table=Table(
            caption="One instance's memory: median [95 % interval]; the host's view and the guest's are two things",
            columns=("subject", "account", "on the host", "with the daemons", "inside the guest", "n"),
            rows=tuple(table),
        ),
    )  # fmt: skip


def _account(
    view: View, scenario: ScenarioView, subject: SubjectView, title: str, metric: str, params: Params
) -> Dots:  # fmt: skip
    """Return one account of one subject as a row, the engine's daemons beside it where they are in the same account."""
    rows = {r.label: r for r in pictures.rows_of_dots(view, scenario, metric, params)}
    row = replace(rows.get(subject.label, Dots(label="")), label=title)
    daemons = view.estimates.get((scenario.name, subject.label, metric, _DAEMONS)) if params == _ONE else None
    if daemons is None or row.median is None:
        return row
    whole = row.median + daemons.median
    return replace(row, mark=whole, text=f"{row.text}; with daemons {format_value(whole, Unit.BYTES)}")


def _account_row(subject: SubjectView, row: Dots, *, host: bool) -> Row:
    text = row.text.partition(";")[0] or row.trouble or "–"
    with_daemons = "–" if row.mark is None else format_value(row.mark, Unit.BYTES)
    cells = (row.label, text, with_daemons, "–") if host else (row.label, "–", "–", text)
    n = str(len(row.values))
    return Row(head=subject.label, family=subject.family, emulated=subject.emulated, cells=(*cells, n))


def _apart(groups: Iterable[Group]) -> Iterable[str]:
    """Yield for each subject the least and the most that one of the accounts says, and how far they are apart."""
    for group in groups:
        known = sorted((r.median, r.label) for r in group.rows if isinstance(r, Dots) and r.median and r.median > 0.0)
        if len(known) > 1:
            (least, first), (most, last) = known[0], known[-1]
            ratio = format_value(most / least, Unit.RATIO, digits=2)
            ends = f"{format_value(least, Unit.BYTES)} ({first}) to {format_value(most, Unit.BYTES)} ({last})"
            yield f"{group.label} {ends}, {ratio}"


# ── many tools ──


def tools(view: View, scenario: ScenarioView) -> Figure | None:
    """Return every tool's result of every subject beside the baseline's, what is worse to the right; None for few."""
    headline = scenario.metrics.get(scenario.headline)
    if headline is None or headline.unit not in (Unit.PER_SECOND, Unit.BYTES_PER_SECOND):
        return None
    groups: list[Group] = []
    absent: list[_Absent] = []
    table: list[Row] = []
    compared: list[Comparison] = []
    for metric in scenario.metrics.values():
        cells = view.row(scenario.name, metric.name, ())
        found = [(s, view.comparisons.get((scenario.name, s.label, metric.name, ()))) for s in view.ordered(cells)]
        known = [(s, c) for s, c in found if c and c.better is not Better.NEITHER]
        if known:
            baseline = known[0][1].baseline
            rows = (_cost(pictures.ratio_row(s, c, cells[s.label], pictures.bound_of(s, metric)), c) for s, c in known)
            groups.append(Group(label=metric.name, rows=tuple(rows)))
            others = [s for s, c in found if not c and s.label != baseline and s.name not in scenario.excluded]
            absent += [(metric.name, s.label, words.trouble(cells[s.label])) for s in others]
            table += [_tool_row(metric.name, s, c) for s, c in known]
            compared += [c for _, c in known]
    if len(groups) < FEWEST_TOOLS:
        return None
    drawn = {r.label for g in groups for r in g.rows}
    absent = [(tool if label in drawn else "", label, why) for tool, label, why in absent]
    baseline = compared[0].baseline
    told = "; ".join(f"{g.label}: {', '.join(f'{r.label} {r.text}' for r in g.rows)}" for g in groups)
    return Figure(
        key=pictures.key_of(scenario.name, "tools"), title=f"Every tool beside {baseline}", description=f"{told}.",
        caption=f"How many times {baseline}'s cost, block by block, with 95 % intervals; rates are turned, so that "
        f"right is worse for every tool. {pictures.SHAPES} {pictures.counted((c.blocks for c in compared), 'blocks')}",
        notes=_not_drawn(absent), chart=GroupChart(unit=Unit.RATIO, groups=tuple(groups)),
        table=Table(
            caption=f"Each tool's result as a multiple of {baseline}'s, as measured; for a rate more is better",
            columns=("tool", "subject", "ratio [95 % interval]", "verdict", "blocks", "why"), rows=tuple(table),
        ),
    )  # fmt: skip


def _cost(row: RatioRow, c: Comparison) -> RatioRow:
    """Return the row turned so that above 1 is worse."""
    if c.better is not Better.HIGHER or not c.ratio:
        return row
    ratio, low, high = (1.0 / value if value else None for value in (row.ratio, row.high, row.low))
    bound = {"≥": "≤", "≤": "≥"}.get(row.bound, row.bound)
    text = f"{bound} {format_interval(ratio, low, high, Unit.RATIO)}, {c.word}".lstrip()
    return replace(row, ratio=ratio, low=low, high=high, bound=bound, text=text)


def _tool_row(tool: str, subject: SubjectView, c: Comparison) -> Row:
    ratio = format_interval(c.ratio, c.low, c.high, Unit.RATIO)
    cells = (subject.label, ratio, f"{words.VERDICT_SIGNS[c.verdict]} {c.word}", str(c.blocks), c.reason)
    return Row(head=tool, emulated=subject.emulated, cells=cells)


# ── cold and warm ──


def cold_over_warm(view: View, scenario: ScenarioView) -> Figure | None:
    """Return how many times as long each subject's cold start takes as its warm one, block by block; None without."""
    name = scenario.headline
    if not {_COLD, _WARM} <= set(view.variants(scenario.name, name)):
        return None
    cells, pairs = view.row(scenario.name, name, _COLD), _by_mode(view, scenario)
    compared = [
        (s, compare_cell(pairs[s.label, _COLD], pairs[s.label, _WARM]))
        for s in view.ordered(cells)
        if (s.label, _COLD) in pairs and (s.label, _WARM) in pairs and not s.twin_of
    ]
    metric = scenario.metrics[name]
    rows = []
    for subject, c in compared:
        own = pictures.bound_of(subject, metric)
        rows.append(pictures.ratio_row(subject, c, cells[subject.label], own.times(own.turned)))
    others = [s for s in view.ordered(cells) if s.label not in {r.label for r in rows} and not s.twin_of]
    absent = [(s.label, words.trouble(cells[s.label])) for s in others if s.name not in scenario.excluded]
    return Figure(
        key=pictures.key_of(scenario.name, "cold over warm"), title=f"{name}: how many times the warm start",
        description=f"Cold over warm: {'; '.join(f'{r.label} {r.text}' for r in rows)}.",
        caption=f"{name} with a cold cache over that with a warm one, block by block; bar: 95 % interval. "
        f"{pictures.SHAPES} {pictures.counted((c.blocks for _, c in compared), 'blocks')}",
        notes=pictures.not_drawn(absent), chart=ForestChart(baseline="warm", rows=tuple(rows)),
        table=Table(
            caption="Cold over warm", columns=("subject", "ratio [95 % interval]", "verdict", "blocks", "why"),
            rows=tuple(
                Row(head=s.label, family=s.family, emulated=s.emulated, note=s.title,
                    cells=(format_interval(c.ratio, c.low, c.high, Unit.RATIO),
                           f"{words.VERDICT_SIGNS[c.verdict]} {c.word}", str(c.blocks), c.reason))
                for s, c in compared
            ),
        ),
    )  # fmt: skip


def _by_mode(view: View, scenario: ScenarioView) -> dict[tuple[str, Params], list[Any]]:
    """Return the headline's rows that were tried, by label and mode."""
    found: dict[tuple[str, Params], list[Any]] = {}
    for row in view.rows:
        if (row["scenario"], row["metric"]) == (scenario.name, scenario.headline) and row["phase"] != "warmup":
            params = tuple(sorted((k, v) for k, v in row["params"].items() if k != "place"))
            if row["status"] in ("ok", "failed", "timeout"):
                found.setdefault((row["subject"], params), []).append(row)
    return found
