"""Finds and removes what earlier runs left behind, and nothing else: only what carries a dead run's name.

Every run keeps a journal of what it created (bench.guardian). A run whose guardian was killed too has left it in
its directory; `bench clean` reads it and does the guardian's work. Engines are asked for objects with the suite's
label, and the scratch folders are looked through, for a journal may have been lost in a reboot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import sweeper
from bench.places import runtime_bases

LABEL = "bench.run"
"""The label every object in a container engine carries; its value is the run's id."""

_DIRECTORY = re.compile(r"^bench-[0-9a-f]{6}$")
_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing a dead run left behind. `entry` is what the sweeper is told."""

    text: str
    entry: tuple[str, ...]


def find(scratch: Path = Path("/var/tmp")) -> list[Leftover]:  # noqa: S108
    """Return what dead runs left on this host, without touching it. Runs that are going on are not looked at."""
    living = set(_living_runs())
    found = [item for journal in _journals() if _owner_is_dead(journal) for item in _journalled(journal)]
    for base in dict.fromkeys((*runtime_bases(), scratch)):
        found += [
            Leftover(f"directory {path}", ("directory", str(path)))
            for path in _own_directories(base)
            if path.name.removeprefix("bench-") not in {run[-6:] for run in living}
        ]
    for socket_path in dict.fromkeys(str(Path(s).resolve()) for s in _SOCKETS if Path(s).exists()):
        found += _labelled(socket_path, living)
    return list({item.entry: item for item in found}.values())


def remove(leftovers: list[Leftover]) -> list[str]:
    """Remove them by the guardian's own sweep; return what was removed, a line each."""
    watch = sweeper.Watchlist()
    for item in leftovers:
        watch.take("\t".join(("+", *item.entry)))
    return sweeper.sweep(watch, front=-1)


def _own_directories(base: Path) -> Iterator[Path]:
    for path in sorted(base.glob("bench-??????")) if base.is_dir() else ():
        if (
            _DIRECTORY.match(path.name)
            and not path.is_symlink()
            and path.is_dir()
            and path.stat().st_uid == os.geteuid()
        ):
            yield path


def _journals() -> Iterator[Path]:
    for base in runtime_bases():
        for directory in _own_directories(base):
            if (directory / "journal").is_file():
                yield directory / "journal"


def _owner(journal: Path) -> tuple[int, str, str]:
    """Return (pid, start time, run id) of the front process a journal belongs to."""
    words = journal.read_text("utf-8", "surrogateescape").split("\n", 1)[0].split("\t")
    return (int(words[1]), words[2], words[3]) if len(words) == 4 and words[1].isdigit() else (0, "", "")


def _owner_is_dead(journal: Path) -> bool:
    pid, started, _ = _owner(journal)
    return not pid or not started or sweeper.start_time(pid) != started


def _living_runs() -> Iterator[str]:
    for journal in _journals():
        if not _owner_is_dead(journal):
            yield _owner(journal)[2]


def _journalled(journal: Path) -> Iterator[Leftover]:
    """Yield what a journal names that still exists."""
    watch = sweeper.Watchlist()
    for line in journal.read_text("utf-8", "surrogateescape").splitlines()[1:]:
        watch.take(line)
    watch.take(f"+\tmarked\t{_owner(journal)[2]}")
    for entry in watch.entries:
        if _exists(entry):
            yield Leftover(f"{entry[0]} {' '.join(entry[1:])}", entry)


def _exists(entry: tuple[str, ...]) -> bool:
    """Say whether what an entry names is there. What has to be asked of an engine is taken to be there."""
    alone = sweeper.Watchlist()
    alone.entries[entry] = None
    match entry[0]:
        case "process" | "qemu" | "marked":
            return bool(sweeper.doomed(alone, front=-1))
        case "directory":
            return Path(entry[1]).exists()
        case "netdev":
            return Path("/sys/class/net", entry[1]).exists()
        case "containers":
            return Path(entry[1]).exists()
        case _:
            return True


def _labelled(socket_path: str, living: set[str]) -> Iterator[Leftover]:
    """Yield one leftover for each dead run that has objects in a container engine."""
    counts: dict[str, int] = {}
    for kind, query in (("containers", "all=1&"), ("networks", ""), ("volumes", "")):
        for item in sweeper.list_labelled(socket_path, kind, query, LABEL):
            labels: object = item.get("Labels")
            run = str(labels.get(LABEL, "")) if isinstance(labels, dict) else ""
            if run and run not in living:
                counts[run] = counts.get(run, 0) + 1
    for run, count in counts.items():
        yield Leftover(
            f"{count} containers, networks or volumes of run {run} in {socket_path}",
            ("containers", socket_path, f"{LABEL}={run}"),
        )
