"""The declared questions: scenarios, subjects and profiles, read from the TOML files in scenarios/.

Scenario files are data. Every fault of every file is reported at once, with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bench.declared import Declared, Name, read_toml, tables, validate
from bench.errors import ScenarioError, UsageError
from bench.text import did_you_mean
from bench.units import Better, Unit

DIRECTORY = Path(__file__).resolve().parent.parent / "scenarios"
"""The suite's own scenario files."""


class Metric(Declared):
    """One metric of a scenario."""

    name: str
    unit: Unit
    better: Better = Better.LOWER
    title: str = ""
    """What it says to a reader, in a few words."""
    exact: bool = False
    """An emulated guest's value is as good as a virtualised one's: bytes on disk are, times and memory are not."""
    counted: str = ""
    """What its bare numbers count, said before them in a sentence: "instances (computed)"."""
    constant: bool = False
    """A fact of how a subject is set up that does not scatter: one block decides, as long as all blocks agree."""

    @property
    def events(self) -> tuple[str, str]:
        """The two events of a duration named "a→b", else two empty strings."""
        first, arrow, second = self.name.partition("→")
        return (first, second) if arrow else ("", "")


class Profile(Declared):
    """How thorough: how many blocks, and when to stop."""

    name: str = ""
    title: str = ""
    blocks: int = Field(ge=1)
    warmup: int = Field(default=1, ge=0)
    """Blocks run first whose samples are kept and marked, never pooled."""
    instances: tuple[int, ...] = (1, 2, 3)
    """How many instances live at once in scenarios that ask for a slope."""
    width: float | None = Field(default=None, gt=0)
    """At a look, a subject leaves whose intervals reach no further than this share from their middle; None: nobody."""
    looks: tuple[int, ...] = ()
    """After how many measured blocks it is looked whether somebody may leave; fixed before the run."""


class ProfileChange(Declared):
    """What a scenario changes in a profile, and in itself under that profile."""

    blocks: int | None = Field(default=None, ge=1)
    warmup: int | None = Field(default=None, ge=0)
    instances: tuple[int, ...] | None = None
    width: float | None = Field(default=None, gt=0)
    looks: tuple[int, ...] | None = None
    subjects: tuple[Name, ...] | None = None
    parameters: Mapping[str, tuple[str, ...]] | None = None
    apps: tuple[Name, ...] | None = None
    settings: Mapping[str, float] | None = None
    """Replaces those of the scenario's settings that it names."""
    cost_s: float | None = Field(default=None, ge=0)


class Subject(Declared):
    """One thing compared: a backend plus options."""

    name: Name = ""
    title: str
    backend: str
    rung: int = 0
    """Its place on the ladder from the bare process (0) outwards."""
    rootfs: str = "minimal"
    """The recipe below scenarios/rootfs/ that its userland is built from; "none" for a guest without an OS."""
    like: str = ""
    """The subject it starts from. One of a user's own file is asked everything that one is asked."""
    twin_of: str = ""
    """This subject is that one once more: the A/A pair that shows the noise floor."""
    cost_s: float = Field(default=1.0, gt=0)
    """A first guess of one start and stop, seconds, until a run has measured it."""
    deadline_s: float = Field(default=30.0, gt=0)
    """How long one instance may take to be ready before the trial counts as timed out."""
    options: Mapping[str, str | int | bool] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """What is prepared for it: its name, userland and options, which a scenario may change for itself."""
        return f"{self.name} {self.rootfs} {sorted(self.options.items())}"

    def option(self, key: str, default: str = "") -> str:
        """Return one option as text."""
        value = self.options.get(key, default)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def apps(self) -> tuple[Subject, ...]:
        """Return one subject for each application that runs side by side; itself alone where none are named."""
        names = self.option("apps").split()
        return tuple(self.model_copy(update={"rootfs": name}) for name in names) or (self,)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return one option as a truth value."""
        return bool(self.options.get(key, default))


class Emulation(Declared):
    """What only emulation adds to a scenario's headline: no property of the virtual machine."""

    metric: str
    """The metric that tells how much of the headline it is."""
    noun: str
    """What it is called beside a figure."""


