"""CPU time and switches between two readings: against known habits, the kernel's own account, and ps."""

from __future__ import annotations

import os
import subprocess
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.collectors.cpu import Reading, between, clock_step_ns, process_cpu_ns, read_held, read_use
from bench.collectors.procfs import read_memory
from tests.unit.children import BURNER, SLEEPER, THREADED, child

FINE = 0.0001
"""0.01 % of a core: what the windows have to resolve."""


@pytest.mark.parametrize("share", [0.02, 0.25])
def test_a_known_share_of_a_core_is_measured_right(share: float) -> None:
    with child(BURNER, str(share)) as busy:
        time.sleep(0.3)
        before = read_use([busy.pid])
        time.sleep(2.0)
        use = between(before, read_use([busy.pid]))
    # The burner itself is late by one of its steps, 50 ms of sleep, at most at either end.
    assert use.cpu.value == pytest.approx(share, abs=share * 0.1 + 0.01)
    assert use.cpu.low <= use.cpu.value <= use.cpu.high
    assert use.seconds == pytest.approx(2.0, abs=0.3)


def test_the_clock_agrees_with_the_kernels_account_at_the_end_and_with_ps() -> None:
    with child(BURNER, "0.9") as busy:
        time.sleep(1.5)
        shown = subprocess.run(
            ["ps", "-o", "cputimes=", "-p", str(busy.pid)], capture_output=True, text=True, check=True
        )
        ns = process_cpu_ns(busy.pid)
        busy.kill()
        _, _, usage = os.wait4(busy.pid, 0)
        busy.returncode = -9
    assert ns is not None
    assert int(shown.stdout) <= ns / 1e9 + 0.02
    assert ns / 1e9 - int(shown.stdout) <= 1.1
    assert usage.ru_utime + usage.ru_stime == pytest.approx(ns / 1e9, abs=0.05)


def test_what_an_ended_thread_used_is_not_lost() -> None:
    with child(THREADED) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = read_use([process.pid])
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"burnt\n"
        use = between(before, read_use([process.pid]))
        living = [thread.user_time + thread.system_time for thread in psutil.Process(process.pid).threads()]
    assert use.cpu.value * use.seconds == pytest.approx(0.2, abs=0.05)
    assert living
    assert sum(living) < 0.15, "the living threads alone do not know of it"


def test_a_sleeper_is_told_from_nothing_far_below_a_hundredth_of_a_percent() -> None:
    with child(SLEEPER) as asleep:
        time.sleep(0.2)
        before = read_use([asleep.pid])
        time.sleep(1.0)
        use = between(before, read_use([asleep.pid]))
    assert use.cpu.value == 0.0
    assert (use.voluntary, use.involuntary, use.ended, use.threads_ended) == (0.0, 0.0, (), 0)
    assert 0.0 < use.resolution < FINE / 10
    assert clock_step_ns() < 100_000


def test_switches_are_those_that_the_kernel_counts() -> None:
    with child(BURNER, "0.01") as busy:
        time.sleep(0.2)
        whole, before = psutil.Process(busy.pid).num_ctx_switches(), read_use([busy.pid])
        time.sleep(1.0)
        use = between(before, read_use([busy.pid]))
        later = psutil.Process(busy.pid).num_ctx_switches()
    # It sleeps 50 ms at a time: about twenty wake-ups a second.
    assert use.voluntary == pytest.approx(20, abs=6)
    assert use.voluntary * use.seconds == pytest.approx(later.voluntary - whole.voluntary, abs=3)


def test_a_process_that_ended_is_named() -> None:
    with child(SLEEPER) as gone, child(SLEEPER) as stays:
        before = read_use([gone.pid, stays.pid])
        gone.kill()
        gone.wait()
        use = between(before, read_use([gone.pid, stays.pid]))
        assert use.ended == (gone.pid,)
        assert use.threads_ended == 1
        assert process_cpu_ns(gone.pid) is None
        assert read_held([gone.pid, stays.pid]) is None
        held, alone = read_held([stays.pid]), read_memory(stays.pid)
    assert held is not None
    assert alone is not None
    assert (held.pss, held.anon, held.slack) == (alone.pss, alone.anon, 1024)


def reading(at_s: float, took_s: float, cpu: dict[int, float], running: int = 0) -> Reading:
    return Reading(
        began_ns=round(at_s * 1e9), ended_ns=round((at_s + took_s) * 1e9),
        cpu_ns={pid: round(seconds * 1e9) for pid, seconds in cpu.items()},
        switches={(pid, pid): (5, 1) for pid in cpu}, running=dict.fromkeys(cpu, running),
    )  # fmt: skip


def test_a_process_born_in_the_window_counts_with_all_it_used() -> None:
    use = between(reading(0, 0, {1: 3.0}), reading(10, 0, {1: 4.0, 2: 1.0}))
    assert use.cpu.value == pytest.approx(0.2)
    assert use.voluntary == pytest.approx(0.5)


@given(st.floats(0.0, 5.0), st.floats(0.0, 0.05), st.integers(0, 3), st.integers(0, 3), st.floats(1.0, 1000.0))
def test_the_bounds_hold_the_truth(used_s: float, took_s: float, first: int, last: int, window_s: float) -> None:
    use = between(reading(0, took_s, {1: 2.0}, first), reading(window_s, took_s, {1: 2.0 + used_s}, last))
    assert use.cpu.low <= use.cpu.value * (1 + 1e-9)
    assert use.cpu.value <= use.cpu.high * (1 + 1e-9)
    # A thread that ran at either end may hide up to a tick of 10 ms; the bounds are wider by just that.
    assert use.resolution * (window_s + took_s) >= (first + last) * 0.01 * 0.9 or use.cpu.low == 0.0


def test_a_part_of_a_reading_knows_its_own_processes_only() -> None:
    part = reading(0, 0, {1: 1.0, 2: 2.0}, running=1).of([2, 3])
    assert (dict(part.cpu_ns), dict(part.running), set(part.switches)) == ({2: 2_000_000_000}, {2: 1}, {(2, 2)})
