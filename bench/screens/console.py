"""Where answers and complaints go, and what becomes of exceptions: words, never a traceback unless asked for."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.text import printable

if TYPE_CHECKING:
    from rich.console import Console

FAULT = 70
"""The exit code of a fault in bench itself (EX_SOFTWARE of sysexits.h)."""

UNREAD = 128 + signal.SIGPIPE
"""The exit code when the reader of our output has gone (`bench list | head`): what the shell says of such a death."""


def debugging() -> bool:
    """Say whether `--debug` stands anywhere on the command line."""
    return "--debug" in sys.argv[1:]


def answers() -> Console:
    """Return the console for answers: 100 columns where there is no terminal to ask."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100

    class Answers(Console):
        def on_broken_pipe(self) -> None:
            """Let `guarded` see to it: rich would end the process with code 1."""
            raise BrokenPipeError

    return Answers(highlight=False, width=width, emoji=False, markup=False)


def complain(error: BenchError) -> None:
    """Say what went wrong and what to do about it, on standard error."""
    sys.stderr.write(printable(f"bench: {error.message}\n"))
    if error.hint:
        sys.stderr.write(printable(f"  → {error.hint}\n"))


def guarded(command: Callable[[], object]) -> int:
    """Run something; turn what goes wrong into words on standard error and an exit code.

    With `--debug` on the command line exceptions go through.
    """
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except BenchError as error:
        if debugging():
            raise
        complain(error)
        return int(error.exit_code)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            # What is left to flush has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return UNREAD
        if debugging():
            raise
        log = _log_of_fault()
        sys.stderr.write(printable(f"bench: a fault in bench: {type(error).__name__}: {error}\n  → details: {log}\n"))
        return FAULT


def _is_unread() -> bool:
    """Say whether nobody can read our standard output any more; poll(2) tells errors of a descriptor unasked."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))


def _log_of_fault() -> str:
    """Keep the traceback in a file; return its name, or how to see it."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="bench-fault-", suffix=".txt", delete=False) as file:
            traceback.print_exc(file=file)
            return file.name
    except OSError:
        return "run it again with --debug"
