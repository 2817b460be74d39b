"""Whether KVM really runs a guest here: proved by booting one, and remembered.

/dev/kvm that opens is no proof: some hosts open it, run firmware on it, and hang in an ordinary 64-bit kernel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEADLINE_S = 5.0
"""How long the guest may take to its first mark. With KVM an ordinary kernel needs less than one second."""

CPUS = ("host-passthrough", "host-passthrough,-arch-capabilities", "qemu64")
"""Tried in this order. The second: nested KVM may refuse to set IA32_ARCH_CAPABILITIES (MSR 0x10a)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One boot. `seen` is how long it took, or what went wrong."""

    cpu: str
    worked: bool
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was tried and seen.

    Attributes:
        guest: "kernel" or "rom".
        works: a boot reached its first mark.
        cpu: the processor model it did so with; "" when none.
        attempts: every boot that was tried.
        reason: why nothing was tried, or what the last attempt saw.
    """

    guest: str
    works: bool
    cpu: str
    attempts: tuple[Attempt, ...]
    reason: str


def proof_path(cache: Path, guest: str, qemu: str, digest: str, host: str = "") -> Path:
    """Return where the proof of this boot of the host, this QEMU and this guest is kept."""
    host = host or Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    key = hashlib.sha256(f"{host} {qemu} {guest} {digest}".encode()).hexdigest()[:16]
    return cache / "kvm" / f"{key}.json"


def remembered(path: Path) -> Proof | None:
    """Return the proof kept there, or None."""
    try:
        content = json.loads(path.read_text("utf-8"))
        attempts = tuple(Attempt(**attempt) for attempt in content.pop("attempts"))
        return Proof(**content, attempts=attempts)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def prove(guest: str, path: Path, attempt: Callable[[str], Attempt], cpus: Sequence[str] = CPUS) -> Proof:
    """Return the remembered proof, or try the processors in turn until one boots, and remember.

    Args:
        guest: "kernel" or "rom".
        path: where it is kept.
        attempt: boots the guest on KVM with the given processor model.
        cpus: the models to try.
    """
    found = remembered(path)
    if found is not None:
        return found
    refusal = device_refusal()
    attempts: list[Attempt] = []
    while not refusal and len(attempts) < len(cpus) and not (attempts and attempts[-1].worked):
        attempts.append(attempt(cpus[len(attempts)]))
    last = attempts[-1] if attempts else Attempt(cpu="", worked=False, seen=refusal)
    proof = Proof(
        guest=guest, works=last.worked, cpu=last.cpu if last.worked else "", attempts=tuple(attempts), reason=last.seen
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(dataclasses.asdict(proof), indent=1))
    part.rename(path)
    return proof


def device_refusal(device: str = "/dev/kvm") -> str:
    """Return why the device cannot be opened, or "" when it can."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{device}: {error.strerror}"
    return ""
