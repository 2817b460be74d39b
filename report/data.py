"""A run as the report sees it: cleaned of what a stranger may have put into it, ordered, never completed by guesses.

A run's folder is hostile input: any key may be missing, any string may hold anything. Every text that leaves this
module is printable and of bounded length, every number finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import text
from bench.comparing.compare import Comparison, compare, noise_floor, twins
from bench.comparing.stats import Estimate, estimates
from bench.judging.summary import telling
from bench.store import Run
from bench.units import Better, Unit

FAMILIES: tuple[str, ...] = ("process", "oci", "docker", "vm", "other")
"""The kinds of subject that share a colour, from the process outwards."""

NOISE: tuple[str, ...] = ("steal_s", "pressure_cpu_s", "pressure_io_s", "pressure_memory_s", "load")
"""The columns that say what the host did beside a trial."""

_FAMILY_OF = {"process": "process", "oci": "oci", "docker": "docker", "podman": "docker", "libvirt": "vm"}
_MOST = 1e100
_BROKEN = ("failed", "timeout")


clean = text.clean
"""What becomes of a stranger's text before it leaves this module."""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listing(value: Any) -> list[Any]:
    """Return the value if it is a list or tuple, else an empty list."""
    return list(value) if isinstance(value, (list, tuple)) else []


