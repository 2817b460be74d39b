"""Small helpers for words."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Sequence
from typing import Any


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "startup"?' when something is close, else the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(names)}"


def plural(count: int, noun: str) -> str:
    """Return "1 trial" or "3 trials"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def few(names: Sequence[str], most: int) -> str:
    """Return "a, b, c", or "a, b and 7 more" where there are more than `most`."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def printable(text: str) -> str:
    """Return a text with a blank for every character that cannot be seen; the ends of its lines stay.

    Whoever wrote it shall not steer the reader's terminal: escape sequences, returns and marks of direction go.
    """
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def clean(value: Any, longest: int = 600) -> str:
    """Return a value as one printable line of bounded length; "" for None."""
    return "" if value is None else _cleaned(str(value)[: longest * 4], longest)


@functools.lru_cache(maxsize=1 << 13)
def _cleaned(text: str, longest: int) -> str:
    """Clean one text. A run says the same few in each of its rows, so what was cleaned is remembered."""
    words = " ".join(printable(text).split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def harmless(value: Any) -> Any:
    """Return a value for a spreadsheet: a text that it would run as a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
