"""What run.json says of a run: before its first trial, and once everything is prepared. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import bench
from bench.host.facts import Facts
from bench.host.findings import Finding, KvmOutcome, find
from bench.messages import Prepared
from bench.plan import Plan
from bench.running.request import Choice, Request


def now() -> str:
    """Return the time as run.json writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def before(request: Request, choice: Choice, plan: Plan, facts: Facts) -> dict[str, Any]:
    """Return what is known before the first trial."""
    return {
        "version": bench.__version__,
        "git_commit": facts.software.commit,
        "started_utc": now(),
        "seed": plan.seed,
        "command": f"{request.command} --seed {plan.seed}",
        "labels": dict(request.labels),
        "profile": plan.profile.name,
        "blocks": plan.profile.blocks,
        "scenarios": {s.name: s.model_dump(mode="json") for s in choice.scenarios},
        "expected_s": plan.expected_s,
        "planned_trials": len(plan.trials),
        "ending": "",
        "findings": _findings(find(facts)),
        **_after_preparation(plan, {}),
    }


def when_prepared(message: Prepared, facts: Facts, accelerators: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known once the engines are open and the subjects are built."""
    labels = {label.partition("@")[0]: label for label in message.manifests}
    engines = {name: dict(told) for name, told in message.engines.items()}
    return {
        "engines": engines,
        "manifests": {label: dict(made_of) for label, made_of in message.manifests.items()},
        "accelerators": dict(accelerators),
        "findings": _findings(find(facts, kvm=_kvm_outcome(accelerators), engines=engines)),
        **_after_preparation(message.plan, labels),
    }


def _kvm_outcome(accelerators: Mapping[str, str]) -> KvmOutcome:
    """Return what the run's own boots on /dev/kvm showed; UNTRIED where no VM was prepared."""
    match accelerators.get("rom"), accelerators.get("kernel"):
        case None, None:
            return KvmOutcome.UNTRIED
        case _, "kvm":
            return KvmOutcome.WORKS
        case "kvm", _:
            return KvmOutcome.ROM_ONLY
        case _:
            return KvmOutcome.FAILS


def _findings(found: Sequence[Finding]) -> list[dict[str, str]]:
    return [{key: str(value) for key, value in asdict(finding).items()} for finding in found]


def _after_preparation(plan: Plan, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the subjects by label, the refusals and the order, as far as they are known."""
    subjects = {s.name: s for s in (*plan.subjects, *(r.subject for r in plan.refusals))}
    described = {}
    for name, subject in subjects.items():
        label = labels.get(name, name)
        described[label] = {**subject.model_dump(mode="json"), "accelerator": label.partition("@")[2]}
    return {
        "subjects": described,
        "refusals": [
            {
                "scenario": r.scenario.name, "subject": r.subject.name, "reason": r.reason, "hint": r.hint,
                "missing": r.missing,
            }
            for r in plan.refusals
        ],
        "order": [
            [t.scenario.name, labels.get(t.subject.name, t.subject.name), dict(t.params), t.block, str(t.phase)]
            for t in plan.trials
        ],
    }  # fmt: skip
