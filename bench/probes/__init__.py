"""How scenarios measure: one module a question's method, found in an explicit table."""

from __future__ import annotations

from bench.lazy import find
from bench.probes.base import Probe

PROBES = {
    "startup": "bench.probes.startup:startup",
    "overhead": "bench.probes.overhead:overhead",
    "restore": "bench.probes.restore:restore",
    "disk": "bench.probes.disk:disk",
    "idle": "bench.probes.idle:idle",
    "churn": "bench.probes.churn:churn",
    "density": "bench.probes.density:density",
    "memory": "bench.probes.memory:memory",
    "isolation": "bench.probes.isolation:isolation",
}
"""The suite's own probes. Other packages add theirs by the entry-point group `bench.probes`."""


def load_probe(name: str) -> Probe:
    """Return the probe of this name, importing it."""
    probe: Probe = find(PROBES, "bench.probes", name)
    return probe
