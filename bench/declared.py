"""What a human declared in a TOML file: read into frozen records, every fault collected with its place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.text import did_you_mean

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Declared(BaseModel):
    """A frozen record from a human's file; unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_T = TypeVar("_T", bound=BaseModel)


def read_toml(path: Path, faults: list[str]) -> dict[str, Any] | None:
    """Return a file's content, or None after adding a line about what is wrong with it."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path.name}: cannot be read: {error}")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path.name}: is not TOML: {error}")
    return None


def tables(content: Mapping[str, Any], key: str, path: Path, faults: list[str]) -> dict[str, dict[str, Any]]:
    """Return the tables [key.NAME] of a file; what else stands under the key is a fault."""
    value = content.get(key, {})
    named = value if isinstance(value, dict) else {"": value}
    faults += [f"{path.name}: {key}.{n}: is no table" for n, table in named.items() if not isinstance(table, dict)]
    return {name: table for name, table in named.items() if isinstance(table, dict)}


def validate(model: type[_T], content: Any, path: Path, place: str, faults: list[str]) -> _T | None:
    """Return the record, or None after adding one line per fault."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            where = _place(place, fault["loc"])
            if fault["type"] == "extra_forbidden":
                text = f"unknown key; {did_you_mean(str(fault['loc'][-1]), _keys(model, fault['loc']))}"
            elif fault["type"] == "missing":
                text = "is missing"
            elif fault["type"] == "value_error":
                text = str(fault["ctx"]["error"])
            else:
                text = f"{fault['msg'][:1].lower()}{fault['msg'][1:]} (found {fault['input']!r})"
            faults.append(f"{path.name}: {where}: {text}")
    return None


def _place(prefix: str, location: tuple[int | str, ...]) -> str:
    """Write a place the way TOML does: metrics[1].unit."""
    text = prefix
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "file"


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed beside the unknown one at the end of a place."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        model = (_record_in(field.annotation) if field else None) or model
    return sorted(model.model_fields)


def _record_in(annotation: Any) -> type[BaseModel] | None:
    """Return the kind of record that an annotation holds: Metric for tuple[Metric, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _record_in(inner))), None)
