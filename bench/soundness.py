"""A run that every reader can rely on: what a stranger's folder may hold is mended, or becomes a failure. Pure.

Which keys are there, and whether what stands there makes sense, is still for the reader to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.sample import Status
from bench.store import Run
from bench.units import Better, Unit

LARGEST = 1e100
"""Beyond this no number is a measurement, and sums and ratios of two would leave the range of floats."""

_DEEPEST = 20
"""So many tables may stand inside each other."""

_UNITS, _DIRECTIONS, _STATUSES = (frozenset(map(str, words)) for words in (Unit, Better, Status))
_WORDS = ("scenario", "subject", "backend", "metric", "phase", "reason")
_PLACES = ("trial", "block")


def sound(run: Run) -> Run:
    """Return the run with tables where tables belong, and with rows that all say what they are.

    A row whose value is not a finite number, or whose unit or status this version does not know, has failed and says
    why: JSON has no word for NaN, and no median survives one. The folder is not touched.
    """
    info = finite(run.info)
    scenarios = {name: _scenario(told) for name, told in _tables(info.get("scenarios")).items()}
    tables = {name: _tables(info.get(name)) for name in ("subjects", "manifests")}
    findings = [found for found in _list(info.get("findings")) if isinstance(found, Mapping)]
    info |= {"scenarios": scenarios, "findings": findings, **tables}
    return replace(run, info=info, facts=finite(run.facts), rows=tuple(map(_row, run.rows)))


def finite(content: Any, depth: int = 0) -> Any:
    """Return the content with None for every number that is not finite and for what is nested beyond measure."""
    if isinstance(content, (Mapping, list, tuple)) and depth == _DEEPEST:
        return None
    if isinstance(content, Mapping):
        return {str(key): finite(value, depth + 1) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value, depth + 1) for value in content]
    return None if isinstance(content, (int, float)) and not _is_finite(content) else content


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= LARGEST


def _tables(content: Any) -> dict[str, Mapping[str, Any]]:
    """Return the tables inside a table, by name."""
    entries = content.items() if isinstance(content, Mapping) else ()
    return {name: told for name, told in entries if isinstance(told, Mapping)}


def _list(content: Any) -> list[Any]:
    return list(content) if isinstance(content, (list, tuple)) else []


def _scenario(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**told, "metrics": [metric for metric in _list(told.get("metrics")) if isinstance(metric, Mapping)]}


def _row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row itself if it is sound, else one that is."""
    mended: dict[str, Any] = {name: str(row.get(name) or "") for name in _WORDS if not isinstance(row.get(name), str)}
    mended |= {name: -1 for name in _PLACES if not isinstance(row.get(name), int)}
    params = row.get("params")
    if not isinstance(params, Mapping) or not all(isinstance(value, str) for value in params.values()):
        mended["params"] = {str(key): str(value) for key, value in dict(params or ()).items()}
    if row["better"] not in _DIRECTIONS:
        mended["better"] = str(Better.NEITHER)
    fault = _fault(row)
    if row["unit"] not in _UNITS:
        mended["unit"] = str(Unit.COUNT)
    if fault and row["status"] not in _STATUSES - {Status.OK}:
        mended |= {"value": None, "status": str(Status.FAILED), "reason": fault}
    return {**row, **mended} if mended else row


def _fault(row: Mapping[str, Any]) -> str:
    """Return why a row says nothing, or ""."""
    if row["unit"] not in _UNITS:
        return f'its unit, "{row["unit"]}", is unknown to this version'
    if row["status"] not in _STATUSES:
        return f'its status, "{row["status"]}", is unknown to this version'
    if row["status"] == Status.OK and not _is_finite(row["value"]):
        return "the stored value is not a finite number"
    return ""
