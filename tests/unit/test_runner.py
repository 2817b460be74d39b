"""The runner on the fake backend: every failure a sample, every engine closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.backends.base import Session
from bench.backends.fake import FakeBackend
from bench.errors import BackendUnavailable
from bench.messages import Prepared, RunFinished, TrialFinished, TrialResult
from bench.plan import Plan, make_plan
from bench.running.runner import execute
from bench.sample import Phase, Status
from bench.scenario import Catalogue, Profile, Subject

PROFILE = Profile(name="test", blocks=4, warmup=1)


def fake(name: str, **options: str) -> Subject:
    return Subject(name=name, title=name, backend="fake", deadline_s=0.3, options=options)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(run_id="20260101-000000-abcdef", directory=tmp_path, scratch=tmp_path, cache=tmp_path)


def planned(catalogue: Catalogue, *subjects: Subject, excluded: dict[str, str] | None = None) -> Plan:
    names = tuple(subject.name for subject in subjects)
    change = {"subjects": names, "excluded": excluded or {}, "baseline": names[0]}
    scenario = catalogue.scenarios["startup"].model_copy(update=change)
    return make_plan([scenario], {s.name: s for s in subjects}, PROFILE, 7)


def results(plan: Plan, session: Session, backend: FakeBackend) -> list[TrialResult]:
    return [m.result for m in execute(plan, session, {"fake": backend}) if isinstance(m, TrialFinished)]


def ready(result: TrialResult) -> list[float | None]:
    return [s.value for s in result.samples if s.metric == "requested→ready"]


def test_all_trials_give_all_metrics(catalogue: Catalogue, session: Session) -> None:
    plan = planned(catalogue, fake("a"), fake("b"))
    found = results(plan, session, FakeBackend())
    assert [r.trial.index for r in found] == list(range(10))
    declared = {m.name for m in catalogue.scenarios["startup"].metrics}
    for result in found:
        assert declared <= {s.metric for s in result.samples}
        assert not result.failed
    assert [r.trial.phase for r in found] == [Phase.WARMUP] * 2 + [Phase.MEASURE] * 8


def test_phases_sum_to_the_total_of_the_same_trial(catalogue: Catalogue, session: Session) -> None:
    for result in results(planned(catalogue, fake("a")), session, FakeBackend()):
        parts = [s.value for s in result.samples if s.params.get("part") == "phase"]
        assert len(parts) >= 2
        assert sum(part for part in parts if part is not None) == pytest.approx(ready(result)[0], abs=2e-9)


@pytest.mark.parametrize(
    ("fail", "status", "reason"),
    [
        ("refuse", Status.FAILED, "refused"),
        ("die", Status.FAILED, "ended before ready; it said last: fake: killed"),
        ("hang", Status.TIMEOUT, "no ready within 0.3 s"),
    ],
)
def test_a_failure_is_a_sample_and_the_run_goes_on(
    catalogue: Catalogue, session: Session, fail: str, status: Status, reason: str
) -> None:
    plan = planned(catalogue, fake("good"), fake("bad", fail=fail, fail_every="2"))
    found = results(plan, session, FakeBackend())
    assert len(found) == 10
    bad = [r for r in found if r.label == "bad"]
    assert [r.failed for r in bad] == [False, True, False, True, False]
    for result in bad:
        if result.failed:
            headline = next(s for s in result.samples if s.metric == "requested→ready")
            assert (headline.status, headline.value) == (status, None)
            assert reason in headline.reason
    assert not any(r.failed for r in found if r.label == "good")


def test_what_makes_no_sense_is_unsupported_with_its_reason(catalogue: Catalogue, session: Session) -> None:
    plan = planned(catalogue, fake("a"), fake("b"), excluded={"b": "b has no start"})
    refused = [r for r in results(plan, session, FakeBackend()) if r.label == "b"]
    assert len(refused) == 1
    assert {(s.status, s.reason) for s in refused[0].samples} == {(Status.UNSUPPORTED, "b has no start")}


def test_a_subject_that_cannot_be_prepared_costs_only_itself(
    catalogue: Catalogue, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(backend: FakeBackend, subject: Subject) -> None:
        if subject.name == "b":
            raise BackendUnavailable("no such image", "pull it")
        original(backend, subject)

    original = FakeBackend.prepare
    monkeypatch.setattr(FakeBackend, "prepare", prepare)
    found = results(planned(catalogue, fake("a"), fake("b")), session, FakeBackend())
    skipped = [r for r in found if r.label == "b"]
    assert {(s.status, s.reason) for r in skipped for s in r.samples} == {(Status.SKIPPED, "no such image (pull it)")}
    assert len([r for r in found if r.label == "a" and not r.failed]) == 5


def test_a_fault_in_a_probe_becomes_failed_samples(
    catalogue: Catalogue, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probes.startup.phases", lambda *_: 1 / 0)
    found = results(planned(catalogue, fake("a")), session, FakeBackend())
    for result in found:
        reasons = {s.reason for s in result.samples if s.status is Status.FAILED}
        assert reasons == {"ZeroDivisionError: division by zero"}
        assert ready(result)[0] is not None, "what the probe gave before is kept"


def test_closing_the_iterator_closes_the_engines(catalogue: Catalogue, session: Session) -> None:
    backend = FakeBackend()
    messages = execute(planned(catalogue, fake("a")), session, {"fake": backend})
    for message in messages:
        if isinstance(message, TrialFinished):
            break
    messages.close()
    with pytest.raises(Exception, match="not open"):
        backend.launch(fake("a"))


def test_the_accelerator_is_part_of_the_label(catalogue: Catalogue, session: Session) -> None:
    messages = list(execute(planned(catalogue, fake("vm", accelerator="tcg")), session, {"fake": FakeBackend()}))
    assert {m.result.label for m in messages if isinstance(m, TrialFinished)} == {"vm@tcg"}
    assert isinstance(messages[-1], RunFinished)
    prepared = next(m for m in messages if isinstance(m, Prepared))
    assert set(prepared.manifests) == {"vm@tcg"}


def test_a_pairing_left_out_has_the_name_its_subject_has_elsewhere(catalogue: Catalogue, session: Session) -> None:
    vm = fake("vm", accelerator="tcg")
    first = planned(catalogue, fake("a"), vm)
    second = planned(catalogue, fake("a"), vm, excluded={"vm": "no"})
    plan = Plan(seed=1, profile=PROFILE, trials=first.trials, refusals=second.refusals)
    labels = {r.label for r in results(plan, session, FakeBackend()) if r.trial.subject.name == "vm"}
    assert labels == {"vm@tcg"}


def test_a_library_that_throws_costs_its_own_subjects(
    catalogue: Catalogue, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throw(*_: object) -> None:
        raise KeyError("no such key")

    monkeypatch.setattr(FakeBackend, "open", throw)
    found = results(planned(catalogue, fake("a"), fake("b")), session, FakeBackend())
    assert {(s.status, s.reason) for r in found for s in r.samples} == {(Status.SKIPPED, "KeyError: 'no such key'")}


def test_each_form_of_a_subject_is_prepared_and_described(catalogue: Catalogue, session: Session) -> None:
    class Telling(FakeBackend):
        def __init__(self) -> None:
            super().__init__()
            self.prepared: list[str] = []

        def prepare(self, subject: Subject) -> None:
            super().prepare(subject)
            self.prepared.append(subject.rootfs)

    plain = catalogue.scenarios["startup"].model_copy(update={"subjects": ("a",), "baseline": "a", "excluded": {}})
    inside = plain.model_copy(update={"name": "inside", "rootfs": "tools"})
    made = make_plan([plain, inside], {"a": fake("a", accelerator="tcg")}, PROFILE, 7)
    backend = Telling()

    found = list(execute(made, session, {"fake": backend}))

    assert sorted(backend.prepared) == ["minimal", "tools"]
    [prepared] = [m for m in found if isinstance(m, Prepared)]
    assert {k: v["rootfs"] for k, v in prepared.manifests.items()} == {"a@tcg": "minimal", "a in inside@tcg": "tools"}
    assert {m.result.label for m in found if isinstance(m, TrialFinished)} == {"a@tcg"}
