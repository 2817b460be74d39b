"""Every scenario says of every subject whether it is asked, or why not."""

from __future__ import annotations

import pytest

from bench.scenario import load

CATALOGUE = load()


@pytest.mark.parametrize("name", CATALOGUE.scenarios)
def test_every_subject_is_asked_or_left_out_with_a_reason(name: str) -> None:
    scenario = CATALOGUE.scenarios[name]
    told = {*scenario.subjects, *scenario.excluded}
    # A twin repeats its subject for the noise floor, where the scenario wants one.
    declared = {subject.name for subject in CATALOGUE.subjects.values() if not subject.twin_of}
    assert declared - told == set()
    assert set(scenario.subjects) & set(scenario.excluded) == set()
    assert all(len(reason) > 20 for reason in scenario.excluded.values())
