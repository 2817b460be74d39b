"""What trials really took on this host, kept in the cache so that the next run can say when it will be done."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.messages import TrialResult

Costs = dict[tuple[str, str], float]
"""Seconds per trial by (scenario, subject)."""


class History:
    """Measured seconds per trial, by scenario, backend and subject. A file that is missing or damaged is none."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / "costs.json"

    def costs(self, backends: Mapping[str, str]) -> Costs:
        """Return the seconds per trial. "vm-direct@tcg" counts for "vm-direct"; of several, the latest.

        Args:
            backends: the backend by subject name: a subject that another backend ran was another subject.
        """
        found: Costs = {}
        for key, seconds in self._read().items():
            scenario, backend, label = key.split(" ")
            name = label.partition("@")[0]
            if backends.get(name) == backend:
                found[scenario, name] = seconds
        return found

    def add(self, results: Iterable[TrialResult]) -> None:
        """Store the mean of each subject's trials, failed ones left out. Never raises for a full disk."""
        elapsed: dict[str, list[float]] = {}
        for result in results:
            if result.trial.index >= 0 and not result.failed:
                key = f"{result.trial.scenario.name} {result.trial.subject.backend} {result.label}"
                elapsed.setdefault(key, []).append(result.elapsed_s)
        content = self._read()
        for key, seconds in elapsed.items():
            content.pop(key, None)  # the latest stands last, so that it wins in costs()
            content[key] = statistics.fmean(seconds)  # not the median: a scenario takes the sum of its trials
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(content, indent=1), "utf-8")
            part.replace(self._path)

    def _read(self) -> dict[str, float]:
        try:
            content = json.loads(self._path.read_text("utf-8"))
            return {str(k): float(v) for k, v in content.items() if k.count(" ") == 2 and float(v) >= 0}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
