"""`bench doctor`: what can be measured here, and the one thing that reading cannot tell: whether KVM runs a guest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.backends import load_backend
from bench.collectors.host import State
from bench.errors import BenchError, ExitCode
from bench.host.facts import read_facts
from bench.host.findings import KvmOutcome, find
from bench.running.application import availability
from bench.running.places import cache_directory, open_session, read_host
from bench.scenario import Catalogue, Subject
from bench.screens.console import answers
from bench.screens.host import availability_screen, facts_screen, findings_screen
from bench.screens.layout import line

if TYPE_CHECKING:
    from bench.backends.base import Guard
    from bench.backends.kvm_proof import Proof

_GUESTS = {"rom": "a guest without an operating system", "kernel": "an ordinary 64-bit kernel"}
"""What is booted: code that needs no operating system, and the very kernel of the VM subjects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KvmTrial:
    """What became of booting guests on /dev/kvm: the outcome, and a line per guest, or why none was tried."""

    outcome: KvmOutcome
    seen: tuple[str, ...]


def examine(catalogue: Catalogue, guard: Guard | None, run_id: str) -> ExitCode:
    """Print the facts, which subjects are usable, and last the findings. Without a guard no guest is booted."""
    console = answers()
    facts = read_host(cache_directory())
    facts_screen(console, facts.as_dict())
    console.print()
    available = availability(tuple(catalogue.subjects.values()))
    availability_screen(console, available)
    console.print()
    untried = KvmTrial(outcome=KvmOutcome.UNTRIED, seen=())
    tried = try_kvm(run_id, guard, lambda text: line(console, text, "dim")) if guard else untried
    for text in tried.seen:
        line(console, f"tried: {text}")
    found = find(facts, kvm=tried.outcome)
    findings_screen(console, [{key: str(value) for key, value in asdict(finding).items()} for finding in found])
    return ExitCode.DONE if any(a.usable for a in available.values()) else ExitCode.NOTHING_MEASURED


def try_kvm(run_id: str, guard: Guard, say: Callable[[str], None]) -> KvmTrial:
    """Boot both guests on KVM, each with a deadline of seconds. Remembered until the host or QEMU changes.

    The first time, the kernel is fetched and unpacked, which takes a minute. Never raises a BenchError: what cannot
    be tried is UNTRIED, and `seen` says why.
    """
    if read_facts().virtualisation.kvm_openable is not State.ON:
        return KvmTrial(outcome=KvmOutcome.UNTRIED, seen=("/dev/kvm cannot be opened",))
    subject = Subject(name="doctor", title="doctor", backend="libvirt", options={"boot": "direct"})
    try:
        with open_session(run_id, guard) as session:
            session.say = say
            backend = load_backend("libvirt")
            available = backend.check(subject)
            if not available.usable:
                return KvmTrial(outcome=KvmOutcome.UNTRIED, seen=(f"{available.reason} ({available.hint})",))
            with contextlib.closing(backend):
                backend.open(session)
                prove: Callable[[str], Proof] = backend.prove  # type: ignore[attr-defined]  # libvirt's alone
                return judged({guest: prove(guest) for guest in _GUESTS})
    except (BenchError, ImportError) as error:
        return KvmTrial(outcome=KvmOutcome.UNTRIED, seen=(str(error),))


def judged(proofs: Mapping[str, Proof]) -> KvmTrial:
    """Return the outcome of the boots of "rom" and "kernel"."""
    if proofs["kernel"].works:
        outcome = KvmOutcome.WORKS
    else:
        outcome = KvmOutcome.ROM_ONLY if proofs["rom"].works else KvmOutcome.FAILS
    seen = tuple(
        f"{_GUESTS[guest]} {'boots' if proof.works else 'does not boot'} on KVM: {' '.join(proof.reason.split())}"
        for guest, proof in proofs.items()
    )
    return KvmTrial(outcome=outcome, seen=seen)
