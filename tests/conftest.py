"""What all tests share: a session on real directories, and backends that are opened once for all modules."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from bench.backends import load_backend
from bench.backends.base import Backend, Instance, Session
from bench.backends.docker import LABEL, DockerBackend
from bench.clock import Event
from bench.plan import Trial, make_plan
from bench.probes.base import Workbench
from bench.running.places import new_run_id, open_session
from bench.scenario import Catalogue, Subject, load
from tests.e2e.leftovers import left_behind, still_there


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Everything declared in scenarios/."""
    return load()


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    """A session with directories of its own, gone at the end."""
    with open_session(new_run_id()) as opened:
        yield opened


class Engines:
    """Opens each backend at the first question about one of its subjects, and closes them all at the end."""

    def __init__(self, session: Session, catalogue: Catalogue) -> None:
        self.session = session
        self.catalogue = catalogue
        self._open: dict[str, Backend] = {}

    def subject(self, name: str) -> Subject:
        """Return a declared subject, or the fake one."""
        if name == "fake":
            return Subject(name="fake", title="fake", backend="fake", options={"ready_s": "0.05"})
        return self.catalogue.subjects[name]

    def backend(self, subject: Subject) -> Backend:
        """Return the subject's backend, opened, with the subject prepared."""
        available = load_backend(subject.backend).check(subject)
        assert available.usable, f"{subject.name}: {available.reason} ({available.hint})"
        if subject.backend not in self._open:
            backend = load_backend(subject.backend)
            self._open[subject.backend] = backend
            backend.open(self.session)
        self._open[subject.backend].prepare(subject)
        return self._open[subject.backend]

    def workbench(self, subject: Subject) -> Workbench:
        """Return a workbench for one trial of the startup scenario with this subject."""
        startup = self.catalogue.scenarios["startup"].model_copy(update={"subjects": (subject.name,), "excluded": {}})
        plan = make_plan([startup], {subject.name: subject}, self.catalogue.profiles["quick"], 1)
        trial: Trial = plan.trials[0]
        return Workbench(trial, self.backend(subject), self.session)

    def ready(self, workbench: Workbench) -> Instance:
        """Launch one instance and wait until it is ready; the caller removes it."""
        instance = workbench.backend.launch(workbench.trial.subject)
        workbench.wait(instance, Event.READY)
        return instance

    def left(self) -> list[str]:
        """Return what instances left: directories, containers, and all that carries an instance's name."""
        known = [path.name for path in self.session.directory.iterdir() if path.name.startswith("bench-")]
        docker = self._open.get("docker")
        if isinstance(docker, DockerBackend):
            command = ["docker", "--host", docker.engine.address, "ps", "--all", "--quiet"]
            command += ["--filter", f"label={LABEL}={self.session.run_id}"]
            known += subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        # What crun drops in the place of the unified hierarchy is in this process's view only, and goes with it.
        named = re.compile(rf"(?<!unified/)bench-{self.session.run_id[-6:]}-\d")
        return known + [thing for thing in left_behind(self.session.run_id) if named.search(thing)]

    def close(self) -> None:
        """Close every backend."""
        for backend in self._open.values():
            backend.close()


@pytest.fixture(scope="session")
def all_engines(session: Session, catalogue: Catalogue) -> Iterator[Engines]:
    """The engines of all modules: a daemon takes seconds to come, its images take more."""
    engines = Engines(session, catalogue)
    yield engines
    engines.close()


@pytest.fixture(scope="module")
def engines(all_engines: Engines) -> Iterator[Engines]:
    """The same engines in every module, and nothing of one module is left in the next."""
    yield all_engines
    assert still_there(all_engines.left) == []