class Scenario(Declared):
    """One declared question."""

    name: Name = ""
    title: str
    question: str
    """What it asks, as a sentence."""
    probe: str
    """The method that answers it: a name from the table in bench.probes."""
    baseline: Name = "process"
    """The subject that ratios are taken to."""
    headline: str
    """The metric that answers the question."""
    subjects: tuple[Name, ...]
    excluded: Mapping[Name, str] = Field(default_factory=dict)
    """Subjects on which the question makes no sense, with the reason; they appear as `unsupported`."""
    parameters: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    rootfs: str = ""
    """The recipe all its subjects use instead of their own; empty: each its own."""
    apps: tuple[Name, ...] = ()
    """The recipes of different applications that one trial runs side by side; empty: each subject's own userland."""
    options: Mapping[str, str | int | bool] = Field(default_factory=dict)
    """Options that all its subjects get, over their own."""
    settings: Mapping[str, float] = Field(default_factory=dict)
    """Numbers the probe is told, by names of its own: how long, how many, which limits. They make no cells."""
    metrics: tuple[Metric, ...] = Field(min_length=1)
    profiles: Mapping[str, ProfileChange] = Field(default_factory=dict)
    emulation: Emulation | None = None
    """What of an emulated guest's headline is the emulator's own; it is said wherever the answer is given."""
    starts: int | Literal["instances"] = 1
    """How many instances one trial starts: a number, or as many as the profile's largest number of instances."""
    cost_s: float = Field(default=0.0, ge=0)
    """A first guess of what one trial takes beside its starts, seconds, until a run has measured it."""
    order: int = 100
    """Where it stands in `bench run all`."""

    @field_validator("headline")
    @classmethod
    def _headline_is_named(cls, value: str) -> str:
        if not value:
            raise ValueError("name the metric that answers the question")
        return value

    def fitted(self, subject: Subject) -> Subject:
        """Return the subject as this scenario wants it: its name, with the scenario's userland and options."""
        if not self.rootfs and not self.options and not self.apps:
            return subject
        options = {**subject.options, **self.options, **({"apps": " ".join(self.apps)} if self.apps else {})}
        rootfs = self.apps[0] if self.apps else self.rootfs or subject.rootfs
        return subject.model_copy(update={"rootfs": rootfs, "options": options})

    def metric(self, name: str) -> Metric | None:
        """Return the metric of this name, or None."""
        return next((m for m in self.metrics if m.name == name), None)


class Catalogue(Declared):
    """Everything declared below scenarios/."""

    scenarios: Mapping[str, Scenario]
    subjects: Mapping[str, Subject]
    profiles: Mapping[str, Profile]

    def pick(self, kind: Literal["scenarios", "subjects", "profiles"], names: tuple[str, ...]) -> tuple[Any, ...]:
        """Return the entries of these names in this order.

        Raises:
            UsageError: a name is unknown.
        """
        table: Mapping[str, Any] = getattr(self, kind)
        for name in names:
            if name not in table:
                raise UsageError(f'there is no {kind.removesuffix("s")} "{name}"', did_you_mean(name, table))
        return tuple(table[name] for name in names)


