"""How often the suite's own statistics are right, where the truth is known: `bench simulate`.

Worlds are options of the fake backend, whose generator draws the values; designs are the suite's own profiles, with
and without the rule by which subjects leave early. Whole runs are simulated and judged by the code that judges real
ones. What is counted, as shares of the runs:

    median        the interval of a subject's median holds the true one
    ratio         the interval of the ratio of two equal subjects holds 1
    false_alarms  of two equal subjects, one is called better or worse
    power         a subject that takes 10 % longer is called worse

The true median is that of everything the world could have given in the blocks that were measured: with drift, of the
mixture over these blocks. Two subjects draw independently, from the same world; no disturbance is shared, which would
cancel in the ratio.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.backends.fake import OUTLIER, SLOW_MODE, Draws
from bench.comparing.compare import Verdict, compare_cell
from bench.comparing.ratios import ratios_per_block
from bench.comparing.stats import block_medians, estimates
from bench.comparing.stopping import reached
from bench.scenario import Profile, Subject

RUNS = 2000
"""Simulated runs for each world and design of the figures in the documents."""

SEED = 1
"""Their seed."""

SLOWER = 1.1
"""What the slower subject's times are multiplied by."""

WORLDS: Mapping[str, Mapping[str, str]] = {
    "calm": {"sigma": "0.03"},
    "calm, drift": {"sigma": "0.03", "drift": "0.001"},
    "calm, outliers": {"sigma": "0.03", "outliers": "0.05"},
    "calm, correlated": {"sigma": "0.03", "memory": "0.2"},
    "plain": {"sigma": "0.1"},
    "drift": {"sigma": "0.1", "drift": "0.005"},
    "outliers": {"sigma": "0.1", "outliers": "0.05"},
    "bimodal": {"sigma": "0.1", "modes": "0.3"},
    "correlated": {"sigma": "0.1", "memory": "0.2"},
    "strongly correlated": {"sigma": "0.1", "memory": "0.8"},
}
"""The fake backend's options by world. Lognormal times with a spread of 3 or 10 %, and one thing added to that."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How many blocks are measured: `blocks`, or fewer where the target `width` is reached at one of the `looks`."""

    name: str
    blocks: int
    width: float | None = None
    looks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was counted in one world under one design: shares of the runs, and the mean number of blocks."""

    world: str
    design: str
    median: float
    ratio: float
    false_alarms: float
    power: float
    blocks: float


def designs(profiles: Iterable[Profile]) -> tuple[Design, ...]:
    """Return a design for each profile's number of blocks, and one for its rule of leaving early."""
    found = []
    for profile in profiles:
        found.append(Design(name=f"{profile.blocks} blocks", blocks=profile.blocks))
        if profile.width is not None:
            name = f"up to {profile.blocks}, ±{profile.width:.0%} at {' or '.join(map(str, profile.looks))}"
            looks = tuple(look for look in profile.looks if look < profile.blocks)
            found.append(Design(name=name, blocks=profile.blocks, width=profile.width, looks=looks))
    return tuple(found)


def true_median(draws: Draws, blocks: int) -> float:
    """Return the median of the mixture of what the first so many starts could take, seconds, by bisection."""
    modes = ((1.0, 1.0 - draws.modes), (SLOW_MODE, draws.modes))
    tails = ((1.0, 1.0 - draws.outliers), (OUTLIER, draws.outliers))
    parts = [(mode * tail, p * q) for mode, p in modes for tail, q in tails if p * q > 0.0]
    normal = statistics.NormalDist(0.0, draws.sigma)

    def share_below(value: float) -> float:
        rests = [value / draws.ready_s - draws.drift * start for start in range(1, blocks + 1)]
        return sum(w * normal.cdf(math.log(rest / f)) for rest in rests if rest > 0.0 for f, w in parts) / blocks

    low, high = 0.0, draws.ready_s * (SLOW_MODE * OUTLIER + draws.drift * blocks)
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if share_below(middle) < 0.5 else (low, middle)
    return (low + high) / 2.0


def simulate(
    profiles: Iterable[Profile], *, runs: int = RUNS, seed: int = SEED, tell: Callable[[str], None] = lambda _: None
) -> list[Rates]:
    """Count in every world under every design of the profiles. The same seed gives the same figures.

    Args:
        tell: is told each world that is begun.
    """
    chosen, found = designs(profiles), []
    for world, options in WORLDS.items():
        tell(world)
        found += _in_world(world, options, chosen, runs, seed)
    return found


