"""Where and on what: the host's facts, what each subject is made of, how to repeat the run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from bench.units import Unit, format_value
from report.data import FAMILIES, View, clean, mapping
from report.model import Row, Table
from report.pictures import FAMILY_TITLES

_DEEPEST = 6


def environment(view: View) -> tuple[Table, ...]:
    """Return the host's facts and the engines', one table a subject matter."""
    tables = []
    loose: list[Row] = []
    for name, value in mapping(view.facts).items():
        rows = [Row(head=" · ".join(path), cells=(text,)) for path, text in flat(value)]
        if isinstance(value, Mapping):
            tables.append((clean(name, 80), rows))
        else:
            loose += [Row(head=clean(name, 80), cells=row.cells) for row in rows]
    engines = [(f"engine: {clean(name, 80)}", flat(value)) for name, value in mapping(view.info.get("engines")).items()]
    tables += [(name, [Row(head=" · ".join(path), cells=(text,)) for path, text in found]) for name, found in engines]
    tables += [("host", loose)] if loose else []
    return tuple(Table(caption=name, columns=("fact", "value"), rows=tuple(rows)) for name, rows in tables if rows)


def flat(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Return (path, text) of every leaf; unknown stays "unknown", sizes are written as sizes."""
    if isinstance(value, Mapping) and len(path) < _DEEPEST:
        return [leaf for key, inner in value.items() for leaf in flat(inner, (*path, clean(key, 80)))]
    name = path[-1] if path else ""
    if value is None or value == "":
        text = "unknown"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, (int, float)) and name.endswith("_bytes"):
        text = format_value(float(value), Unit.BYTES)
    elif isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, (list, tuple)):
        text = clean(", ".join(clean(item, 200) for item in value)) or "none"
    else:
        text = clean(value)
    return [((*path[:-1], name.removesuffix("_bytes").replace("_", " ")) if path else ("",), text)]


def _manifests(view: View) -> dict[str, dict[str, str]]:
    told = {clean(label, 80): mapping(content) for label, content in mapping(view.info.get("manifests")).items()}
    return {
        label: {clean(k, 120): clean(v, 300) for k, v in told[label].items()}
        for label in (s.label for s in view.ordered(told) if not s.twin_of)
    }


def _common(manifests: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what every subject has, with the same content."""
    first = next(iter(manifests.values()), {})
    return {k: v for k, v in first.items() if len(manifests) > 1 and all(m.get(k) == v for m in manifests.values())}


def shared(view: View) -> Table | None:
    """Return what all subjects have in common, or None."""
    common = _common(_manifests(view))
    rows = tuple(Row(head=key, cells=(value,)) for key, value in common.items())
    return Table(caption="The same in every subject", columns=("part", "content"), rows=rows) if rows else None


def manifests(view: View) -> tuple[Table, ...]:
    """Return one table a family: what each subject is made of; a cell that differs from the first one's is marked."""
    found = _manifests(view)
    common = _common(found)
    tables = []
    for family in FAMILIES:
        members = {label: content for label, content in found.items() if view.subject(label).family == family}
        keys = [k for k in dict.fromkeys(k for content in members.values() for k in content) if k not in common]
        if not keys:
            continue
        rows = tuple(_manifest_row(key, [content.get(key) for content in members.values()]) for key in keys)
        columns = ("part", *(f"{label} ≤" if view.subject(label).emulated else label for label in members))
        tables.append(Table(caption=FAMILY_TITLES[family], columns=columns, rows=rows))
    return tuple(tables)


def _manifest_row(key: str, values: Iterable[str | None]) -> Row:
    texts = [value if value not in (None, "") else "–" for value in values]
    return Row(head=key, cells=tuple(map(str, texts)), marked=tuple(i for i, t in enumerate(texts) if t != texts[0]))


def command(view: View) -> str:
    """Return the command that repeats the run, seed included."""
    told = view.info.get("command")
    text = shlex.join(clean(word, 200) for word in told) if isinstance(told, (list, tuple)) else clean(told)
    seed = clean(view.info.get("seed"), 40)
    text = text or "bench run all"
    return text if not seed or "--seed" in text else f"{text} --seed {shlex.quote(seed)}"