def load(directory: Path = DIRECTORY, extra: tuple[Path, ...] = ()) -> Catalogue:
    """Read all scenario, subject and profile files below the directory, and a user's extra files.

    A file without a question is no scenario: its [subjects.NAME] and [profiles.NAME] tables add subjects and profiles.

    Raises:
        ScenarioError: with one line for every fault of every file.
    """
    faults: list[str] = []
    scenarios: dict[str, Scenario] = {}
    subjects: dict[str, Subject] = {}
    profiles: dict[str, Profile] = {}
    for path in sorted(directory.glob("*.toml")):
        if path.name != "claims.toml":
            _read(path, scenarios, subjects, profiles, faults)
    suites = set(subjects)
    for path in extra:
        _read(path, scenarios, subjects, profiles, faults)
    added = [subject for name, subject in subjects.items() if name not in suites]
    scenarios = {name: _joined(scenario, added) for name, scenario in scenarios.items()}
    for scenario in scenarios.values():
        _check_names(scenario, subjects, profiles, faults)
    if faults:
        raise ScenarioError(
            "the scenario files have faults:\n" + "\n".join(f"  {fault}" for fault in faults),
            "mend the lines named above; scenarios/README.md explains every key",
        )
    ordered = dict(sorted(scenarios.items(), key=lambda item: (item[1].order, item[0])))
    ranked = dict(sorted(subjects.items(), key=lambda item: item[1].rung))
    return Catalogue(scenarios=ordered, subjects=ranked, profiles=profiles)


def _read(
    path: Path,
    scenarios: dict[str, Scenario],
    subjects: dict[str, Subject],
    profiles: dict[str, Profile],
    faults: list[str],
) -> None:
    """Read one file into the tables."""
    content = read_toml(path, faults)
    if content is None:
        return
    if content.keys() & {"question", "probe", "metrics", "headline"}:
        scenario = validate(Scenario, {**content, "name": path.stem}, path, "", faults)
        if scenario is not None:
            scenarios[scenario.name] = scenario
        return
    _add_subjects(tables(content, "subjects", path, faults), subjects, path, faults)
    for name, table in tables(content, "profiles", path, faults).items():
        profile = validate(Profile, {**table, "name": name}, path, f"profiles.{name}", faults)
        if profile is not None:
            profiles[name] = profile


def _joined(scenario: Scenario, added: list[Subject]) -> Scenario:
    """Return the scenario with a user's own subjects: each is asked whatever the one it is like is asked."""

    def more(names: tuple[str, ...]) -> tuple[str, ...]:
        return (*names, *(s.name for s in added if s.like in names and s.name not in names))

    changes = {
        name: change.model_copy(update={"subjects": more(change.subjects)}) if change.subjects else change
        for name, change in scenario.profiles.items()
    }
    return scenario.model_copy(update={"subjects": more(scenario.subjects), "profiles": changes})


def _add_subjects(tables: Mapping[str, Any], known: dict[str, Subject], path: Path, faults: list[str]) -> None:
    """Read [subjects.NAME] tables; `like = "other"` starts from another subject, options merged."""
    raw: dict[str, dict[str, Any]] = {name: s.model_dump() for name, s in known.items()}
    for name, table in tables.items():
        like = table.get("like", "")
        if like and like not in raw:
            faults.append(
                f"{path.name}: subjects.{name}.like: {like!r} is not defined above; {did_you_mean(like, raw)}"
            )
            continue
        base = {k: v for k, v in raw.get(like, {}).items() if k != "twin_of"}
        merged = {
            **base,
            "like": "",
            **table,
            "name": name,
            "options": {**base.get("options", {}), **table.get("options", {})},
        }
        raw[name] = merged
        subject = validate(Subject, merged, path, f"subjects.{name}", faults)
        if subject is not None:
            known[name] = subject


def _check_names(
    scenario: Scenario, subjects: Mapping[str, Subject], profiles: Mapping[str, Profile], faults: list[str]
) -> None:
    """Check what one record says of others: subjects, baseline, headline, profiles."""
    file = f"{scenario.name}.toml"
    for place, names, known in (
        ("subjects", scenario.subjects, subjects),
        ("baseline", (scenario.baseline,), subjects),
        ("excluded", tuple(scenario.excluded), subjects),
        ("profiles", tuple(scenario.profiles), profiles),
        ("headline", (scenario.headline,), {m.name: m for m in scenario.metrics}),
    ):
        faults += [
            f"{file}: {place}: there is no {name!r}; {did_you_mean(name, known)}" for name in names if name not in known
        ]
