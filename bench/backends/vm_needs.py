"""What a VM subject needs of this host: programs, packages, an option that makes sense here."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from bench.backends.base import Availability
from bench.backends.domain import EMULATOR
from bench.backends.vm_parts import balloon_of, boot_of, network_of
from bench.collectors import host
from bench.errors import BenchError
from bench.scenario import Subject

MERGING = Path("/sys/kernel/mm/ksm/run")
"""Holds 1 where ksmd runs (Documentation/admin-guide/mm/ksm.rst)."""


def missing(subject: Subject) -> Availability | None:
    """Return what stands in the way of this subject on this host; None: nothing."""
    if platform.machine() != "x86_64":
        return Availability(usable=False, reason="the VM subjects are x86-64 machines", hint="run it on such a host")
    try:
        balloon_of(subject)
        network_of(subject)
    except BenchError as error:
        return Availability(usable=False, reason=error.message, hint=error.hint)
    needed = {
        EMULATOR: "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "mke2fs": "e2fsprogs",
        "mmdebstrap": "mmdebstrap",
    }
    if boot_of(subject) == "disk":
        needed |= {"grub-mkimage": "grub-common and grub-pc-bin", "sfdisk": "fdisk"}
    if boot_of(subject) == "rom":
        needed = {EMULATOR: "qemu-system-x86"}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for program, package in needed.items():
        if shutil.which(program) is None and shutil.which(program, path=path) is None:
            return Availability(usable=False, reason=f"{program} is not installed", hint=f"apt install {package}")
    if not subject.flag("merged", default=True) and host.text(MERGING) != "1":
        return Availability(
            usable=False, reason="KSM does not run on this host, so there is nothing to keep memory out of",
            hint="the suite switches nothing on; whoever wants the comparison runs ksmd: /sys/kernel/mm/ksm/run",
        )  # fmt: skip
    return None
