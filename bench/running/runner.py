"""Runs a plan: one trial after another, each failure a sample, nothing left behind. Yields messages, never prints."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from bench.backends.base import Backend, Session
from bench.collectors.noise import noise_between, read_noise
from bench.errors import BackendUnavailable, BenchError, InstanceError, Unsupported
from bench.messages import (
    Message,
    Prepared,
    Preparing,
    RunFinished,
    RunStarted,
    TrialFinished,
    TrialPassedOver,
    TrialResult,
    TrialStarted,
)
from bench.plan import Plan, Refusal, Trial
from bench.probes import load_probe
from bench.probes.base import Workbench, status_of
from bench.sample import Noise, Phase, Sample, Status
from bench.scenario import Subject

_T = TypeVar("_T")


class Steering(Protocol):
    """Decides which trials are passed over. The runner knows no more of it."""

    def passed_over(self, trial: Trial) -> bool:
        """Say whether the trial is not needed any more. Asked once for each, in the order of the plan."""
        ...

    def take(self, result: TrialResult) -> None:
        """Take the result of a trial that ran."""
        ...


def execute(
    plan: Plan, session: Session, backends: Mapping[str, Backend], steering: Callable[[Plan], Steering] | None = None
) -> Generator[Message, None, None]:
    """Open the engines, prepare the subjects, run every trial, close the engines. An iterator of messages.

    Closing the iterator at any point (Ctrl-C, SIGTERM, a full disk) closes the engines too. An engine or a
    subject that cannot be had costs its own trials, not the run.

    Args:
        steering: makes what decides which trials are passed over, once it is known who can run; None: all are run.
    """
    yield RunStarted(run_id=session.run_id, plan=plan)
    with contextlib.ExitStack() as stack:
        refused: dict[str, BenchError] = {}
        for name in dict.fromkeys(s.backend for s in plan.subjects):
            yield Preparing(text=f"opening {name}")
            stack.callback(backends[name].close)
            error = _fault_of(backends[name].open, session)
            if error is not None:
                refused |= {s.key: error for _, s in plan.fitted if s.backend == name}
        for _, subject in plan.fitted:
            if subject.key not in refused:
                yield Preparing(text=f"preparing {subject.name}")
                error = _fault_of(backends[subject.backend].prepare, subject)
                if error is not None:
                    refused[subject.key] = error
        plan = _without(plan, refused)
        alive = plan.subjects
        labels = {s.key: label(s, backends[s.backend]) for _, s in plan.fitted}
        yield Prepared(
            plan=plan,
            engines={n: dict(b.facts()) for n, b in backends.items() if any(s.backend == n for s in alive)},
            manifests=_manifests(plan, labels, backends),
        )
        for refusal in plan.refusals:
            yield TrialFinished(result=_refused(refusal, plan, labels.get(refusal.subject.key, refusal.subject.name)))
        steered = steering(plan) if steering else None
        for trial in plan.trials:
            if steered is not None and steered.passed_over(trial):
                yield TrialPassedOver(trial=trial)
                continue
            yield TrialStarted(trial=trial, label=labels[trial.subject.key])
            result = run_trial(trial, backends[trial.subject.backend], session)
            if steered is not None:
                steered.take(result)
            yield TrialFinished(result=result)
        yield Preparing(text="closing the engines")
    yield RunFinished()


def _fault_of(step: Callable[[_T], None], argument: _T) -> BenchError | None:
    """Take the step and return what went wrong: whatever an engine's library throws costs its own subjects only."""
    try:
        step(argument)
    except BenchError as error:
        return error
    except Exception as error:  # noqa: BLE001
        return BackendUnavailable(f"{type(error).__name__}: {error}")
    return None


def label(subject: Subject, backend: Backend) -> str:
    """Return the subject's name as it is really run: an emulated guest is another subject than a virtualised one."""
    accelerator = backend.accelerator(subject)
    return f"{subject.name}@{accelerator}" if accelerator else subject.name


