"""What can give us an instance: one module an engine, found in an explicit lazy table."""

from __future__ import annotations

from collections.abc import Mapping

from bench.backends.base import Backend
from bench.errors import UsageError
from bench.lazy import find
from bench.scenario import Subject
from bench.text import did_you_mean

BACKENDS = {
    "process": "bench.backends.process:ProcessBackend",
    "oci": "bench.backends.oci:OciBackend",
    "docker": "bench.backends.docker:DockerBackend",
    "libvirt": "bench.backends.libvirt:LibvirtBackend",
    "fake": "bench.backends.fake:FakeBackend",
}
"""The suite's own backends. Other packages add theirs by the entry-point group `bench.backends`."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "process": ("isolation", "cpus", "memory_mib"),
    "oci": ("runtime", "cpus", "memory_mib"),
    "docker": ("network", "runtime", "client", "cpus", "memory_mib"),
    "libvirt": (
        "boot", "machine", "kernel", "flavour", "accelerator", "uri", "vcpus", "cpus", "memory_mib", "network",
        "balloon", "merged", "copied", "discard", "disk_cache",
    ),
    "fake": ("accelerator", "fail", "fail_every", "missing", "ready_s", "sigma"),
}  # fmt: skip
"""Which options of a subject each backend reads; scenarios/README.md explains them."""


def check_options(subject: Subject) -> None:
    """See that the subject's backend reads every option it has: one that is misspelt would change nothing, silently.

    Raises:
        UsageError: it does not know one of them. Of another package's backend nothing is known.
    """
    known = OPTIONS.get(subject.backend, tuple(subject.options))
    for option in subject.options:
        if option not in known:
            raise UsageError(
                f'subjects.{subject.name}: the backend {subject.backend} has no option "{option}"',
                did_you_mean(option, known),
            )


def load_backend(name: str) -> Backend:
    """Return a new backend of this name, importing it."""
    backend: Backend = find(BACKENDS, "bench.backends", name)()
    return backend
