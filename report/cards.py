"""The popular sentences with what the run says of each: a card a sentence, those judged first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from report import words
from report.data import View, clean, listing, mapping
from report.model import Card, Claims, Row, Table

VERDICTS: Mapping[str, tuple[str, str]] = {
    "supported": ("●", "supported"),
    "refuted": ("✕", "refuted"),
    "depends": ("◐", "depends"),
    "not measurable here": ("○", "unmeasurable"),
    "not measured": ("–", "unmeasured"),
}
"""The shape and the class that go with each verdict, by its word in the verdicts, in the order of the summary."""

SIGNS: Mapping[str, str] = {"holds": "●", "fails": "✕", "undecided": "○"}
"""The shape of what one subject says of one condition."""

_MOST_NUMBERS = 6


def claims(view: View) -> Claims | None:
    """Return the verdicts that the run carries (bench.judging.verdicts.with_verdicts), or None."""
    cards = [_card(view, told, place) for place, told in enumerate(map(mapping, listing(view.info.get("claims"))))]
    if not cards:
        return None
    words_of = {**VERDICTS, **{card.verdict: (card.sign, card.kind) for card in cards}}
    found = {word: sum(card.verdict == word for card in cards) for word in words_of}
    return Claims(
        counts=tuple((*words_of[word], f"{count} {word}") for word, count in found.items() if count),
        judged=tuple(card for word in words_of for card in cards if card.verdict == word and card.kind != "unmeasured"),
        unmeasured=tuple(card for card in cards if card.kind == "unmeasured"),
    )


def _card(view: View, told: Mapping[str, Any], place: int) -> Card:
    verdict = clean(told.get("verdict"), 40) or "not measured"
    sign, kind = VERDICTS.get(verdict, ("○", "unmeasurable"))
    quotation, english = clean(told.get("quotation")), clean(told.get("english"))
    evidence = [mapping(e) for e in listing(told.get("evidence"))]
    return Card(
        key=f"claim-{place}", quotation=quotation, language=_language(quotation),
        english=english or clean(told.get("id"), 80), verdict=verdict, sign=sign, kind=kind,
        gist=_gist(evidence) or _said(view, clean(told.get("reason"))), numbers=_numbers(evidence),
        measured=clean(told.get("measured")), forgets=clean(told.get("forgets")), source=clean(told.get("source")),
        evidence=_evidence(evidence),
    )  # fmt: skip


def _language(text: str) -> str:
    """Return "zh" for a text with Chinese characters (the unified ideographs), else ""."""
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in text) else ""


def _gist(evidence: list[Mapping[str, Any]]) -> str:
    """Say of each condition with a say how many subjects hold, fail and decide nothing; "" where none was measured.

    The first who decides is named with its number. Where nobody decides anything, the commonest reason is said.
    """
    asked = [e for e in evidence if e.get("decides") is True and e.get("value") is not None]
    if not asked:
        return ""
    doubts = Counter(clean(e.get("reason")) for e in asked if e.get("outcome") not in ("holds", "fails"))
    doubts.pop("", None)
    if sum(doubts.values()) == len(asked):
        return words.sentence(f"undecided: {doubts.most_common(1)[0][0]}")
    parts = []
    for condition in dict.fromkeys(map(_condition, asked)):
        of_it = [e for e in asked if _condition(e) == condition]
        counts = Counter(str(e.get("outcome")) for e in of_it)
        told = [
            f"{word} for {f'{counts[word]} of {len(of_it)}' if counts[word] < len(of_it) else f'all {len(of_it)}'}"
            f"{_first(of_it, word)}"
            for word in SIGNS
            if counts[word]
        ]
        parts.append(f"{condition}: {', '.join(told)}")
    return f"{'; '.join(parts)}."


def _first(evidence: list[Mapping[str, Any]], outcome: str) -> str:
    """Return the first number with this outcome, " (docker 310 ms [300–410])"; "" for those that decide nothing."""
    text = next((clean(e.get("text"), 120) for e in evidence if e.get("outcome") == outcome), "")
    return f" ({words.tight(text)})" if text and outcome != "undecided" else ""


def _condition(e: Mapping[str, Any]) -> str:
    return f"{clean(e.get('metric'), 80)} {clean(e.get('condition'), 120)}"


def _numbers(evidence: list[Mapping[str, Any]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what was measured for each condition that has a say, each number with the shape of what it says."""
    found: dict[str, list[str]] = {}
    for e in evidence:
        if e.get("decides") is True and e.get("value") is not None:
            sign = SIGNS.get(str(e.get("outcome")), "○")
            found.setdefault(_condition(e), []).append(f"{sign}\u00a0{words.tight(clean(e.get('text'), 200))}")
    return tuple((condition, _few(texts)) for condition, texts in found.items())


def _few(texts: list[str]) -> tuple[str, ...]:
    more = len(texts) - _MOST_NUMBERS
    return tuple(texts) if more <= 1 else (*texts[:_MOST_NUMBERS], f"and {more} more, below")


def _said(view: View, reason: str) -> str:
    """Return a reason as a sentence; the name of a subject at its beginning keeps its small letter."""
    first = reason.partition(" ")[0].rstrip(",:;")
    return f"{reason}." if first in view.subjects else words.sentence(reason)


def _evidence(evidence: list[Mapping[str, Any]]) -> Table | None:
    rows = tuple(
        Row(head=clean(e.get("text"), 200) or clean(e.get("subject"), 120),
            note="" if e.get("decides") is True else "beside it, without a say",
            cells=(f"{clean(e.get('scenario'), 80)}, {clean(e.get('metric'), 80)}: {clean(e.get('condition'), 200)}",
                   f"{SIGNS.get(str(e.get('outcome')), '○')} {clean(e.get('outcome'), 20)}", clean(e.get("reason"))))
        for e in evidence
    )  # fmt: skip
    columns = ("measured [95 % interval]", "the condition", "outcome", "why it is not decided")
    return Table(caption="Every number that was asked for this sentence", columns=columns, rows=rows) if rows else None
