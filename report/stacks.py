"""The pictures of what a whole is made of: phases of a start, owners of memory, shared and unique bytes of disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.clock import Event
from bench.comparing.stats import estimate
from bench.units import Unit, format_value
from report import pictures, words
from report.data import Cell, MetricView, Params, ScenarioView, SubjectView, View
from report.figures import SHADES, Part, Stack, StackChart
from report.model import Figure, Row, Table

ROLES: Mapping[str, tuple[str, int]] = {
    "workload": ("workload", 5),
    "vmm": ("VMM with its guest", 4),
    "shim": ("shim", 1),
    "control-plane": ("control plane, shared by all", 0),
}
"""Title and shade of each owner of memory or CPU time, by its samples' `part`, in the order of drawing."""

_PHASE_SHADES = {
    "requested→created": 0, "created→started": 1, "created→init": 2, "started→kernel": 3, "kernel→init": 4,
    "init→ready": 5, "requested→init": 6, "requested→ready": 7,
}  # fmt: skip

Column = tuple[Part, Mapping[str, Cell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wholes:
    """What is stacked: the cells of every part in order, those of the wholes, and what the wholes are called.

    `apart`: the key of the part that the wholes leave out.
    """

    columns: Sequence[Column]
    totals: Mapping[str, Cell]
    metric: MetricView
    called: str
    apart: str = ""


def waterfall(view: View, scenario: ScenarioView) -> Figure | None:
    """Return the median phases of each subject, chained, in panels that each have a scale of their own."""
    shown = view.principal(scenario.name, scenario.headline)
    phase = tuple(sorted((*shown, ("part", "phase"))))
    found = {m: p for m, p in view.cells.get(scenario.name, {}) if p == phase}
    names = sorted(found, key=_place_in_life)
    columns = [
        (
            Part(key=name, title=name, shade=_PHASE_SHADES.get(name, index % SHADES)),
            view.row(scenario.name, name, found[name]),
        )
        for index, name in enumerate(names)
    ]
    totals = view.row(scenario.name, scenario.headline, shown)
    metric = scenario.metrics[scenario.headline]
    wholes = _Wholes(columns=columns, totals=totals, metric=metric, called=f"median of {metric.name}")
    key = pictures.key_of(scenario.name, "phases")
    return _figure(view, scenario, wholes, key=key, title=f"Where the time goes{words.at(shown)}")


def _place_in_life(phase: str) -> tuple[int, int, str]:
    """Return where a phase stands in an instance's life."""
    order = {str(event): place for place, event in enumerate(Event)}
    first, _, second = phase.partition("→")
    return order.get(first, len(order)), order.get(second, len(order)), phase


def attributed(view: View, scenario: ScenarioView) -> MetricView | None:
    """Return the metric whose samples say whose it is: the headline if its do, else the first that does."""
    names = {m for m, p in view.cells.get(scenario.name, {}) if dict(p).get("part") in ROLES}
    ordered = [m for m in (scenario.headline, *scenario.metrics) if m in names and m in scenario.metrics]
    return scenario.metrics[ordered[0]] if ordered else None


def owners(view: View, scenario: ScenarioView, metric: MetricView, params: Params) -> Figure | None:
    """Return who owns how much of a metric, for the parameters of one of its totals."""
    rest = tuple(item for item in params if item[0] != "part")
    columns = [
        (
            Part(key=role, title=title, shade=shade),
            view.row(scenario.name, metric.name, tuple(sorted((*rest, ("part", role))))),
        )
        for role, (title, shade) in ROLES.items()
    ]
    columns = [(part, cells) for part, cells in columns if any(cell.values for cell in cells.values())]
    totals = view.row(scenario.name, metric.name, params)
    apart = _is_apart(columns, totals)
    whose = "without the control plane" if apart else "all parts"
    wholes = _Wholes(
        columns=columns, totals=totals, metric=metric, called=f"median of {metric.name}, {whose}",
        apart="control-plane" if apart else "",
    )  # fmt: skip
    key = pictures.key_of(scenario.name, "owners", metric.name, *(f"{k} {v}" for k, v in rest))
    return _figure(view, scenario, wholes, key=key, title=f"Whose it is: {metric.name}{words.at(rest)}")


def _is_apart(columns: Sequence[Column], totals: Mapping[str, Cell]) -> bool:
    """Say whether the totals leave the control plane out: it is there whether or not the instance is."""
    for label, cell in totals.items():
        parts = {part.key: estimate(cells[label].numbers) for part, cells in columns if label in cells}
        found, total = {key: e.median for key, e in parts.items() if e}, estimate(cell.numbers)
        if total and total.median < sum(found.values()) - found.get("control-plane", 0.0) / 2.0:
            return True
    return False


def shares(view: View, scenario: ScenarioView) -> Figure | None:
    """Return the bytes all instances share and what each has of its own, beside their sum."""
    if not {"shared", "unique"} <= scenario.metrics.keys():
        return None
    columns: list[Column] = [
        (Part(key="shared", title="shared by all", shade=1), view.row(scenario.name, "shared", params))
        for params in view.variants(scenario.name, "shared")[:1]
    ]
    for place, params in enumerate(view.variants(scenario.name, "unique")[:4]):
        title = f"{words.conditions(params) or 'an instance'} alone"
        part = Part(key=f"unique {place}", title=title, shade=(4, 3, 5, 2)[place])
        columns.append((part, view.row(scenario.name, "unique", params)))
    totals = view.row(scenario.name, scenario.headline, view.principal(scenario.name, scenario.headline))
    metric = scenario.metrics[scenario.headline]
    wholes = _Wholes(columns=columns, totals=totals, metric=metric, called=f"median of {metric.name}")
    key = pictures.key_of(scenario.name, "shares")
    return _figure(view, scenario, wholes, key=key, title="Disk: what is shared, what is each one's own")


def given_back(view: View, scenario: ScenarioView) -> Iterable[Figure]:
    """Yield what one instance held under a load: at rest, still held after it, and what the host got back."""
    if not {"load-pss", "load-kept", "load-returned"} <= scenario.metrics.keys():
        return
    at_rest = Part(key="idle", title="at rest", shade=1), view.row(scenario.name, "load-pss", (("state", "idle"),))
    for state, when in (("after", "after the load"), ("inflated", "once its balloon was inflated")):
        after: list[Column] = []
        for name, title, shade in (("load-kept", "still held", 4), ("load-returned", "given back", 0)):
            cells = view.row(scenario.name, name, (("state", state),))
            after.append((Part(key=name, title=title, shade=shade), {k: _positive(c) for k, c in cells.items()}))
        told = {label for label, cell in after[0][1].items() if cell.values}
        columns = [(at_rest[0], {k: c for k, c in at_rest[1].items() if k in told}), *after]
        totals = {k: c for k, c in view.row(scenario.name, "load-pss", (("state", "loaded"),)).items() if k in told}
        wholes = _Wholes(
            columns=columns, totals=totals, metric=scenario.metrics["load-pss"], called="median of load-pss under load"
        )
        key = pictures.key_of(scenario.name, "given back", state)
        figure = _figure(view, scenario, wholes, key=key, title=f"What the host gets back {when}")
        if figure is not None:
            yield replace(figure, caption=f"{figure.caption} What an emulator translated meanwhile is in ◆ alone.")


def _positive(cell: Cell) -> Cell:
    """Return the cell with what lies below nothing as nothing: a bar has no length below 0; the tables have it all."""
    return replace(cell, values=tuple((block, max(0.0, value)) for block, value in cell.values))


def _figure(view: View, scenario: ScenarioView, of: _Wholes, *, key: str, title: str) -> Figure | None:
    """Return a stacked picture of a metric with its table, or None when there is nothing to stack."""
    stacks, absent, counts = [], [], []
    for subject in view.ordered({label for cells in (*(c for _, c in of.columns), of.totals) for label in cells}):
        own = [cells[subject.label] for _, cells in of.columns if subject.label in cells]
        stack = _stack(subject, of)
        without = [cell for cell in (*own, of.totals.get(subject.label)) if cell and cell.missing]
        broken = next((cell for cell in without if cell.broken), None)
        if stack.parts:
            stacks.append(stack)
            counts.append(max(len(cell.numbers) for cell in own))
        elif broken:
            stacks.append(replace(stack, trouble=words.trouble(broken)))
        elif without and subject.name not in scenario.excluded:
            absent.append((subject.label, words.trouble(without[0])))
    if not counts:
        return None
    parts, unit = tuple(part for part, _ in of.columns), of.metric.unit
    chart = StackChart(unit=unit, parts=parts, stacks=tuple(stacks), total_text=of.called)
    titles = {part.key: part.title for part in parts}
    most = [f"{s.label} {s.text}, most of it {titles[max(s.parts, key=lambda p: p[1])[0]]}" for s in stacks if s.parts]
    beside = " After +: the control plane, which is there for all instances together." if of.apart else ""
    why = " Medians of parts need not add up to the median of the whole (◆)." if unit is Unit.SECONDS else ""
    return Figure(
        key=key, title=title, description=f"{'; '.join(most)}.", chart=chart, table=_table(view, chart, title),
        caption="Medians, one after another. Each panel has a linear scale of its own, so that bars of very different "
        f"length can be read; compare lengths within a panel, figures between panels.{beside}{why} "
        f"{pictures.counted(counts)}",
        notes=pictures.not_drawn(absent),
    )  # fmt: skip


def _stack(subject: SubjectView, of: _Wholes) -> Stack:
    """Return one subject's medians; without parts where none of them has a value."""
    medians = {
        part.key: found.median
        for part, cells in of.columns
        if subject.label in cells and (found := estimate(cells[subject.label].numbers))
    }
    if not medians:
        return Stack(label=subject.label, family=subject.family)
    whole = estimate(of.totals[subject.label].numbers) if subject.label in of.totals else None
    sign, unit = words.sign_of(subject, of.metric), of.metric.unit
    text = sign + format_value(whole.median if whole else sum(medians.values()), unit)
    text += f" + {format_value(medians[of.apart], unit)}" if of.apart in medians else ""
    return Stack(
        label=subject.label, family=subject.family, bound=sign.strip(), parts=tuple(medians.items()),
        total=whole.median if whole else None, text=text,
    )  # fmt: skip


def _table(view: View, chart: StackChart, title: str) -> Table:
    rows = []
    for stack in chart.stacks:
        medians, subject = dict(stack.parts), view.subject(stack.label)
        texts = [format_value(medians.get(part.key), chart.unit) for part in chart.parts]
        rows.append(
            Row(head=stack.label, family=stack.family, emulated=bool(stack.bound), note=subject.title,
                cells=(*texts, stack.trouble or format_value(stack.total, chart.unit)))
        )  # fmt: skip
    columns = ("subject", *(part.title for part in chart.parts), chart.total_text)
    return Table(caption=f"{title}: medians", columns=columns, rows=tuple(rows))
