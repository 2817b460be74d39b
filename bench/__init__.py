"""Containers and virtual machines on one clock: the public names for notebooks and scripts."""

from __future__ import annotations

from bench.store import Run, find_run, list_runs, load_run, read_run

__version__ = "0.1.0"

__all__ = ["Run", "__version__", "find_run", "list_runs", "load_run", "read_run"]
