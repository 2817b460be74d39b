"""Tables of names that are imported only when used, with what installed packages add by entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from bench.errors import UsageError
from bench.text import did_you_mean


def find(table: Mapping[str, str], group: str, name: str) -> Any:
    """Return the object a table entry "module:attribute" names.

    Args:
        table: the suite's own entries.
        group: the entry-point group by which other packages add theirs ("bench.backends").
        name: which entry.

    Raises:
        UsageError: the name is unknown, or an installed package claims one of the suite's own.
    """
    foreign = {e.name: e.value for e in entry_points(group=group)}
    doubled = sorted(table.keys() & foreign.keys())
    if doubled:
        raise UsageError(
            f"an installed package adds {group} {doubled[0]!r} ({foreign[doubled[0]]}), which the suite has itself",
            "uninstall that package or rename its entry point",
        )
    known = {**table, **foreign}
    if name not in known:
        raise UsageError(f"{group} has no {name!r}", did_you_mean(name, known))
    module, _, attribute = known[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
