"""What the suite itself costs: a Docker start by the suite beside one by a minimal raw client of the Engine socket.

Before each start by the suite one by the raw client is made, so the two are interleaved and their ratio does not
measure the machine's drift.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.backends.docker import DockerBackend
from bench.clock import Event
from bench.rootfs.agent import PATH_INSIDE
from tests.conftest import Engines

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 25
LIMIT = 1.2
"""How much longer a start by the suite may take, as a ratio: what it adds would be in every number it reports."""


class RawClient:
    """As little as can start a container and see its READY: two HTTP calls and one accept."""

    def __init__(self, engine: Path, image: str, place: Path, ready: str, app: list[str]) -> None:
        self._engine, self._image, self._place, self._ready, self._app = engine, image, place, ready, app

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        connection = http.client.HTTPConnection("docker")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self._engine))
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        response = connection.getresponse()
        content = response.read()
        assert response.status < 300, content
        connection.close()

    def start(self) -> float:
        """Start one container; return seconds from the first call to the READY line. It is removed after."""
        path = self._place / "channel"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen(1)
            began = time.monotonic()
            words = [
                "--channel",
                "unix:/bench/run/channel",
                "--nonce",
                "raw",
                "--ready",
                self._ready,
                "--exec",
                *self._app,
            ]
            host = {"Binds": [f"{self._place}:/bench/run"], "NetworkMode": "bridge", "Runtime": "runc"}
            body = {"Image": self._image, "Entrypoint": [PATH_INSIDE], "Cmd": words, "HostConfig": host}
            self._call("POST", "/containers/create?name=bench-raw", body)
            self._call("POST", "/containers/bench-raw/start")
            peer, _ = server.accept()
            with peer:
                said = b""
                while b"READY" not in said:
                    said += peer.recv(4096)
                took_s = time.monotonic() - began
                self._call("DELETE", "/containers/bench-raw?force=true&v=true")
        path.unlink()
        return took_s


@pytest.fixture(scope="module")
def starts(engines: Engines) -> tuple[Callable[[], float], Callable[[], float]]:
    """Two functions that start one container each and return requested→ready: by the suite, and raw."""
    subject = engines.subject("docker")
    workbench = engines.workbench(subject)
    backend = workbench.backend
    assert isinstance(backend, DockerBackend)
    socket_path, image, command = backend.raw_access(subject)
    place = engines.session.directory / "raw"
    place.mkdir(mode=0o711, exist_ok=True)
    raw = RawClient(socket_path, image, place, "http:8080/", command)

    def by_suite() -> float:
        with workbench.launched() as instance:
            workbench.wait(instance, Event.READY)
            took_s = instance.timeline.seconds(Event.REQUESTED, Event.READY)
            assert took_s is not None
            return took_s

    return by_suite, raw.start


def test_a_start_by_the_suite_costs_little_more_than_a_raw_one(
    benchmark: BenchmarkFixture, starts: tuple[Callable[[], float], Callable[[], float]]
) -> None:
    by_suite, raw = starts
    suite_s: list[float] = []
    raw_s: list[float] = []
    benchmark.pedantic(
        lambda: suite_s.append(by_suite()), setup=lambda: raw_s.append(raw()), rounds=ROUNDS, warmup_rounds=1
    )
    ratio = statistics.median(ours / theirs for ours, theirs in zip(suite_s, raw_s, strict=True))
    benchmark.extra_info["suite / raw client, requested→ready, median of pairs"] = round(ratio, 4)
    assert ratio < LIMIT
