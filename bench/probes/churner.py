"""Lives instances' lives: one by one, by several workers, or at instants fixed in advance.

A cycle lives in one thread from its launch to its removal: some parents' signals belong to threads (prctl(2),
PR_SET_PDEATHSIG). New threads share the mount namespace of the one that made them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil

from bench.backends.base import Session
from bench.clock import Event
from bench.collectors.cpu import Reading, read_use
from bench.errors import InstanceError, Unsupported
from bench.probes.base import Workbench, status_of
from bench.probes.cycles import Cycle, due_at
from bench.probes.ramp import Rule, read_state
from bench.sample import Status

_LINGER_S = 3.0
"""How long the last process of a removed instance may take to vanish before it counts as left over."""


class Churn:
    """The cycles of one trial.

    Attributes:
        cycles: what became of each, in the order in which they were asked for.
        at_once: how many could be under way at the same time.
        halfway: the engine's clocks after half of the cycles one by one; None in other modes.
    """

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.cycles: list[Cycle] = []
        self.at_once = 1
        self.halfway: Reading | None = None
        self._seen: list[psutil.Process] = []

    def run(self, mode: str) -> None:
        """Run as many cycles in this mode as the scenario's settings say.

        Raises:
            Unsupported: there is no such mode.
        """
        settings = self.bench.trial.scenario.settings
        family, _, workers = mode.partition("-") if mode.startswith("parallel-") else (mode, "", "")
        few = "machine-" if self.bench.backend.accelerator(self.bench.trial.subject) else ""
        if family not in ("one-by-one", "parallel", "scheduled"):
            raise Unsupported(f"there is no mode {mode}", "modes: one-by-one, parallel-4, parallel-cpus, scheduled")
        count = int(settings[few + family])
        if family == "one-by-one":
            self._one_by_one(count)
        elif family == "parallel":
            self.at_once = len(os.sched_getaffinity(0)) if workers == "cpus" else int(workers)
            self._parallel(count)
        else:
            self.at_once = int(settings["at-once"])
            self._arrive(count, settings["rate"])

    def _one_by_one(self, count: int) -> None:
        for number in range(count):
            if number == count // 2:
                self.halfway = read_use(self.bench.backend.control_plane())
            self.cycles.append(self._cycle())

    def _parallel(self, count: int) -> None:
        with _workers(self.at_once) as pool:
            self.cycles = [future.result() for future in [pool.submit(self._cycle) for _ in range(count)]]

    def _arrive(self, count: int, rate: float) -> None:
        """Send arrivals by the clock. One for which there is no room is turned away, and counts as a failure."""
        with _workers(self.at_once) as pool:
            began, outcomes = time.monotonic_ns(), list[Future[Cycle] | Cycle]()
            for number in range(count):
                due_ns = due_at(began, rate, number)
                time.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
                refusal = self._refusal(sum(isinstance(each, Future) and not each.done() for each in outcomes))
                turned_away = Cycle(due_ns=due_ns, status=Status.FAILED, reason=f"turned away: {refusal}")
                outcomes.append(turned_away if refusal else pool.submit(self._cycle, due_ns))
            self.cycles = [each.result() if isinstance(each, Future) else each for each in outcomes]

    def _refusal(self, under_way: int) -> str:
        """Return why an arrival cannot be let in, or ""."""
        if under_way >= self.at_once:
            return f"{under_way} were under way"
        stop = Rule(maximum=self.at_once).before_next(under_way, read_state())
        return stop[1] if stop else ""

    def _cycle(self, due_ns: int | None = None) -> Cycle:
        """Live one instance's life."""
        try:
            with self.bench.launched() as instance:
                self.bench.wait(instance, Event.READY)
                self._seen.extend(_held_by(pid for pids in instance.processes().values() for pid in pids))
                instance.stop()
                instance.remove()
                line = instance.timeline
        except InstanceError as error:
            return Cycle(due_ns=due_ns, status=status_of(error), reason=error.message)
        return Cycle(
            due_ns=due_ns, requested_ns=line.at(Event.REQUESTED), ready_ns=line.at(Event.READY),
            removed_ns=line.at(Event.REMOVED),
        )  # fmt: skip

    def remaining(self) -> list[str]:
        """Return what processes of removed instances still live, a line each, when they had time to vanish."""
        deadline = time.monotonic() + _LINGER_S
        while (alive := [p for p in self._seen if _lives(p)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [f"process {process.pid}" for process in alive]


@contextlib.contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Lend so many threads; if the run is interrupted, what has not begun is dropped, and what has begun ends."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="cycle")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def directories(session: Session) -> set[str]:
    """Return the names that instances gave their files and directories, and the OCI runtimes their containers."""
    places = (session.directory, session.directory / "oci", session.scratch)
    return {str(path) for place in places if place.is_dir() for path in place.iterdir() if "bench-" in path.name}


def _held_by(pids: Iterable[int]) -> list[psutil.Process]:
    """Return handles that never mean another process with the same number."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
