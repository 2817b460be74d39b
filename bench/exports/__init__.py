"""A run in the words of other tools. Pure: a run goes in, a text and what had to be left out of it come out.

Every format but csv without `estimates` holds estimates: medians with intervals, beside how many values they come
from and how many trials failed, as far as the format has room. What has no value is left out, never 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from bench.errors import UsageError
from bench.soundness import sound
from bench.store import Run
from bench.text import did_you_mean

FORMATS: Mapping[str, str] = {
    "csv": "bench.exports.tables:samples",
    "csv-estimates": "bench.exports.tables:estimates",
    "markdown": "bench.exports.tables:markdown",
    "json": "bench.exports.document:document",
    "pytest-benchmark": "bench.exports.timings:pytest_benchmark",
    "hyperfine": "bench.exports.timings:hyperfine",
    "bmf": "bench.exports.trackers:bmf",
    "github-action": "bench.exports.trackers:smaller_is_better",
    "github-action-bigger": "bench.exports.trackers:bigger_is_better",
    "openmetrics": "bench.exports.openmetrics:openmetrics",
}
"""The writers, imported when they are used. Each takes a run and returns an Export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One text in a foreign format.

    Attributes:
        count: how many values or rows it holds; 0 means that nobody should rely on it.
        notes: what was left out and why, a sentence part each.
    """

    text: str
    count: int
    notes: tuple[str, ...] = ()


def export(run: Run, form: str) -> Export:
    """Return a run in a format.

    Raises:
        UsageError: the format is unknown.
    """
    if form not in FORMATS:
        raise UsageError(f'there is no format "{form}"', did_you_mean(form, FORMATS))
    module, _, name = FORMATS[form].partition(":")
    made: Export = getattr(importlib.import_module(module), name)(sound(run))
    return made
