"""How far the numbers can be relied on: noise floor, blocks, drift, what the host did beside, what never ran."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.comparing.compare import Comparison
from bench.comparing.stats import Drift, drift, values_needed
from bench.comparing.stopping import in_a_line
from bench.text import plural
from bench.units import Unit, format_interval, format_value
from report import words
from report.data import View, clean, listing, mapping
from report.figures import DriftChart, Track
from report.model import Figure, Note, Row, Table, Trust
from report.pictures import counted, ladder_scenario

Drifts = Mapping[str, dict[str, Drift]]
"""By scenario and label."""

_KNOWN_WELL = 1.05
"""An A/A pair whose interval reaches no further than this factor leaves nothing to warn of."""


def trust(view: View) -> Trust:
    """Return what a reader must know before believing a number of this run."""
    moved = _drifts(view)
    return Trust(
        lines=tuple(_lines(view, moved)), notes=tuple(_notes(view)), figure=_drift_figure(view, moved),
        table=_floor_table(view),
    )  # fmt: skip


def _lines(view: View, moved: Drifts) -> Iterable[tuple[str, str]]:
    yield "noise floor", noise_floor(view)
    kept = [r for r in view.rows if r["status"] == "ok" and r["phase"] != "warmup"]
    blocks = {name: len({r["block"] for r in kept if r["scenario"] == name})
              for name in view.scenarios}  # fmt: skip
    text = ", ".join(f"{view.scenarios[name].title} {count}" for name, count in blocks.items()) or "none"
    few = any(count < values_needed() for count in blocks.values())
    yield (
        "blocks",
        f"{text}. "
        + (f"Below {values_needed()} blocks no verdict is given." if few else "Enough for verdicts at 95\u00a0%."),
    )
    run = {r["trial"] for r in view.rows if r["trial"] >= 0}
    broken = {r["trial"] for r in view.rows if r["status"] in ("failed", "timeout") and r["trial"] >= 0}
    planned = view.info.get("planned_trials", view.info.get("trials"))
    of = f" of {planned} planned" if isinstance(planned, int) else ""
    yield "trials", f"{len(run)} ran{of}; {plural(len(broken), 'trial')} failed or timed out, kept and shown."
    stopped = clean(in_a_line(view.info), 2000)
    if stopped:
        yield "stopped", f"{stopped}."
    ending = clean(view.info.get("ending"), 200)
    yield "ending", "The run was completed." if ending == "complete" else f"The run ended early: {ending or 'unknown'}."
    yield "order", f"Interleaved balanced blocks, seed {clean(view.info.get('seed'), 40) or 'unknown'}."
    yield "drift", _drift_sentence(view, moved)
    yield "beside the trials", _beside(view)


def noise_floor(view: View) -> str:
    """Return what the A/A pairs say, in one sentence."""
    headlines = {(s.name, s.headline, view.principal(s.name, s.headline)) for s in view.scenarios.values()}
    told = [c for c in view.floors if (c.scenario, c.metric, c.params) in headlines and c.deviation is not None]
    if not told:
        return "No A/A pair was measured: how large a difference of nothing looks here is unknown."
    most = max(told, key=lambda c: c.deviation or 1.0)
    share = (most.deviation or 1.0) - 1.0
    pair = f"{most.subject} beside {most.baseline}, {most.metric}, {plural(most.blocks, 'block')}"
    return (
        f"The same subject measured twice differed by {share:.1%} at most, medians of a pair compared ({pair}). "
        f"Smaller differences between subjects mean nothing here. {_floor_known(told)}"
    )


def _floor_known(told: Sequence[Comparison]) -> str:
    """Say how well the floor is known: no better than the widest interval of an A/A pair."""
    spans = [(max(c.high, 1.0 / c.low), c) for c in told if c.low and c.high]
    if not spans:
        return "No pair has enough blocks for an interval: how well the floor is known is unknown."
    reach, widest = max(spans, key=lambda span: span[0])
    interval = words.tight(format_interval(widest.ratio, widest.low, widest.high, Unit.RATIO))
    text = f"The widest 95\u00a0% interval of a pair is {interval} ({widest.subject}, {widest.metric})"
    return f"{text}: the floor itself is not known better than that." if reach > _KNOWN_WELL else f"{text}."


def _floor_table(view: View) -> Table | None:
    headlines = {(s.name, s.headline) for s in view.scenarios.values()}
    rows = tuple(
        Row(head=f"{c.subject} / {c.baseline}", family=view.subject(c.subject).family,
            emulated=view.subject(c.subject).emulated,
            note=", ".join(filter(None, (c.scenario, c.metric, words.conditions(c.params)))),
            cells=(c.text, str(c.blocks)))
        for c in view.floors if (c.scenario, c.metric) in headlines
    )  # fmt: skip
    columns = ("pair", "ratio [95 % interval]", "blocks")
    return Table(caption="A/A pairs: each should be 1×", columns=columns, rows=rows) if rows else None


def _drifts(view: View) -> Drifts:
    """Return how each subject's headline moved over the run, by scenario, where its samples tell."""
    wanted = {s.name: (s.headline, view.principal(s.name, s.headline)) for s in view.scenarios.values()}
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for r in view.rows:
        asked = (r["metric"], tuple(sorted(r["params"].items())))
        if r["status"] == "ok" and r["phase"] != "warmup" and asked == wanted[r["scenario"]]:
            found.setdefault((r["scenario"], r["subject"]), []).append(r)
    moved: Drifts = {name: {} for name in view.scenarios}
    for subject in view.ordered({label for _, label in found}):
        for name in view.scenarios:
            rows = found.get((name, subject.label), [])
            seen = drift([r["started_s"] for r in rows], [r["value"] for r in rows])
            if seen:
                moved[name][subject.label] = seen
    return moved


