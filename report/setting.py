"""Where and on what: the host's facts, what each subject is made of, how to repeat the run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from bench.text import plural
from bench.units import Unit, format_value
from report.data import FAMILIES, View, clean, mapping, number
from report.model import Row, Table
from report.pictures import FAMILY_TITLES

_DEEPEST = 6


def host(view: View) -> str:
    """Return on what the run was measured, in a line: processor, memory, whether it is a guest itself, how VMs ran."""
    cpu, memory, about = (mapping(view.facts.get(name)) for name in ("cpu", "memory", "virtualisation"))
    count, size = number(cpu.get("count")), number(memory.get("total_bytes"))
    told = [
        clean(cpu.get("model"), 80),
        plural(int(count), "CPU") if count else "",
        format_value(size, Unit.BYTES) if size else "",
        "itself a virtual machine" if about.get("guest") is True else "",
        _guests(view),
    ]
    return ", ".join(filter(None, told))


def _guests(view: View) -> str:
    """Return how the guests ran: which accelerators, emulation in words."""
    found = {s.label.partition("@")[2] for s in view.subjects.values() if s.family == "vm"} - {""}
    if found == {"tcg"}:
        return "all guests emulated by software: KVM does not work here"
    if "tcg" in found:
        return "guests with a kernel emulated by software: KVM does not run them here"
    return "guests on KVM" if found == {"kvm"} else ""


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


def _manifests(view: View) -> dict[tuple[str, str], dict[str, str]]:
    """Return what each subject is made of, by scenario ("" for all that want it as it is) and label, by rung."""
    found = {}
    for told, content in mapping(view.info.get("manifests")).items():
        # The runner writes "docker", "vm-direct@tcg", and "vm-direct in overhead@tcg" where a scenario changes it.
        name, _, rest = clean(told, 160).partition(" in ")
        scenario, at, accelerator = rest.partition("@")
        label = f"{name}{at}{accelerator}"
        if not view.subject(label).twin_of:
            found[scenario, label] = {clean(k, 120): clean(v, 300) for k, v in mapping(content).items()}
    return dict(sorted(found.items(), key=lambda item: (item[0][0], view.subject(item[0][1]).order)))


def _common(manifests: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return what every subject has, with the same content."""
    all_ = list(manifests)
    return {k: v for k, v in all_[0].items() if all(m.get(k) == v for m in all_)} if len(all_) > 1 else {}


def shared(view: View) -> Table | None:
    """Return what all subjects have in common, or None."""
    rows = tuple(Row(head=key, cells=(value,)) for key, value in _common(_manifests(view).values()).items())
    return Table(caption="The same in every subject", columns=("part", "content"), rows=rows) if rows else None


def manifests(view: View) -> tuple[Table, ...]:
    """Return what each subject is made of: a table a family, and one for each scenario that has subjects changed.

    A cell that differs from the first one of its row is marked.
    """
    found = _manifests(view)
    common = _common(found.values())
    groups: dict[str, dict[str, dict[str, str]]] = {FAMILY_TITLES[family]: {} for family in FAMILIES}
    for (scenario, label), content in found.items():
        own = view.scenarios.get(scenario)
        title = (
            f"As “{own.title if own else scenario}” has them" if scenario else FAMILY_TITLES[view.subject(label).family]
        )
        groups.setdefault(title, {})[label] = content
    tables = []
    for title, members in groups.items():
        keys = [k for k in dict.fromkeys(k for content in members.values() for k in content) if k not in common]
        if keys:
            rows = tuple(_manifest_row(key, [content.get(key) for content in members.values()]) for key in keys)
            columns = ("part", *(f"{label} ≤" if view.subject(label).emulated else label for label in members))
            tables.append(Table(caption=title, columns=columns, rows=rows))
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
