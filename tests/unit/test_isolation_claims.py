"""The sentences about walls, judged from samples made for it; and when one block of a constant fact decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.judging.claims import load
from bench.judging.evidence import Doubt, Outcome
from bench.judging.verdicts import ClaimVerdict, Judgement, judge
from bench.scenario import load as load_catalogue
from bench.store import Run

BACKENDS = {"docker": "docker", "docker-hostnet": "docker", "oci-runc": "oci", "process": "process"}

OPEN = {
    "host-facts": 10, "own-kernel": 0, "host-file": 2, "host-memory": 3, "neighbour-memory": 3, "port-reached": 4,
    "root-is-hosts": 1, "capabilities": 41, "capabilities-nobody": 0, "init": 0, "neighbour-unharmed": 1,
}  # fmt: skip
WALLED = {
    **OPEN, "host-facts": 8, "host-file": 0, "host-memory": 0, "neighbour-memory": 0, "port-reached": 2,
    "capabilities": 14,
}  # fmt: skip
GUEST = {**WALLED, "host-facts": 0, "own-kernel": 1, "port-reached": 0, "root-is-hosts": 0, "capabilities": 41}

SEEN: Mapping[str, Mapping[str, float]] = {
    "process": OPEN, "oci-runc": {**WALLED, "port-reached": 0}, "docker": WALLED,
    "docker-hostnet": {**WALLED, "port-reached": 4}, "vm-direct-tuned@tcg": GUEST,
}  # fmt: skip


def run_of(seen: Mapping[str, Mapping[str, float | Sequence[float | None]]]) -> Run:
    """Return a run of the scenario as declared: one block, or one a value."""
    scenario = load_catalogue().scenarios["isolation"]
    found: list[dict[str, Any]] = []
    for subject, values in seen.items():
        for name, value in values.items():
            metric = scenario.metric(name)
            assert metric is not None
            found += [
                {
                    "run_id": "r", "scenario": "isolation", "subject": subject, "metric": name, "unit": metric.unit,
                    "better": metric.better, "backend": BACKENDS.get(subject, "libvirt"), "phase": "measure",
                    "params": {"part": "total"}, "reason": "", "block": block, "value": one,
                    "status": "failed" if one is None else "ok",
                }
                for block, one in enumerate(value if isinstance(value, Sequence) else [value])
            ]  # fmt: skip
    subjects = {label: {"rung": place, "twin_of": ""} for place, label in enumerate(seen)}
    info = {"run_id": "r", "scenarios": {"isolation": scenario.model_dump(mode="json")}, "subjects": subjects}
    return Run(path=Path("nowhere"), info=info, facts={}, rows=tuple(found))


def judged(claim: str, seen: Mapping[str, Mapping[str, float | Sequence[float | None]]]) -> Judgement:
    """Return the verdict on one of the suite's own claims."""
    [found] = judge(run_of(seen), [one for one in load() if one.id == claim], {"isolation"})
    return found


def but(subject: str, **changes: float) -> dict[str, dict[str, float]]:
    """Return what is seen with one subject otherwise."""
    turned = {name.replace("_", "-"): value for name, value in changes.items()}
    return {label: {**values, **(turned if label == subject else {})} for label, values in SEEN.items()}


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("sees-own-files", ClaimVerdict.SUPPORTED), ("no-foreign-memory", ClaimVerdict.SUPPORTED),
        ("vm-isolates-better", ClaimVerdict.SUPPORTED), ("not-root", ClaimVerdict.SUPPORTED),
        ("many-os", ClaimVerdict.SUPPORTED), ("blast-radius", ClaimVerdict.SUPPORTED),
        ("port-31337", ClaimVerdict.DEPENDS), ("incomplete-os", ClaimVerdict.DEPENDS),
    ],
)  # fmt: skip
def test_one_block_of_yes_and_no_decides(claim: str, verdict: ClaimVerdict) -> None:
    found = judged(claim, SEEN)
    assert found.verdict is verdict, found.reason
    assert {e.blocks for e in found.deciding} == {1}


def test_the_port_is_exposed_where_there_is_a_bridge_or_the_hosts_network() -> None:
    reason = judged("port-31337", SEEN).reason
    assert reason.startswith("holds for oci-runc 0; fails for docker 2, docker-hostnet 4; beside it: ")


@pytest.mark.parametrize(
    ("claim", "subject", "changes"),
    [
        ("sees-own-files", "docker", {"host_file": 1}),
        ("no-foreign-memory", "docker", {"host_memory": 1}),
        ("no-foreign-memory", "oci-runc", {"neighbour_memory": 1}),
        ("vm-isolates-better", "vm-direct-tuned@tcg", {"host_facts": 6}),
        ("vm-isolates-better", "docker", {"own_kernel": 1}),
        ("not-root", "docker", {"capabilities_nobody": 14}),
        ("many-os", "vm-direct-tuned@tcg", {"own_kernel": 0}),
        ("blast-radius", "docker-hostnet", {"neighbour_unharmed": 0}),
    ],
)
def test_one_subject_that_is_otherwise_turns_the_verdict(claim: str, subject: str, changes: dict[str, float]) -> None:
    assert judged(claim, but(subject, **changes)).verdict is ClaimVerdict.DEPENDS


def test_a_machine_with_an_init_of_its_own_holds() -> None:
    found = judged("incomplete-os", {**SEEN, "vm-distro@tcg": {**GUEST, "init": 1}})
    assert found.verdict is ClaimVerdict.DEPENDS
    assert "vm-distro@tcg" in [e.subject for e in found.deciding if e.outcome is Outcome.HOLDS]
    only = {label: values for label, values in SEEN.items() if not label.startswith("vm")}
    assert judged("incomplete-os", {**only, "vm-distro@tcg": {**GUEST, "init": 1}}).verdict is ClaimVerdict.SUPPORTED


def test_blocks_that_disagree_decide_nothing_below_six() -> None:
    found = judged("sees-own-files", {"docker": {"host-file": [0, 1]}})
    assert [e.doubt for e in found.evidence if e.subject == "docker"] == [Doubt.TOO_FEW]


def test_a_block_that_failed_could_have_been_anything() -> None:
    found = judged("sees-own-files", {"docker": {"host-file": [0, None]}})
    assert [(e.doubt, e.failures) for e in found.evidence if e.subject == "docker"] == [(Doubt.TOO_FEW, 1)]


def test_what_scatters_needs_its_six_blocks() -> None:
    run = run_of({"docker": {"userland-files": [12]}})
    claim = load()[0].model_copy(
        update={
            "conditions": tuple(
                c.model_copy(update={"scenario": "isolation", "metric": "userland-files", "subjects": ("docker",),
                                     "at_least": "1", "at_most": None})
                for c in load()[0].conditions
            )
        }
    )  # fmt: skip
    [found] = judge(run, [claim], {"isolation"})
    assert [e.doubt for e in found.evidence] == [Doubt.TOO_FEW]
