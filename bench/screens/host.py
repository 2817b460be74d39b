"""What the terminal says of a host: its facts, which subjects can be measured on it, and what is to be mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.screens.layout import grid_of, hanging, plain, table_of
from bench.units import Unit, format_value

if TYPE_CHECKING:
    from rich.console import Console

    from bench.backends.base import Availability


def availability_screen(console: Console, available: Mapping[str, Availability]) -> None:
    """Print which subjects can be measured here, by which engine, or why not."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for name, found in available.items():
        why = found.detail if found.usable else found.reason + (f" → {found.hint}" if found.hint else "")
        groups.setdefault((found.usable, why), []).append(name)
    table = table_of("usable", "subjects", "by, or why not")
    for (usable, why), names in groups.items():
        table.add_row(plain("yes", "green") if usable else plain("no", "yellow"), ", ".join(names), why)
    console.print(table)


def findings_screen(
    console: Console, findings: Sequence[Mapping[str, object]], *, most: int | None = None, more: str = ""
) -> None:
    """Print findings, the gravest first: what, why, and the remedy.

    Args:
        most: only so many, only grave ones, and without the reasons.
        more: where the rest of them stands.
    """
    grave = [f for f in findings if most is None or f.get("level") in ("problem", "warning")]
    for finding in grave[:most]:
        text = str(finding.get("what", ""))
        text = f"{text.rstrip('.')}: {finding['why']}" if most is None and finding.get("why") else text
        text += f" → {finding['remedy']}" if finding.get("remedy") else ""
        console.print(hanging(str(finding.get("level", "note")), text))
    left = len(findings) - len(grave[:most])
    if left:
        console.print(hanging("", f"{left} more: {more}"))


def facts_screen(console: Console, facts: Mapping[str, object]) -> None:
    """Print the host's facts, a paragraph a table."""
    grid = grid_of("dim", width=14)
    for name, text in _paragraphs("host", facts):
        grid.add_row(name, text)
    console.print(grid)


def _paragraphs(name: str, facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of a table's own facts, then those of the tables inside it."""
    told = [_fact(key, value) for key, value in facts.items() if not isinstance(value, Mapping)]
    if told:
        yield name.replace("_", " "), "; ".join(told)
    for key, inner in facts.items():
        if isinstance(inner, Mapping):
            yield from _paragraphs(str(key), inner)


def _fact(name: str, value: object) -> str:
    """Write a fact for people: sizes as sizes, times as times, lists as lists, what is not known as that."""
    for ending, unit in (("_bytes", Unit.BYTES), ("_s", Unit.SECONDS)):
        if name.endswith(ending) and isinstance(value, (int, float)):
            return f"{name.removesuffix(ending).replace('_', ' ')} {format_value(float(value), unit)}"
    if value is None or value == "":
        text = "unknown"
    elif isinstance(value, (list, tuple)):
        text = ", ".join(map(str, value)) or "none"
    else:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {text}"
