"""The limits that the claims set to a headline: a line in its picture each, and what the run says of it.

The verdicts are those of bench.judging.verdicts, stored in the run: picture and cards cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.judging.claims import parse_quantity
from report import words
from report.data import MetricView, ScenarioView, View, clean, listing, mapping, number
from report.figures import Guide

MOST = 4
"""More lines than these would hide the picture."""

_LIMIT = re.compile(r"(?:at least|at most|below|above) (.+)")
_OUTCOMES = {"holds": "holds for", "fails": "fails for", "undecided": "undecided for"}


def guides(view: View, scenario: ScenarioView) -> list[tuple[Guide, str]]:
    """Return the limits that judged claims set to a scenario's headline, and a sentence on each.

    A limit is a condition on the headline itself that decides and of which something was measured; a ratio of two
    subjects is no place on the axis.
    """
    metric = scenario.metrics[scenario.headline]
    found = []
    for told in map(mapping, listing(view.info.get("claims"))):
        english = clean(told.get("english"), 120) or clean(told.get("id"), 80)
        for condition, evidence in _conditions(told, scenario).items():
            limit = _limit(condition, metric)
            if limit is not None:
                guide = Guide(value=limit, text=f"claim, {condition}: “{english}”", brief=f"claim: {condition}")
                found.append((guide, f"Claim “{english}”, {condition}: {_said(evidence)}."))
    return sorted(found, key=lambda limit: limit[0].value)[:MOST]


def _conditions(told: Mapping[str, Any], scenario: ScenarioView) -> dict[str, list[Mapping[str, Any]]]:
    """Return the evidence that has a value and a say on the headline, by its condition."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for e in map(mapping, listing(told.get("evidence"))):
        asked = (clean(e.get("scenario"), 120), clean(e.get("metric"), 120))
        if e.get("decides") is True and e.get("value") is not None and asked == (scenario.name, scenario.headline):
            found.setdefault(clean(e.get("condition"), 120), []).append(e)
    return found


def _limit(condition: str, metric: MetricView) -> float | None:
    """Return the limit of "at least 60 s" in the metric's unit; None for anything else."""
    test = _LIMIT.fullmatch(condition)
    try:
        value, unit = parse_quantity(test[1] if test else "")
    except ValueError:
        return None
    return number(value) if unit is metric.unit and value > 0.0 else None


def _said(evidence: Iterable[Mapping[str, Any]]) -> str:
    """Write for whom the limit holds, for whom it fails, and who decides nothing, why."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for e in evidence:
        outcome = clean(e.get("outcome"), 20)
        key = (outcome, "") if outcome in ("holds", "fails") else ("undecided", clean(e.get("reason"), 200))
        found.setdefault(key, {})[clean(e.get("subject"), 120) or clean(e.get("text"), 200)] = None
    ordered = sorted(found.items(), key=lambda item: list(_OUTCOMES).index(item[0][0]))
    return "; ".join(
        f"{_OUTCOMES[outcome]} {words.enumeration(list(labels))}{f' ({reason})' if reason else ''}"
        for (outcome, reason), labels in ordered
    )
