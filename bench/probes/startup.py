"""How long from the request to the first answer: every event of one instance's life, and the phases between.

The parameter `mode` says what the page cache holds before the start: "warm" (the default) reads the files in, "cold"
takes them out. Both are verified before the clock starts; a start that is neither is a failed sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from bench.clock import Event, Timeline
from bench.collectors.pagecache import bytes_read, evict, read_in, resident_share
from bench.errors import InstanceError, Unsupported
from bench.probes.base import Workbench
from bench.sample import Sample

CONTAINER_CHAIN = (Event.REQUESTED, Event.CREATED, Event.INIT, Event.READY)
"""What causes what. `started` is not among it: an instance's first mark may come before its start call returns."""

GUEST_CHAIN = (Event.REQUESTED, Event.CREATED, Event.KERNEL, Event.INIT, Event.READY)
"""The same where a guest kernel boots. Its first byte may come before the start call returns, too."""

WARM_SHARE = 0.95
COLD_SHARE = 0.05
"""Beyond these shares of resident pages a start counts as warm, or as cold: what a running program maps stays."""

TRIES = 3
"""How often the files are read in, or taken out, before a start is given up."""


def startup(bench: Workbench) -> Iterator[Sample]:
    """Start one instance, wait until its workload answers, end it; yield every duration with both its names.

    The phases of the chain sum to requested→ready of the same trial.
    """
    share, unknown = set_cache(bench)
    read_before = bytes_read(bench.session.scratch)
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        read_after = bytes_read(bench.session.scratch)
        instance.stop()
        instance.remove()
        timeline = instance.timeline
    for end in (Event.CREATED, Event.STARTED, Event.KERNEL, Event.INIT, Event.READY):
        yield bench.duration(timeline, Event.REQUESTED, end)
    yield from phases(bench, timeline)
    yield bench.duration(timeline, Event.STOPPING, Event.STOPPED)
    yield bench.duration(timeline, Event.STOPPING, Event.REMOVED)
    known = read_before is not None and read_after is not None
    yield bench.missing("resident-before", unknown) if unknown else bench.sample("resident-before", share)
    yield bench.sample("bytes-read", read_after - read_before if known else None)  # type: ignore[operator]


def set_cache(bench: Workbench) -> tuple[float | None, str]:
    """Bring the page cache into the trial's mode; return the share of the start's files that it holds, or why not.

    Raises:
        InstanceError: the cache could not be brought there.
        Unsupported: the start shall be cold, and its files cannot be named.
    """
    mode = bench.trial.params.get("mode", "warm")
    try:
        files = bench.backend.files(bench.trial.subject)
    except Unsupported as error:
        if mode == "cold":
            raise
        # The run has just unpacked them, and nobody dropped them: warm, as far as anybody can tell.
        return None, error.message
    wanted, change = (1.0, read_in) if mode == "warm" else (0.0, evict)
    share = resident_share(files)
    if share is None or share == wanted:
        return share, ""
    # On a busy host pages come and go meanwhile for others' sake: once is not always enough.
    for _ in range(TRIES):
        change(files)
        share = resident_share(files)
        if share is None or (share >= WARM_SHARE if mode == "warm" else share <= COLD_SHARE):
            return share, ""
    raise InstanceError(f"the start would not be {mode}: {share:.0%} of its files' pages are in memory")


def phases(bench: Workbench, timeline: Timeline) -> Iterator[Sample]:
    """Yield the chain's phases of one start, marked `part=phase`; their order is the chain's."""
    chain = _present(GUEST_CHAIN if timeline.at(Event.KERNEL) else CONTAINER_CHAIN, timeline)
    for place, (first, second) in enumerate(itertools.pairwise(chain)):
        yield bench.duration(timeline, first, second, part="phase", place=str(place))


def _present(chain: Sequence[Event], timeline: Timeline) -> list[Event]:
    return [event for event in chain if timeline.at(event) is not None]
