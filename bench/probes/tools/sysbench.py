"""sysbench: memory, one thread."""

from __future__ import annotations

from bench.probes.tools import number_after

_MIB = 1 << 20
_WORD = 8
"""Bytes of one access: sysbench reads and writes machine words (sb_memory.c, SIZEOF_SIZE_T)."""


def command(seconds: int, block: str, access: str, operation: str) -> str:
    """Return the command: blocks of so many bytes ("1M"), accessed "seq" or "rnd", by "read" or "write"."""
    return (
        f"sysbench memory --threads=1 --time={seconds} --memory-total-size=1000T --memory-block-size={block}"
        f" --memory-access-mode={access} --memory-oper={operation} run 2>&1"
    )


def parse_bandwidth(text: str) -> float:
    """Return bytes a second: "1024.00 MiB transferred (512.34 MiB/sec)"."""
    return number_after(r"MiB transferred \(([\d.]+) MiB/sec\)", text, "sysbench's rate") * _MIB


def parse_access_seconds(text: str) -> float:
    """Return the seconds of one access to one word, the drawing of its place included."""
    return _WORD / parse_bandwidth(text)