def number(value: Any) -> float | None:
    """Return a number that something measured may have, or None for anything else.

    Whatever is larger than 1e100, or nearer to 0 than its reciprocal, would overflow where two of them are divided.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if value == 0 or 1.0 / _MOST <= abs(value) <= _MOST else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectView:
    """One subject as it was really run. `label` is its name in the rows ("vm-direct@tcg")."""

    label: str
    name: str
    title: str = ""
    family: str = "other"
    rung: int = 10_000
    twin_of: str = ""
    emulated: bool = False

    @property
    def order(self) -> tuple[int, str]:
        """Where it stands on the ladder."""
        return self.rung, self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricView:
    """One metric of a scenario, as declared, or as its rows say where no declaration is left."""

    name: str
    unit: Unit
    better: Better = Better.LOWER
    title: str = ""
    exact: bool = False
    constant: bool = False
    counted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioView:
    """One question as it was declared when the run was made."""

    name: str
    title: str
    question: str
    headline: str
    baseline: str
    metrics: Mapping[str, MetricView]
    order: int = 100
    excluded: Mapping[str, str] = field(default_factory=dict)
    emulation: tuple[str, str] = ("", "")
    """The metric that tells what of an emulated guest's headline is the emulator's own, and what it is called."""


Params = tuple[tuple[str, str], ...]
"""What tells one number of a trial from its neighbours, sorted; `place` is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """All measured samples of one metric under one set of parameters for one subject.

    Attributes:
        values: (block, value) of every sample that has a value, in the order they were taken.
        told: what was said beside each of these values, "" for nothing.
        missing: (status, reason) of every sample that has none.
        lost: the blocks of those of them that failed or timed out.
    """

    values: tuple[tuple[int, float], ...] = ()
    told: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    lost: tuple[int, ...] = ()

    @property
    def numbers(self) -> list[float]:
        """The values alone."""
        return [value for _, value in self.values]

    @property
    def broken(self) -> bool:
        """True when there is no value because something failed."""
        return not self.values and bool(self.lost)

    @property
    def failed(self) -> list[str]:
        """The reasons of the samples that failed or timed out (not those that make no sense)."""
        return [reason or status for status, reason in self.missing if status in _BROKEN]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The whole run, indexed.

    Attributes:
        info, facts: run.json and facts.json as they were found: clean what you take from them.
        rows: the samples, cleaned.
        cells: by scenario, (metric, params) and label.
        estimates: by (scenario, label, metric, params).
        comparisons: beside the scenario's baseline, by (scenario, label, metric, params).
        floors: the A/A pairs.
    """

    info: Mapping[str, Any]
    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    subjects: Mapping[str, SubjectView]
    scenarios: Mapping[str, ScenarioView]
    cells: Mapping[str, Mapping[tuple[str, Params], Mapping[str, Cell]]]
    estimates: Mapping[tuple[str, str, str, Params], Estimate]
    comparisons: Mapping[tuple[str, str, str, Params], Comparison]
    floors: Sequence[Comparison]

    def subject(self, label: str) -> SubjectView:
        """Return what is known of a subject; for an unknown one, its label alone."""
        return self.subjects.get(label) or SubjectView(label=label, name=label.partition("@")[0])

    def ordered(self, labels: Iterable[str]) -> list[SubjectView]:
        """Return subjects in the order of the ladder."""
        return sorted((self.subject(label) for label in labels), key=lambda s: s.order)

    def row(self, scenario: str, metric: str, params: Params) -> Mapping[str, Cell]:
        """Return the cells of all subjects for one metric under one set of parameters.

        A pairing that was refused, or failed as a whole, has no parameters: it belongs to every choice of them.
        """
        cells = self.cells.get(scenario, {})
        refused = {label: cell for label, cell in cells.get((metric, ()), {}).items() if not cell.values}
        return {**refused, **cells.get((metric, params), {})}

    def variants(self, scenario: str, metric: str) -> list[Params]:
        """Return every set of parameters a metric has a value under.

        Those first that most subjects were tried under (one that failed there was tried, one for which it makes no
        sense was not), then the most telling (total, one instance).
        """
        found = {
            params: sum(bool(cell.values or cell.failed) for cell in cells.values())
            for (name, params), cells in self.cells.get(scenario, {}).items()
            if name == metric and dict(params).get("part") != "phase" and any(cell.values for cell in cells.values())
        }
        return sorted(found, key=lambda params: (-found[params], telling(params)))

    def principal(self, scenario: str, metric: str) -> Params:
        """Return the parameters under which a metric is shown first; none where it has no value at all."""
        return next(iter(self.variants(scenario, metric)), ())


def view(run: Run) -> View:
    """Index a run, estimate and compare. Pure; never raises for what the run says or leaves out."""
    rows = [_row(row) for row in sorted(run.rows, key=lambda r: number(r.get("trial")) or 0.0)]
    subjects = _subjects(run.info, {row["subject"] for row in rows})
    told = mapping(run.info.get("scenarios"))
    found = {name: _scenario(name, mapping(told.get(name)), rows) for name in {row["scenario"] for row in rows}}
    scenarios = dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))
    plain = [row for row in rows if row["params"].get("part") != "phase"]
    floors = noise_floor(plain, _twins(subjects))
    baselines = {name: _baseline(scenario, subjects) for name, scenario in scenarios.items()}
    return View(
        info=run.info, facts=mapping(run.facts), rows=rows, subjects=subjects, scenarios=scenarios, cells=_cells(rows),
        estimates={_key(*key): value for key, value in estimates(rows).items()},
        comparisons={(c.scenario, c.subject, c.metric, c.params): c for c in compare(plain, baselines, floors=floors)},
        floors=floors,
    )  # fmt: skip


def _key(*key: Any) -> tuple[str, str, str, Params]:
    scenario, subject, metric, params = key
    return scenario, subject, metric, tuple((k, v) for k, v in params if k != "place")


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with clean texts, known units and finite values; what is not finite has failed."""
    value, status, reason = number(row.get("value")), clean(row.get("status"), 20), clean(row.get("reason"))
    if value is None and status == "ok":
        status, reason = "failed", "the stored value is not a finite number"
    params = {clean(k, 40): clean(v, 80) for k, v in mapping(row.get("params")).items()}
    return {
        **{key: clean(row.get(key), 120) for key in ("scenario", "subject", "metric", "phase", "run_id", "host_id")},
        "params": params, "value": value if status == "ok" else None, "status": status, "reason": reason,
        "unit": _unit(row.get("unit")), "better": _better(row.get("better")),
        "block": int(number(row.get("block")) or 0), "trial": int(number(row.get("trial")) or 0),
        "started_s": (number(row.get("started_ns")) or 0.0) / 1e9,
        **{key: number(row.get(key)) for key in NOISE},
    }  # fmt: skip


def _twins(subjects: Mapping[str, SubjectView]) -> dict[str, str]:
    told = {s.label: {"twin_of": s.twin_of} for s in subjects.values()}
    return {twin: original for twin, original in twins({"subjects": told}).items() if original in subjects}


