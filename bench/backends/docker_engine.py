"""The Docker SDK behind one small door: the only module that imports it.

One HTTP call a method, so that nothing else is timed; every error of the client is one of ours, so that an engine
that refuses or dies fails one instance and not the run.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from bench.errors import BackendUnavailable, InstanceError

_FAULTS = (DockerException, requests.RequestException, OSError)
_PATIENCE_S = 60
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
    """Connections to one engine. Every method raises InstanceError when the engine refuses or is gone.

    Its methods may be called by several threads at once: each call has a client of its own (requests promises
    nothing for a session that is shared), and clients are kept for the next call, as many as were ever needed at once.

    Raises:
        BackendUnavailable: nothing answers at the address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            first = docker.APIClient(base_url=address, version="auto", timeout=_PATIENCE_S)
        except _FAULTS as error:
            raise BackendUnavailable(f"the Docker engine at {address} does not answer: {_short(error)}") from error
        self._version = first.api_version
        # A deque's append and pop are atomic: no lock stands in the timed path.
        self._idle = deque([first])

    @contextlib.contextmanager
    def _asking(self, doing: str) -> Iterator[docker.APIClient]:
        """Lend a client for one call."""
        with _translated(doing):
            try:
                api = self._idle.pop()
            except IndexError:
                api = docker.APIClient(base_url=self.address, version=self._version, timeout=_PATIENCE_S)
            try:
                yield api
            finally:
                self._idle.append(api)

    def create(self, name: str, configuration: Mapping[str, Any]) -> None:
        """POST /containers/create with the body as the Engine API has it."""
        with self._asking("creating a container") as api:
            api.create_container_from_config(configuration, name=name)  # type: ignore[no-untyped-call]

    def start(self, name: str) -> None:
        """POST /containers/NAME/start."""
        with self._asking("starting a container") as api:
            api.start(name)

    def kill(self, name: str) -> None:
        """POST /containers/NAME/kill."""
        with self._asking("killing a container") as api:
            api.kill(name)

    def pause(self, name: str) -> None:
        """POST /containers/NAME/pause."""
        with self._asking("pausing a container") as api:
            api.pause(name)

    def unpause(self, name: str) -> None:
        """POST /containers/NAME/unpause."""
        with self._asking("unpausing a container") as api:
            api.unpause(name)

    def remove(self, name: str) -> None:
        """DELETE /containers/NAME, running or not; well if there is none."""
        with self._asking("removing a container") as api, contextlib.suppress(NotFound):
            api.remove_container(name, force=True, v=True)

    def inspect(self, name: str) -> dict[str, Any]:
        """GET /containers/NAME/json."""
        with self._asking("inspecting a container") as api:
            found: dict[str, Any] = api.inspect_container(name)
            return found

    def log_tail(self, name: str) -> str:
        """Return the last lines of a container's log."""
        with self._asking("reading a log") as api:
            return api.logs(name, tail=5).decode("utf-8", "replace").strip()

    def import_image(self, tar: Path, repository: str, tag: str, label: str) -> None:
        """Make an image of one layer from a root file system's tar, labelled.

        Raises:
            InstanceError: also when the engine took the tar and made no image of it.
        """
        with self._asking(f"importing {tar.name}") as api:
            api.import_image_from_file(str(tar), repository=repository, tag=tag, changes=[f"LABEL {label}"])
        self.inspect_image(f"{repository}:{tag}")

    def load_image(self, archive: Path, tag: str) -> None:
        """POST /images/load with an archive that holds the image of this name.

        Raises:
            InstanceError: also when the engine took the archive and made no image of it.
        """
        with self._asking(f"loading {tag}") as api, archive.open("rb") as file:
            for _ in api.load_image(file):  # type: ignore[no-untyped-call]
                pass
        self.inspect_image(tag)

    def disk_usage(self) -> dict[str, Any]:
        """GET /system/df: what `docker system df -v` prints."""
        with self._asking("asking for its bytes") as api:
            found: dict[str, Any] = api.df()
            return found

    def inspect_image(self, tag: str) -> dict[str, Any]:
        """GET /images/TAG/json."""
        with self._asking("inspecting an image") as api:
            found: dict[str, Any] = api.inspect_image(tag)  # type: ignore[no-untyped-call]
            return found

    def info(self) -> dict[str, Any]:
        """GET /info."""
        with self._asking("asking about itself") as api:
            return api.info()

    def version(self) -> dict[str, Any]:
        """GET /version."""
        with self._asking("asking for its version") as api:
            return api.version()

    def labelled(self, label: str) -> tuple[str, ...]:
        """GET /containers/json: return the names of all containers with the label, running or not."""
        with self._asking("listing containers") as api:
            found = api.containers(all=True, filters={"label": label})
            return tuple(str(container["Names"][0]).lstrip("/") for container in found)

    def sweep(self, label: str) -> None:
        """Remove every container and image with the label."""
        with self._asking("sweeping") as api:
            for container in api.containers(all=True, filters={"label": label}, quiet=True):
                api.remove_container(container["Id"], force=True, v=True)
            for image in api.images(filters={"label": label}, quiet=True):
                api.remove_image(image, force=True)

    def close(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop().close()
