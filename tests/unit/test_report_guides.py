"""The limits of claims in the picture of the ladder: those that were judged, with the verdicts of the cards."""

from __future__ import annotations

from typing import Any

import pytest

from bench.judging.claims import load
from bench.judging.verdicts import judge, told, with_verdicts
from bench.store import Run
from report.data import view
from report.figures import DotChart
from report.guides import MOST, guides
from report.page import build
from tests.unit.report_runs import make_run


def judged(run: Run) -> Run:
    """Return the run with the verdicts on the suite's own claims."""
    return with_verdicts(run, judge(run, load(), known=("startup", "memory", "disk")))


def limits(run: Run) -> dict[str, str]:
    """Return what is said of each limit on the headline of starting, by the words at its line."""
    seen = view(run)
    return {guide.text: sentence for guide, sentence in guides(seen, seen.scenarios["startup"])}


def test_the_ladder_draws_the_limits_of_the_claims_and_says_what_their_evidence_says() -> None:
    run = judged(make_run())
    ladder = build(run).ladder
    assert ladder is not None
    assert isinstance(ladder.chart, DotChart)
    drawn = {guide.value: guide.text for guide in ladder.chart.guides}
    assert sorted(drawn) == [0.01, 0.05, 60.0]
    assert drawn[60.0] == "claim, at least 60 s: “a VM takes minutes to start”"
    assert list(limits(run)) == list(drawn.values())
    assert ladder.notes == tuple(limits(run).values())
    for text, sentence in limits(run).items():
        condition = text.removeprefix("claim, ").partition(":")[0]
        evidence = [
            e
            for claim in run.info["claims"]
            for e in claim["evidence"]
            if (e["scenario"], e["metric"], e["condition"]) == ("startup", "requested→ready", condition)
            and e["decides"] and e["value"] is not None
        ]  # fmt: skip
        assert evidence
        for e in evidence:
            told_of = next(part for part in sentence.split("; ") if e["subject"] in part)
            assert f"{e['outcome']} for" in told_of


def test_an_emulated_guest_beyond_a_limit_decides_nothing_there_either() -> None:
    slow = make_run()
    rows = tuple(
        {**r, "value": 3.0 * r["value"]} if r["subject"] == "vm-distro@tcg" and r["value"] is not None else r
        for r in slow.rows
    )
    said = limits(judged(Run(path=slow.path, info=slow.info, facts={}, rows=rows)))
    [minutes] = [sentence for text, sentence in said.items() if "60 s" in text]
    assert "undecided for vm-distro@tcg (it is emulated" in minutes


def test_a_run_without_verdicts_has_no_limits() -> None:
    ladder = build(make_run()).ladder
    assert ladder is not None
    assert isinstance(ladder.chart, DotChart)
    assert (ladder.chart.guides, ladder.notes) == ((), ())


EVIDENCE: dict[str, Any] = {
    "subject": "docker", "scenario": "startup", "metric": "requested→ready", "condition": "at most 50 ms", "value": 1.0,
    "decides": True, "outcome": "fails",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({}, True), ({"decides": False}, False), ({"value": None}, False), ({"metric": "requested→init"}, False),
        ({"scenario": "memory"}, False), ({"condition": "at most 2 × of docker"}, False),
        ({"condition": "at most 5 MiB"}, False), ({"condition": f"at most 1{'0' * 110} s"}, False),
        ({"condition": "at most 0 s"}, False), ({"condition": None}, False), ({"condition": "about 5 s"}, False),
        ({"outcome": "<b>"}, True),
    ],
)  # fmt: skip
def test_only_an_absolute_limit_on_the_headline_that_decides_is_a_line(changes: dict[str, Any], drawn: bool) -> None:
    claims = [{"english": "x", "evidence": [{**EVIDENCE, **changes}]}]
    assert bool(limits(make_run(claims=claims))) is drawn


def test_no_more_lines_than_can_be_read_and_nonsense_is_none() -> None:
    many = [{"english": f"claim {n}", "evidence": [{**EVIDENCE, "condition": f"at most {n} s"}]} for n in range(1, 9)]
    assert len(limits(make_run(claims=many))) == MOST
    for nonsense in (None, "x", [None], [{"evidence": "x"}], [{"evidence": [7]}]):
        assert limits(make_run(claims=nonsense)) == {}


def test_evidence_is_told_with_everything_a_line_needs() -> None:
    [judgement] = judge(make_run(), [claim for claim in load() if claim.id == "vm-minutes"])
    assert {"subject", "scenario", "metric", "condition", "value", "decides", "outcome", "reason"} <= told(judgement)[
        "evidence"
    ][0].keys()
