"""The suite's own JSON: everything a program wants to know of a run, without reading parquet."""

from __future__ import annotations

from typing import Any

from bench.comparing.compare import Comparison
from bench.exports import Export
from bench.exports.entries import Entry, dump, entries, failed_trials
from bench.judging.summary import comparisons
from bench.store import Run

SCHEMA_VERSION = 1

_TOLD = (
    "run_id", "version", "git_commit", "started_utc", "ended_utc", "ending", "seed", "profile", "command", "labels",
    "engines", "accelerators", "refusals", "findings",
)  # fmt: skip


def document(run: Run) -> Export:
    """Return facts, estimates, comparisons and failures of a run. Values unscaled; what is missing is null."""
    found = entries(run)
    content = {
        "format": "ms-vs-minutes",
        "schema_version": SCHEMA_VERSION,
        "run": {key: run.info.get(key) for key in _TOLD},
        "facts": run.facts,
        "estimates": [_estimate(entry) for entry in found],
        "comparisons": [_comparison(comparison) for comparison in comparisons(run)],
        "failed_trials": [
            {"scenario": scenario, "subject": subject, "failed": failed}
            for (scenario, subject), failed in failed_trials(run).items()
        ],
    }
    return Export(text=dump(content), count=sum(entry.estimate is not None for entry in found))


def _estimate(entry: Entry) -> dict[str, Any]:
    names = ("median", "low", "high", "confidence", "n", "blocks", "minimum", "maximum", "mean", "p95")
    estimate = entry.estimate
    return {
        "scenario": entry.scenario, "subject": entry.subject, "backend": entry.backend, "metric": entry.metric,
        "params": dict(entry.params), "unit": str(entry.unit), "better": str(entry.better),
        "estimate": {name: getattr(estimate, name) for name in names} if estimate else None,
        "missing": dict(entry.missing), "reasons": list(entry.reasons),
    }  # fmt: skip


def _comparison(found: Comparison) -> dict[str, Any]:
    names = ("scenario", "metric", "subject", "baseline", "ratio", "low", "high", "blocks", "lost", "margin", "reason")
    told = {name: getattr(found, name) for name in names}
    return {**told, "params": dict(found.params), "verdict": str(found.verdict), "firm": found.firm}
