"""CRIU as an OCI runtime drives it: whether it serves on this host, its files, and what it said when it failed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.backends.common import find_program
from bench.errors import InstanceError, Unsupported

_CALL_S = 30.0

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h
_IFREQ = "16sH22x"  # struct ifreq: a name and a union, of which the flags are read and written


def require_criu(runtime: str) -> None:
    """Ask the runtime and CRIU themselves; return where both serve.

    Args:
        runtime: the program, "runc" or "crun".

    Raises:
        Unsupported: one of them is missing, or says that it cannot.
    """
    program = find_program("criu")
    if program is None:
        raise Unsupported("CRIU is not installed", "apt-get install criu")
    # crun has CRIU as a library, and says so among its features, or not at all (crun.1.md).
    if runtime == "crun" and "+CRIU" not in _said([find_program(runtime) or runtime, "--version"])[1]:
        raise Unsupported("this crun was built without CRIU")
    code, said = _said([program, "check"])
    if code:
        raise Unsupported(f"criu check fails on this kernel: {said[-200:]}")


def _said(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_CALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, " ".join((done.stderr or done.stdout).split())


def options(images: Path) -> tuple[str, ...]:
    """Return the words by which runc and crun are told where CRIU's files are, for `checkpoint` and for `restore`."""
    # Groups "soft": the runtime has made those of a restored container, and CRIU takes what is there.
    return ("--image-path", str(images), "--work-path", str(images), "--manage-cgroups-mode", "soft")


def complaint(images: Path) -> str:
    """Return the last error in CRIU's own log, "" where there is none: the runtime only says where the log is."""
    with contextlib.suppress(OSError, ValueError):
        log = max(images.glob("*.log"), key=lambda path: path.stat().st_mtime)
        errors = [line for line in log.read_text("utf-8", "replace").splitlines() if "Error" in line]
        return " ".join(errors[-2:])[-300:]
    return ""


def bring_loopback_up(pid: int) -> None:
    """Bring up the loopback interface of a restored container.

    A runtime leaves a restored namespace's network to the engine that made it (runc, checkpoint.go: setEmptyNsMask
    always names it); here that is the suite.

    Raises:
        InstanceError: the container is gone, or the kernel refused.
    """
    # A thread of its own: the namespace is the thread's (setns(2)), and ends with it.
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(_bring_loopback_up, pid).result()
        except OSError as error:
            raise InstanceError(f"the restored container's loopback interface stays down: {error}") from error


def _bring_loopback_up(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace.name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        answer = fcntl.ioctl(inside, _SIOCGIFFLAGS, struct.pack(_IFREQ, b"lo", 0))
        name, flags = struct.unpack(_IFREQ, answer)
        fcntl.ioctl(inside, _SIOCSIFFLAGS, struct.pack(_IFREQ, name, flags | _IFF_UP))
