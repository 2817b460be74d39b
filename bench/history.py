"""What trials really took on this host, kept in the cache so that the next run can say when it will be done."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

Costs = dict[tuple[str, str], float]
"""Seconds per trial by (scenario, subject)."""


class History:
    """Measured seconds per trial by scenario and subject. A file that is missing or damaged is an empty history."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / "costs.json"

    def costs(self) -> Costs:
        """Return the seconds per trial; "vm-direct@tcg" is returned for "vm-direct", the latest run first."""
        content = self._read()
        return {
            (scenario, label.partition("@")[0]): float(seconds)
            for scenario, table in content.items()
            for label, seconds in table.items()
        }

    def add(self, elapsed_s: Mapping[tuple[str, str], Sequence[float]]) -> None:
        """Store the median of each cell's trials, by (scenario, subject label). Never raises for a full disk."""
        content = self._read()
        for (scenario, label), seconds in elapsed_s.items():
            if seconds:
                table = content.setdefault(scenario, {})
                table.pop(label, None)  # the latest stands last, so that it wins in costs()
                table[label] = statistics.median(seconds)
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(content, indent=1), "utf-8")
            part.replace(self._path)

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            content = json.loads(self._path.read_text("utf-8"))
            return {
                str(scenario): {str(label): float(seconds) for label, seconds in table.items() if float(seconds) >= 0}
                for scenario, table in content.items()
            }
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