def _moved(seen: Drift) -> str:
    return f"{seen.over_run:+.0%} [{seen.low:+.0%} … {seen.high:+.0%}]".replace("-", "−")


def _drift_sentence(view: View, moved: Drifts) -> str:
    found = []
    for scenario in view.scenarios.values():
        parts = [f"{label} {_moved(seen)}" for label, seen in moved[scenario.name].items() if seen.present]
        found += [f"{scenario.title}: {', '.join(parts)}"] if parts else []
    if not found:
        return "No headline moved from the beginning of the run to its end by more than its samples' own spread."
    return f"These headlines moved (change from first to last trial with its 95 % interval): {'; '.join(found)}."


def _beside(view: View) -> str:
    """Say what the host did beside the trials. The readings are one a trial, repeated in its rows."""
    trials: dict[int, Mapping[str, Any]] = {r["trial"]: r for r in view.rows if r["trial"] >= 0}
    names = {
        "steal_s": "taken by the hypervisor above", "pressure_cpu_s": "waiting for a CPU (PSI)",
        "pressure_io_s": "waiting for input and output (PSI)", "pressure_memory_s": "waiting for memory (PSI)",
    }  # fmt: skip
    parts = []
    for key, text in names.items():
        values = [row[key] for row in trials.values() if row[key] is not None]
        parts.append(f"{format_value(sum(values), Unit.SECONDS)} {text}" if values else f"{text}: unknown")
    loads = [row["load"] for row in trials.values() if row["load"] is not None]
    return f"{'; '.join(parts)}" + (f"; median load {statistics.median(loads):.2f}." if loads else ".")


def _drift_figure(view: View, moved: Drifts) -> Figure | None:
    scenario = ladder_scenario(view)
    if scenario is None:
        return None
    cells = view.row(scenario.name, scenario.headline, view.principal(scenario.name, scenario.headline))
    tracks = []
    for subject in view.ordered(cells):
        cell = cells[subject.label]
        middle = statistics.median(cell.numbers) if cell.values else 0.0
        points = tuple((block, value / middle) for block, value in cell.values) if middle > 0.0 else ()
        if points or cell.lost:
            tracks.append(Track(label=subject.label, family=subject.family, points=points, lost=cell.lost))
    if max((len(track.points) for track in tracks), default=0) < 2:
        return None
    return Figure(
        key="drift-figure", title="Every trial beside its subject's median, by block",
        description=_drift_sentence(view, moved), small=True,
        caption=f"{scenario.headline}, each trial divided by its subject's median; cross: failed. A slope or a step is "
        "drift; equal scatter is noise. Colours are those of the ladder; the key names each shape. "
        f"{counted(len(track.points) for track in tracks)}",
        chart=DriftChart(tracks=tuple(tracks)),
        table=Table(
            caption="Change from the first to the last trial along the Theil–Sen line, as a share of the median",
            columns=("subject", "change [95 % interval]", "n"),
            rows=tuple(
                Row(head=label, family=view.subject(label).family, emulated=view.subject(label).emulated,
                    cells=(_moved(seen), str(seen.n)))
                for label, seen in moved[scenario.name].items()
            ),
        ),
    )  # fmt: skip


def _notes(view: View) -> Iterable[Note]:
    for told in map(mapping, listing(view.info.get("findings"))):
        what = clean(told.get("what"))
        if what:
            yield Note(
                level=clean(told.get("level"), 20) or "note",
                what=words.sentence(what),
                why=words.sentence(clean(told.get("why"))),
                remedy=clean(told.get("remedy")),
            )
    emulated = [s.label for s in view.subjects.values() if s.emulated]
    if emulated:
        yield Note(
            level="warning",
            what=f"{plural(len(emulated), 'subject')} ran by software emulation: {words.enumeration(emulated)}.",
            why="Emulated guests are slower than virtualised ones: every time and cost of theirs is an upper bound.",
            remedy="measure on a host where KVM runs an ordinary guest kernel",
        )
    yield from _refusals(view)


def _refusals(view: View) -> Iterable[Note]:
    """Yield one note a reason: forty pairings refused for one missing engine are one line."""
    refused: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for told in map(mapping, listing(view.info.get("refusals"))):
        reason = clean(told.get("reason"))
        if reason and told.get("missing", True):
            pairing = (clean(told.get("subject"), 80), clean(told.get("scenario"), 80))
            refused.setdefault((reason, clean(told.get("hint"))), []).append(pairing)
    for (reason, hint), pairings in refused.items():
        who = words.enumeration(list(dict.fromkeys(subject for subject, _ in pairings)))
        where = words.enumeration(list(dict.fromkeys(scenario for _, scenario in pairings)))
        yield Note(level="note", what=words.sentence(f"not run in {where}: {who}; {reason}"), remedy=hint)
