"""Shows a run while it runs: a live view on a terminal, lines elsewhere, JSON for programs.

Nothing is drawn during a trial. Drawing needs the interpreter, and the threads that stamp the marks need it too:
a view that refreshed itself would put its own milliseconds into the numbers. So from the first trial on the screen
changes between trials only, and tells by the clock since when the current one has been running. Before it, while
engines are opened and subjects are built, nothing is measured: there the view's clock runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from bench.messages import (
    Message,
    Prepared,
    Preparing,
    RunFinished,
    RunStarted,
    TrialFinished,
    TrialPassedOver,
    TrialResult,
    TrialStarted,
)
from bench.plan import Trial
from bench.sample import Phase, Status
from bench.screens.course import Course, cell_of, headline_unit
from bench.text import plural
from bench.units import Unit, format_value

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live as RichLive


_BAR_WIDTH = 8
"""Where less room is left between the words, there is no bar."""

_LONG_S = 5.0
"""Where there is no view, a trial that is expected to take longer is told of when it begins."""


class Watcher(Protocol):
    """Something that shows messages."""

    def show(self, message: Message) -> None:
        """Take one message."""
        ...

    def close(self) -> None:
        """Leave the screen as it shall stay. Safe to repeat."""
        ...


def short_time(seconds: float) -> str:
    """Write a time of waiting the way a clock does: 0:07, 12:30, 1:02:03."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def clock_time(moment: float) -> str:
    """Write a moment of time.time() as the wall clock shows it: 23:05:59."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


def failure_of(result: TrialResult) -> str:
    """Return the first reason of a failed trial, its first line; "" if it did not fail."""
    for sample in result.samples:
        if sample.status in (Status.FAILED, Status.TIMEOUT):
            return f"{sample.status}: {sample.reason.splitlines()[0]}"
    return ""


class Lines:
    """One line a finished trial, one before a long one, and the medians after the first block and the last."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._course = Course()

    def show(self, message: Message) -> None:
        """Write what the message says, if it says something new."""
        course = self._course
        course.take(message)
        match message:
            case Preparing(text=text):
                self._say(text)
            case TrialStarted(trial=trial, label=label) if course.expected_s(trial) > _LONG_S:
                usual = format_value(course.expected_s(trial), Unit.SECONDS, digits=1)
                self._say(f"{trial.scenario.name}  {label}{cell_of(trial)[1]} begins, expected to take {usual}")
            case TrialFinished(result=result) if result.trial.index >= 0:
                self._say(self._trial(result))
                if course.block_ended and result.trial.phase is Phase.MEASURE:
                    self._medians(result.trial)
            case TrialPassedOver(trial=trial) if course.block_ended and trial.phase is Phase.MEASURE:
                self._medians(trial)
            case _:
                pass

    def _trial(self, result: TrialResult) -> str:
        trial, total = result.trial, self._course.total
        value = failure_of(result) or format_value(result.headline, headline_unit(trial))
        warm = "  (warm-up)" if trial.phase is Phase.WARMUP else ""
        where = f"[{self._course.place:{len(str(total))}}/{total}]"
        return f"{where} {trial.scenario.name}  {result.label + cell_of(trial)[1]:<18} {value}{warm}"

    def _medians(self, trial: Trial) -> None:
        block = trial.block - trial.profile.warmup + 1
        if block not in (1, trial.profile.blocks):
            return
        unit = headline_unit(trial)
        known = [
            f"{lane.label} {format_value(lane.median, unit)}" for lane in self._course.lanes.values() if lane.values
        ]
        left = f"; {plural(self._course.passed_over, 'trial')} not needed" if self._course.passed_over else ""
        left += f"; about {short_time(self._course.left_s())} to go" if self._course.left_s() else ""
        self._say(
            f"{trial.scenario.name} after block {block} of {trial.profile.blocks}: {', '.join(known) or '–'}{left}"
        )

    def _say(self, text: str) -> None:
        self._file.write(text + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing is to be undone."""


class JsonLines:
    """One JSON object a message, for programs. Keys: event, and what the message holds; times in seconds."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def show(self, message: Message) -> None:
        """Write the message."""
        self.write(as_json(message))

    def write(self, content: Mapping[str, Any]) -> None:
        """Write one object on one line."""
        self._file.write(json.dumps(content, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing is to be undone."""


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as the object that `--events json` writes."""
    match message:
        case RunStarted(run_id=run_id, plan=plan):
            return {
                "event": "run-started", "run_id": run_id, "seed": plan.seed, "profile": plan.profile.name,
                "trials": len(plan.trials), "expected_s": plan.expected_s,
            }  # fmt: skip
        case Preparing(text=text):
            return {"event": "preparing", "text": text}
        case Prepared(plan=plan, engines=engines):
            return {
                "event": "prepared",
                "trials": len(plan.trials),
                "engines": {k: dict(v) for k, v in engines.items()},
            }
        case TrialStarted() | TrialPassedOver():
            return _coming(message)
        case TrialFinished(result=result):
            samples = [
                {"metric": s.metric, "value": s.value, "unit": str(s.unit), "status": str(s.status), "reason": s.reason,
                 "params": dict(s.params)}
                for s in result.samples
            ]  # fmt: skip
            return {
                "event": "trial-finished", **_trial(result.trial), "subject": result.label,
                "elapsed_s": result.elapsed_s, "failed": result.failed, "samples": samples,
            }  # fmt: skip
        case RunFinished(ending=ending):
            return {"event": "run-finished", "ending": ending}


def _coming(message: TrialStarted | TrialPassedOver) -> dict[str, Any]:
    """Return what is said of a trial whose turn it is: it begins, or it is passed over."""
    if isinstance(message, TrialPassedOver):
        return {"event": "trial-passed-over", **_trial(message.trial), "subject": message.trial.subject.name}
    told = {"subject": message.label, "expected_s": message.trial.expected_s}
    return {"event": "trial-started", **_trial(message.trial), **told}


def _trial(trial: Trial) -> dict[str, Any]:
    """Return what tells a trial from the others; an index below 0 is a pairing that is not run."""
    return {
        "trial": trial.index, "scenario": trial.scenario.name, "params": dict(trial.params),
        "block": trial.block, "phase": str(trial.phase),
    }  # fmt: skip


class Live:
    """The view on a terminal."""

    def __init__(self, console: Console) -> None:
        self._course = Course()
        self._console = console
        self._live = self._begun(auto_refresh=True)

    def _begun(self, *, auto_refresh: bool) -> RichLive:
        """Begin to draw: by a thread four times a second, or when told to only."""
        from rich.live import Live as RichLive

        live = RichLive(
            console=self._console, get_renderable=self._view, auto_refresh=auto_refresh, transient=True,
            vertical_overflow="crop",
        )  # fmt: skip
        live.start()
        return live

    def show(self, message: Message) -> None:
        """Take a message and draw. With the first trial the view ceases to draw by itself."""
        if isinstance(message, TrialStarted) and self._live.auto_refresh:
            self._live.stop()
            self._live = self._begun(auto_refresh=False)
        self._course.take(message)
        self._live.refresh()

    def close(self) -> None:
        """Take the view away; what it showed is said by the closing screen."""
        self._live.stop()

    def _view(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        course = self._course
        parts: list[Any] = [self._bar()]
        if course.text:
            text = f"{course.text}, since {clock_time(course.text_began)}"
            parts.append(Text(text, overflow="ellipsis", no_wrap=True, style="dim"))
        elif course.trial is not None:
            name = f"{course.trial.scenario.name}: {''.join(cell_of(course.trial))}"
            usual = format_value(course.expected_s(course.trial), Unit.SECONDS, digits=1)
            text = f"{name}, since {clock_time(course.trial_began)}, expected to take {usual}"
            parts.append(Text(text, overflow="ellipsis", no_wrap=True))
        if course.lanes:
            parts.append(self._lanes())
        return Group(*parts)

    def _bar(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        course = self._course
        elapsed = f"{short_time(time.monotonic() - course.began)} gone"
        if course.plan is None:
            return elapsed
        times = f"{elapsed}, about {short_time(course.left_s())} to go"
        failed = f", {course.failed} failed" if course.failed else ""
        passed_over = f", {course.passed_over} not needed" if course.passed_over else ""
        under_way = f"trial {min(course.place + 1, course.total)} of {course.total}{failed}{passed_over}"
        under_way = under_way if course.done or course.trial else f"{course.total} trials planned"
        room = self._console.width - len(under_way) - len(times) - 2
        bar = ProgressBar(total=max(1, course.total), completed=course.place, width=max(1, room))
        grid = Table.grid(padding=(0, 1))
        grid.add_row(*([under_way, bar, times] if room >= _BAR_WIDTH else [under_way, times]))
        return grid

    def _lanes(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        course = self._course
        table = Table(box=None, pad_edge=False)
        scenario = next(t.scenario for t in self._trials() if cell_of(t) in course.lanes)
        metric = scenario.metric(scenario.headline)
        for title, justify in (
            ("subject", "left"),
            (f"median {scenario.headline}", "right"),
            ("trials", "right"),
            ("", "left"),
        ):
            table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
        lanes = list(course.lanes.values())
        room = max(3, self._console.height - 5)
        unit = metric.unit if metric else Unit.COUNT
        for lane in lanes[:room]:
            failed = f"[red]{lane.failed} failed[/]" if lane.failed else ""
            table.add_row(Text(lane.label), format_value(lane.median, unit), f"{lane.done}/{lane.total}", failed)
        if len(lanes) > room:
            table.add_row(f"… {len(lanes) - room} more")
        return table

    def _trials(self) -> tuple[Trial, ...]:
        current = self._course.trial
        if current is not None:
            return (current,)
        plan, done = self._course.plan, self._course.place
        return plan.trials[max(0, done - 1) :] if plan else ()


def watcher_for(events: str, *, out: TextIO | None = None, err: TextIO | None = None) -> Watcher:
    """Return the watcher that suits: JSON on standard output if asked for, else a view on a terminal, else lines.

    People are shown progress on standard error, so that standard output holds the answer alone.
    """
    out, err = out or sys.stdout, err or sys.stderr
    if events == "json":
        return JsonLines(out)
    if err.isatty():
        from rich.console import Console

        console = Console(file=err, highlight=False)
        if not console.is_dumb_terminal:
            return Live(console)
    return Lines(err)
