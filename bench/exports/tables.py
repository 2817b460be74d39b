"""Tables: csv for programs, Markdown for people."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from bench.exports import Export
from bench.exports.entries import entries
from bench.judging.summary import Answer, Summary, format_cell, format_ratio, summarise
from bench.store import COLUMNS, Run
from bench.text import plural

_ESTIMATED = (
    "scenario", "subject", "backend", "metric", "params", "unit", "better", "median", "low", "high", "confidence", "n",
    "blocks", "minimum", "maximum", "mean", "p95", "failed", "timeout", "skipped", "unsupported", "reasons",
)  # fmt: skip


def samples(run: Run) -> Export:
    """Return every sample, one a line, with the columns of the store; params as JSON; a missing value is empty."""
    rows = [{**row, "params": json.dumps(dict(row["params"]), ensure_ascii=False)} for row in run.rows]
    return Export(text=_csv(tuple(COLUMNS), rows), count=len(rows))


def estimates(run: Run) -> Export:
    """Return one line a cell: median, interval at `confidence`, how many values, and how often there is none."""
    lines = []
    for entry in entries(run):
        found = entry.estimate
        names = ("median", "low", "high", "confidence", "n", "blocks", "minimum", "maximum", "mean", "p95")
        line: dict[str, Any] = {name: getattr(found, name) if found else None for name in names}
        counts = {status: entry.missing.get(status, 0) for status in ("failed", "timeout", "skipped", "unsupported")}
        told = {
            name: str(getattr(entry, name)) for name in ("scenario", "subject", "backend", "metric", "unit", "better")
        }
        line |= told | counts | {"params": json.dumps(dict(entry.params)), "reasons": "; ".join(entry.reasons)}
        lines.append({**line, "n": found.n if found else 0, "blocks": found.blocks if found else 0})
    return Export(text=_csv(_ESTIMATED, lines), count=len(lines))


def _csv(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def markdown(run: Run) -> Export:
    """Return the closing screen as Markdown: for the summary of a pipeline's job, or a comment."""
    summary = summarise(run)
    lines = [f"# Run {_plain(run.run_id)}", ""]
    lines += [f"- {_plain(answer.sentence)}" for answer in summary.answers]
    for answer in summary.answers:
        if answer.cells:
            lines += ["", f"## {_plain(answer.title)}: {_plain(answer.metric)}", "", *_table(answer)]
    lines += _troubles(summary)
    told = [("profile", "profile"), ("ended", "ending"), ("again", "command")]
    lines += ["", *(f"- {name}: {_plain(run.info[key])}" for name, key in told if run.info.get(key))]
    count = sum(cell.estimate is not None for answer in summary.answers for cell in answer.cells.values())
    notes = ("the headline metrics only: every metric is in csv-estimates and json",)
    return Export(text="\n".join(lines) + "\n", count=count, notes=notes)


def _table(answer: Answer) -> list[str]:
    base = f"× {_plain(answer.baseline)}" if answer.baseline else "ratio"
    lines = [f"| subject | median [95 % interval] | {base} | verdict | n | failed |", "|---|---|---|---|--:|--:|"]
    for label, cell in answer.cells.items():
        ratio, verdict = ("–", "") if cell.ratio is None else (format_ratio(cell.ratio), cell.ratio.word)
        if label == answer.baseline:
            ratio, verdict = "1", "baseline"
        n, failed = (cell.estimate.n, cell.estimate.failures) if cell.estimate else (0, "")
        told = format_cell(cell, answer.unit)
        lines.append(f"| {_plain(label)} | {_plain(told)} | {ratio} | {verdict} | {n} | {failed} |")
    return lines


def _troubles(summary: Summary) -> list[str]:
    if not summary.troubles:
        return []
    lines = ["", "## Not measured", ""]
    for trouble in summary.troubles:
        who = _plain(", ".join(trouble.subjects))
        lines.append(f"- {trouble.status} {who} ({plural(trouble.count, 'trial')}): {_plain(trouble.reason)}")
    return lines


def _plain(text: object) -> str:
    """Return text that Markdown shows as it is: one line, nothing in it a table's edge, a tag or a link."""
    line = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\|<>*_`[]#~!" else c for c in line)
