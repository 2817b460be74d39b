"""A run as pandas frames, for notebooks: every estimate and every comparison, one row each, texts as bench writes them.

Nothing is computed here that is not computed elsewhere in bench: the report, the closing screen and these frames
say the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import store
from bench.comparing.compare import Params, noise_floor, twins
from bench.comparing.stats import estimates
from bench.judging.summary import comparisons, format_ratio, summarise
from bench.sample import Phase, Status
from bench.store import Run
from bench.text import plural
from bench.units import Unit, format_interval

if TYPE_CHECKING:
    import pandas as pd

CHOICE = "BENCH_RUN"
"""The environment variable that names the run, or several separated by colons: folders, ids, or their beginnings."""

SAMPLE = "sample"
"""The run that is committed with the code: what is read if nobody chose."""

_HEADLINE = ("scenario", "metric", "conditions")


def chosen_paths() -> list[Path]:
    """Return the folders of the runs named in $BENCH_RUN; the committed sample if it is empty.

    Raises:
        UsageError: there is no such run.
    """
    directory = Path(os.environ.get("BENCH_RESULTS") or store.DIRECTORY)
    names = [name for name in os.environ.get(CHOICE, "").split(os.pathsep) if name]
    return [store.find_run(directory, name) for name in names] or [store.find_run(store.DIRECTORY, SAMPLE)]


def chosen_run() -> Run:
    """Return the first of the runs named in $BENCH_RUN; the committed sample if it is empty.

    Raises:
        UsageError: there is no such run.
        StoreError: it is damaged.
    """
    return store.read_run(chosen_paths()[0])


def asked(run: Run, *scenarios: str) -> str:
    """Say in a sentence each what the run asked of these scenarios, and what it did not ask."""
    lines = []
    for scenario in scenarios:
        rows = [row for row in run.rows if row["scenario"] == scenario and row["block"] >= 0]
        if not rows:
            lines.append(f"{scenario}: this run did not ask it, so what follows is empty; bench run {scenario} does.")
            continue
        blocks = len({row["block"] for row in rows if row["phase"] == Phase.MEASURE})
        subjects = len({row["subject"] for row in rows})
        lines.append(f"{scenario}: {plural(subjects, 'subject')}, {plural(blocks, 'measured block')}.")
    return "\n".join(lines)


def values_of(samples: pd.DataFrame, scenario: str, metric: str, **params: str) -> pd.DataFrame:
    """Return the rows that count: measured, with a value, of this metric, with these parameters among theirs.

    The phases of a start explain its whole and may bear the same name: they are left out unless part="phase" asks.

    Args:
        samples: as `load_run` returns them.
        params: keyword arguments, such as mode="cold", part="total".
    """
    wanted = (samples["scenario"] == scenario) & (samples["metric"] == metric)
    counted = samples[wanted & (samples["phase"] == Phase.MEASURE) & (samples["status"] == Status.OK)]
    chosen = "part" in params
    return _kept(
        counted,
        [params.items() <= told.items() and (chosen or told.get("part") != "phase") for told in counted["params"]],
    )


def estimates_frame(run: Run) -> pd.DataFrame:
    """Return every estimate, one row a scenario, subject, metric and set of parameters; subjects by rung.

    Columns: those four (`params` as a dict, `conditions` the same as text), `unit`, `better`, `median`, `low`,
    `high` (unscaled; NaN where there are too few blocks), `n`, `blocks`, `failures`, and `text`.
    """
    import pandas as pd

    units = {(row["scenario"], row["metric"]): (row["unit"], row["better"]) for row in run.rows}
    found = []
    for (scenario, subject, metric, params), e in estimates(run.rows).items():
        unit, better = units[scenario, metric]
        found.append({
            "scenario": scenario, "subject": subject, "metric": metric,
            "params": dict(params), "conditions": _conditions(params),  # type: ignore[call-overload,arg-type]
            "unit": unit, "better": better, "median": e.median, "low": e.low, "high": e.high,
            "n": e.n, "blocks": e.blocks, "failures": e.failures,
            "text": format_interval(e.median, e.low, e.high, Unit(unit)),
        })  # fmt: skip
    columns = (
        "scenario", "subject", "metric", "params", "conditions", "unit", "better", "median", "low", "high", "n",
        "blocks", "failures", "text",
    )  # fmt: skip
    return _ordered(pd.DataFrame(found, columns=list(columns)), run).astype({"low": float, "high": float})


def comparisons_frame(run: Run) -> pd.DataFrame:
    """Return every subject beside its scenario's baseline, above the run's noise floor; one row a comparison.

    Columns: `scenario`, `subject`, `baseline`, `metric`, `params`, `conditions`, `ratio`, `low`, `high`, `blocks`,
    `verdict`, `reason`, `firm`, and `text`.
    """
    return _compared(run, comparisons(run))


def floors_frame(run: Run) -> pd.DataFrame:
    """Return every twin beside the subject it repeats: this run's noise floor. Columns as in `comparisons_frame`."""
    rows = [row for row in run.rows if (row.get("params") or {}).get("part") != "phase"]
    return _compared(run, noise_floor(rows, twins(run.info)))


