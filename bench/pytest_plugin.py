"""Scenarios as pytest-benchmark benchmarks, for people who live in pytest: its storage, comparisons and histograms.

    pytest -p bench.pytest_plugin --bench-scenario startup --bench-subject docker --benchmark-autosave

Loaded by -p only, so that nobody gets it unasked. Without a path on the command line nothing but the benchmarks runs.

What is timed: the scenario's headline duration, requested→ready, exactly as the suite's own clock stamps it, and not
how long the Python call took, which creates, waits, stops and removes. To that end each benchmark has a timer of its
own that stands still but for the duration of the instance that was just measured. Every other number of a round is in
`extra_info`.

What is lost against `bench run`: pytest runs one test after the other, so subjects are not interleaved and a drift of
the host falls on whoever runs meanwhile; there is no interval, no noise floor and no verdict; a failed round fails its
test, because pytest-benchmark has no place for a value that is missing. Headlines that are no times are refused.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import scenario as scenarios
from bench.backends import load_backend
from bench.backends.base import Backend, Session
from bench.errors import BenchError
from bench.messages import TrialResult
from bench.plan import Plan, Refusal, Trial
from bench.running import sweeper
from bench.running.application import availability, lay_out
from bench.running.guardian import Guardian
from bench.running.places import new_run_id, open_session
from bench.running.request import Request, choose
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from bench.units import Unit

Cell = tuple[str, str, str]
"""Scenario, subject, and the parameters as text: "mode=warm"."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("bench", "containers and virtual machines on one clock")
    group.addoption("--bench-scenario", action="append", metavar="NAME", help="Run this scenario. Repeatable.")
    group.addoption("--bench-subject", action="append", metavar="NAME", help="Only this subject. Repeatable.")
    group.addoption("--bench-profile", default="quick", metavar="NAME", help="How many rounds: quick, standard, ...")
    group.addoption("--bench-subjects", action="append", metavar="FILE", help="Your own subjects. Repeatable.")
    group.addoption("--bench-scenarios", metavar="DIR", help="Another folder of scenario files.")
    group.addoption("--bench-scratch", metavar="DIR", help="Where overlays and engine data go meanwhile.")


def pytest_configure(config: pytest.Config) -> None:
    """Leave the project's own tests alone where the benchmarks were asked for and no path was named."""
    if config.getoption("bench_scenario"):
        if not config.pluginmanager.hasplugin("benchmark"):
            raise pytest.UsageError("--bench-scenario needs pytest-benchmark")
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the benchmarks, so early that -k, -m and other plugins see them like any other test."""
    if not config.getoption("bench_scenario"):
        return
    try:
        plan = _plan(config)
    except BenchError as error:
        raise pytest.UsageError(_told(error)) from error
    made: Any = Benchmarks.from_parent(session, path=Path(__file__), nodeid="bench")
    made.plan = plan
    items.extend(session.genitems(made))


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what these numbers are, before anybody takes them for those of `bench run`."""
    if not config.getoption("bench_scenario"):
        return None
    profile = config.getoption("bench_profile")
    return f"bench: profile {profile}, subjects one after another and not interleaved: bench run gives firmer numbers"


class Benchmarks(pytest.Module):
    """A module that is nowhere on disk: one test function, with the plan's cells as its parameters."""

    plan: Plan

    def _getobj(self) -> types.ModuleType:
        module = types.ModuleType("bench_cells")
        marked = pytest.mark.parametrize(("scenario", "subject", "conditions"), list(_parameters(self.plan)))
        module.test_bench = marked(_test_of(_cells(self.plan.trials)))  # type: ignore[attr-defined]
        return module

    def funcnamefilter(self, name: str) -> bool:
        """Take the one function, whatever the project's own tests are called."""
        return name == "test_bench"


def _plan(config: pytest.Config) -> Plan:
    """Return what would be run, in blocks: the trials of each cell become the rounds of its benchmark.

    Raises:
        BenchError: a name is unknown or a file is wrong.
        pytest.UsageError: a headline is no time.
    """
    folder, scratch = config.getoption("bench_scenarios"), config.getoption("bench_scratch")
    choice = choose(
        Request(
            names=tuple(config.getoption("bench_scenario")), subjects=tuple(config.getoption("bench_subject") or ()),
            profile=config.getoption("bench_profile"), seed=0, scenarios=Path(folder or scenarios.DIRECTORY),
            extra=tuple(Path(file) for file in config.getoption("bench_subjects") or ()),
            scratch=Path(scratch) if scratch else None,
        )
    )  # fmt: skip
    for chosen in choice.scenarios:
        metric = chosen.metric(chosen.headline)
        if metric is None or metric.unit is not Unit.SECONDS:
            unit = metric.unit if metric else "?"
            raise pytest.UsageError(
                f"pytest-benchmark holds times only; {chosen.name}'s headline {chosen.headline} is in {unit}: "
                f"bench run {chosen.name}"
            )
    return lay_out(choice, availability(choice.subjects))


def _cells(trials: Sequence[Trial]) -> dict[Cell, list[Trial]]:
    """Return the trials of every cell in their order, warm-up first."""
    found: dict[Cell, list[Trial]] = {}
    for trial in trials:
        conditions = ",".join(f"{key}={value}" for key, value in trial.params.items())
        found.setdefault((trial.scenario.name, trial.subject.name, conditions), []).append(trial)
    return found


