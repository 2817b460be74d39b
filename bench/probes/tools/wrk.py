"""wrk against nginx: requests for one small page, four connections kept open."""

from __future__ import annotations

from bench.probes.tools import ParseError, number_after, served

_CONFIGURATION = (
    "daemon off; user root; worker_processes 1; pid /tmp/bench-nginx.pid; error_log stderr; events { } "
    "http { access_log off; server { listen 127.0.0.1:PORT; location / { root /srv; } } }"
)


def command(seconds: int, port: int) -> str:
    """Return the command: nginx and its load generator in one instance, over its loopback interface."""
    write = f"echo '{_CONFIGURATION.replace('PORT', str(port))}' >/tmp/bench-nginx.conf"
    load = f"wrk -t1 -c4 -d{seconds}s http://127.0.0.1:{port}/"
    return f"{write}; {served('exec /usr/sbin/nginx -c /tmp/bench-nginx.conf', load)}"


def parse(text: str) -> float:
    """Return the requests answered a second.

    Raises:
        ParseError: there is no such line, or some answers were no success.
    """
    if "Non-2xx" in text:
        raise ParseError("some of nginx's answers were no success")
    return number_after(r"Requests/sec:\s*([\d.]+)", text, "wrk's rate")
