"""The popular sentences as the report shows them: verdict, gist, numbers, evidence."""

from __future__ import annotations

from typing import Any

import pytest

from report.page import build
from tests.unit.report_runs import CLAIM, make_run


def test_every_claim_has_a_card_and_those_not_measured_are_counted_and_kept():
    later = {"id": "later", "english": "it nests", "verdict": "not measured", "reason": "nobody asks it yet"}
    found = build(make_run(claims=[later, CLAIM, {**CLAIM, "verdict": "not measurable here"}])).claims
    assert found is not None
    assert [text for _, _, text in found.counts] == ["1 refuted", "1 not measurable here", "1 not measured"]
    assert [card.verdict for card in found.judged] == ["refuted", "not measurable here"]
    assert [(card.english, card.gist) for card in found.unmeasured] == [("it nests", "Nobody asks it yet.")]
    assert len({sign for sign, _, _ in found.counts}) == 3


def test_a_card_carries_the_quotation_in_its_language_and_the_numbers_that_decide():
    found = build(make_run(claims=[CLAIM])).claims
    assert found is not None
    card = found.judged[0]
    assert (card.language, card.quotation) == ("zh", CLAIM["quotation"])
    ((condition, texts),) = card.numbers
    assert condition == "requested→ready at least 60 s"
    assert texts[0].replace("\u00a0", " ") == "✕ vm-0 1 s"
    assert texts[-1] == "and 3 more, below"
    assert card.evidence is not None
    assert len(card.evidence.rows) == 10
    assert card.evidence.rows[-1].note == "beside it, without a say"


def test_a_subjects_name_keeps_its_small_letter_at_the_beginning_of_a_reason():
    told = [{**CLAIM, "evidence": [], "reason": reason} for reason in ("docker: 1 block", "fails for vm-bare")]
    found = build(make_run(claims=told)).claims
    assert found is not None
    assert [card.gist for card in found.judged] == ["docker: 1 block.", "Fails for vm-bare."]


def test_a_gist_counts_who_says_what_and_names_the_first_who_decides() -> None:
    evidence: Any = CLAIM["evidence"]
    mixed = [{**evidence[0], "outcome": "undecided", "reason": "1 block; a verdict needs 6"}, *evidence[1:]]
    doubtful = [{**mixed[0]}, {**mixed[0], "reason": ""}, {**mixed[0]}]
    told = [CLAIM, {**CLAIM, "evidence": mixed}, {**CLAIM, "evidence": doubtful}, {**CLAIM, "evidence": mixed[:1]}]
    found = build(make_run(claims=told)).claims
    assert found is not None
    assert [card.gist.replace("\u00a0", " ") for card in found.judged] == [
        "requested→ready at least 60 s: fails for all 9 (vm-0 1 s).",
        "requested→ready at least 60 s: fails for 8 of 9 (vm-1 1 s), undecided for 1 of 9.",
        "requested→ready at least 60 s: undecided for all 3.",
        "Undecided: 1 block; a verdict needs 6.",
    ]


@pytest.mark.parametrize("claims", [[3], [{"evidence": 3}], [{"evidence": [3, {"outcome": []}], "verdict": 4}]])
def test_a_strangers_claims_cost_words_and_not_the_report(claims: list[Any]):
    assert build(make_run(claims=claims)).claims is not None
