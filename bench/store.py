"""Results on disk: one row a number in parquet, written whole after each trial, readable by every later version.

A run is a folder:

    results/<run-id>/run.json                 plan, seed, versions, engines, subjects, fairness manifest, ending
    results/<run-id>/facts.json               the host
    results/<run-id>/samples/part-*.parquet   one part a trial; merged into samples.parquet when the run ends
    results/<run-id>/log.txt                  what the engines and the suite said
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import SchemaTooNew, StoreError, UsageError
from bench.messages import TrialResult
from bench.sample import Sample

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = 1
# Schema history
# 1  first form

DIRECTORY = Path(__file__).resolve().parent.parent / "results"
"""Where runs are kept unless the user says otherwise."""

COLUMNS: Mapping[str, tuple[str, str]] = {
    "run_id": ("string", "the run"),
    "host_id": ("string", "the host, as a digest of its machine id: not to be traced back, equal for equal hosts"),
    "scenario": ("string", "the question"),
    "subject": ("string", 'what was measured, as it was really run: "vm-direct@tcg"'),
    "backend": ("string", "what ran it"),
    "params": ("map", "the trial's parameters and what tells this number from its neighbours"),
    "trial": ("int32", "the trial's place in the run, from 0"),
    "block": ("int32", "the round it belongs to, from 0; each subject once a round"),
    "position": ("int32", "its place in the round, from 0"),
    "instance": ("string", "the instance's name"),
    "metric": ("string", 'what was measured; durations are named by their two events: "requested→ready"'),
    "value": ("float64", "unscaled, in unit; null if and only if status is not ok"),
    "low": ("float64", "lower bound where the value was only seen by polling"),
    "high": ("float64", "upper bound, likewise"),
    "unit": ("string", "s, B, 1, ratio, cpu-s/h, 1/s, B/s"),
    "better": ("string", "lower, higher, neither"),
    "phase": ("string", "warmup or measure"),
    "status": ("string", "ok, failed, timeout, unsupported, skipped"),
    "reason": ("string", "why there is no value"),
    "event_from": ("string", "the first event of a duration"),
    "event_to": ("string", "the second event of a duration"),
    "started_ns": ("int64", "CLOCK_MONOTONIC of the host at the trial's beginning, nanoseconds"),
    "steal_s": ("float64", "CPU time taken by the hypervisor above during the trial, seconds over all CPUs"),
    "pressure_cpu_s": ("float64", "stall time on CPU during the trial (PSI some), seconds"),
    "pressure_io_s": ("float64", "stall time on input and output during the trial (PSI some), seconds"),
    "pressure_memory_s": ("float64", "stall time on memory during the trial (PSI some), seconds"),
    "load": ("float64", "load average over one minute at the trial's end"),
}
"""The columns of the samples: name → (type, meaning). Also written into the files."""


def arrow_schema() -> pa.Schema:
    """Return the parquet schema, each field with its meaning, the file with its version."""
    import pyarrow as pa

    types = {
        "string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64(),
        "map": pa.map_(pa.string(), pa.string()),
    }  # fmt: skip
    fields = [pa.field(name, types[kind], metadata={"meaning": text}) for name, (kind, text) in COLUMNS.items()]
    return pa.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION), "written_by": "ms-vs-minutes"})


def rows(result: TrialResult, run_id: str, host_id: str) -> list[dict[str, Any]]:
    """Return one row a sample of a trial."""
    return [_row(result, sample, run_id, host_id) for sample in result.samples]


def _row(result: TrialResult, sample: Sample, run_id: str, host_id: str) -> dict[str, Any]:
    trial, noise = result.trial, result.noise
    return {
        "run_id": run_id, "host_id": host_id, "scenario": trial.scenario.name, "subject": result.label,
        "backend": trial.subject.backend, "params": sorted({**trial.params, **sample.params}.items()),
        "trial": trial.index, "block": trial.block, "position": trial.position, "instance": result.instance,
        "metric": sample.metric, "value": sample.value, "low": sample.low, "high": sample.high,
        "unit": str(sample.unit), "better": str(sample.better), "phase": str(trial.phase),
        "status": str(sample.status), "reason": sample.reason,
        "event_from": sample.event_from, "event_to": sample.event_to, "started_ns": result.started_ns,
        "steal_s": noise.steal_s, "pressure_cpu_s": noise.pressure_cpu_s, "pressure_io_s": noise.pressure_io_s,
        "pressure_memory_s": noise.pressure_memory_s, "load": noise.load,
    }  # fmt: skip


class Recorder:
    """Writes one run. Every file appears whole or not at all.

    Args:
        directory: the folder that holds all runs.
        run_id: the new run's name.
        host_id: written into every row.

    Raises:
        StoreError: the folder cannot be written (also later, from every method: disk full).
    """

    def __init__(self, directory: Path, run_id: str, host_id: str) -> None:
        self.path = directory / run_id
        self._run_id = run_id
        self._host_id = host_id
        self._info: dict[str, Any] = {}
        self._guarded(lambda: (self.path / "samples").mkdir(parents=True, exist_ok=False))

    def describe(self, info: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
        """Write or rewrite run.json (merged with what it held) and facts.json."""
        self._info = {"schema_version": SCHEMA_VERSION, "run_id": self._run_id, **self._info, **info}
        self._write_json("run.json", self._info)
        if facts is not None:
            self._write_json("facts.json", facts)

    def record(self, result: TrialResult) -> None:
        """Write one trial's samples as a part of their own."""
        self.record_rows(rows(result, self._run_id, self._host_id), f"part-{result.trial.index:05d}")

    def record_rows(self, table: Sequence[Mapping[str, Any]], name: str) -> None:
        """Write rows as one part; nothing for no rows."""
        if table:
            self._guarded(lambda: _write_table(self.path / "samples" / f"{name}.parquet", table))

    def finish(self, ending: str) -> None:
        """Merge the parts into one file and write how the run ended ("complete" or what cut it short).

        The ending is written even where there is no room to merge: the parts are read as well.
        """
        try:
            self._guarded(lambda: _merge(self.path / "samples"))
        finally:
            self.describe({"ending": ending})

    def log(self, text: str) -> None:
        """Append one line to the run's log."""

        def append() -> None:
            with (self.path / "log.txt").open("a", encoding="utf-8") as file:
                file.write(text.rstrip() + "\n")

        self._guarded(append)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True, default=str) + "\n"
        self._guarded(lambda: _replace(self.path / name, lambda part: part.write_text(text, "utf-8")))

    def _guarded(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            raise StoreError(
                f"results cannot be written below {self.path}: {error.strerror or error}",
                "free some space or choose another folder with --results; what was written so far is kept",
            ) from error


def _replace(path: Path, write: Any) -> None:
    """Write beside the target, then rename over it: readers see the old file or the new one, never half."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_table(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pylist(list(table), schema=arrow_schema())
    _replace(path, lambda part: pq.write_table(content, part, compression="zstd"))


def _merge(samples: Path) -> None:
    """Join all parts into samples.parquet, then delete them: a kill in between leaves both, read as one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = sorted(samples.glob("part-*.parquet"))
    if not parts:
        return
    whole = pa.concat_tables([pq.read_table(part) for part in parts])
    _replace(samples / "samples.parquet", lambda part: pq.write_table(whole, part, compression="zstd"))
    for part in parts:
        part.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as it was seen: `info` is run.json, `facts` is facts.json, `rows` the samples, one dict a row."""

    path: Path
    info: Mapping[str, Any]
    facts: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self.info["run_id"])


_DAMAGE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, NotImplementedError, RecursionError)
"""What reading a damaged or hostile file raises: json's own, pyarrow's own (all of them also one of these)."""


def read_run(path: Path | str) -> Run:
    """Read a run's folder. Its content is a stranger's: nothing in it is executed or followed.

    Raises:
        UsageError: there is no run in that folder.
        SchemaTooNew: a newer version wrote it.
        StoreError: the files are damaged.
    """
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise UsageError(f"{folder} holds no run (no run.json)", "see `bench runs`")
    try:
        info = json.loads((folder / "run.json").read_text("utf-8"))
        facts_file = folder / "facts.json"
        facts = json.loads(facts_file.read_text("utf-8")) if facts_file.is_file() else {}
        if not (isinstance(info, dict) and isinstance(info.get("run_id"), str) and isinstance(facts, dict)):
            raise StoreError(f"{folder} is damaged: run.json or facts.json is no run's", "the run has to be repeated")
        if int(info.get("schema_version", 0)) > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"{folder} was written by a newer bench (schema {info['schema_version']})", "update bench"
            )
        content = _read_table(folder / "samples").to_pylist()
    except _DAMAGE as error:
        raise StoreError(f"{folder} is damaged: {error}", "the run has to be repeated") from error
    for row in content:
        row["params"] = dict(row["params"] or ())
    return Run(path=folder, info=info, facts=facts, rows=tuple(content))


def _read_table(samples: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = samples / "samples.parquet"
    # A name may stand for a pipe, which would be waited for forever.
    files = [whole] if whole.is_file() else sorted(p for p in samples.glob("part-*.parquet") if p.is_file())
    schema = arrow_schema()
    if not files:
        return schema.empty_table()
    tables = []
    for file in files:
        table = pq.read_table(file)
        for name in schema.names:
            if name not in table.column_names:
                table = table.append_column(schema.field(name), pa.nulls(len(table), schema.field(name).type))
        tables.append(table.select(schema.names).cast(schema))
    return pa.concat_tables(tables)


def load_run(path: Path | str) -> pd.DataFrame:
    """Return a run's samples as a pandas frame, one row a number; `frame.attrs` has "info" and "facts".

    Columns as in COLUMNS; `params` is a dict. Missing values are NaN, never 0.
    """
    import pandas as pd

    run = read_run(path)
    frame = pd.DataFrame(run.rows, columns=list(COLUMNS))
    frame.attrs["info"] = dict(run.info)
    frame.attrs["facts"] = dict(run.facts)
    return frame


_RUN_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


def find_run(directory: Path, name: str | None = None) -> Path:
    """Return the folder of a run: a path, a run id, a beginning of one, or None for the newest.

    Raises:
        UsageError: there is none, or the beginning fits several.
    """
    if name and (Path(name) / "run.json").is_file():
        return Path(name)
    known = list_runs(directory)
    if name is None:
        # The committed sample is a run of another host: never somebody's "newest run".
        own = [path for path in known if path.name != "sample"]
        if not (own or known):
            raise UsageError(f"there is no run in {directory}", "bench run all")
        return max(own or known, key=_began)
    fitting = [path for path in known if _RUN_ID.match(name) and path.name.startswith(name)]
    exact = [path for path in fitting if path.name == name]
    if len(exact or fitting) != 1:
        from bench.text import did_you_mean

        what = f'"{name}" fits several runs' if fitting else f'there is no run "{name}"'
        raise UsageError(what, did_you_mean(name, [p.name for p in fitting or known]) if known else "bench run all")
    return (exact or fitting)[0]


def list_runs(directory: Path) -> list[Path]:
    """Return the folders of all runs below the directory, the one that began first in front."""
    return sorted((p.parent for p in directory.glob("*/run.json") if p.is_file()), key=_began)


def _began(path: Path) -> tuple[str, str]:
    """Return when a run began as its run.json says, and its name: a folder may have been renamed, a clock set."""
    try:
        began = json.loads((path / "run.json").read_text("utf-8"))["started_utc"]
    except _DAMAGE:
        began = ""
    return (began if isinstance(began, str) else ""), path.name


def merged_rows(runs: Iterable[Run]) -> list[Mapping[str, Any]]:
    """Return the rows of several runs in one list."""
    return [row for run in runs for row in run.rows]
