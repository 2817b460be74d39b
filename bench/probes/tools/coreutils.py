"""What every system has: dd, which makes two system calls a byte, and a shell that starts a program again and again."""

from __future__ import annotations

import re

from bench.probes.tools import ParseError, positive, tail


def calls_command(seconds: int) -> str:
    """Return the command that reads and writes single bytes until its time is over; dd then says how many.

    Without --foreground, timeout(1) signals dd and then its whole group: dd heeds the first and, if it has not yet
    spoken, is killed by the second (SA_RESETHAND in coreutils' dd.c). In an emulated guest the time can also be over
    before dd has begun; so it is given twice as long, again and again: the rate is of the time that dd itself took.
    """
    dd = "dd if=/dev/zero of=/dev/null bs=1"
    tries = " ".join(str(seconds << doubled) for doubled in range(3))
    return (
        f"LC_ALL=C; export LC_ALL; for s in {tries}; do t=$(timeout --foreground -s INT $s {dd} 2>&1);"
        ' case "$t" in *copied*) break;; esac; done; echo "$t"'
    )


def parse_calls(text: str) -> float:
    """Return system calls a second: one read(2) and one write(2) a record.

    Raises:
        ParseError: dd's closing lines are missing.
    """
    records = re.search(r"^(\d+)\+0 records out$", text, re.MULTILINE)
    seconds = re.search(r"copied, ([\d.e-]+) s", text)
    if records is None or seconds is None:
        raise ParseError(f"dd's closing lines are missing; the end of the output: {tail(text)!r}")
    return 2 * positive(records[1], "dd's count") / positive(seconds[1], "dd's time")


def starts_command(seconds: int) -> str:
    """Return the command that starts /bin/true until its time is over: fork, exec, dynamic loading, wait."""
    loop = 'n=0; trap "echo \\$n; exit 0" TERM; while :; do /bin/true; n=$((n+1)); done'
    return f"date +%s.%N; timeout --foreground {seconds} sh -c '{loop}'; date +%s.%N"


def parse_starts(text: str) -> float:
    """Return the programs started a second: two instants with the count between.

    Raises:
        ParseError: these three numbers are not all there is.
    """
    words = text.split()
    if len(words) != 3:
        raise ParseError(f"two instants and a count were expected; the end of the output: {tail(text)!r}")
    began, count, ended = (positive(word, "the shell's count") for word in words)
    return count / positive(ended - began, "the loop's time")
