"""The closing screen's model: it says of every subject what the report says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_runs import STARTUP, make_run, row

from bench.comparing.compare import Verdict
from bench.judging.summary import summarise
from bench.store import Run
from report.data import view
from report.page import build

METRIC = "requested→ready"


def loud_run() -> Run:
    """Return a run whose twin is 20 % slower than what it repeats: nothing below that is a difference."""
    slower = {"process": 1.0, "process-twin": 1.2, "docker": 1.15, "vm-distro@tcg": 9.0}
    rows = [row("startup", s, METRIC, v * (1 + 0.001 * b), b) for s, v in slower.items() for b in range(9)]
    subjects = {s: {"rung": i, "twin_of": "process" if "twin" in s else ""} for i, s in enumerate(slower)}
    info = {"run_id": "run-1", "scenarios": {"startup": STARTUP}, "subjects": subjects}
    return Run(path=Path("nowhere"), info=info, facts={}, rows=tuple(rows))


def test_a_difference_below_the_noise_floor_is_none() -> None:
    (answer,) = summarise(loud_run()).answers
    verdicts = {label: cell.ratio.verdict for label, cell in answer.cells.items() if cell.ratio}
    assert verdicts == {
        "process-twin": Verdict.INCONCLUSIVE, "docker": Verdict.INCONCLUSIVE, "vm-distro@tcg": Verdict.WORSE,
    }  # fmt: skip


@pytest.mark.parametrize("run", [loud_run(), make_run(), make_run(4)], ids=["loud", "whole", "short"])
def test_screen_and_report_agree_on_the_same_run(run: Run) -> None:
    seen, agreed = view(run), 0
    for answer in summarise(run).answers:
        params = seen.principal(answer.scenario, answer.metric)
        for label, cell in answer.cells.items():
            key = (answer.scenario, label, answer.metric, params)
            found = seen.estimates.get(key)
            assert (cell.estimate is None) == (found is None), key
            if cell.estimate and found:
                told = (found.median, found.low, found.high, found.n)
                assert (cell.estimate.median, cell.estimate.low, cell.estimate.high, cell.estimate.n) == told
            judged = seen.comparisons.get(key)
            assert cell.ratio == judged, key
            agreed += judged is not None
    assert agreed >= 3


def test_a_bare_number_says_what_it_counts_on_both() -> None:
    counts = {"name": "fit", "unit": "1", "better": "higher", "counted": "instances (computed)"}
    scenario = {
        "title": "Density",
        "question": "How many?",
        "headline": "fit",
        "baseline": "docker",
        "metrics": [counts],
    }
    rows = tuple(row("density", s, "fit", v, 0, unit="1") for s, v in {"process": 259_000.0, "docker": 7050.0}.items())
    run = Run(path=Path("nowhere"), info={"run_id": "r", "scenarios": {"density": scenario}}, facts={}, rows=rows)
    (answer,) = summarise(run).answers
    assert answer.sentence.startswith("Density, instances (computed): ")
    page = build(run)
    assert page.sections[0].sentence.startswith("Instances (computed): ")
    assert page.answers[0].title == "Density, instances (computed)"


@pytest.mark.parametrize(("words", "shown"), [(("minimal", "nginx"), "minimal"), (("a", "b"), "a")])
def test_the_parameters_shown_first_are_those_of_the_report(words: tuple[str, ...], shown: str) -> None:
    value: dict[str, Any] = {w: float(i) for i, w in enumerate(words, 1)}
    rows = tuple(
        row("startup", "process", METRIC, v, b, params={"rootfs": w}) for w, v in value.items() for b in (0, 1)
    )
    run = Run(path=Path("nowhere"), info={"run_id": "r", "scenarios": {"startup": STARTUP}}, facts={}, rows=rows)
    (answer,) = summarise(run).answers
    found = answer.cells["process"].estimate
    assert found is not None
    assert found.median == value[shown]
    assert view(run).principal("startup", METRIC) == (("rootfs", shown),)


def test_a_guest_is_put_beside_the_container_of_its_own_userland() -> None:
    rows = [
        {**row("startup", s, METRIC, v, b), "backend": "libvirt" if "@" in s else "docker"}
        for s, v in {"docker": 0.4, "docker-debian": 0.5, "vm-distro@tcg": 20.0}.items()
        for b in range(6)
    ]
    subjects = {s: {"rung": i} for i, s in enumerate(("docker", "docker-debian", "vm-distro@tcg"))}
    told = {"docker": {"rootfs": "minimal (1)"}, "docker-debian": {"rootfs": "debian (2)"}}
    manifests = {**told, "vm-distro@tcg": {"root file system": "debian"}}
    info = {"run_id": "run-1", "scenarios": {"startup": STARTUP}, "subjects": subjects}
    for more, other in (({}, "docker"), ({"manifests": manifests}, "docker-debian")):
        run = Run(path=Path("nowhere"), info={**info, **more}, facts={}, rows=tuple(rows))
        (answer,) = summarise(run).answers
        assert answer.sentence.endswith(f" {other}")
        assert "vm-distro@tcg is ≤ " in answer.sentence


def test_exact_sizes_and_rates_of_emulated_guests_have_their_own_sign() -> None:
    for better, exact, sign in (("lower", False, "≤ "), ("higher", False, "≥ "), ("lower", True, "")):
        metrics = [{"name": METRIC, "unit": "s", "better": better, "exact": exact}]
        run = loud_run()
        info = {**run.info, "scenarios": {"startup": {**STARTUP, "metrics": metrics}}}
        (answer,) = summarise(Run(path=run.path, info=info, facts={}, rows=run.rows)).answers
        assert {label: cell.bound for label, cell in answer.cells.items()} == {
            "process": "", "process-twin": "", "docker": "", "vm-distro@tcg": sign,
        }  # fmt: skip
