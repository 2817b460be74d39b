"""What a probe is: a function that answers a scenario's question for one trial, sample by sample."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

from bench.backends.base import Backend, Instance, Session
from bench.clock import Event, Timeline
from bench.errors import InstanceDied, InstanceError, StartTimeout
from bench.plan import Trial
from bench.probes.tools import tail
from bench.sample import Sample, Status
from bench.scenario import Metric, Subject
from bench.units import Unit


class Workbench:
    """What a probe works with during one trial: it launches instances and none outlives the trial."""

    def __init__(self, trial: Trial, backend: Backend, session: Session) -> None:
        self.trial = trial
        self.backend = backend
        self.session = session
        self.first_instance = ""

    @contextlib.contextmanager
    def launched(self, subject: Subject | None = None) -> Iterator[Instance]:
        """Launch one instance of the trial's subject, or of one of its apps; remove it at the end, whatever happens."""
        instance = self.backend.launch(subject or self.trial.subject)
        self.first_instance = self.first_instance or instance.name
        try:
            yield instance
        finally:
            instance.remove()

    def wait(self, instance: Instance, event: Event) -> None:
        """Wait until the event, the instance's end or the deadline, whichever is first.

        Raises:
            InstanceDied: it ended first; the message carries its last words.
            StartTimeout: the subject's deadline passed.
        """
        asked = instance.timeline.at(Event.REQUESTED) or time.monotonic_ns()
        deadline_s = self.trial.subject.deadline_s
        while not instance.timeline.wait(event, 0.25):
            gone = instance.channel.closed.is_set() or not instance.alive()
            # The mark may have arrived between the wait and the look: a last glance decides.
            if gone and not instance.timeline.wait(event, 0.05):
                raise InstanceDied(f"{instance.name} ended before {event}{_quoted(instance.last_words())}")
            if (time.monotonic_ns() - asked) / 1e9 > deadline_s:
                raise StartTimeout(f"no {event} within {deadline_s:g} s{_quoted(instance.last_words())}")

    def sample(self, metric: str, value: float | None, **params: str) -> Sample:
        """Return a sample of a metric; a None value becomes `unsupported`."""
        if value is None:
            return self._sample(metric, None, Status.UNSUPPORTED, "this subject has no such event or figure", params)
        return self._sample(metric, value, Status.OK, "", params)

    def duration(self, timeline: Timeline, start: Event, end: Event, **params: str) -> Sample:
        """Return t(end) - t(start) as a sample named by both; with bounds where the end was seen by asking."""
        name = f"{start}→{end}"
        value = timeline.seconds(start, end)
        sample = self.sample(name, value, **params)
        slack = timeline.slack(end)
        return replace(sample, low=value - slack, high=value) if value is not None and slack else sample

    def missing(self, metric: str, reason: str, status: Status = Status.UNSUPPORTED, **params: str) -> Sample:
        """Return a sample without a value: what could not be measured, and why."""
        return self._sample(metric, None, status, reason, params)

    def _sample(self, name: str, value: float | None, status: Status, reason: str, params: dict[str, str]) -> Sample:
        """Fill in unit, direction and events from the scenario's declaration; a phase is always in seconds."""
        metric = self.trial.scenario.metric(name) or Metric(name=name, unit=Unit.SECONDS)
        first, second = metric.events
        return Sample(
            metric=name, unit=metric.unit, better=metric.better, value=value, status=status, reason=reason,
            event_from=first, event_to=second, params=params,
        )  # fmt: skip


Probe = Callable[[Workbench], Iterator[Sample]]


def status_of(error: InstanceError) -> Status:
    """Return how a trial that ended with this error is recorded."""
    return Status.TIMEOUT if isinstance(error, StartTimeout) else Status.FAILED


def run_inside(instance: Instance, command: str, patience_s: float) -> str:
    """Run a shell command inside an instance; return what it printed.

    Raises:
        InstanceError: it failed, did not end in time, or the instance did.
    """
    code, output = instance.channel.run(command, patience_s)
    text = output.decode("utf-8", "replace")
    if code:
        raise InstanceError(f"{' '.join(command.split()[:2])[:80]} inside ended with {code}: {tail(text)}")
    return text


def minus(first: int | None, second: int | None) -> int | None:
    """Return first - second; None where one of them is unknown."""
    return None if first is None or second is None else first - second


@runtime_checkable
class Embedded(Protocol):
    """A backend whose engine may run inside the suite's own process instead of a daemon's."""

    def embedded(self) -> bool:
        """Say whether it does."""
        ...


def is_embedded(backend: Backend) -> bool:
    """Say whether the backend's engine runs inside the suite's own process."""
    return isinstance(backend, Embedded) and backend.embedded()


def no_daemon(backend: Backend) -> str:
    """Return why a backend without daemons has no figures of a control plane."""
    if is_embedded(backend):
        return "libvirt's driver runs inside the suite's own process and idles with it"
    return "no daemon of an engine is involved"


def _quoted(words: str) -> str:
    """Attach an instance's last words to a reason."""
    return f"; it said last: {words}" if words else ""
