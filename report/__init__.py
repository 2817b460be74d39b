"""Turns a run into one HTML file that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from bench.errors import ReportError
from bench.store import Run

__all__ = ["write", "write_comparison"]


def write(run: Run, out: Path) -> Path:
    """Write the report of a run to `out` and return it. The file appears whole or not at all.

    The same run gives the same bytes at the same place.

    Raises:
        ReportError: the file cannot be written.
    """
    from report.page import build
    from report.render import render, samples_link

    return _put(render(build(run), samples=samples_link(run.path, out)), out)


def write_comparison(runs: Sequence[Run], out: Path) -> Path:
    """Write the comparison of two runs or more, each with the first, to `out` and return it. Whole or not at all.

    Raises:
        ReportError: the file cannot be written.
        ValueError: fewer than two runs.
    """
    from report.beside import build
    from report.render import render_beside

    return _put(render_beside(build(runs)), out)


def _put(page: str, out: Path) -> Path:
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(page, "utf-8")
        part.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ReportError(
            f"the report cannot be written to {out}: {error.strerror or error}", "choose another place with --out"
        ) from error
    return out