def _manifests(plan: Plan, labels: Mapping[str, str], backends: Mapping[str, Backend]) -> dict[str, dict[str, str]]:
    """Return what each subject is made of; where a scenario has it otherwise, under "NAME in SCENARIO@ACCELERATOR"."""
    usual = {subject.name: subject.key for subject in plan.subjects}
    made_of = {}
    for scenario, subject in plan.fitted:
        name, at, accelerator = labels[subject.key].partition("@")
        place = name if usual[subject.name] == subject.key else f"{name} in {scenario}"
        made_of[f"{place}{at}{accelerator}"] = dict(backends[subject.backend].manifest(subject))
    return made_of


def run_trial(trial: Trial, backend: Backend, session: Session) -> TrialResult:
    """Run one trial; whatever goes wrong inside it becomes samples without a value."""
    workbench = Workbench(trial, backend, session)
    samples: list[Sample] = []
    before, started_ns = read_noise(), time.monotonic_ns()
    try:
        for sample in load_probe(trial.scenario.probe)(workbench):
            samples.append(sample)  # noqa: PERF402  # a probe that fails half-way keeps what it gave
    except InstanceError as error:
        samples += _unmeasured(workbench, samples, status_of(error), _text(error))
    except Unsupported as error:
        samples += _unmeasured(workbench, samples, Status.UNSUPPORTED, _text(error))
    except Exception as error:  # noqa: BLE001  # a fault in a probe must not cost the other subjects their numbers
        session.say(traceback.format_exc())
        samples += _unmeasured(workbench, samples, Status.FAILED, f"{type(error).__name__}: {error}")
    return TrialResult(
        trial=trial,
        label=label(trial.subject, backend),
        instance=workbench.first_instance,
        started_ns=started_ns,
        elapsed_s=(time.monotonic_ns() - started_ns) / 1e9,
        samples=tuple(samples),
        noise=noise_between(before, read_noise()),
    )


def _unmeasured(workbench: Workbench, given: list[Sample], status: Status, reason: str) -> list[Sample]:
    """Return a sample without a value for every metric of the scenario that the probe did not reach."""
    reached = {sample.metric for sample in given}
    return [
        workbench.missing(metric.name, reason, status)
        for metric in workbench.trial.scenario.metrics
        if metric.name not in reached
    ]


def _text(error: BenchError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _without(plan: Plan, refused: Mapping[str, BenchError]) -> Plan:
    """Return the plan without the subjects that could not be prepared; each becomes a refusal per scenario."""
    if not refused:
        return plan
    lost = {(t.scenario.name, t.subject.key): t for t in plan.trials if t.subject.key in refused}
    added = tuple(
        Refusal(
            scenario=t.scenario, subject=t.subject, missing=True,
            reason=refused[t.subject.key].message, hint=refused[t.subject.key].hint,
        )
        for t in lost.values()
    )  # fmt: skip
    kept = tuple(t for t in plan.trials if t.subject.key not in refused)
    return replace(plan, trials=kept, refusals=plan.refusals + added)


def _refused(refusal: Refusal, plan: Plan, name: str) -> TrialResult:
    """Return the samples that tell why a pairing was not run, under the name the subject has elsewhere in the run."""
    status = Status.SKIPPED if refusal.missing else Status.UNSUPPORTED
    reason = f"{refusal.reason} ({refusal.hint})" if refusal.hint else refusal.reason
    trial = Trial(
        index=-1 - plan.refusals.index(refusal), scenario=refusal.scenario, subject=refusal.subject,
        block=-1, position=-1, phase=Phase.MEASURE, profile=plan.profile, expected_s=0.0,
    )  # fmt: skip
    samples = tuple(
        Sample(
            metric=m.name, unit=m.unit, better=m.better, status=status, reason=reason,
            event_from=m.events[0], event_to=m.events[1],
        )
        for m in refusal.scenario.metrics
    )  # fmt: skip
    return TrialResult(
        trial=trial, label=name, instance="", started_ns=time.monotonic_ns(), elapsed_s=0.0,
        samples=samples, noise=Noise(),
    )  # fmt: skip
