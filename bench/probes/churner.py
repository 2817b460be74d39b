"""Lives instances' lives: one by one, by several workers, or at instants fixed in advance.

A cycle lives in one thread from its launch to its removal: some parents' signals belong to threads (prctl(2),
PR_SET_PDEATHSIG). New threads share the mount namespace of the one that made them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from bench.clock import Event
from bench.collectors.cpu import Reading, read_use
from bench.errors import InstanceError, Unsupported
from bench.probes.base import Workbench, status_of
from bench.probes.cycles import Cycle, due_at
from bench.probes.ramp import Rule, read_state
from bench.probes.remains import Remains
from bench.sample import Status

LOOK_EVERY = 5
"""In every cycle of so many the suite looks which processes the instance has: what it takes is in no latency."""


class Churn:
    """The cycles of one trial.

    Attributes:
        cycles: what became of each, in the order in which they were asked for; those that do not count are not here.
        at_once: how many could be under way at the same time.
        rate: arrivals per second; None in other modes than "scheduled".
        halfway: the engine's clocks after half of the cycles one by one; None in other modes.
        seconds: from the first request to the end of the last cycle, whole or failed.
        remains: finds what stays behind.
    """

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.cycles: list[Cycle] = []
        self.at_once = 1
        self.rate: float | None = None
        self.halfway: Reading | None = None
        self.seconds = 0.0
        self.remains = Remains(bench.session, bench.backend)
        self._machine = bool(bench.backend.accelerator(bench.trial.subject))
        self._settings = bench.trial.scenario.settings
        self._numbers = itertools.count(1)
        self._under_way = 0
        self._lock = threading.Lock()

    def _setting(self, name: str) -> float:
        """Return a setting of the scenario; machines have some of their own."""
        return self._settings.get(f"machine-{name}" if self._machine else name, self._settings[name])

    def warm_up(self) -> None:
        """Run the cycles that do not count: a daemon's first ones fill its heap, which is no growth."""
        if self.bench.backend.control_plane():
            for _ in range(int(self._setting("warm-up"))):
                self._cycle()

    def run(self, mode: str) -> None:
        """Run as many cycles in this mode as the scenario's settings say.

        Raises:
            Unsupported: there is no such mode.
        """
        family, _, workers = mode.partition("-") if mode.startswith("parallel-") else (mode, "", "")
        if family not in ("one-by-one", "parallel", "scheduled"):
            raise Unsupported(f"there is no mode {mode}", "modes: one-by-one, parallel-4, parallel-cpus, scheduled")
        count = int(self._setting(family))
        began = time.monotonic()
        if family == "one-by-one":
            self._one_by_one(count)
        elif family == "parallel":
            # More workers than cycles would have nothing to do.
            self.at_once = min(count, len(os.sched_getaffinity(0)) if workers == "cpus" else int(workers))
            self._parallel(count)
        else:
            self.at_once, self.rate = int(self._settings["at-once"]), self._setting("rate")
            self._arrive(count, self.rate)
        self.seconds = time.monotonic() - began

    def _one_by_one(self, count: int) -> None:
        for number in range(count):
            if number == count // 2:
                self.halfway = read_use(self.bench.backend.control_plane())
            self.cycles.append(self._cycle())

    def _parallel(self, count: int) -> None:
        with _workers(self.at_once) as pool:
            self.cycles = [future.result() for future in [pool.submit(self._if_there_is_room) for _ in range(count)]]

    def _arrive(self, count: int, rate: float) -> None:
        """Send arrivals by the clock, whatever became of those before them."""
        with _workers(self.at_once) as pool:
            began, outcomes = time.monotonic_ns(), list[Future[Cycle] | Cycle]()
            for number in range(count):
                due_ns = due_at(began, rate, number)
                time.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
                outcomes.append(self._turned_away(due_ns) or pool.submit(self._admitted, due_ns))
            self.cycles = [each.result() if isinstance(each, Future) else each for each in outcomes]

    def _if_there_is_room(self) -> Cycle:
        return self._turned_away() or self._admitted()

    def _turned_away(self, due_ns: int | None = None) -> Cycle | None:
        """Let one more in and return None; return it as turned away if there is no room: the host shall live."""
        with self._lock:
            refusal = self._refusal(self._under_way)
            if not refusal:
                self._under_way += 1
                return None
        return Cycle(due_ns=due_ns, status=Status.SKIPPED, reason=f"turned away: {refusal}")

    def _admitted(self, due_ns: int | None = None) -> Cycle:
        """Live the cycle of one that was let in."""
        try:
            return self._cycle(due_ns)
        finally:
            with self._lock:
                self._under_way -= 1

    def _refusal(self, under_way: int) -> str:
        """Return why one more cannot be let in, or "".

        A guest takes its memory while it boots: those under way are counted as if they had taken nothing yet.
        """
        if under_way >= self.at_once:
            return f"{under_way} were under way"
        guest = int(self.bench.trial.subject.option("memory_mib", "0")) << 20 if self._machine else 0
        stop = Rule(maximum=self.at_once).before_next(under_way, read_state(), guest * (under_way + 1))
        return stop[1] if stop else ""

    def _cycle(self, due_ns: int | None = None) -> Cycle:
        """Live one instance's life."""
        looked = next(self._numbers) % LOOK_EVERY == 0
        asked = time.monotonic_ns()
        try:
            with self.bench.launched() as instance:
                self.bench.wait(instance, Event.READY)
                if looked:
                    self.remains.know(pid for pids in instance.processes().values() for pid in pids)
                instance.stop()
                instance.remove()
                line = instance.timeline
        except InstanceError as error:
            return Cycle(due_ns=due_ns, requested_ns=asked, status=status_of(error), reason=error.message)
        return Cycle(
            due_ns=due_ns, requested_ns=line.at(Event.REQUESTED), ready_ns=line.at(Event.READY),
            removed_ns=line.at(Event.REMOVED), looked=looked,
        )  # fmt: skip


@contextlib.contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Lend so many threads; if the run is interrupted, what has not begun is dropped, and what has begun ends."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="cycle")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
