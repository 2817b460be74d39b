"""Short ramps on real engines, and one that a floor forbids."""

from __future__ import annotations

import pytest

from bench.plan import Trial
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from tests.conftest import Engines


def ramped(engines: Engines, name: str, **changes: float) -> list[Sample]:
    """Ramp up to three instances of a subject."""
    subject = engines.subject(name)
    scenario = engines.catalogue.scenarios["density"]
    settings = {**scenario.settings, "containers": 3, "machines": 3, "start-slow-s": 60, **changes}
    trial = Trial(
        index=0, scenario=scenario.model_copy(update={"settings": settings}), subject=subject, block=0, position=0,
        phase=Phase.MEASURE, profile=engines.catalogue.profiles["quick"], expected_s=1.0,
    )  # fmt: skip
    return list(run_trial(trial, engines.backend(subject), engines.session).samples)


def the(samples: list[Sample], metric: str, **params: str) -> Sample:
    found = [s for s in samples if s.metric == metric and s.params == params]
    assert len(found) == 1, (metric, params)
    return found[0]


@pytest.mark.parametrize("name", ["oci-runc", "docker", "vm-bare"])
def test_a_short_ramp(engines: Engines, name: str) -> None:
    samples = ramped(engines, name)
    assert the(samples, "instances-reached").value == 3
    assert the(samples, "instances-reached", part="stop", stop="maximum").value == 3
    starts = [the(samples, "requested→ready", instances=str(number)).value for number in (1, 2, 3)]
    assert all(start and start > 0 for start in starts)
    each = the(samples, "pss-each").value
    assert each is not None
    assert 10_000 < each < 100_000_000
    assert the(samples, "disk-each").status is (Status.OK if name == "docker" else Status.UNSUPPORTED)
    assert [path.name for path in engines.session.directory.iterdir() if path.name.startswith("bench-")] == []


def test_where_memory_is_short_nothing_is_started(engines: Engines) -> None:
    samples = ramped(engines, "oci-runc", **{"memory-floor-share": 0.9999})
    assert the(samples, "instances-reached").value == 0
    assert the(samples, "instances-reached", part="stop", stop="memory-floor").value == 0
    assert not [s for s in samples if s.metric == "requested→ready"]
