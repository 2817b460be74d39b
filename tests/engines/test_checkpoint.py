"""CRIU for real: on this host where its kernel serves, and in any case in a guest, whose kernel does."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest

from bench.backends import vm_parts
from bench.clock import Event
from bench.rootfs.build import build_tree
from bench.rootfs.recipe import Recipe, load_recipe
from tests.conftest import Engines

ROOT = Path(__file__).resolve().parents[2]
DEBIANS_PYTHON = (3, 11)
PACKAGES = ("criu", "iproute2", "iptables", "python3", "runc")
BROUGHT = ("annotated_types", "pydantic", "pydantic_core", "typing_extensions.py", "typing_inspection")
NETWORK = (
    "for d in /sys/class/net/e*; do ip link set ${d##*/} up && ip address add 10.0.2.15/24 dev ${d##*/}; done;"
    " /bin/busybox wget -q -O - http://10.0.2.2:%d/suite.tar | tar -x -C /"
)


def suite(cache: Path) -> bytes:
    """Return a tar of this suite, what it imports, and what it would build for its minimal userland."""
    tree = build_tree(load_recipe("minimal"), cache).directory.parent
    site = Path(pydantic.__file__).parent.parent
    content = {ROOT / name: f"suite/{name}" for name in ("bench", "scenarios", "tests/engines/inside.py")}
    content |= {site / name: f"suite/{name}" for name in BROUGHT}
    content |= {path: f"var/cache/ms-vs-minutes/{path.relative_to(cache)}" for path in (tree, cache / "agent")}
    bag = io.BytesIO()
    with tarfile.open(fileobj=bag, mode="w") as tar:
        for path, name in content.items():
            tar.add(path, name, filter=lambda member: None if "__pycache__" in member.name else member)
        # What the agent was compiled by is part of its name in the cache; it is there, and nothing is compiled.
        compiler = tarfile.TarInfo("usr/local/bin/musl-gcc")
        compiler.mode = 0o755
        tar.addfile(compiler)
    return bag.getvalue()


@pytest.fixture
def served(engines: Engines, tmp_path: Path) -> Iterator[int]:
    """The suite on a port of the loopback interface, which a guest with a network in user mode sees as 10.0.2.2."""
    (tmp_path / "suite.tar").write_bytes(suite(engines.session.cache))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def told(engines: Engines, served: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What came of a trial of the scenario in a Debian guest."""
    if sys.version_info[:2] != DEBIANS_PYTHON:
        leave_out = pytest.fail if os.environ.get("CI") else pytest.skip
        leave_out("the guest's Python is Debian 12's, and this one's compiled packages are for another")
    debian = load_recipe("debian")
    guest: Recipe = debian.model_copy(
        update={"name": "checkpoint", "base": "debian", "packages": (*debian.packages, *PACKAGES)}
    )
    monkeypatch.setattr(vm_parts, "load_recipe", lambda name: guest if name == "checkpoint" else load_recipe(name))
    distro = engines.subject("vm-distro")
    bench = engines.workbench(distro.model_copy(update={"name": "vm-checkpoint", "rootfs": "checkpoint"}))
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert instance.channel.run(NETWORK % served, 120.0) == (0, b"")
        command = "cd /suite && PYTHONPATH=/suite PATH=$PATH:/usr/local/bin python3 tests/engines/inside.py 2>&1"
        code, output = instance.channel.run(command, 400.0)
    text = output.decode("utf-8", "replace")
    assert code == 0, text
    found: dict[str, Any] = json.loads(text.rpartition("TOLD ")[2])
    return found


@pytest.mark.slow
def test_a_container_is_saved_and_restored_where_criu_serves(told: dict[str, Any]) -> None:
    samples = {metric: (value, status) for metric, value, status, _ in told["samples"]}
    assert {status for _, status in samples.values()} == {"ok"}, told["samples"]
    assert samples["requested→started"][0] > 0
    assert samples["requested→ready"][0] > 0
    assert samples["minor-faults-waking"][0] > 0, "its pages came from the files"
    assert told["gone"]
    assert told["size"] > 100_000
    assert told["after"] == [0, "kept\n1\n"], "its file and its process are as they were"
    assert told["alive"]
    assert sorted(told["events"]) == ["ready", "requested", "started"], "no INIT: it went on where it was"
    assert told["left"] == []
    assert told["cgroup"] == "v2"
