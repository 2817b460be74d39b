"""Where answers and complaints go, and what becomes of exceptions: words, never a traceback unless asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

FAULT = 70
"""The exit code of a fault in bench itself (EX_SOFTWARE of sysexits.h)."""


def debugging() -> bool:
    """Say whether `--debug` stands anywhere on the command line."""
    return "--debug" in sys.argv[1:]


def answers() -> Console:
    """Return the console for answers: 100 columns where there is no terminal to ask."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100
    return Console(highlight=False, width=width, emoji=False)


def complain(error: BenchError) -> None:
    """Say what went wrong and what to do about it, on standard error."""
    sys.stderr.write(f"bench: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  → {error.hint}\n")


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
    except BrokenPipeError:
        # The reader of our output has gone (`bench list | head`): what is left to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if debugging():
            raise
        log = _log_of_fault()
        sys.stderr.write(f"bench: a fault in bench: {type(error).__name__}: {error}\n  → details: {log}\n")
        return FAULT


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
