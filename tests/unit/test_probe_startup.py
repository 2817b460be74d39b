"""The page cache before a start: what comes or goes on a busy host between setting it and looking."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.backends.base import Session
from bench.backends.fake import FakeBackend
from bench.errors import InstanceError
from bench.plan import Trial
from bench.probes import startup as probe
from bench.probes.base import Workbench
from bench.sample import Phase
from bench.scenario import Profile, Subject, load


class Filed(FakeBackend):
    """Its instances start from one file."""

    def files(self, subject: Subject) -> tuple[Path, ...]:
        del subject
        return (Path(__file__),)


def workbench(place: Path, mode: str) -> Workbench:
    trial = Trial(
        index=0, scenario=load().scenarios["startup"], subject=Subject(name="one", title="one", backend="fake"),
        params={"mode": mode}, block=0, position=0, phase=Phase.MEASURE, profile=Profile(name="quick", blocks=1),
        expected_s=1.0,
    )  # fmt: skip
    return Workbench(trial, Filed(), Session(run_id="test-000000", directory=place, scratch=place, cache=place))


@pytest.mark.parametrize(
    ("mode", "seen", "read", "evicted"),
    [
        ("warm", [1.0], 0, 0),
        ("warm", [0.5, 1.0], 1, 0),
        ("warm", [0.5, 0.92, 1.0], 2, 0),
        ("cold", [0.0], 0, 0),
        ("cold", [0.03, 0.03], 0, 1),
        ("cold", [0.9, 0.3, 0.2, 0.0], 0, 3),
    ],
)
def test_the_cache_is_set_again_where_it_moved_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, seen: list[float], read: int, evicted: int
) -> None:
    done, left = list[str](), list(seen)
    monkeypatch.setattr(probe, "resident_share", lambda files: left.pop(0))
    monkeypatch.setattr(probe, "read_in", lambda files: done.append("read"))
    monkeypatch.setattr(probe, "evict", lambda files: done.append("evicted"))
    assert probe.set_cache(workbench(tmp_path, mode)) == (seen[-1], "")
    assert (done.count("read"), done.count("evicted"), left) == (read, evicted, [])


@pytest.mark.parametrize(("mode", "share"), [("warm", 0.92), ("cold", 0.4)])
def test_a_start_that_cannot_be_made_what_it_shall_be_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, share: float
) -> None:
    monkeypatch.setattr(probe, "resident_share", lambda files: share)
    with pytest.raises(InstanceError, match=f"would not be {mode}: {share:.0%} of its files"):
        probe.set_cache(workbench(tmp_path, mode))
