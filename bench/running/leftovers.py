"""Finds and removes what earlier runs left behind, and nothing else: only what carries a dead run's name.

Every run keeps a journal of what it created (its guardian). A run whose guardian was killed too has left it in
its directory; `bench clean` reads it and does the guardian's work. Engines are asked for objects with the suite's
label, and the scratch folders are looked through, for a journal may have been lost in a reboot.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.running import sweeper
from bench.running.places import runtime_bases

LABEL = "bench.run"
"""The label every object in a container engine carries; its value is the run's id."""

_DIRECTORY = re.compile(r"^bench-[0-9a-f]{6}$")
_YOUNG_S = 60.0
_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
_ELSEWHERE = ("run", "run/user/*")
"""Where runs of other users and of other settings live, as patterns below /."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing a dead run left behind. `entry` is what the sweeper is told."""

    text: str
    entry: tuple[str, ...]


def find(scratch: Path = Path("/var/tmp")) -> list[Leftover]:  # noqa: S108
    """Return what dead runs left on this host, without touching it. Runs that are going on are not looked at."""
    own = _directories((*runtime_bases(), scratch))
    others = _directories(base for pattern in _ELSEWHERE for base in Path("/").glob(pattern))
    living = _guarded() | {path.name[-6:] for path, told in (own | others).items() if _is_alive(path, told.st_mtime)}
    dead = [path for path, told in own.items() if path.name[-6:] not in living and told.st_uid == os.geteuid()]
    found = [item for path in dead for item in _journalled(path / "journal")]
    found += [Leftover(f"directory {path}", ("directory", str(path))) for path in dead]
    for socket_path in engine_sockets():
        found += _labelled(socket_path, living)
    return list({item.entry: item for item in found}.values())


def remove(leftovers: list[Leftover]) -> list[str]:
    """Remove them by the guardian's own sweep; return what was removed, a line each."""
    watch = sweeper.Watchlist()
    for item in leftovers:
        watch.take("\t".join(("+", *item.entry)))
    return sweeper.sweep(watch, front=-1)


def engine_sockets() -> list[str]:
    """Return where a Docker engine may listen: the usual place, the one $DOCKER_HOST names, a rootless one's."""
    named = os.environ.get("DOCKER_HOST", "").removeprefix("unix://")
    rootless = f"{os.environ.get('XDG_RUNTIME_DIR', '')}/docker.sock"
    places = [Path(place) for place in (*_SOCKETS, named, rootless) if place.startswith("/")]
    return list(dict.fromkeys(str(place.resolve()) for place in places if place.exists()))


def _directories(bases: Iterable[Path]) -> dict[Path, os.stat_result]:
    """Return the run directories in some folders, whosever they are. One that goes meanwhile is none."""
    found = {}
    for path in (path for base in dict.fromkeys(bases) for path in sorted(base.glob("bench-??????"))):
        with contextlib.suppress(OSError):
            told = path.lstat()
            if _DIRECTORY.match(path.name) and stat.S_ISDIR(told.st_mode):
                found[path] = told
    return found


def _guarded() -> set[str]:
    """Return the names of all runs with a guardian at work: its command line can be read whosever it is."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_text("utf-8", "replace").split("\0")
            if len(words) > 6 and Path(words[3]).name == Path(sweeper.__file__).name:
                found.add(words[6][-6:])
    return found


def _is_alive(directory: Path, touched: float) -> bool:
    """Say whether the worker or the front process of a directory's run lives, or it was only just made.

    Args:
        directory: the run's.
        touched: when something was last put into it or taken out, as time.time() counts.
    """
    owners = [_words(directory / "owner"), _words(directory / "journal")[1:]]
    if len(owners[0]) != 3:
        return time.time() - touched < _YOUNG_S
    return any(w[1] and sweeper.start_time(int(w[0])) == w[1] for w in owners if len(w) == 3 and w[0].isdigit())


def _words(path: Path) -> list[str]:
    """Return the words of a file's first line: (pid, start, run id) of an owner; a journal has one before them."""
    try:
        return path.read_text("utf-8", "surrogateescape").split("\n", 1)[0].split("\t")
    except OSError:
        return []


def _journalled(journal: Path) -> Iterator[Leftover]:
    """Yield what a journal names that still exists."""
    words = _words(journal)
    if len(words) != 4:
        return
    watch = sweeper.Watchlist()
    watch.take(f"+\tmarked\t{words[3]}")
    for line in journal.read_text("utf-8", "surrogateescape").splitlines()[1:]:
        watch.take(line)
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
    for kind in sweeper.KINDS:
        for item in sweeper.list_labelled(socket_path, kind, LABEL):
            labels: object = item.get("Labels")
            run = str(labels.get(LABEL, "")) if isinstance(labels, dict) else ""
            if run and run[-6:] not in living:
                counts[run] = counts.get(run, 0) + 1
    for run, count in counts.items():
        yield Leftover(
            f"{count} containers, images, networks or volumes of run {run} in {socket_path}",
            ("containers", socket_path, f"{LABEL}={run}"),
        )