def _compared(run: Run, found: Any) -> pd.DataFrame:
    import pandas as pd

    columns = (
        "scenario", "subject", "baseline", "metric", "params", "conditions", "ratio", "low", "high", "blocks",
        "verdict", "reason", "firm", "text",
    )  # fmt: skip
    rows = [
        (c.scenario, c.subject, c.baseline, c.metric, dict(c.params), _conditions(c.params), c.ratio, c.low, c.high,
         c.blocks, str(c.verdict), c.reason, c.firm, format_ratio(c))
        for c in found
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(columns))
    return _ordered(frame, run).astype({"ratio": float, "low": float, "high": float})


def headlines_frame(run: Run) -> pd.DataFrame:
    """Return the estimates of every scenario's headline, under the one set of parameters that is shown first.

    Columns as in `estimates_frame`, and `ratio`: the comparison with the baseline as a text.
    """
    first = {(a.scenario, a.metric, _conditions(a.params)) for a in summarise(run).answers}
    frame = estimates_frame(run)
    keys = [*_HEADLINE, "subject"]
    frame = _kept(frame, [key in first for key in frame[list(_HEADLINE)].itertuples(index=False, name=None)])
    ratios = comparisons_frame(run)
    told = ratios[[*keys, "text"]].rename(columns={"text": "ratio"})
    return frame.merge(told, on=keys, how="left").fillna({"ratio": "–"})


def side_by_side(frame: pd.DataFrame, columns: str = "metric", only: Sequence[str] = ()) -> pd.DataFrame:
    """Return the texts of a frame of estimates or comparisons as a table: one row a subject, "–" where there is none.

    Args:
        columns: what stands side by side: "metric", "conditions", or a column of your own.
        only: these of them, in this order; all if empty.
    """
    kept = _kept(frame, [name in only for name in frame[columns]]) if only else frame
    table = kept.pivot_table(index="subject", columns=columns, values="text", aggfunc="first", sort=False)
    return (table.reindex(columns=list(only)) if only else table).astype(object).fillna("–")


def _kept(frame: pd.DataFrame, wanted: list[bool]) -> pd.DataFrame:
    """Return the rows that are wanted. An empty list of truth values would be read as a list of columns."""
    import numpy as np

    return frame[np.array(wanted, dtype=bool)]


def _conditions(params: Params) -> str:
    return ", ".join(f"{key}={value}" for key, value in params)


def _ordered(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Sort by the run's order of scenarios, then the ladder, then the order in which metrics were given."""
    told: Mapping[str, Any] = run.info.get("subjects") or {}
    # What was refused is told before anything is run: it says nothing about the order.
    rows = sorted(run.rows, key=lambda row: row["block"] < 0)
    scenarios = {name: place for place, name in enumerate(dict.fromkeys(row["scenario"] for row in rows))}
    metrics = {name: place for place, name in enumerate(dict.fromkeys(row["metric"] for row in run.rows))}
    rungs = {label: (told.get(label) or {}).get("rung", 1 << 30) for label in frame["subject"]}
    places = {"scenario": scenarios, "metric": metrics}
    helpers = {f"_{name}": frame[name].map(place) for name, place in places.items()}
    keys = ["_scenario", "_rung", "subject", "_metric", "conditions"]
    return frame.assign(**helpers, _rung=frame["subject"].map(rungs)).sort_values(keys, ignore_index=True)[
        frame.columns
    ]
