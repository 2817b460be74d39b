"""`bench run` from the plan to the closing screen: the data's way, once, spelled out."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.judging.summary import summarise
from bench.judging.verdicts import judge_by_files, with_verdicts
from bench.messages import Preparing
from bench.running.application import availability, conduct, lay_out
from bench.screens.console import answers, complain
from bench.screens.progress import JsonLines, watcher_for
from bench.store import Run, read_run

if TYPE_CHECKING:
    from bench.running.guardian import Guardian
    from bench.running.request import Choice, Request


def measure(request: Request, choice: Choice, run_id: str, guard: Guardian, events: str, *, report: bool) -> int:
    """Walk the data's way, once: check → plan → execute and record → read → report → closing screen."""
    path, page = request.results / run_id, None
    watcher = watcher_for(events)
    try:
        watcher.show(Preparing(text="looking at this host"))
        plan = lay_out(choice, availability(choice.subjects))
        conduct(request, choice, plan, run_id, guard, watcher.show)
        measured = read_run(path)
        if report and plan.trials:
            watcher.show(Preparing(text="writing the report"))
            page = _write_report(measured)
    finally:
        watcher.close()
        if (path / "run.json").is_file():
            _close_with(path, page, events)
    return summarise(measured).exit_code


def _close_with(path: Path, page: Path | None, events: str) -> None:
    """Print the closing screen, or its JSON line."""
    from bench.screens.results import closing

    if events == "json":
        JsonLines(sys.stdout).write({"event": "written", "run": str(path), "report": str(page) if page else None})
    else:
        closing(answers(), read_run(path), page)


def _write_report(measured: Run) -> Path | None:
    """Make the HTML report beside the samples; say so if it cannot be made, and keep the results."""
    try:
        judged = with_verdicts(measured, judge_by_files(measured))
        return reporter()(judged, measured.path / "report.html")
    except BenchError as error:
        complain(error)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not make a fault of a run that is complete
        with contextlib.suppress(OSError), (measured.path / "log.txt").open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        what = f"the report cannot be made: {type(error).__name__}: {error}; log.txt of the run has more"
        complain(BenchError(what, f"bench report {measured.run_id}"))
    return None


def reporter() -> Callable[[Run, Path], Path]:
    """Return the report's one function, imported when it is needed: it brings the charts' libraries."""
    from report import write

    return write


def comparison_reporter() -> Callable[[Sequence[Run], Path], Path]:
    """Return the function that writes the page of several runs side by side, imported when it is needed."""
    from report import write_comparison

    return write_comparison
