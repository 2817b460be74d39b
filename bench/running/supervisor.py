"""The front process of a run: starts the guardian, forks the worker, reaps every orphan, passes on the exit code.

Why a process in front of the worker: where PID 1 reaps slowly (many containers), libvirt waits seconds for each
QEMU that ends; as child subreaper the front process reaps at once. The worker itself must not be the subreaper:
it would have to reap children that libraries wait for. And the front process outlives a worker that was killed.

    front ─┬─ guardian   session of its own, sweeps when the front asks or dies
           └─ worker     the benchmark; dies with the front (PR_SET_PDEATHSIG)
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType

from bench.errors import ExitCode
from bench.running import sweeper
from bench.running.guardian import Guardian

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = (signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP came. Not an Exception: nothing but `finally` and the top level sees it."""


class Interruptions:
    r"""Turns the first signal into an exception, so that every `finally` runs, and answers later ones with a word.

    A second Ctrl-C must not cut the clean-up short. SIGQUIT (Ctrl-\) ends everything at once: the guardian sweeps.
    """

    def __init__(self) -> None:
        self._came = False

    def install(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP."""
        for number in (signal.SIGINT, *_FORWARDED):
            signal.signal(number, self._take)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._came:
            os.write(2, b"bench: cleaning up\xe2\x80\xa6 (Ctrl-\\ leaves it to the guardian)\n")
            return
        self._came = True
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def supervise(run_id: str, work: Callable[[Guardian], int]) -> int:
    """Run the work in a forked worker under a guardian; return its exit code when nothing of it is left.

    Must be called before any thread is started. A worker that a signal killed gives 128 + the signal's number.
    """
    guardian = Guardian(run_id)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    sys.stdout.flush()
    sys.stderr.flush()
    front = os.getpid()
    worker = os.fork()
    if worker == 0:
        _work(run_id, front, guardian, work)
    forwarding = _Forwarding(worker)
    status = _reap_until(worker)
    forwarding.over()
    swept = guardian.sweep()
    _reap_the_rest()
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _tell_of_death(-code, swept)
    _tell_of_remains([line for line in swept if line.startswith(sweeper.NOT_REMOVED)])
    return code if code >= 0 else 128 - code


class _Forwarding:
    """Passes SIGTERM and SIGHUP on to the worker; SIGINT it gets from the terminal itself."""

    def __init__(self, worker: int) -> None:
        self._worker: int | None = worker
        signal.signal(signal.SIGINT, self._take)
        for number in _FORWARDED:
            signal.signal(number, self._take)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._worker is not None and number in _FORWARDED:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._worker, number)

    def over(self) -> None:
        """Stop passing on: the worker's number may soon be somebody else's."""
        self._worker = None


def _work(run_id: str, front: int, guardian: Guardian, work: Callable[[Guardian], int]) -> None:
    """Be the worker. Never returns."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front:
        os._exit(ExitCode.TERMINATED)
    code = 70
    try:
        Interruptions().install()
        os.environ[sweeper.MARK] = run_id
        code = work(guardian)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Terminated:
        code = ExitCode.TERMINATED
    except BaseException:  # noqa: BLE001  # the last frame of this process: nobody else could show it
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        # Not sys.exit: the frames below belong to the front process, whose clean-up is not the worker's.
        os._exit(code)


def _reap_until(worker: int) -> int:
    """Wait for all children, adopted orphans too, until the worker has ended; return its status."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            return status


def _reap_the_rest(patience_s: float = 2.0) -> None:
    """Take leave of the guardian and of what it killed."""
    deadline = time.monotonic() + patience_s
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)


def _tell_of_death(number: int, swept: list[str]) -> None:
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    name = signal.Signals(number).name
    sys.stderr.write(f"{show_cursor}bench: the run was killed by {name}; what it had measured is kept\n")
    for line in swept:
        if not line.startswith(sweeper.NOT_REMOVED):
            sys.stderr.write(f"  swept: {line}\n")


def _tell_of_remains(lines: list[str]) -> None:
    """Say what the sweep could not remove, however the run ended."""
    for line in lines:
        sys.stderr.write(f"bench: {line}\n")
    if lines:
        sys.stderr.write("  → bench clean tries it again\n")


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
