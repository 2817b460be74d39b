"""sockperf: the round trip of small messages over TCP."""

from __future__ import annotations

from bench.probes.tools import number_after, served


def command(seconds: int, port: int) -> str:
    """Return the command: server and client in one instance, over its loopback interface, 14 bytes there and back."""
    where = f"--tcp -i 127.0.0.1 -p {port}"
    return served(f"sockperf server {where}", f"sockperf ping-pong {where} -t {seconds}")


def server(address: str, seconds: int, port: int) -> str:
    """Return the command that serves in the background at an address of the instance, and some seconds longer."""
    serving = f"timeout {seconds + 10} sockperf server --tcp -i {address} -p {port}"
    return f"{{ {serving} >/dev/null 2>&1 & }}; sleep 0.3"


def client(address: str, seconds: int, port: int) -> list[str]:
    """Return the client's arguments."""
    return ["ping-pong", "--tcp", "-i", address, "-p", str(port), "-t", str(seconds)]


def parse(text: str) -> float:
    """Return the median round trip in seconds. sockperf's latency is half of it, in microseconds."""
    return 2 * number_after(r"percentile 50\.000 =\s*([\d.]+)", text, "sockperf's median") / 1e6
