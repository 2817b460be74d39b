"""Claims as data: the suite's own fit its questions, a user's are read beside them, every fault has its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import ScenarioError
from bench.judging.claims import FILE, GROUPS, Claim, Condition, Side, Source, known_scenarios, load, parse_quantity
from bench.scenario import DIRECTORY, Catalogue
from bench.units import Unit

WHOLE = """
[sources.me]
title = "I"
[claims.mine]
quotation = "q"
english = "e"
source = "me"
measured = "m"
[[claims.mine.conditions]]
scenario = "startup"
metric = "requested→ready"
subjects = ["docker"]
at_most = "1 s"
"""

UNASKED = {"transfer"}
"""Questions that a claim is waiting for beside others that are asked."""


def condition(**changes: object) -> Condition:
    return Condition.model_validate({"scenario": "s", "metric": "m", "subjects": ["a"], "at_most": "1 s", **changes})


def test_every_sentence_of_the_article_is_there_and_quoted() -> None:
    claims = {claim.id: claim for claim in load()}
    assert len(claims) == 25
    assert all(claim.source.reference.endswith("p/50f48eb25215") for claim in claims.values())
    assert claims["vm-minutes"].quotation == "虚拟机需要数分钟启动"
    assert claims["three-guests-2.1gb"].quotation == "占用2.1GB的磁盘空间"
    assert len({claim.quotation for claim in claims.values()}) == 25


@pytest.mark.parametrize("claim", [claim for claim in load() if claim.conditions], ids=lambda claim: claim.id)
def test_the_suites_own_claims_fit_its_questions(claim: Claim, catalogue: Catalogue) -> None:
    for c in claim.conditions:
        if c.scenario in UNASKED:
            assert c.scenario not in catalogue.scenarios
            continue
        metric = catalogue.scenarios[c.scenario].metric(c.metric)
        assert metric is not None, c.metric
        assert c.relative or metric.unit is c.threshold[1]
        assert {*c.subjects, *c.than} <= {*catalogue.subjects, *GROUPS}
        asked = catalogue.scenarios[c.scenario].parameters
        assert all(v in asked.get(k, (v,)) for k, v in (*c.params.items(), *c.than_params.items()))


@pytest.mark.parametrize("claim", [claim for claim in load() if claim.conditions], ids=lambda claim: claim.id)
def test_the_profile_one_relies_on_asks_whom_the_claims_name(claim: Claim, catalogue: Catalogue) -> None:
    """A subject that is named and not there counts as undecided: a run of `standard` must be able to decide."""
    for c in claim.conditions:
        if c.scenario in UNASKED or not c.decides:
            continue
        scenario = catalogue.scenarios[c.scenario]
        change = scenario.profiles.get("standard")
        asked = (change.subjects if change else None) or scenario.subjects
        assert {*c.subjects, *c.than} - GROUPS.keys() <= {*asked}, f"{c.scenario} {c.metric}"


def test_a_question_that_is_asked_is_known() -> None:
    assert {"startup", "memory", "disk"} <= known_scenarios()
    assert not {"claims", "subjects", "profiles"} & known_scenarios()


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("60 s", 60.0, Unit.SECONDS), ("50 ms", 0.05, Unit.SECONDS), ("2min", 120.0, Unit.SECONDS),
        ("700 MB", 7e8, Unit.BYTES), ("700 MiB", 700 * 2**20, Unit.BYTES), ("2.1 GB", 2.1e9, Unit.BYTES),
        ("0.5 ×", 0.5, Unit.RATIO), ("5 %", 0.05, Unit.RATIO), ("3", 3.0, Unit.COUNT),
        ("36 CPU s/h", 36.0, Unit.CPU_SECONDS_PER_HOUR), ("10 /s", 10.0, Unit.PER_SECOND),
    ],
)  # fmt: skip
def test_thresholds_are_written_as_a_person_writes_them(text: str, value: float, unit: Unit) -> None:
    found = parse_quantity(text)
    assert found[0] == pytest.approx(value)
    assert found[1] is unit


@pytest.mark.parametrize("text", ["", "s", "60 sec", "-1 s", "1e3 s", "60 s or so", "60 S"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)


def test_a_condition_in_words() -> None:
    assert condition().text_in_full == "s m: at most 1 s"
    compared = condition(at_most=None, below="1 ×", than=["b", "guests"], params={"mode": "warm"}, decides=False)
    assert compared.text_in_full == "(s m (mode=warm): below 1 × of b, guests)"
    ladder = condition(at_most=None, above="1 ×", subjects=["a", "b"], step_by_step=True)
    assert ladder.text == "above 1 × of the one before"
    assert (ladder.side, ladder.relative) == (Side.ABOVE, True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"at_least": "2 s"}, "exactly one of at_least, at_most, below, above; it has at_least, at_most"),
        ({"at_most": None}, "it has none"),
        ({"than": ["b"]}, "needs a ratio"),
        ({"at_most": "1 ×", "than": ["b"], "step_by_step": True}, "exclude each other"),
        ({"at_most": "1 ×", "step_by_step": True}, "needs two subjects"),
        ({"than_params": {"a": "b"}}, "than_params needs than"),
        ({"at_most": "soon"}, '"soon" is no quantity'),
    ],
)
def test_a_condition_that_does_not_fit_together_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        condition(**changes)


def test_a_claim_is_judged_or_says_why_not() -> None:
    plain = {"id": "a", "quotation": "q", "english": "e", "source": Source(title="t"), "measured": "m"}
    assert Claim.model_validate({**plain, "later": "nobody asks it"}).later
    for changes in ({}, {"later": "x", "conditions": [condition()]}):
        with pytest.raises(ValueError, match="needs conditions, or `later`"):
            Claim.model_validate({**plain, **changes})
    with pytest.raises(ValueError, match="none of its conditions decides"):
        Claim.model_validate({**plain, "conditions": [condition(decides=False)]})


def test_a_users_claims_stand_beside_the_suites_and_may_replace_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    changed = WHOLE.replace("claims.mine", "claims.vm-minutes").replace('[sources.me]\ntitle = "I"', "")
    mine.write_text(WHOLE + changed.replace('"me"', '"article"'), "utf-8")
    claims = {claim.id: claim for claim in load(FILE, (mine,))}
    assert list(claims)[-1] == "mine"
    assert len(claims) == 26
    assert claims["vm-minutes"].conditions[0].text == "at most 1 s"
    assert claims["vm-minutes"].source.date == "2024-11-15"
    assert [claim.id for claim in load(tmp_path / "none.toml", ())] == []


def test_every_fault_of_every_file_is_told_with_its_place(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(
        WHOLE.replace('metric = "r', 'metrc = "r').replace('"1 s"', '"soon"').replace('"me"', '"mee"').replace(
            "[sources", "[source"
        ),
        "utf-8",
    )  # fmt: skip
    second.write_text("= 1", "utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(None, (first, second, tmp_path / "third.toml"))
    told = caught.value.message
    assert 'first.toml: source: unknown key; did you mean "sources"?' in told
    assert "first.toml: claims.mine.source: there is no source 'mee'" in told
    assert 'first.toml: claims.mine.conditions[0].metrc: unknown key; did you mean "metric"?' in told
    assert "first.toml: claims.mine.conditions[0].metric: is missing" in told
    assert 'first.toml: claims.mine.conditions[0].at_most: "soon" is no quantity' in told
    assert "second.toml: is not TOML" in told
    assert "third.toml: cannot be read" in told


def test_every_key_of_a_claim_is_explained() -> None:
    text = (DIRECTORY / "README.md").read_text("utf-8")
    keys = {key for model in (Claim, Condition, Source) for key in model.model_fields} - {"id"}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
