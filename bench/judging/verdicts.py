"""From a run to verdicts on popular sentences: what the evidence of all conditions says together.

Pure, but for `judge_by_files`, which reads what is declared.

Both kinds of outcome: DEPENDS, with those who decide it named. Else every condition must be decided for more than half
of its subjects, and all of those hold, SUPPORTED, or fail, REFUTED; otherwise the sentence is NOT_MEASURABLE on this
host in this way. It is NOT_MEASURED where a condition's scenario has not been run, or none asks it yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.errors import ScenarioError
from bench.judging.claims import Claim, known_scenarios, load
from bench.judging.evidence import Doubt, Evidence, Outcome
from bench.judging.gathering import Seen, gather
from bench.store import Run

_NAMED = 3
"""How many subjects a reason names before it counts the rest."""


class ClaimVerdict(StrEnum):
    """What a run says of a sentence."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    DEPENDS = "depends"
    NOT_MEASURABLE = "not measurable here"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and everything it rests on.

    Attributes:
        reason: why, as a sentence part without a full stop.
        evidence: of every condition, in their order; those that do not decide included.
    """

    claim: Claim
    verdict: ClaimVerdict
    reason: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def deciding(self) -> tuple[Evidence, ...]:
        """The evidence that holds or fails and has a say."""
        return tuple(e for e in self.evidence if e.condition.decides and e.outcome is not Outcome.UNDECIDED)


def judge(run: Run, claims: Iterable[Claim], known: Collection[str] = ()) -> tuple[Judgement, ...]:
    """Judge every claim from one run. Never raises for what run.json leaves out.

    Args:
        known: names of all scenarios that exist, so that "run it" and "nobody asks it yet" are told apart.
    """
    seen = Seen.of(run, known)
    return tuple(_judge(seen, claim) for claim in claims)


def judge_by_files(run: Run, extra: tuple[Path, ...] = ()) -> tuple[Judgement, ...]:
    """Judge the suite's own claims and a user's.

    Raises:
        ScenarioError: a file of claims is wrong.
    """
    return judge(run, load(extra=extra), known_scenarios())


def in_a_line(run: Run) -> str:
    """Return what a run decides of the suite's claims in one line, or "" if it decides none."""
    try:
        judgements = judge_by_files(run)
    except ScenarioError as error:
        return error.message
    parts = []
    for verdict in (ClaimVerdict.SUPPORTED, ClaimVerdict.REFUTED, ClaimVerdict.DEPENDS):
        ids = [judgement.claim.id for judgement in judgements if judgement.verdict is verdict]
        parts += [f"{verdict}: {', '.join(ids)}"] if ids else []
    unmeasurable = sum(judgement.verdict is ClaimVerdict.NOT_MEASURABLE for judgement in judgements)
    parts += [f"{ClaimVerdict.NOT_MEASURABLE}: {unmeasurable}"] if unmeasurable else []
    return f"{'; '.join(parts)} → bench claims {run.path.name}" if parts else ""


