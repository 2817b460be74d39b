"""Containers and virtual machines on one clock: the public names for notebooks and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.store import Run, find_run, list_runs, load_run, read_run

__version__ = "0.1.0"

__all__ = ["Run", "__version__", "find_run", "list_runs", "load_run", "read_run"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: `bench --help` needs none of them (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench import store

    return getattr(store, name)
