"""The overhead probe in an instance whose commands run here, and the CPU time it reads beside."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from bench.backends.base import Agent, DiskUse, Role, Session
from bench.backends.common import cpu_set, limits, memory_limit
from bench.backends.fake import FakeBackend
from bench.clock import Event, Timeline
from bench.collectors.cputime import softirq_cpu_s, tree_cpu_s
from bench.collectors.faults import read_faults
from bench.errors import StartTimeout
from bench.plan import Trial
from bench.probes import overhead as probe
from bench.probes.base import Workbench
from bench.probes.tools import ParseError, pgbench
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from bench.scenario import Profile, Subject, load

SETTINGS = {"seconds": 1.0, "nginx": 3.0, "redis": 0.0}


class Shell:
    """Runs commands on this host."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.ran: list[tuple[str, float]] = []

    def follow(self, timeline: Timeline, nonce: str) -> None:
        """No marks come from here."""

    def send(self, line: str) -> bool:
        return bool(line)

    def run(self, command: str, timeout_s: float) -> tuple[int, bytes]:
        self.ran.append((command, timeout_s))
        if "hang" in command:
            raise StartTimeout("no answer")
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        return done.returncode, done.stdout + done.stderr


class Here:
    """An instance that is this very process."""

    def __init__(self) -> None:
        self.name = "here"
        self.timeline = Timeline()
        self.timeline.stamp(Event.REQUESTED)
        self.timeline.stamp(Event.READY)
        self.shell = Shell()
        self.channel: Agent = self.shell
        self.removed = False

    def alive(self) -> bool:
        return True

    def last_words(self) -> str:
        return ""

    def stop(self) -> None:
        """Nothing runs."""

    def remove(self) -> None:
        self.removed = True

    def processes(self) -> Mapping[Role, tuple[int, ...]]:
        return {Role.WORKLOAD: (os.getpid(),)}

    def cgroup_pid(self) -> int | None:
        return None

    def disk(self) -> DiskUse:
        return DiskUse()


class HereBackend(FakeBackend):
    def __init__(self) -> None:
        super().__init__()
        self.instance = Here()

    def launch(self, subject: Subject) -> Here:  # type: ignore[override]
        del subject
        return self.instance


