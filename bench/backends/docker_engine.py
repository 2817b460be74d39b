"""The Docker SDK behind one small door: the only module that imports it.

One HTTP call a method, so that nothing else is timed; every error of the client is one of ours, so that an engine
that refuses or dies fails one instance and not the run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from bench.errors import BackendUnavailable, InstanceError

_FAULTS = (DockerException, requests.RequestException, OSError)
_USUAL = "unix:///var/run/docker.sock"


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise InstanceError(f"docker, {doing}: {_short(error)}") from error


def _short(error: BaseException) -> str:
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:400]


def find_engine() -> tuple[str, str]:
    """Return (address, "") of the engine the environment names or the usual socket has, else ("", why not)."""
    address = os.environ.get("DOCKER_HOST") or _USUAL
    if address.startswith("unix://") and not Path(address.removeprefix("unix://")).exists():
        return "", f"no Docker engine listens at {address.removeprefix('unix://')}"
    try:
        with contextlib.closing(docker.APIClient(base_url=address, version="auto", timeout=2)) as api:
            api.ping()
    except _FAULTS as error:
        return "", f"the Docker engine at {address} does not answer: {_short(error)}"
    return address, ""


class DockerEngine:
    """A connection to one engine. Every method raises InstanceError when the engine refuses or is gone.

    Raises:
        BackendUnavailable: nothing answers at the address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            self._api = docker.APIClient(base_url=address, version="auto", timeout=60)
        except _FAULTS as error:
            raise BackendUnavailable(f"the Docker engine at {address} does not answer: {_short(error)}") from error

    def create(self, name: str, configuration: Mapping[str, Any]) -> None:
        """POST /containers/create with the body as the Engine API has it."""
        with _translated("creating a container"):
            self._api.create_container_from_config(configuration, name=name)  # type: ignore[no-untyped-call]

    def start(self, name: str) -> None:
        """POST /containers/NAME/start."""
        with _translated("starting a container"):
            self._api.start(name)

    def kill(self, name: str) -> None:
        """POST /containers/NAME/kill."""
        with _translated("killing a container"):
            self._api.kill(name)

    def remove(self, name: str) -> None:
        """DELETE /containers/NAME, running or not; well if there is none."""
        with _translated("removing a container"), contextlib.suppress(NotFound):
            self._api.remove_container(name, force=True, v=True)

    def inspect(self, name: str) -> dict[str, Any]:
        """GET /containers/NAME/json."""
        with _translated("inspecting a container"):
            found: dict[str, Any] = self._api.inspect_container(name)
            return found

    def log_tail(self, name: str) -> str:
        """Return the last lines of a container's log."""
        with _translated("reading a log"):
            return self._api.logs(name, tail=5).decode("utf-8", "replace").strip()

    def import_image(self, tar: Path, repository: str, tag: str, label: str) -> None:
        """Make an image of one layer from a root file system's tar, labelled.

        Raises:
            InstanceError: also when the engine took the tar and made no image of it.
        """
        with _translated(f"importing {tar.name}"):
            self._api.import_image_from_file(str(tar), repository=repository, tag=tag, changes=[f"LABEL {label}"])
        self.inspect_image(f"{repository}:{tag}")

    def inspect_image(self, tag: str) -> dict[str, Any]:
        """GET /images/TAG/json."""
        with _translated("inspecting an image"):
            found: dict[str, Any] = self._api.inspect_image(tag)  # type: ignore[no-untyped-call]
            return found

    def info(self) -> dict[str, Any]:
        """GET /info."""
        with _translated("asking about itself"):
            return self._api.info()

    def version(self) -> dict[str, Any]:
        """GET /version."""
        with _translated("asking for its version"):
            return self._api.version()

    def sweep(self, label: str) -> None:
        """Remove every container and image with the label."""
        with _translated("sweeping"):
            for container in self._api.containers(all=True, filters={"label": label}, quiet=True):
                self._api.remove_container(container["Id"], force=True, v=True)
            for image in self._api.images(filters={"label": label}, quiet=True):
                self._api.remove_image(image, force=True)

    def close(self) -> None:
        """Hang up."""
        self._api.close()
