"""What the user asked for, and what it means: every name found, or a word about the one that was not."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import scenario, store
from bench.errors import UsageError
from bench.scenario import Catalogue, Profile, Scenario, Subject
from bench.text import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for, as words.

    Attributes:
        names: scenarios, or ("all",).
        subjects: restrict to these; empty: all that the scenarios name.
        seed: decides every order; None: drawn.
        results: the folder that holds all runs.         scenarios: the folder of scenario files.
        extra: a user's own subject or scenario files.   labels: the user's words about this run.
        scratch: where overlays and engine data go while the run lives; None: chosen.
        budget_s: how long the trials may take, seconds; None: as long as planned.
        command: the command line that repeats it, without the seed.
    """

    names: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    profile: str = "quick"
    seed: int | None = None
    results: Path = store.DIRECTORY
    scenarios: Path = scenario.DIRECTORY
    extra: tuple[Path, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    scratch: Path | None = None
    budget_s: float | None = None
    command: str = "bench run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the request means: every name found."""

    catalogue: Catalogue
    scenarios: tuple[Scenario, ...]
    profile: Profile
    only: tuple[str, ...]
    seed: int

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Every subject that any chosen scenario could run, once."""
        names = dict.fromkeys(
            name
            for s in self.scenarios
            for name in (
                (s.profiles[self.profile.name].subjects if self.profile.name in s.profiles else None) or s.subjects
            )
        )
        subjects = self.catalogue.subjects
        return tuple(subjects[n] for n in names if not self.only or n in self.only or subjects[n].twin_of in self.only)


def choose(request: Request) -> Choice:
    """Find every name. Starts nothing.

    Raises:
        UsageError: a name is unknown.
        ScenarioError: a file is wrong.
    """
    if not request.scenarios.is_dir():
        raise UsageError(f"there is no folder {request.scenarios}", "name one with --scenarios")
    catalogue = scenario.load(request.scenarios, request.extra)
    names = tuple(catalogue.scenarios) if "all" in request.names else request.names
    if not names:
        raise UsageError("no scenario is named", f"bench run all, or one of: {', '.join(catalogue.scenarios)}")
    scenarios = catalogue.pick("scenarios", tuple(dict.fromkeys(names)))
    (profile,) = catalogue.pick("profiles", (request.profile,))
    catalogue.pick("subjects", request.subjects)
    named = {name for s in scenarios for name in s.subjects}
    for name in request.subjects:
        if name not in named:
            raise UsageError(f'none of the chosen scenarios has the subject "{name}"', did_you_mean(name, named))
    seed = secrets.randbelow(1_000_000) if request.seed is None else request.seed
    return Choice(catalogue=catalogue, scenarios=scenarios, profile=profile, only=request.subjects, seed=seed)