def _in_world(
    world: str, options: Mapping[str, str], chosen: Sequence[Design], runs: int, seed: int
) -> list[Rates]:  # fmt: skip
    most = max(design.blocks for design in chosen)
    truths: dict[int, float] = {}
    counts: dict[str, list[tuple[bool, bool, bool, bool, int]]] = {design.name: [] for design in chosen}
    for run in range(runs):
        base, equal, slower = (
            _rows(name, {**options, "ready_s": ready_s, "seed": f"{seed} {world} {run}"}, most)
            for name, ready_s in (("base", "1"), ("equal", "1"), ("slower", str(SLOWER)))
        )
        for design in chosen:
            n = _stop(equal, base, design)
            truth = truths.get(n) or truths.setdefault(n, true_median(Draws(_subject("equal", options)), n))
            (found,) = estimates(equal[:n]).values()
            same = compare_cell(equal[:n], base[:n])
            later = _stop(slower, base, design)
            other = compare_cell(slower[:later], base[:later])
            counts[design.name].append((
                _holds(found.low, truth, found.high), _holds(same.low, 1.0, same.high),
                same.verdict not in (Verdict.EQUIVALENT, Verdict.INCONCLUSIVE), other.verdict is Verdict.WORSE, n,
            ))  # fmt: skip
    return [Rates(world=world, design=name, **_means(counted)) for name, counted in counts.items()]


def _means(counted: Sequence[tuple[bool, bool, bool, bool, int]]) -> dict[str, float]:
    names = ("median", "ratio", "false_alarms", "power", "blocks")
    return {name: statistics.fmean(column) for name, column in zip(names, zip(*counted, strict=True), strict=True)}


def _holds(low: float | None, truth: float, high: float | None) -> bool:
    return low is not None and high is not None and low <= truth <= high


def _subject(name: str, options: Mapping[str, str]) -> Subject:
    return Subject(name=name, title=name, backend="fake", options={"ready_s": "1", **options})


def _rows(name: str, options: Mapping[str, str], blocks: int) -> Rows:
    """Draw a subject's whole run as rows of the store's form."""
    draws = Draws(_subject(name, options))
    return [
        {
            "run_id": "", "scenario": "simulated", "subject": name, "metric": "requested→ready", "params": {},
            "unit": "s", "better": "lower", "phase": "measure", "status": "ok", "block": block, "value": draws.next(),
        }
        for block in range(blocks)
    ]  # fmt: skip


def _stop(own: Rows, base: Rows, design: Design) -> int:
    """Return after how many blocks the subject leaves."""
    for look in design.looks if design.width is not None else ():
        values, others = block_medians(own[:look]), block_medians(base[:look])
        ratios = list(ratios_per_block(values, others).values())
        if reached(list(values.values()), ratios, design.width or 0.0):
            return look
    return design.blocks


def as_json(found: Sequence[Rates], *, runs: int, seed: int) -> str:
    """Return the figures as the file docs/simulation.json holds them."""
    content = {"runs": runs, "seed": seed, "rates": [asdict(rates) for rates in found]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> tuple[list[Rates], int, int]:
    """Return figures, runs and seed from such a file."""
    content = json.loads(text)
    return [Rates(**rates) for rates in content["rates"]], content["runs"], content["seed"]


def as_table(found: Sequence[Rates]) -> str:
    """Return the figures as a table in Markdown."""
    head = ("world", "design", "median held", "ratio held", "false alarms", "10 % seen", "blocks")
    lines = [" | ".join(head), "|".join(["---"] * len(head))]
    for rates in found:
        shares = (f"{share:.1%}" for share in (rates.median, rates.ratio, rates.false_alarms, rates.power))
        lines.append(" | ".join((rates.world, rates.design, *shares, f"{rates.blocks:.1f}")))
    first, rule, *rest = lines
    return "\n".join([f"| {first} |", f"|{rule}|", *(f"| {line} |" for line in rest)]) + "\n"


_MARKED = re.compile(r"(<!-- simulation -->\n).*?(<!-- /simulation -->)", re.DOTALL)


def put_into(page: str, table: str) -> str:
    """Return the page with the table between its marks."""
    return _MARKED.sub(lambda marks: f"{marks[1]}{table}{marks[2]}", page)


def write(folder: Path, found: Sequence[Rates], *, runs: int, seed: int) -> None:
    """Write simulation.json into the documents' folder, and the table into methods.md there."""
    (folder / "simulation.json").write_text(as_json(found, runs=runs, seed=seed), "utf-8")
    page = folder / "methods.md"
    page.write_text(put_into(page.read_text("utf-8"), as_table(found)), "utf-8")
