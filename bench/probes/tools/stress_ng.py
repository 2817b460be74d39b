"""stress-ng: one stressor at a time; its own figures in YAML."""

from __future__ import annotations

import re

from bench.probes.tools import ParseError, positive, tail

RATE = "bogo-ops-per-second-real-time"
PER_FAULT = "nanosecs-per-page-fault"


def command(stressor: str, seconds: int) -> str:
    """Return the command that runs one worker of a stressor ("cpu", "fork" …, further options after it)."""
    name, _, options = stressor.partition(" ")
    return (
        f"cd /tmp && rm -f bench.yaml; stress-ng --{name} 1 {options} --timeout {seconds} --metrics --yaml bench.yaml"
        " >bench-out 2>&1 && cat bench.yaml || { tail -n 3 bench-out; exit 1; }"
    )


def parse(text: str, stressor: str, key: str = RATE) -> float:
    """Return one figure of a stressor: operations a second, or what else it is called in the YAML.

    Raises:
        ParseError: there is no such stressor or figure.
    """
    _, found, metrics = text.partition("metrics:")
    sections = re.split(r"^\s*-\s+stressor:\s*", metrics, flags=re.MULTILINE) if found else []
    section = next((s for s in sections if s.split(None, 1)[:1] == [stressor]), None)
    if section is None:
        raise ParseError(f"stress-ng says nothing of {stressor}; the end of the output: {tail(text)!r}")
    value = re.search(rf"^\s+{re.escape(key)}:\s*(\S+)$", section, re.MULTILINE)
    if value is None:
        raise ParseError(f"stress-ng gives no {key} for {stressor}")
    return positive(value[1], f"stress-ng's {key}")


def parse_fault_seconds(text: str) -> float:
    """Return the seconds of one page fault."""
    return parse(text, "fault", PER_FAULT) / 1e9
