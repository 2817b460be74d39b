"""The popular sentences as data: what each says, where it stands, and the conditions under which it would be true.

A claim is a quotation and a list of conditions; a condition compares one metric of one scenario with a threshold,
or with the same metric of other subjects. bench.judging.verdicts judges them from a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from bench import scenario
from bench.declared import Declared, Name, read_toml, tables, validate
from bench.errors import ScenarioError
from bench.text import did_you_mean
from bench.units import Unit

FILE = scenario.DIRECTORY / "claims.toml"
"""The suite's own claims."""

GROUPS: Mapping[str, tuple[str, ...]] = {"containers": ("oci", "docker", "podman"), "guests": ("libvirt",)}
"""Names that stand for every subject of these backends which the run knows, twins left out."""

_SCALES: Mapping[str, tuple[float, Unit]] = {
    "ns": (1e-9, Unit.SECONDS), "µs": (1e-6, Unit.SECONDS), "us": (1e-6, Unit.SECONDS), "ms": (1e-3, Unit.SECONDS),
    "s": (1.0, Unit.SECONDS), "min": (60.0, Unit.SECONDS), "h": (3600.0, Unit.SECONDS),
    "B": (1.0, Unit.BYTES), "KiB": (2.0**10, Unit.BYTES), "MiB": (2.0**20, Unit.BYTES), "GiB": (2.0**30, Unit.BYTES),
    "kB": (1e3, Unit.BYTES), "MB": (1e6, Unit.BYTES), "GB": (1e9, Unit.BYTES),
    "×": (1.0, Unit.RATIO), "x": (1.0, Unit.RATIO), "%": (0.01, Unit.RATIO), "": (1.0, Unit.COUNT),
    "CPU s/h": (1.0, Unit.CPU_SECONDS_PER_HOUR), "cpu-s/h": (1.0, Unit.CPU_SECONDS_PER_HOUR),
    "/s": (1.0, Unit.PER_SECOND), "B/s": (1.0, Unit.BYTES_PER_SECOND), "MiB/s": (2.0**20, Unit.BYTES_PER_SECOND),
    "MB/s": (1e6, Unit.BYTES_PER_SECOND), "MiB/h": (2.0**20, Unit.BYTES_PER_HOUR), "MB/h": (1e6, Unit.BYTES_PER_HOUR),
}  # fmt: skip


class Side(StrEnum):
    """Where a value has to lie for a condition to hold."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BELOW = "below"
    ABOVE = "above"

    def passed(self, value: float, threshold: float) -> bool:
        """Say whether one value lies on the side that holds."""
        match self:
            case Side.AT_LEAST:
                return value >= threshold
            case Side.AT_MOST:
                return value <= threshold
            case Side.BELOW:
                return value < threshold
            case Side.ABOVE:
                return value > threshold


class Source(Declared):
    """Where a sentence stands."""

    title: str
    date: str = ""
    reference: str = ""
    """What finds it: a page's number, an address, or after which other text it was written."""


