"""The host's memory figures and the wait until they keep still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.collectors.meminfo import merging_scans, parse_meminfo, read_available, read_meminfo, settle

MIB = 1 << 20


class Clock:
    """A clock that a made-up sleep moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def series(*values: int | None) -> Callable[[], int | None]:
    """Return a reader that gives these values and then the last for ever."""
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_sizes_are_bytes_and_counts_are_left_out() -> None:
    figures = parse_meminfo("MemTotal:  100 kB\nActive(anon):  7 kB\nHugePages_Total:   3\nOdd\n")

    assert figures == {"MemTotal": 102400, "Active(anon)": 7168}


def test_this_hosts_figures_are_those_of_psutil() -> None:
    told = psutil.virtual_memory()
    figures = read_meminfo()

    assert figures["MemTotal"] == told.total
    assert figures["Slab"] == pytest.approx(told.slab, rel=0.2)
    assert read_available() == pytest.approx(told.available, rel=0.02)


def test_an_unreadable_meminfo_is_unknown(tmp_path: Path) -> None:
    assert read_meminfo(tmp_path) == {}
    assert read_available(tmp_path) is None
    settled = settle(lambda: read_available(tmp_path))
    assert (settled.available, settled.calm) == (None, False)


def test_one_reading_that_failed_is_tried_again() -> None:
    clock = Clock()
    values = iter([700 * MIB, None, None, 700 * MIB, 700 * MIB, 700 * MIB])

    settled = settle(lambda: next(values), interval_s=1.0, sleep=clock.sleep, clock=clock)

    assert (settled.available, settled.calm, settled.waited_s) == (700 * MIB, True, 5.0)


def test_it_waits_until_three_readings_agree_and_gives_their_median() -> None:
    clock = Clock()
    values = [900 * MIB, 800 * MIB, 700 * MIB, 699 * MIB, 698 * MIB + 5]

    settled = settle(series(*values), interval_s=1.0, sleep=clock.sleep, clock=clock)

    assert settled.calm
    assert settled.available == 699 * MIB
    assert settled.waited_s == 4.0


def test_a_larger_amount_in_question_allows_a_larger_movement() -> None:
    values = [900 * MIB, 896 * MIB, 900 * MIB, 896 * MIB]
    strict, wide = Clock(), Clock()

    assert not settle(series(*values * 20), deadline_s=5, sleep=strict.sleep, clock=strict).calm
    assert settle(series(*values), scale=500 * MIB, interval_s=1.0, sleep=wide.sleep, clock=wide).calm
    assert wide.now == 2.0


def test_two_equal_readings_are_not_enough() -> None:
    clock = Clock()

    settled = settle(series(900 * MIB, 900 * MIB, 800 * MIB), sleep=clock.sleep, clock=clock)

    assert (settled.available, settled.calm) == (800 * MIB, True)


def test_at_the_deadline_it_says_that_it_did_not_keep_still() -> None:
    clock = Clock()
    falling = iter(range(1000 * MIB, 0, -10 * MIB))

    settled = settle(lambda: next(falling), interval_s=1.0, deadline_s=6.0, sleep=clock.sleep, clock=clock)

    assert not settled.calm
    assert settled.waited_s == 6.0
    assert settled.available == (1000 - 50) * MIB


@pytest.mark.parametrize(
    ("run", "scans", "told"), [("1\n", "41\n", 41), ("0\n", "41\n", None), ("2\n", "41\n", None), ("1\n", "", None)]
)
def test_scans_are_told_where_merging_goes_on(tmp_path: Path, run: str, scans: str, told: int | None) -> None:
    place = tmp_path / "kernel/mm/ksm"
    place.mkdir(parents=True)
    (place / "run").write_text(run)
    (place / "full_scans").write_text(scans)
    assert merging_scans(tmp_path) == told
    assert merging_scans(tmp_path / "nowhere") is None
