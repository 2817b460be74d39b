"""What a run tells whoever watches it: the runner yields these, the recorder keeps them, progress shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.plan import Plan, Trial
from bench.sample import Noise, Sample, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """Everything one trial gave.

    Attributes:
        started_ns: CLOCK_MONOTONIC at its beginning.
        elapsed_s: its whole length, preparation and clean-up included.
        instance: the name of the (first) instance.
        label: the subject as it was really run: accelerated guests carry their accelerator ("vm-direct@tcg").
    """

    trial: Trial
    label: str
    instance: str
    started_ns: int
    elapsed_s: float
    samples: tuple[Sample, ...]
    noise: Noise

    @property
    def failed(self) -> bool:
        """True when any sample failed or timed out."""
        return any(s.status in (Status.FAILED, Status.TIMEOUT) for s in self.samples)

    @property
    def headline(self) -> float | None:
        """The value of the scenario's headline metric: the whole, not one of its parts; None without one."""
        name = self.trial.scenario.headline
        found = [s for s in self.samples if s.metric == name and s.status is Status.OK]
        for part in ("with-engine", "total"):  # the order of bench.judging.summary.WHOLES
            whole = [s for s in found if s.params.get("part", "total") == part]
            if whole:
                return whole[0].value
        return found[0].value if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The plan stands; nothing has been started yet."""

    run_id: str
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """Something is being built or connected that is not timed."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All is built; the trials begin. Facts about engines and subjects are known now."""

    plan: Plan
    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    manifests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStarted:
    """A trial begins."""

    trial: Trial
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFinished:
    """A trial ended, well or badly."""

    result: TrialResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPassedOver:
    """A planned trial was passed over: its subject is measured well enough, or the time is spent."""

    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run is over. `ending` is "complete", or says what cut it short."""

    ending: str = "complete"


Message = RunStarted | Preparing | Prepared | TrialStarted | TrialFinished | TrialPassedOver | RunFinished