class Condition(Declared):
    """One thing that has to be so if the sentence is true.

    Exactly one of the four tests is given, as a person writes it: `at_least = "60 s"`. With `than`, or with
    `step_by_step`, the value tested is a ratio and so is the threshold: `below = "1 ×"`.
    """

    scenario: Name
    metric: str
    subjects: tuple[Name, ...] = Field(min_length=1)
    """Names without accelerator, or the groups "containers" and "guests"."""
    at_least: str | None = None
    at_most: str | None = None
    below: str | None = None
    above: str | None = None
    than: tuple[Name, ...] = ()
    """Divide every subject by every one of these, block by block."""
    step_by_step: bool = False
    """Divide every subject by the one named before it: the test is that a ladder rises."""
    params: Mapping[str, str] = Field(default_factory=dict)
    """Only numbers with these parameters; of the parts of a whole the whole, if no part is named."""
    than_params: Mapping[str, str] = Field(default_factory=dict)
    """The parameters of those compared with, where they differ."""
    decides: bool = True
    """False: shown beside the verdict, with no say in it."""

    @field_validator("at_least", "at_most", "below", "above")
    @classmethod
    def _is_a_quantity(cls, value: str | None) -> str | None:
        if value is not None:
            parse_quantity(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Condition:
        given = [test for test in Side if getattr(self, test) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(Side)}; it has {', '.join(given) or 'none'}")
        if self.than and self.step_by_step:
            raise ValueError("than and step_by_step exclude each other")
        if self.step_by_step and len(self.subjects) < 2:
            raise ValueError("step_by_step needs two subjects")
        if self.than_params and not self.than:
            raise ValueError("than_params needs than")
        if self.relative and self.threshold[1] is not Unit.RATIO:
            raise ValueError(f'a comparison of subjects needs a ratio, like "2 ×", not "{getattr(self, self.side)}"')
        return self

    @property
    def relative(self) -> bool:
        """True when a ratio of two subjects is tested."""
        return bool(self.than) or self.step_by_step

    @property
    def side(self) -> Side:
        """Which of the four tests is given."""
        return next(test for test in Side if getattr(self, test) is not None)

    @property
    def threshold(self) -> tuple[float, Unit]:
        """The threshold, unscaled, and its unit."""
        return parse_quantity(getattr(self, self.side))

    @property
    def text(self) -> str:
        """The condition's test in words: "at least 60 s", "below 1 × of docker"."""
        words = f"{self.side.replace('_', ' ')} {getattr(self, self.side)}"
        if self.step_by_step:
            return f"{words} of the one before"
        return f"{words} of {', '.join(self.than)}" if self.than else words

    @property
    def text_in_full(self) -> str:
        """The whole condition: "startup requested→ready (mode=warm): at least 60 s"; in brackets if it has no say."""
        params = ", ".join(f"{key}={value}" for key, value in self.params.items())
        text = f"{self.scenario} {self.metric}{f' ({params})' if params else ''}: {self.text}"
        return text if self.decides else f"({text})"


class Claim(Declared):
    """One popular sentence."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    quotation: str
    """As it stands, in its own language."""
    english: str
    source: Source
    measured: str
    """How it is measured, and where the threshold comes from."""
    forgets: str = ""
    """What the sentence leaves out."""
    conditions: tuple[Condition, ...] = ()
    later: str = ""
    """Which question would judge it, while no scenario asks it."""

    @model_validator(mode="after")
    def _can_be_judged_or_says_why(self) -> Claim:
        if bool(self.conditions) == bool(self.later):
            raise ValueError("needs conditions, or `later`: which question would judge it; not both")
        if self.conditions and not any(condition.decides for condition in self.conditions):
            raise ValueError("none of its conditions decides")
        return self


def parse_quantity(text: str) -> tuple[float, Unit]:
    """Return what a person wrote as (unscaled value, unit): "50 ms" is 0.05 s, "700 MB" is 700 000 000 B.

    Known: ns µs ms s min h, B kB MB GB KiB MiB GiB, × and %, /s, MB/s MiB/s, MB/h MiB/h, CPU s/h; counts have none.

    Raises:
        ValueError: it is no number with one of these.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(.*?)\s*", text)
    if found is None or found[2] not in _SCALES:
        raise ValueError(f'"{text}" is no quantity; write one like "60 s", "700 MiB", "2 ×"')
    scale, unit = _SCALES[found[2]]
    return float(found[1]) * scale, unit


def load(path: Path | None = FILE, extra: tuple[Path, ...] = ()) -> tuple[Claim, ...]:
    """Read the suite's claims and a user's own; a claim whose id was there before takes its place.

    Sources of earlier files are known in later ones. No file at `path` (another folder of scenarios): no claims.

    Raises:
        ScenarioError: with one line for every fault of every file.
    """
    faults: list[str] = []
    sources: dict[str, Any] = {}
    claims: dict[str, Claim] = {}
    for file in (*((path,) if path and path.is_file() else ()), *extra):
        content = read_toml(file, faults)
        if content is None:
            continue
        faults += [
            f"{file.name}: {key}: unknown key; {did_you_mean(key, ('claims', 'sources'))}"
            for key in content.keys() - {"claims", "sources"}
        ]
        for name, table in tables(content, "sources", file, faults).items():
            source = validate(Source, table, file, f"sources.{name}", faults)
            sources |= {name: source.model_dump() if source else {"title": name}}
        for name, table in tables(content, "claims", file, faults).items():
            claim = validate(Claim, _completed(name, table, sources, file, faults), file, f"claims.{name}", faults)
            claims |= {name: claim} if claim else {}
    if faults:
        raise ScenarioError(
            "the claims have faults:\n" + "\n".join(f"  {fault}" for fault in faults),
            "mend the lines named above; scenarios/README.md explains every key",
        )
    return tuple(claims.values())


def known_scenarios(directory: Path = scenario.DIRECTORY) -> frozenset[str]:
    """Return the names of the questions that there are, without reading them: the names of their files."""
    return frozenset(path.stem for path in directory.glob("*.toml")) - {"claims", "profiles", "subjects"}


def _completed(
    name: str, table: Mapping[str, Any], sources: Mapping[str, Any], file: Path, faults: list[str]
) -> dict[str, Any]:
    """Return the claim's table with its id and, in place of the source's name, the source."""
    told = table.get("source")
    if not isinstance(told, str):
        return {**table, "id": name}
    if told not in sources:
        faults.append(f"{file.name}: claims.{name}.source: there is no source {told!r}; {did_you_mean(told, sources)}")
    return {**table, "id": name, "source": sources.get(told, {"title": told})}
