"""What trials really took on this host, kept in the cache so that the next run can say when it will be done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.messages import TrialResult
from bench.plan import Trial, guess
from bench.scenario import Profile, Scenario, Subject

_WORDS = 4
"""A key has so many words: scenario, backend, label, form."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one trial took, and what had been guessed for it from the files alone; seconds."""

    seconds: float
    guess: float


class History:
    """Measured seconds per trial, by scenario, backend, subject and form. A missing or damaged file is none.

    A form is all that makes trials of one scenario last differently from one profile to another.
    """

    def __init__(self, cache: Path) -> None:
        self._path = cache / "costs.json"
        self._known = self._read()

    def expected_s(self, scenario: Scenario, subject: Subject, profile: Profile) -> float:
        """Return how long one trial will take, seconds: as measured, else as guessed from the files.

        Where only another form was measured, the guess is corrected by the factor that it was wrong by there.
        "vm-direct@tcg" counts for "vm-direct"; of several, the latest. A subject that another backend ran was
        another subject.

        Args:
            scenario: as the profile has changed it, like the profile itself.
        """
        wanted, guessed, factor = form(scenario, profile), guess(scenario, subject, profile), 1.0
        for key, cost in reversed(self._known.items()):
            asked, backend, label, known = key.split(" ")
            if (asked, backend, label.partition("@")[0]) != (scenario.name, subject.backend, subject.name):
                continue
            if known == wanted:
                return cost.seconds
            if factor == 1.0 and cost.guess > 0.0:
                factor = cost.seconds / cost.guess
        return guessed * factor

    def add(self, results: Iterable[TrialResult]) -> None:
        """Store the mean of each subject's trials, failed ones left out. Never raises for a full disk."""
        taken: dict[str, list[tuple[float, float]]] = {}
        for result in results:
            if result.trial.index >= 0 and not result.failed:
                taken.setdefault(_key(result.trial, result.label), []).append((result.elapsed_s, _guess(result.trial)))
        for key, pairs in taken.items():
            self._known.pop(key, None)  # the latest stands last
            # Not the median: a scenario takes the sum of its trials.
            self._known[key] = Cost(*(statistics.fmean(one) for one in zip(*pairs, strict=True)))
        content = {key: [cost.seconds, cost.guess] for key, cost in self._known.items()}
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(content, indent=1), "utf-8")
            part.replace(self._path)

    def _read(self) -> dict[str, Cost]:
        try:
            content = json.loads(self._path.read_text("utf-8"))
            return {
                str(key): Cost(float(seconds), float(guessed))
                for key, (seconds, guessed) in content.items()
                if key.count(" ") == _WORDS - 1 and float(seconds) >= 0
            }
        except (OSError, ValueError, AttributeError, TypeError):
            return {}


def form(scenario: Scenario, profile: Profile) -> str:
    """Return a short word for what decides how long a trial of this scenario lasts under this profile."""
    told = scenario.model_dump(
        mode="json", include={"probe", "parameters", "rootfs", "apps", "options", "settings", "starts"}
    )
    counts = list(profile.instances) if scenario.starts == "instances" else []
    text = json.dumps([told, counts], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def _key(trial: Trial, label: str) -> str:
    return f"{trial.scenario.name} {trial.subject.backend} {label} {form(trial.scenario, trial.profile)}"


def _guess(trial: Trial) -> float:
    return guess(trial.scenario, trial.subject, trial.profile)
