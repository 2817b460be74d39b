"""What the terminal says of the popular sentences: all of them in a table a verdict, one of them with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.screens import record_screen, table_of
from bench.units import format_interval
from bench.verdicts import ClaimVerdict, Judgement

if TYPE_CHECKING:
    from rich.console import Console


def verdicts_screen(console: Console, judgements: Sequence[Judgement]) -> None:
    """Print every claim with its verdict and why, those that a run decided first."""
    from rich.markup import escape

    for verdict in ClaimVerdict:
        found = [judgement for judgement in judgements if judgement.verdict is verdict]
        if found:
            table = table_of("claim", "says", "why", title=f"{verdict}: {len(found)}")
            for judgement in found:
                table.add_row(judgement.claim.id, escape(judgement.claim.english), escape(judgement.reason))
            console.print(table, "")
    console.print("One of them with all its evidence: bench claims --about CLAIM", highlight=False)


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
                value = e.bound.sign + format_interval(e.value, e.low, e.high, e.unit) if e.value is not None else "–"
                says = str(e.outcome) if e.doubt is None else f"undecided: {e.doubt.word}"
                table.add_row(e.name, value, str(e.blocks), says)
                reasons |= {e.doubt.word: e.reason} if e.doubt else {}
        console.print("", table)
        for word, reason in reasons.items():
            console.print(f"{word}: {reason}", markup=False, highlight=False)
