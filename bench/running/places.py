"""Where a run lives on this host: its directories, the cache, and the host's own name."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.backends.base import Guard, Session, Unguarded
from bench.errors import StoreError
from bench.running import sweeper

if TYPE_CHECKING:
    from bench.host.facts import Facts


def new_run_id() -> str:
    """Return a name like 20261123-221450-a1b2c3: runs sort by time, and the tail alone tells two apart."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


@contextlib.contextmanager
def open_session(run_id: str, guard: Guard | None = None, scratch: Path | None = None) -> Iterator[Session]:
    """Make the run's directories, name them to the guard, and remove them at the end.

    Raises:
        StoreError: a directory cannot be made.
    """
    guard = guard or Unguarded()
    name = f"bench-{run_id[-6:]}"
    directory, work, cache = _runtime_base() / name, scratch_base(scratch) / name, cache_directory()
    try:
        for path in (work, directory):
            guard.watch("directory", str(path))
            # 0711: an engine or QEMU under another user must reach the sockets, but not list the folder.
            path.mkdir(mode=0o711)
            path.chmod(0o711)
            (path / "owner").write_text(f"{os.getpid()}\t{sweeper.start_time(os.getpid())}\t{run_id}\n", "ascii")
        keep = getattr(guard, "keep_journal", None)
        if keep is not None:
            keep(directory / "journal")
        yield Session(run_id=run_id, directory=directory, scratch=work, cache=cache, guard=guard)
    except OSError as error:
        if error.filename not in (str(directory), str(work)):
            raise
        raise StoreError(
            f"{error.filename} cannot be made: {error.strerror}", "name another place: --scratch"
        ) from error
    finally:
        for path in (directory, work):
            sweeper.remove_directory(str(path))


def runtime_bases() -> list[Path]:
    """Return where run directories may be, the preferred one first. Short: socket names have 107 bytes."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    bases = [Path("/run")] if os.geteuid() == 0 else [Path(own)] if own else []
    return [*bases, Path("/tmp")]  # noqa: S108  # the names in it are random and made with mkdir, which never follows


def _runtime_base() -> Path:
    """Return the first that can be written; where none can, the attempt says why."""
    bases = runtime_bases()
    return next((path for path in bases if os.access(path, os.W_OK)), bases[0])


def scratch_base(asked: Path | None) -> Path:
    """Return where overlays and engine data go: as asked, else /var/tmp, which is a real disk where /tmp may not be."""
    return asked.resolve() if asked is not None else Path("/var/tmp")  # noqa: S108


def cache_directory() -> Path:
    """Return (and make) the lasting cache: $BENCH_CACHE, /var/cache/ms-vs-minutes for root, ~/.cache/ms-vs-minutes."""
    asked = os.environ.get("BENCH_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(asked) if asked else (Path("/var/cache") if os.geteuid() == 0 else home) / "ms-vs-minutes"
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the cache {path} cannot be made: {error.strerror}", "name another with BENCH_CACHE"
        ) from error
    return path


def read_host(pool: Path) -> Facts:
    """Return the facts of this host, with the storage of the pool and how quickly orphans are reaped here."""
    from dataclasses import replace

    from bench.host.facts import engine_versions, measure_reap_latency, read_facts

    return replace(read_facts(pool=pool, engines=engine_versions()), reap_latency_s=measure_reap_latency())
