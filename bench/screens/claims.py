"""What the terminal says of the popular sentences: all of them, verdict by verdict; one of them with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.judging.evidence import Evidence
from bench.judging.verdicts import ClaimVerdict, Judgement
from bench.screens.layout import grid_of, line, plain, table_of
from bench.screens.results import record_screen
from bench.units import format_interval

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 110
"""From so many columns on a claim is a row of a table; below, a paragraph."""


def verdicts_screen(console: Console, judgements: Sequence[Judgement]) -> None:
    """Print every claim with its verdict and why, those that a run decided first."""
    names = max((len(judgement.claim.id) for judgement in judgements), default=0)
    for verdict in ClaimVerdict:
        found = [judgement for judgement in judgements if judgement.verdict is verdict]
        if not found:
            continue
        line(console, f"{verdict}: {len(found)}", "bold")
        table = table_of("claim", "says", "why") if console.width >= _WIDE else grid_of(width=names)
        for judgement in found:
            says, why = judgement.claim.english, judgement.reason
            if console.width >= _WIDE:
                table.add_row(judgement.claim.id, says, why)
            else:
                table.add_row(judgement.claim.id, plain(f"{says}\n").append_text(plain(why, "dim")))
        console.print(table, "")
    line(console, "One of them with all its evidence: bench claims --about CLAIM")


def judgement_screen(console: Console, judgement: Judgement) -> None:
    """Print one claim: where it stands, how it is judged, and what every subject says of every condition."""
    claim = judgement.claim
    source = ", ".join(filter(None, (claim.source.title, claim.source.date, claim.source.reference)))
    lines = [
        ("says", claim.english), ("quotation", claim.quotation), ("source", source), ("measured", claim.measured),
        ("forgets", claim.forgets), ("verdict", str(judgement.verdict)), ("why", judgement.reason),
    ]  # fmt: skip
    record_screen(console, f"claim {claim.id}", [(name, text) for name, text in lines if text])
    for condition in dict.fromkeys(evidence.condition.text_in_full for evidence in judgement.evidence):
        table = table_of("subject", "value", "blocks", "says", title=condition)
        reasons: dict[str, str] = {}
        for e in judgement.evidence:
            if e.condition.text_in_full == condition:
                says = str(e.outcome) if e.doubt is None else f"undecided: {e.doubt.word}"
                table.add_row(e.name, _value(e), str(e.blocks), says)
                reasons |= {e.doubt.word: e.reason} if e.doubt else {}
        console.print("", table)
        for word, reason in reasons.items():
            line(console, f"{word}: {reason}")


def _value(e: Evidence) -> str:
    """Write what was measured; a ratio that decides without a figure is infinite."""
    if e.value is None:
        return "–" if e.doubt else "∞"
    return e.bound.sign + format_interval(e.value, e.low, e.high, e.unit)
