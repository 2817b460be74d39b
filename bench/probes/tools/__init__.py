"""The distribution's own tools, run inside an instance: a module each, with a command and a parser. Pure.

A command is one line for /bin/sh, as the agent's RUN wants it; what it prints is small. A parser takes all that was
printed and returns one number in the metric's unit, or raises ParseError with what it missed.
"""

from __future__ import annotations

import math
import re


class ParseError(ValueError):
    """A tool's output lacks what it always has: the tool was cut short, failed, or is another version."""


def number_after(pattern: str, text: str, what: str) -> float:
    """Return the number that the pattern's first group finds.

    Raises:
        ParseError: the pattern is not there, or what it finds is no finite number above 0.
    """
    found = re.search(pattern, text)
    if found is None:
        raise ParseError(f"{what} is missing; the end of the output: {tail(text)!r}")
    return positive(found[1], what)


def positive(value: object, what: str) -> float:
    """Return a figure as a number.

    Raises:
        ParseError: it is no finite number above 0: none of these tools measures nothing in a second.
    """
    try:
        number = float(str(value))
    except ValueError:
        raise ParseError(f"{what} is no number: {str(value)[:80]!r}") from None
    if not math.isfinite(number) or number <= 0.0:
        raise ParseError(f"{what} is {number:g}")
    return number


def tail(text: str, size: int = 160) -> str:
    """Return the end of an output on one line, for a reason."""
    return " ".join(text.split())[-size:]


def served(server: str, client: str, stop: str = "TERM") -> str:
    """Return a line that runs a client against a server it starts first, and prints the client's output.

    The client is tried again until the server answers, for ten seconds or so. All is waited for: what these
    processes used is then in the CPU time of the shell that started them.

    Args:
        server: runs in the foreground until the signal.
        client: a command that fails while the server does not answer.
        stop: the signal's name.
    """
    return (
        f"F=/tmp/bench-out; {{ {server}; }} >/tmp/bench-server 2>&1 & P=$!; n=0; "
        f"until {{ {client}; }} >$F 2>&1; do n=$((n+1)); [ $n -lt 60 ] || break; sleep 0.15; done; "
        f"kill -{stop} $P 2>/dev/null; wait $P; cat $F; [ $n -lt 60 ] || {{ tail -n 3 /tmp/bench-server; exit 1; }}"
    )
