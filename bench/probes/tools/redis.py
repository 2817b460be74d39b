"""redis-benchmark against Redis: SET of three bytes by eight clients over a UNIX socket."""

from __future__ import annotations

import csv

from bench.probes.tools import ParseError, positive, served, tail

_SOCKET = "/tmp/bench-redis.sock"  # noqa: S108  # inside the instance
_CLIENT = f"redis-benchmark -s {_SOCKET} -t set -c 8 --csv -n"


def command(seconds: int) -> str:
    """Return the command. The client counts requests, not seconds: a short run first tells how many it takes."""
    server = f'exec redis-server --port 0 --unixsocket {_SOCKET} --save "" --appendonly no'
    calibrate = f'r=$({_CLIENT} 500 | tail -n 1 | cut -d\'"\' -f4 | cut -d. -f1); [ "${{r:-0}}" -gt 0 ]'
    return served(server, f"{calibrate} && {_CLIENT} $((r * {seconds}))")


def parse(text: str) -> float:
    """Return the requests a second: a header, then "SET","47393.37",….

    Raises:
        ParseError: there is no such line.
    """
    rows = [row for row in csv.reader(text.splitlines()) if row]
    header = next((row for row in rows if row[:2] == ["test", "rps"]), None)
    values = next((row for row in rows if row[:1] == ["SET"]), None)
    if header is None or values is None or len(values) != len(header):
        raise ParseError(f"redis-benchmark's line is missing; the end of the output: {tail(text)!r}")
    return positive(values[1], "redis-benchmark's rate")