def saying(command: str) -> probe.Measure:
    """Return a measure whose command is given and whose output is a number."""

    def parse(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise ParseError(f"no number: {text}") from None

    return probe.Measure(command=lambda seconds, _: command.replace("SECONDS", str(seconds)), parse=parse)


@pytest.fixture
def backend() -> HereBackend:
    return HereBackend()


def workbench(backend: HereBackend, place: Path, block: int = 0, seed: int = 7, **settings: float) -> Workbench:
    session = Session(run_id="test-000000", directory=place, scratch=place, cache=place)
    scenario = load().scenarios["overhead"].model_copy(update={"settings": {**SETTINGS, **settings}, "profiles": {}})
    trial = Trial(
        index=0, scenario=scenario, subject=Subject(name="here", title="here", backend="fake"), block=block, position=0,
        phase=Phase.MEASURE, profile=Profile(name="quick", blocks=1, warmup=0), expected_s=1.0, seed=seed,
    )  # fmt: skip
    return Workbench(trial, backend, session)


def only(monkeypatch: pytest.MonkeyPatch, **measures: str) -> None:
    """Let the probe have these measures only; what is not named is left out."""
    monkeypatch.setattr(probe, "MEASURES", {n.replace("_", "-"): saying(c) for n, c in measures.items()})


def value(samples: list[Sample], metric: str, **params: str) -> Sample:
    [found] = [s for s in samples if s.metric == metric and s.params == params]
    return found


def test_each_measure_lasts_as_long_as_the_scenario_says_and_0_leaves_it_out(
    backend: HereBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, nginx="echo SECONDS", forks="echo SECONDS", redis="echo SECONDS")

    samples = list(probe.overhead(workbench(backend, tmp_path)))

    assert (value(samples, "nginx").value, value(samples, "forks").value) == (3.0, 1.0)
    assert [s for s in samples if s.metric == "redis"] == []
    assert backend.instance.removed


def test_every_measure_has_a_declared_metric_and_every_such_metric_a_measure() -> None:
    declared = {metric.name for metric in load().scenarios["overhead"].metrics}
    assert {*probe.MEASURES, *probe.BRIDGED} == declared - {"host-cpu", "host-softirq"}


def test_the_settings_of_all_profiles_name_metrics() -> None:
    scenario = load().scenarios["overhead"]
    known = {metric.name for metric in scenario.metrics} | {"seconds"}
    told = [scenario.settings, *(change.settings or {} for change in scenario.profiles.values())]
    named = [name for settings in told for name in settings]
    assert [name for name in named if name not in known] == []
    quick = {**scenario.settings, **(scenario.profiles["quick"].settings or {})}
    assert quick[scenario.headline] > 0


def test_the_order_is_drawn_for_the_block_and_the_same_for_all_its_subjects(
    backend: HereBackend, tmp_path: Path
) -> None:
    orders = [tuple(probe.chosen(workbench(backend, tmp_path, block=b))) for b in range(8)]
    assert orders == [tuple(probe.chosen(workbench(HereBackend(), tmp_path, block=b))) for b in range(8)]
    assert len(set(orders)) == 8
    assert orders[0] != tuple(probe.chosen(workbench(backend, tmp_path, seed=8)))
    assert {len(set(order)) for order in orders} == {len(probe.MEASURES) + 1}  # redis is out, two bridged are in


def test_what_fails_costs_its_own_figure(backend: HereBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, nginx="echo tea", forks="echo no fork >&2; exit 3", postgresql=f"exit {pgbench.NO_OTHER_USER}",
         file_read="echo 5")  # fmt: skip

    samples = list(probe.overhead(workbench(backend, tmp_path)))

    assert (value(samples, "nginx").status, value(samples, "nginx").reason) == (Status.FAILED, "no number: tea\n")
    assert value(samples, "forks").reason == "the command inside ended with 3: no fork"
    assert value(samples, "postgresql").status is Status.UNSUPPORTED
    assert {value(samples, name).status for name in probe.BRIDGED} == {Status.UNSUPPORTED}
    assert value(samples, "file-read").value == 5.0
    assert {s.params["measure"] for s in samples if s.metric == "host-cpu"} == {"nginx", "file-read"}


def test_after_a_command_without_answer_nothing_more_is_asked(
    backend: HereBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, nginx="hang", forks="echo 1", file_read="echo 2")
    bench = workbench(backend, tmp_path)
    order = [name for name in probe.chosen(bench) if name not in probe.BRIDGED]

    samples = list(probe.overhead(bench))

    late = {s.metric for s in samples if s.status is Status.TIMEOUT}
    assert late - probe.BRIDGED.keys() == set(order[order.index("nginx") :])
    assert len(backend.instance.shell.ran) == order.index("nginx") + 1
    assert run_trial(bench.trial, backend, bench.session).failed


def test_the_host_s_cpu_time_is_what_the_command_burnt(
    backend: HereBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    burn = f"{sys.executable} -c 'import time; list(iter(lambda: time.process_time() < 0.6, False))'; echo 1"
    only(monkeypatch, nginx=burn, forks="sleep 0.4; echo 1")

    samples = list(probe.overhead(workbench(backend, tmp_path)))

    idle, busy = (value(samples, "host-cpu", measure=name).value for name in ("forks", "nginx"))
    assert idle is not None
    assert busy is not None
    assert idle < 0.2
    assert busy > 2 * idle
    assert busy <= 1.2


def test_cpu_time_of_a_tree_has_its_ended_children_as_psutil_sees_them() -> None:
    before = tree_cpu_s([os.getpid()])
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    after, told = tree_cpu_s([os.getpid()]), psutil.Process().cpu_times()
    assert before is not None
    assert after is not None
    assert after - before >= 0.05
    assert after == pytest.approx(told.user + told.system + told.children_user + told.children_system, abs=0.1)


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert tree_cpu_s([]) is None
    assert tree_cpu_s([1], tmp_path) is None
    assert softirq_cpu_s(tmp_path) is None
    assert read_faults([1], tmp_path) is None


def test_counters_are_the_fields_that_proc_documents(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(map(str, range(3, 30)))
    (tmp_path / "7" / "stat").write_text(f"7 (a ) b) S {fields.partition(' ')[2]}")
    (tmp_path / "stat").write_text("cpu 1 2 3 4 5 6 700 8 9 10\ncpu0 0\n")
    tick = 1 / os.sysconf("SC_CLK_TCK")
    # Fields 14 to 17 (utime, stime, cutime, cstime) and 10 to 13 (minflt, cminflt, majflt, cmajflt), counted from 1.
    assert tree_cpu_s([7, 7], tmp_path) == pytest.approx((14 + 15 + 16 + 17) * tick)
    faults = read_faults([7], tmp_path)
    assert faults is not None
    assert (faults.minor, faults.major) == (10 + 11, 12 + 13)
    assert read_faults([7, 8], tmp_path) is None, "without the faults of one the sum is none"
    assert softirq_cpu_s(tmp_path) == pytest.approx(700 * tick)


def test_limits_say_what_is_limited_and_what_is_not() -> None:
    free = Subject(name="a", title="a", backend="fake")
    bound = free.model_copy(update={"options": {"cpus": 1, "memory_mib": 1024}})
    last = max(os.sched_getaffinity(0))
    assert (cpu_set(free), memory_limit(free), limits(free)) == ("", None, "none")
    assert (cpu_set(bound), memory_limit(bound)) == (str(last), 1 << 30)
    assert limits(bound) == f"CPU {last} of the host, 1024 MiB of memory"
    assert "memory not limited" in limits(bound, memory=False)
