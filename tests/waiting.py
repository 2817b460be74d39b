"""Wait for what must come true soon: a busy host makes it late, and a test must not fail for that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], patience_s: float = 20.0) -> Seen:
    """Look again and again until there is something to see; return what was seen last."""
    deadline = time.monotonic() + patience_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
