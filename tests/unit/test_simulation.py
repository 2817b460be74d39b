"""The statistics where the truth is known: the documents' figures are the code's, and keep what the page says."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from bench.backends.fake import Draws
from bench.comparing.simulation import (
    WORLDS,
    Rates,
    as_json,
    as_table,
    designs,
    from_json,
    put_into,
    simulate,
    true_median,
    write,
)
from bench.scenario import Catalogue, Subject

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
KEPT, RUNS, SEED = from_json((DOCS / "simulation.json").read_text("utf-8"))
FEW = 60


def draws(**options: str) -> Draws:
    return Draws(Subject(name="x", title="x", backend="fake", options={"ready_s": "1", **options}))


def test_the_page_has_the_figures_of_the_file() -> None:
    page = (DOCS / "methods.md").read_text("utf-8")
    assert put_into(page, as_table(KEPT)) == page
    assert as_table(KEPT) in page
    assert f"in how many of {RUNS} runs" in page


def test_the_figures_are_of_the_profiles_and_worlds_of_today(catalogue: Catalogue) -> None:
    named = [design.name for design in designs(catalogue.profiles.values())]
    assert [(r.world, r.design) for r in KEPT] == [(world, name) for world in WORLDS for name in named]
    assert RUNS >= 1000


@pytest.fixture(scope="module")
def fresh(catalogue: Catalogue) -> list[Rates]:
    """A small simulation from another seed."""
    return simulate(catalogue.profiles.values(), runs=FEW, seed=SEED + 1)


@pytest.mark.parametrize("name", ["median", "ratio", "false_alarms", "power"])
def test_a_small_simulation_gives_the_same_within_chance(fresh: list[Rates], name: str) -> None:
    for kept, found in zip(KEPT, fresh, strict=True):
        share, seen = getattr(kept, name), getattr(found, name)
        inside = min(max(share, 1 / RUNS), 1 - 1 / RUNS)
        chance = math.sqrt(inside * (1 - inside) * (1 / FEW + 1 / RUNS))
        assert abs(seen - share) <= 4.5 * chance + 1 / FEW, (kept.world, kept.design)


def test_the_same_seed_gives_the_same_figures(catalogue: Catalogue) -> None:
    quick = [catalogue.profiles["quick"]]
    first, again, other = (simulate(quick, runs=5, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("rates", KEPT, ids=lambda r: f"{r.world} / {r.design}")
def test_what_the_page_says_of_the_figures_is_so(rates: Rates) -> None:
    slack = 2.5 * math.sqrt(0.95 * 0.05 / RUNS)
    if rates.world == "strongly correlated":
        assert rates.median < 0.9, "the limit is one"
    else:
        assert min(rates.median, rates.ratio) >= 0.93
        assert max(rates.median, rates.ratio) <= (1.0 if "drift" in rates.world else 0.98 + slack)
    assert rates.false_alarms <= 0.05 or rates.world == "strongly correlated"


def test_leaving_early_happens_and_takes_nothing_from_the_coverage() -> None:
    early = [r for r in KEPT if r.world.startswith("calm") and r.design.startswith("up to")]
    assert all(r.blocks < float(r.design.split()[2].rstrip(",")) for r in early)
    for rates in early:
        (fixed,) = (r for r in KEPT if r.world == rates.world and r.design == f"{rates.design.split()[2][:-1]} blocks")
        assert rates.median >= fixed.median - 0.015
        assert rates.ratio >= fixed.ratio - 0.015


@pytest.mark.parametrize("options", WORLDS.values(), ids=WORLDS)
def test_the_true_median_is_that_of_the_draws(options: dict[str, str]) -> None:
    blocks, runs = 12, 1500
    truth = true_median(draws(**options), blocks)
    below = 0
    for run in range(runs):
        source = draws(**options, seed=str(run))
        below += sum(source.next() < truth for _ in range(blocks))
    # Starts of one run may be correlated: one run counts as one value, twelve at best.
    assert below / (runs * blocks) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(runs))


def test_memory_is_the_correlation_of_neighbours() -> None:
    source = draws(sigma="1", memory="0.6")
    logs = [math.log(source.next()) for _ in range(4000)]
    pairs = sum(a * b for a, b in itertools.pairwise(logs)) / sum(a * a for a in logs)
    assert pairs == pytest.approx(0.6, abs=0.06)


def test_outliers_are_as_frequent_as_declared() -> None:
    source = draws(sigma="0.01", outliers="0.05")
    share = sum(source.next() > 4 for _ in range(4000)) / 4000
    assert share == pytest.approx(0.05, abs=0.015)


def test_writing_puts_both_into_the_folder(tmp_path: Path) -> None:
    (tmp_path / "methods.md").write_text("a\n<!-- simulation -->\nold\n<!-- /simulation -->\nb\n", "utf-8")
    write(tmp_path, KEPT[:2], runs=RUNS, seed=SEED)
    page = (tmp_path / "methods.md").read_text("utf-8")
    assert page == f"a\n<!-- simulation -->\n{as_table(KEPT[:2])}<!-- /simulation -->\nb\n"
    assert (tmp_path / "simulation.json").read_text("utf-8") == as_json(KEPT[:2], runs=RUNS, seed=SEED)
