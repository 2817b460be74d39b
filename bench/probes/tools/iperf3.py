"""iperf3: TCP throughput; its own figures in JSON."""

from __future__ import annotations

import json

from bench.probes.tools import ParseError, positive, served, tail


def command(seconds: int, port: int) -> str:
    """Return the command: server and client in one instance, over its loopback interface.

    With -J a client that was refused ends with 0 and says so in its JSON.
    """
    run = f"iperf3 {' '.join(client('127.0.0.1', seconds, port))}"
    tried = f"{run} >/tmp/bench-iperf; cat /tmp/bench-iperf; ! grep -q '\"error\"' /tmp/bench-iperf"
    return served(f"iperf3 -s -1 -B 127.0.0.1 -p {port}", tried)


def server(address: str, seconds: int, port: int) -> str:
    """Return the command that waits in the background for one client at an address of the instance."""
    del seconds  # it ends with its client
    return f"iperf3 -s -1 -D -B {address} -p {port} && sleep 0.3"


def client(address: str, seconds: int, port: int) -> list[str]:
    """Return the client's arguments."""
    return ["-c", address, "-p", str(port), "-t", str(seconds), "-J"]


def parse(text: str) -> float:
    """Return the bytes a second that the receiver got."""
    try:
        told = json.loads(text[text.index("{") :])
        fault = told.get("error")
        received = None if fault else told["end"]["sum_received"]["bits_per_second"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParseError(f"this is no JSON of iperf3; its end: {tail(text)!r}") from None
    if fault:
        raise ParseError(f"iperf3: {fault}")
    return positive(received, "iperf3's received bits a second") / 8
