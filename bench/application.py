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
from bench.description import before, now, when_prepared
from bench.errors import BenchError, UsageError
from bench.history import History
from bench.messages import Message, Prepared, Preparing, RunFinished, TrialFinished, TrialResult
from bench.places import cache_directory, open_session, read_host, scratch_base
from bench.plan import Plan, make_plan
from bench.request import Choice, Request
from bench.runner import execute
from bench.scenario import Subject
from bench.stopping import Stopping

_NEEDED_BYTES = 2 << 30


def check_ground(request: Request) -> None:
    """See that results can be written and that there is room. Leaves nothing but the results folder itself.

    Raises:
        UsageError: it cannot be written, or less than 2 GiB are free where the run works.
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
    base = scratch_base(request.scratch)
    free = shutil.disk_usage(base).free
    if free < _NEEDED_BYTES:
        raise UsageError(
            f"only {free / 2**30:.1f} GiB are free in {base}; images, disks and overlays need 2 GiB",
            "free some space or name another place with --scratch DIR",
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
    backends = {s.name: s.backend for s in choice.subjects}
    return make_plan(
        choice.scenarios, choice.catalogue.subjects, choice.profile, choice.seed,
        unavailable=unavailable, only=choice.only, costs=History(cache_directory()).costs(backends),
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
            session.say = _speaker(recorder, show)
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
    except BaseException as error:
        ending = _ending(error)
        show(RunFinished(ending=ending))
        raise
    finally:
        recorder.describe({"ended_utc": now(), "stopped": [found for rule in steering for found in rule.outcomes()]})
        recorder.finish(ending)
        History(cache_directory()).add(finished)
    return recorder.path


def _ending(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "failed: " + str(error) if isinstance(error, Exception) else type(error).__name__.lower()


def _speaker(recorder: store.Recorder, show: Callable[[Message], None]) -> Callable[[str], None]:
    """Return what session.say does: all of it into the log, single lines on the screen too."""

    def say(text: str) -> None:
        recorder.log(text)
        if "\n" not in text.strip():
            show(Preparing(text=text.strip()))

    return say


def bury(path: Path) -> None:
    """Write into the run.json of a run whose worker was killed that it was. The parts stay as they are.

    On a full disk it cannot: the empty ending that stands there then says "cut short" all the same.
    """
    if (path / "run.json").is_file():
        info = json.loads((path / "run.json").read_text("utf-8"))
        if not info.get("ending"):
            part = path / ".run.json"
            with contextlib.suppress(OSError):
                part.write_text(json.dumps({**info, "ending": "killed"}, indent=1, ensure_ascii=False) + "\n", "utf-8")
                part.replace(path / "run.json")
            part.unlink(missing_ok=True)
