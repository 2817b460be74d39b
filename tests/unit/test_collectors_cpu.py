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
from tests.unit.children import OBEDIENT, SLEEPER, await_done, child, tell

FINE = 0.0001
"""0.01 % of a core: what the windows have to resolve."""


@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_a_known_amount_of_cpu_time_is_measured_right(seconds: float) -> None:
    with child(OBEDIENT) as busy:
        began = time.monotonic()
        before = read_use([busy.pid])
        tell(busy, f"burn {seconds}")
        await_done(busy)
        use = between(before, read_use([busy.pid]))
        took = time.monotonic() - began
    # It makes a thread, and says that it is done.
    assert seconds <= use.cpu.value * use.seconds < seconds + 0.02
    assert use.cpu.low <= use.cpu.value <= use.cpu.high
    assert seconds <= use.seconds <= took


def test_the_clock_agrees_with_the_kernels_account_at_the_end_and_with_ps() -> None:
    with child(OBEDIENT) as busy:
        tell(busy, "burn 1.4")
        await_done(busy)
        shown = subprocess.run(
            ["ps", "-o", "cputimes=", "-p", str(busy.pid)], capture_output=True, text=True, check=True
        )
        ns = process_cpu_ns(busy.pid)
        busy.kill()
        _, _, usage = os.wait4(busy.pid, 0)
        busy.returncode = -9
    assert ns is not None
    assert ns >= 1.4e9
    # ps shows whole seconds.
    assert int(shown.stdout) <= ns / 1e9 + 0.02
    assert ns / 1e9 - int(shown.stdout) <= 1.1
    assert usage.ru_utime + usage.ru_stime == pytest.approx(ns / 1e9, abs=0.05)


def test_what_an_ended_thread_used_is_not_lost() -> None:
    with child(OBEDIENT) as process:
        before = read_use([process.pid])
        tell(process, "burn 0.2")
        await_done(process)
        use = between(before, read_use([process.pid]))
        living = [thread.user_time + thread.system_time for thread in psutil.Process(process.pid).threads()]
    assert use.cpu.value * use.seconds == pytest.approx(0.2, abs=0.05)
    assert living
    assert sum(living) < 0.15, "the living threads alone do not know of it"


def test_a_sleeper_is_told_from_nothing_far_below_a_hundredth_of_a_percent() -> None:
    with child(SLEEPER) as asleep:
        before = read_use([asleep.pid])
        time.sleep(1.0)
        use = between(before, read_use([asleep.pid]))
    assert use.cpu.value == 0.0
    assert (use.voluntary, use.involuntary, use.ended, use.threads_ended) == (0.0, 0.0, (), 0)
    assert 0.0 < use.resolution < FINE / 10
    assert clock_step_ns() < 100_000


def test_switches_are_those_that_the_kernel_counts() -> None:
    with child(OBEDIENT) as busy:
        whole, before = psutil.Process(busy.pid).num_ctx_switches(), read_use([busy.pid])
        tell(busy, "nap 20")
        await_done(busy)
        use = between(before, read_use([busy.pid]))
        later = psutil.Process(busy.pid).num_ctx_switches()
    # It wakes up at the order and after each nap, and waits again for the next order.
    assert use.voluntary * use.seconds == pytest.approx(21, abs=3)
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
