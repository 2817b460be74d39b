"""What can give us an instance: one module an engine, found in an explicit lazy table."""

from __future__ import annotations

from bench.backends.base import Backend
from bench.lazy import find

BACKENDS = {
    "process": "bench.backends.process:ProcessBackend",
    "oci": "bench.backends.oci:OciBackend",
    "docker": "bench.backends.docker:DockerBackend",
    "libvirt": "bench.backends.libvirt:LibvirtBackend",
    "fake": "bench.backends.fake:FakeBackend",
}
"""The suite's own backends. Other packages add theirs by the entry-point group `bench.backends`."""


def load_backend(name: str) -> Backend:
    """Return a new backend of this name, importing it."""
    backend: Backend = find(BACKENDS, "bench.backends", name)()
    return backend
