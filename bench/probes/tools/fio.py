"""fio: one file of the instance's own root file system, one job, one request at a time; its own figures in JSON."""

from __future__ import annotations

import json
from typing import Any

from bench.probes.tools import ParseError, positive, tail

FILE = "/bench-fio"
SIZE_MIB = 64


def command(seconds: int, kind: str, block: str, extra: str = "--direct=1") -> str:
    """Return the command: "read", "write", "randread" or "randwrite" in blocks of so many bytes.

    O_DIRECT keeps the page cache of the instance out of it. The file is laid out anew before, written in full and
    synced: every measure begins with the same file, whichever came before it and whoever shares the directory.
    """
    job = f"fio --name=bench --filename={FILE} --size={SIZE_MIB}m --ioengine=psync --thread --disk_util=0"
    return (
        f"{{ rm -f {FILE}; {job} --rw=write --bs=1m --end_fsync=1 >/dev/null"
        f" && {job} --rw={kind} --bs={block} {extra} --time_based --runtime={seconds} --output-format=json; }}"
        " 2>/tmp/bench-err || { tail -n 3 /tmp/bench-err; exit 1; }"
    )


def parse_bandwidth(text: str, side: str) -> float:
    """Return bytes a second of one side, "read" or "write"."""
    return positive(_side(text, side).get("bw_bytes"), f"fio's {side} bandwidth")


def parse_rate(text: str, side: str) -> float:
    """Return requests a second of one side, "read" or "write"."""
    return positive(_side(text, side).get("iops"), f"fio's {side} requests a second")


def _side(text: str, side: str) -> dict[str, Any]:
    # fio puts its notes (laying out a file …) before the JSON.
    try:
        job = json.loads(text[text.index("{") :])["jobs"][0]
        error, figures = job["error"], job[side]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ParseError(f"this is no JSON of fio; its end: {tail(text)!r}") from None
    if error or not isinstance(figures, dict):
        raise ParseError(f"fio's job ended with error {error}")
    return figures
