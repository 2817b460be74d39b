"""Assembles a run: from what the user asked for to a plan, from a plan to a run on disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import store
from bench.backends import load_backend
from bench.backends.base import Availability, Backend, Guard
from bench.comparing.stopping import Stopping
from bench.errors import BenchError, ExitCode, UsageError
from bench.history import History
from bench.messages import Message, Prepared, Preparing, RunFinished, TrialFinished, TrialResult, TrialStarted
from bench.plan import Plan, make_plan
from bench.running.description import before, now, when_prepared
from bench.running.places import cache_directory, open_session, read_host, scratch_base
from bench.running.request import Choice, Request
from bench.running.runner import execute
from bench.scenario import Subject

_NEEDED_BYTES = 2 << 30


def check_ground(request: Request) -> None:
    """See that results can be written and that there is room. Leaves nothing but the results folder itself.

    Raises:
        UsageError: it cannot be written, or there is no room of 2 GiB where the run works.
    """
    try:
        request.results.mkdir(parents=True, exist_ok=True)
        probe = request.results / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"the results folder {request.results} cannot be written: {error.strerror or error}",
            "choose another with --results DIR",
        ) from error
    scratch = scratch_base(request.scratch)
    if not (scratch.is_dir() and os.access(scratch, os.W_OK)):
        raise UsageError(f"{scratch} is no folder that can be written", "choose another with --scratch DIR")
    for place, remedy in ((scratch, "--scratch DIR"), (cache_directory(), "BENCH_CACHE")):
        free = shutil.disk_usage(place).free
        if free < _NEEDED_BYTES:
            raise UsageError(
                f"only {free / 2**30:.1f} GiB are free in {place}; images, disks and overlays need 2 GiB",
                f"free some space or name another place with {remedy}",
            )


def availability(subjects: tuple[Subject, ...]) -> dict[str, Availability]:
    """Ask every subject's backend whether it can be measured here. Never raises."""
    return {subject.name: _ask(subject) for subject in subjects}


def _ask(subject: Subject) -> Availability:
    try:
        return load_backend(subject.backend).check(subject)
    except ImportError as error:
        reason = f"the backend {subject.backend} cannot be loaded: {error}"
        missing = (error.name or "").partition(".")[0]
        return Availability(
            usable=False, reason=reason, hint="" if missing in ("", "bench") else f"pip install {missing}"
        )
    except BenchError as error:
        return Availability(usable=False, reason=error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001  # a broken backend costs its own subjects, not the run
        return Availability(
            usable=False, reason=f"the check of {subject.backend} failed: {type(error).__name__}: {error}"
        )


def lay_out(choice: Choice, available: Mapping[str, Availability]) -> Plan:
    """Return the plan: what can be run here in its order, the rest refused with reasons."""
    unavailable = {name: (a.reason, a.hint) for name, a in available.items() if not a.usable}
    return make_plan(
        choice.scenarios, choice.catalogue.subjects, choice.profile, choice.seed,
        unavailable=unavailable, only=choice.only, expected_s=History(cache_directory()).expected_s,
    )  # fmt: skip


def conduct(
    request: Request, choice: Choice, plan: Plan, run_id: str, guard: Guard, show: Callable[[Message], None]
) -> Path:
    """Execute the plan, record every trial as it ends, show every message. Return the run's folder.

    However it is cut short (Ctrl-C, SIGTERM, a full disk), the engines are closed, run.json says so, and the
    exception goes on.
    """
    facts = read_host(cache_directory())
    recorder = store.Recorder(request.results, run_id, facts.host_id)
    recorder.describe(before(request, choice, plan, facts), facts.as_dict())
    ending, finished, steering = "failed", list[TrialResult](), list[Stopping]()

    def steer(prepared: Plan) -> Stopping:
        steering.append(Stopping(prepared, request.budget_s))
        return steering[0]

    try:
        with open_session(run_id, guard, request.scratch) as session:
            session.say = voice = _Voice(recorder, show)
            backends: dict[str, Backend] = {s.backend: load_backend(s.backend) for s in plan.subjects}
            with contextlib.closing(execute(plan, session, backends, steer)) as messages:
                for message in messages:
                    match message:
                        case Prepared():
                            recorder.describe(when_prepared(message, facts, session.accelerators))
                        case TrialFinished(result=result):
                            recorder.record(result)
                            finished.append(result)
                        case RunFinished():
                            ending = message.ending
                    show(message)
                    voice.muted = isinstance(message, TrialStarted)
    except BaseException as error:
        ending = _ending(error)
        with contextlib.suppress(OSError):  # nobody may be there to be shown it
            show(RunFinished(ending=ending))
        raise
    finally:
        stopped = [found for rule in steering for found in rule.outcomes()]
        fault = _first_fault(
            lambda: recorder.describe({"ended_utc": now(), "stopped": stopped}),
            lambda: recorder.finish(ending),
            lambda: History(cache_directory()).add(finished),
        )
        if fault is not None and ending == "complete":
            raise fault
    return recorder.path


def _first_fault(*steps: Callable[[], None]) -> BenchError | None:
    """Take every step, whatever becomes of the others; return what the first that failed said."""
    faults = []
    for step in steps:
        try:
            step()
        except BenchError as error:
            faults.append(error)
    return faults[0] if faults else None


def _ending(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "failed: " + str(error) if isinstance(error, Exception) else type(error).__name__.lower()


class _Voice:
    """What session.say does: all of it into the log, single lines on the screen too.

    Not while a trial is under way: drawing would put its own milliseconds into the numbers.
    """

    def __init__(self, recorder: store.Recorder, show: Callable[[Message], None]) -> None:
        self._recorder = recorder
        self._show = show
        self.muted = False

    def __call__(self, text: str) -> None:
        """Say it."""
        self._recorder.log(text)
        if not self.muted and "\n" not in text.strip():
            self._show(Preparing(text=text.strip()))


def bury(path: Path, code: int) -> None:
    """Write how it ended into the run.json of a run whose worker could not. The parts stay as they are.

    On a full disk it cannot: the empty ending that stands there then says "cut short" all the same.

    Args:
        path: the run's folder.
        code: the worker's exit code; 128 + the signal's number if one killed it.
    """
    if (path / "run.json").is_file():
        info = json.loads((path / "run.json").read_text("utf-8"))
        if not info.get("ending"):
            told: dict[int, str] = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "terminated"}
            ending = told.get(code, "killed" if code > 128 else "failed")
            part = path / ".run.json"
            with contextlib.suppress(OSError):
                part.write_text(json.dumps({**info, "ending": ending}, indent=1, ensure_ascii=False) + "\n", "utf-8")
                part.replace(path / "run.json")
            part.unlink(missing_ok=True)