def _baseline(scenario: ScenarioView, subjects: Mapping[str, SubjectView]) -> str:
    """Return the label under which a scenario's baseline was run, or "" if it was not."""
    return next((s.label for s in subjects.values() if s.name == scenario.baseline), "")


def _subjects(info: Mapping[str, Any], labels: set[str]) -> dict[str, SubjectView]:
    declared = {clean(k, 80): mapping(v) for k, v in mapping(info.get("subjects")).items()}
    found = [_subject(label, declared.get(label, {})) for label in sorted(labels | declared.keys()) if label]
    return {s.label: s for s in sorted(found, key=lambda s: s.order)}


def _subject(label: str, told: Mapping[str, Any]) -> SubjectView:
    name, _, suffix = label.partition("@")
    backend = clean(told.get("backend"), 80)
    rung = told.get("rung")
    return SubjectView(
        label=label,
        name=clean(told.get("name"), 80) or name,
        title=clean(told.get("title"), 200),
        family=_FAMILY_OF.get(backend) or _guessed_family(name),
        rung=rung if isinstance(rung, int) else 10_000,
        twin_of=clean(told.get("twin_of"), 80),
        emulated="tcg" in (suffix, told.get("accelerator")),
    )


def _guessed_family(name: str) -> str:
    """Return the family a name speaks of, for runs that do not say which backend ran a subject."""
    if name.startswith(("process", "namespaces")):
        return "process"
    return next((family for family in ("oci", "docker", "vm") if name.startswith(family)), "other")


def _scenario(name: str, told: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> ScenarioView:
    metrics = {}
    for metric in map(mapping, listing(told.get("metrics"))):
        key = clean(metric.get("name"), 120)
        metrics[key] = MetricView(
            name=key,
            unit=_unit(metric.get("unit")),
            better=_better(metric.get("better")),
            exact=metric.get("exact") is True,
            constant=metric.get("constant") is True,
            counted=clean(metric.get("counted"), 120),
            title=clean(metric.get("title"), 200),
        )
    for row in rows:
        key = row["metric"]
        if row["scenario"] == name and key not in metrics and row["params"].get("part") != "phase":
            metrics[key] = MetricView(name=key, unit=row["unit"], better=row["better"])
    order = told.get("order")
    headline, emulation = clean(told.get("headline"), 120), mapping(told.get("emulation"))
    return ScenarioView(
        name=name,
        title=clean(told.get("title"), 120) or name,
        question=clean(told.get("question"), 300),
        headline=headline if headline in metrics else next(iter(metrics), ""),
        baseline=clean(told.get("baseline"), 80),
        metrics=metrics,
        order=order if isinstance(order, int) else 100,
        excluded={clean(k, 80): clean(v) for k, v in mapping(told.get("excluded")).items()},
        emulation=(clean(emulation.get("metric"), 120), clean(emulation.get("noun"), 80)),
    )


def _unit(value: Any) -> Unit:
    try:
        return Unit(value)
    except ValueError:
        return Unit.COUNT


def _better(value: Any) -> Better:
    try:
        return Better(value)
    except ValueError:
        return Better.LOWER


def _cells(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[tuple[str, Params], dict[str, Cell]]]:
    found: dict[tuple[str, str, str, Params], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["phase"] != "warmup":
            key = _key(row["scenario"], row["subject"], row["metric"], sorted(row["params"].items()))
            found.setdefault(key, []).append(row)
    table: dict[str, dict[tuple[str, Params], dict[str, Cell]]] = {}
    for (scenario, label, metric, params), of_cell in found.items():
        table.setdefault(scenario, {}).setdefault((metric, params), {})[label] = _cell(of_cell)
    return table


def _cell(rows: Iterable[Mapping[str, Any]]) -> Cell:
    measured: list[Mapping[str, Any]] = []
    missing: list[Mapping[str, Any]] = []
    for row in rows:
        (measured if row["status"] == "ok" else missing).append(row)
    return Cell(
        values=tuple((row["block"], row["value"]) for row in measured),
        told=tuple(row["reason"] for row in measured),
        missing=tuple((row["status"], row["reason"]) for row in missing),
        lost=tuple(row["block"] for row in missing if row["status"] in _BROKEN),
    )