def _parameters(plan: Plan) -> Iterator[Any]:
    """Yield one set of parameters a cell, and one, marked to be skipped, a pairing that cannot be run here."""
    cells = _cells(plan.trials)
    # In the ladder's order: that of the plan was drawn for blocks that pytest does not know.
    for cell, trials in sorted(cells.items(), key=lambda item: (item[0][0], item[1][0].subject.rung, item[0])):
        metric = trials[0].scenario.headline
        mark = pytest.mark.benchmark(group=f"{cell[0]} {metric}", timer=Stopwatch(metric))
        yield pytest.param(*cell, id="-".join(filter(None, cell)), marks=mark)
    for refusal in plan.refusals:
        cell = (refusal.scenario.name, refusal.subject.name, "")
        yield pytest.param(*cell, id="-".join(cell[:2]), marks=pytest.mark.skip(reason=_why(refusal)))


def _why(refusal: Refusal) -> str:
    return f"{refusal.reason} ({refusal.hint})" if refusal.hint else refusal.reason


def _told(error: BenchError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


class Stopwatch:
    """A timer for pytest-benchmark that stands still but for the durations it is told, seconds."""

    def __init__(self, metric: str) -> None:
        self.__name__ = metric
        self.reading_s = 0.0

    def __call__(self) -> float:
        """Return what was told since the last reset."""
        return self.reading_s

    def reset(self) -> None:
        """Go back to 0, so that a difference of two readings is the told duration to the last bit."""
        self.reading_s = 0.0


class RoundWithoutValue(Exception):
    """A round gave no headline value. An Exception, so that pytest-benchmark drops what it had so far."""

    def __init__(self, sample: Sample) -> None:
        super().__init__(f"{sample.metric}: {sample.status}: {sample.reason}")
        self.unsupported = sample.status is Status.UNSUPPORTED


class Engines:
    """The session's engines: opened at the first question, guarded, closed at the end."""

    def __init__(self, session: Session, stack: contextlib.ExitStack) -> None:
        self._session = session
        self._stack = stack
        self._open: dict[str, Backend] = {}

    @property
    def run_id(self) -> str:
        """What everything that is created is labelled with."""
        return self._session.run_id

    def prepare(self, trial: Trial) -> None:
        """Open the trial's engine and prepare its subject. Never timed."""
        name = trial.subject.backend
        with self._marked():
            if name not in self._open:
                backend: Backend = load_backend(name)
                self._stack.callback(backend.close)
                backend.open(self._session)
                self._open[name] = backend
            self._open[name].prepare(trial.subject)

    def run(self, trial: Trial) -> TrialResult:
        """Run one trial."""
        with self._marked():
            return run_trial(trial, self._open[trial.subject.backend], self._session)

    @contextlib.contextmanager
    def _marked(self) -> Iterator[None]:
        """Let what is started now carry the run's mark, by which the guardian knows it; tests beside it do not."""
        os.environ[sweeper.MARK] = self.run_id
        try:
            yield
        finally:
            del os.environ[sweeper.MARK]


@pytest.fixture(scope="session")
def bench_engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    """The engines of this pytest session, and a guardian that sweeps if the session is killed.

    pytest is no child subreaper, as the front process of a run is: it would have to reap what its libraries wait for.
    Orphans go to PID 1, whose slowness lengthens removals and none of the durations that are timed.
    """
    run_id, scratch = new_run_id(), request.config.getoption("bench_scratch")
    # pytest's process is not the suite's: fixtures, plugins and tests have children of their own in it.
    guard = Guardian(run_id, children=False)
    try:
        with (
            open_session(run_id, guard, Path(scratch) if scratch else None) as session,
            contextlib.ExitStack() as stack,
        ):
            yield Engines(session, stack)
    finally:
        for line in guard.sweep():
            if line.startswith("NOT"):
                warnings.warn(f"{line}; bench clean tries again", stacklevel=1)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(guard.pid, 0)


def _test_of(cells: Mapping[Cell, Sequence[Trial]]) -> Any:
    """Return the test function that measures one of the cells."""

    def test_bench(
        benchmark: Any, bench_engines: Engines, request: pytest.FixtureRequest, scenario: str, subject: str,
        conditions: str,
    ) -> None:  # fmt: skip
        watch = request.node.get_closest_marker("benchmark").kwargs["timer"]
        try:
            _measure(benchmark, bench_engines, watch, cells[scenario, subject, conditions])
        except RoundWithoutValue as error:
            if error.unsupported:
                pytest.skip(str(error))
            pytest.fail(str(error), pytrace=False)
        except BenchError as error:
            pytest.fail(_told(error), pytrace=False)

    return test_bench


def _measure(benchmark: Any, engines: Engines, watch: Stopwatch, trials: Sequence[Trial]) -> None:
    """Run a cell's trials as the rounds of one benchmark."""
    engines.prepare(trials[0])
    # A profiler asks for one round more than was planned, and so it gets the last trial again.
    coming = itertools.chain(trials, itertools.repeat(trials[-1]))
    told: dict[str, list[float]] = {}

    def round_() -> None:
        trial = next(coming)
        result = engines.run(trial)
        sample = _headline(result)
        if sample.value is None:
            raise RoundWithoutValue(sample)
        watch.reading_s = sample.value
        benchmark.extra_info["subject"] = result.label
        if trial.phase is Phase.MEASURE:
            for other in result.samples:
                if other.value is not None and other.params.get("part", "total") == "total":
                    told.setdefault(f"{other.metric} ({other.unit})", []).append(other.value)

    warm = sum(trial.phase is Phase.WARMUP for trial in trials)
    benchmark.extra_info.update(
        run_id=engines.run_id, metric=trials[0].scenario.headline, interleaved=False, samples=told
    )
    benchmark.pedantic(round_, setup=watch.reset, rounds=len(trials) - warm, warmup_rounds=warm)


def _headline(result: TrialResult) -> Sample:
    """Return the sample of the scenario's headline, of its parts the whole."""
    wanted = result.trial.scenario.headline
    return next(s for s in result.samples if s.metric == wanted and s.params.get("part", "total") == "total")
