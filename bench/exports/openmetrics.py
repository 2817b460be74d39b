"""OpenMetrics text, for a Prometheus that scrapes a file: gauges in base units, their names ending with the unit.

The specification is prometheus.io/docs/specs/om/open_metrics_spec. Only gauges, and no timestamps, so that the older
Prometheus text format, which node_exporter's textfile collector reads, takes the same file: to it `# UNIT` and
`# EOF` are comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.exports import Export
from bench.exports.entries import Entry, entries, failed_trials, without_value
from bench.store import Run
from bench.units import Unit

_SUFFIXES = {
    Unit.SECONDS: "seconds", Unit.BYTES: "bytes", Unit.RATIO: "ratio", Unit.COUNT: "",
    Unit.CPU_SECONDS_PER_HOUR: "cpu_seconds_per_hour", Unit.PER_SECOND: "per_second",
    Unit.BYTES_PER_SECOND: "bytes_per_second", Unit.BYTES_PER_HOUR: "bytes_per_hour",
}  # fmt: skip
"""How the name of a metric in this unit ends. Values are never rescaled."""

_OWN_LABELS = frozenset({"subject", "backend", "scenario", "le", "quantile"})

Labels = Mapping[str, str]


def openmetrics(run: Run) -> Export:
    """Return medians, the bounds of their intervals, how many values, and failed trials, a gauge family each.

    `bench_startup_requested_to_ready_seconds{subject="docker",mode="warm"}` is the median; `…_low_seconds` and
    `…_high_seconds` are the bounds, absent where there is no interval; `…_measurements` counts the values.
    `bench_run_info` names the run.
    """
    found = [entry for entry in entries(run) if entry.estimate is not None]
    lines = list(_family("bench_run_info", "", "the run these figures come from", [(_info(run), 1.0)]))
    taken = {"bench_run_info", "bench_failed_trials"}
    for scenario, metric in dict.fromkeys((entry.scenario, entry.metric) for entry in found):
        group = [entry for entry in found if (entry.scenario, entry.metric) == (scenario, metric)]
        lines += _families(group, taken)
    failed = [({"scenario": s, "subject": label}, float(n)) for (s, label), n in failed_trials(run).items()]
    if failed:
        lines += _family("bench_failed_trials", "", "measured trials that failed or timed out", failed)
    return Export(text="\n".join([*lines, "# EOF"]) + "\n", count=len(found), notes=without_value(entries(run)))


def _families(group: list[Entry], taken: set[str]) -> Iterator[str]:
    """Yield the four families of one metric of one scenario."""
    first = group[0]
    suffix = _SUFFIXES[first.unit]
    stem = _unique(f"bench_{_word(first.scenario)}_{_word(first.metric)}", taken)
    labels = [_labels(entry) for entry in group]
    what = f"{first.metric} of the scenario {first.scenario}"
    unit = suffix if first.unit in (Unit.SECONDS, Unit.BYTES, Unit.RATIO) else ""
    for part, told, attribute in (
        ("", f"median {what}", "median"),
        ("low", f"lower bound of the median's 95 % interval, {what}", "low"),
        ("high", f"upper bound of the median's 95 % interval, {what}", "high"),
    ):
        values = [(known, getattr(entry.estimate, attribute)) for known, entry in zip(labels, group, strict=True)]
        have = [(known, value) for known, value in values if value is not None]
        if have:
            yield from _family("_".join(filter(None, (stem, part, suffix))), unit, told, have)
    counts = [(known, float(len(entry.values))) for known, entry in zip(labels, group, strict=True)]
    yield from _family(f"{stem}_measurements", "", f"how many values the median has, {what}", counts)


def _family(name: str, unit: str, told: str, samples: Sequence[tuple[Labels, float]]) -> Iterator[str]:
    yield f"# TYPE {name} gauge"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {_escaped(told)}"
    for labels, value in samples:
        told_labels = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{told_labels}}} {value!r}"


def _labels(entry: Entry) -> Labels:
    labels = {"subject": entry.subject, "backend": entry.backend}
    for key, value in entry.params:
        name = _word(key)
        name = f"param_{name}" if name in _OWN_LABELS or name.startswith("_") or not name[:1].isalpha() else name
        while name in labels:
            name += "_"
        labels[name] = value
    return labels


def _info(run: Run) -> Labels:
    told: dict[str, Any] = {
        "run_id": run.run_id, "host_id": run.facts.get("host_id"), "profile": run.info.get("profile"),
        "seed": run.info.get("seed"), "version": run.info.get("version"), "ending": run.info.get("ending"),
    }  # fmt: skip
    return {key: str(value) for key, value in told.items() if value is not None}


def _word(text: str) -> str:
    """Return a text as part of a name: "requested→ready" becomes requested_to_ready."""
    return re.sub(r"_+", "_", re.sub(r"[^a-zA-Z0-9_]", "_", text.replace("→", "_to_"))).strip("_")


def _unique(stem: str, taken: set[str]) -> str:
    """Return the stem, with a number behind it where a family of another metric has one of its names."""

    def names(of: str) -> set[str]:
        return {of, *(f"{of}_{part}" for part in ("low", "high", "measurements"))}

    name, number = stem, 2
    while names(name) & taken:
        name, number = f"{stem}_{number}", number + 1
    taken |= names(name)
    return name


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