def told(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as plain data, for a page or a JSON file."""
    claim = judgement.claim
    return {
        "id": claim.id, "quotation": claim.quotation, "english": claim.english,
        "source": ", ".join(filter(None, (claim.source.title, claim.source.date, claim.source.reference))),
        "measured": claim.measured, "forgets": claim.forgets,
        "verdict": str(judgement.verdict), "reason": judgement.reason,
        "evidence": [
            {
                "subject": e.name, "scenario": e.condition.scenario, "metric": e.condition.metric,
                "condition": e.condition.text, "value": e.value, "low": e.low, "high": e.high, "unit": str(e.unit),
                "bound": str(e.bound), "blocks": e.blocks, "failures": e.failures, "outcome": str(e.outcome),
                "reason": e.reason, "text": e.text, "decides": e.condition.decides,
            }
            for e in judgement.evidence
        ],
    }  # fmt: skip


def with_verdicts(run: Run, judgements: Iterable[Judgement]) -> Run:
    """Return the run with the verdicts as its info's "claims": what the report reads. The folder is not touched."""
    return replace(run, info={**run.info, "claims": [told(judgement) for judgement in judgements]})


def _judge(seen: Seen, claim: Claim) -> Judgement:
    if claim.later:
        return Judgement(claim=claim, verdict=ClaimVerdict.NOT_MEASURED, reason=claim.later)
    tried = [(condition, *gather(seen, condition)) for condition in claim.conditions]
    evidence = tuple(e for _, found, _ in tried for e in found)
    verdict, reason = _conclude([(found, problem) for condition, found, problem in tried if condition.decides])
    beside = [e for e in evidence if not e.condition.decides and e.outcome is not Outcome.UNDECIDED]
    if beside and verdict is not ClaimVerdict.NOT_MEASURED:
        reason += f"; beside it: {_listed(beside)}"
    return Judgement(claim=claim, verdict=verdict, reason=reason, evidence=evidence)


def _conclude(tried: Sequence[tuple[Sequence[Evidence], str]]) -> tuple[ClaimVerdict, str]:
    """Return the verdict on (evidence, problem) of every condition that decides."""
    counted = [[e for e in found if e.doubt is not Doubt.SENSELESS] for found, _ in tried]
    everything = [e for found in counted for e in found]
    outcomes = {e.outcome for e in everything} - {Outcome.UNDECIDED}
    problems = list(dict.fromkeys(problem for _, problem in tried if problem))
    decided = [sum(e.outcome is not Outcome.UNDECIDED for e in found) for found in counted]
    if len(outcomes) == 2:
        return ClaimVerdict.DEPENDS, _listed(everything)
    if problems:
        so_far = f"; so far it {_listed(everything)}" if outcomes else ""
        return ClaimVerdict.NOT_MEASURED, "; ".join(problems) + so_far
    if not outcomes or any(2 * n <= len(found) for n, found in zip(decided, counted, strict=True)):
        reason = f"too few are decided: it {_listed(everything)}" if outcomes else _commonest(tried)
        absent = _worst(tried) is Doubt.ABSENT
        return ClaimVerdict.NOT_MEASURED if absent else ClaimVerdict.NOT_MEASURABLE, reason
    verdict = ClaimVerdict.SUPPORTED if Outcome.HOLDS in outcomes else ClaimVerdict.REFUTED
    return verdict, _listed(everything)


def _worst(tried: Sequence[tuple[Sequence[Evidence], str]]) -> Doubt:
    """Return the doubt that most share; that a question makes no sense only if nobody has another."""
    doubts = Counter(e.doubt for found, _ in tried for e in found if e.doubt)
    ranked = [doubt for doubt, _ in doubts.most_common()]
    return next((doubt for doubt in ranked if doubt is not Doubt.SENSELESS), ranked[0])


def _commonest(tried: Sequence[tuple[Sequence[Evidence], str]]) -> str:
    """Write the doubt that most share, in the words of the first who has it."""
    worst = _worst(tried)
    named = [e for found, _ in tried for e in found if e.doubt is worst]
    return f"{_names(named)}: {named[0].reason or worst}"


def _listed(evidence: Sequence[Evidence]) -> str:
    """Write who holds, who fails and who decides nothing: "holds for a, fails for b"."""
    several = len({e.condition.metric for e in evidence}) > 1
    parts = []
    for outcome, words in ((Outcome.HOLDS, "holds for"), (Outcome.FAILS, "fails for")):
        found = [e for e in evidence if e.outcome is outcome]
        parts += [f"{words} {_names(found, several=several, values=True)}"] if found else []
    for doubt in Doubt:
        found = [e for e in evidence if e.doubt is doubt and doubt is not Doubt.SENSELESS]
        parts += [f"undecided for {_names(found, several=several)}: {doubt}"] if found else []
    return "; ".join(parts)


def _names(evidence: Sequence[Evidence], *, several: bool = False, values: bool = False) -> str:
    def one(e: Evidence) -> str:
        text = e.text if values else e.name
        return f"{e.condition.metric} of {text}" if several else text

    texts = list(dict.fromkeys(map(one, evidence)))
    return ", ".join(texts[:_NAMED]) + (f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else "")
