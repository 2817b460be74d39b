"""What the user asked for, and what it means: every name found, or a word about the one that was not."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import scenario, store
from bench.backends import check_options
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
        names = dict.fromkeys(name for s in self.scenarios for name in _asked(s, self.profile))
        subjects = self.catalogue.subjects
        return tuple(subjects[n] for n in names if not self.only or n in self.only or subjects[n].twin_of in self.only)


def _asked(chosen: Scenario, profile: Profile) -> tuple[str, ...]:
    """Return the subjects that a scenario asks in a profile."""
    change = chosen.profiles.get(profile.name)
    return (change.subjects if change else None) or chosen.subjects


def _check_asked(name: str, scenarios: tuple[Scenario, ...], profile: Profile, catalogue: Catalogue) -> None:
    """See that one of the chosen scenarios asks a subject that the user named, in the chosen profile.

    Raises:
        UsageError: none does, and why.
    """
    if any(name in _asked(s, profile) for s in scenarios):
        return
    others = [p.name for p in catalogue.profiles.values() if any(name in _asked(s, p) for s in scenarios)]
    if others:
        raise UsageError(f'the profile {profile.name} does not ask "{name}"', f"--profile {' or '.join(others)} does")
    for s in scenarios:
        if name in s.excluded:
            raise UsageError(f'{s.name} cannot be asked of "{name}": {s.excluded[name]}', "choose another subject")
    named = {known for s in scenarios for known in s.subjects}
    raise UsageError(f'none of the chosen scenarios has the subject "{name}"', did_you_mean(name, named))


def catalogue_of(folder: Path, extra: tuple[Path, ...] = ()) -> Catalogue:
    """Read all scenario files of a folder, and a user's extra files.

    Raises:
        UsageError: there is no such folder.
        ScenarioError: a file is wrong.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name one with --scenarios")
    return scenario.load(folder, extra)


def choose(request: Request) -> Choice:
    """Find every name. Starts nothing.

    Raises:
        UsageError: a name is unknown, or an option of a subject.
        ScenarioError: a file is wrong.
    """
    catalogue = catalogue_of(request.scenarios, request.extra)
    names = tuple(catalogue.scenarios) if "all" in request.names else request.names
    if not names:
        raise UsageError("no scenario is named", f"bench run all, or one of: {', '.join(catalogue.scenarios)}")
    scenarios = catalogue.pick("scenarios", tuple(dict.fromkeys(names)))
    (profile,) = catalogue.pick("profiles", (request.profile,))
    catalogue.pick("subjects", request.subjects)
    for name in request.subjects:
        _check_asked(name, scenarios, profile, catalogue)
    seed = secrets.randbelow(1_000_000) if request.seed is None else request.seed
    choice = Choice(catalogue=catalogue, scenarios=scenarios, profile=profile, only=request.subjects, seed=seed)
    for subject in choice.subjects:
        check_options(subject)
    return choice
