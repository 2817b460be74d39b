"""What `bench compare` prints: what is not the same about two runs first, then every headline beside the first's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.comparing.compare import Comparison, Verdict
from bench.judging.summary import format_ratio
from bench.screens.layout import hanging, line, table_of
from bench.text import clean, few

if TYPE_CHECKING:
    from rich.console import Console

    from bench.judging.between import Alone, RunComparison

_MOST = 40
"""So many differences are listed before the rest is counted."""

_NAMED = 3
"""So many comparisons a reason names before it counts the rest."""

_LISTED = 6
"""So many cells that only one run has are named before the rest is counted."""


def between_screen(console: Console, runs: Sequence[RunComparison]) -> None:
    """Print every run beside the first: the differences of the hosts first, then what was measured."""
    for compared in runs:
        line(console, f"{compared.second} beside {compared.first}\n", "bold")
        _differences(console, compared)
        _ratios(console, compared)
        for run in (compared.first, compared.second):
            alone = [_cell_of(cell) for cell in compared.alone if cell.run == run]
            if alone:
                console.print(hanging("alone", f"only in {run}: {few(alone, _LISTED)}"))
        line(
            console,
            "A ratio above 1: the second run's value is larger. The interval covers the noise inside the runs, not "
            "what changed between them for a whole run (a reboot, a neighbour): only more runs can.\n",
        )


def _differences(console: Console, compared: RunComparison) -> None:
    if not compared.differences:
        line(console, "Their facts, engines, versions and subjects are the same.\n")
        return
    table = table_of("differs", compared.first, compared.second)
    table.columns[0].no_wrap = False
    for difference in compared.differences[:_MOST]:
        told = ("–" if v is None else clean(v, 60) for v in (difference.first, difference.second))
        table.add_row(difference.what, *told)
    console.print(table, "")
    left = len(compared.differences) - _MOST
    if left > 0:
        console.print(hanging("differs", f"{left} more: bench report {compared.first} {compared.second}"), "")


def _ratios(console: Console, compared: RunComparison) -> None:
    """Print every ratio with its verdict, and below them the reasons of those that have none, a line a reason."""
    if not compared.comparisons:
        line(console, "They have nothing in common that could be compared.\n")
        return
    table = table_of("scenario, subject", "ratio", "blocks", "verdict")
    table.columns[0].no_wrap = False
    for column in table.columns[1:]:
        column.no_wrap = True
    reasons: dict[tuple[str, str], list[str]] = {}
    for found in compared.comparisons:
        table.add_row(_cell_of(found), format_ratio(found), str(found.blocks), between_verdict(found))
        if found.verdict is Verdict.INCONCLUSIVE or found.ratio is None:
            word = "undecided" if found.verdict is Verdict.INCONCLUSIVE else "no figure"
            reasons.setdefault((word, found.reason), []).append(_cell_of(found))
    console.print(table, "")
    for (word, reason), cells in reasons.items():
        console.print(hanging(word, f"{reason}: {few(cells, _NAMED)}"))
    console.print()


def between_verdict(found: Comparison) -> str:
    """Return the verdict as one loud word: SLOWER, FASTER, EQUIVALENT …; with its worth where the word has none."""
    word = found.word.upper()
    worth = found.verdict in (Verdict.BETTER, Verdict.WORSE) and word in ("LESS", "MORE")
    return f"{word} ({found.verdict})" if worth else word


def _cell_of(cell: Comparison | Alone) -> str:
    """Return "startup docker mode=warm"."""
    return " ".join([cell.scenario, cell.subject, *(f"{k}={v}" for k, v in cell.params if k != "part")])
