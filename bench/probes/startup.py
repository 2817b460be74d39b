"""How long from the request to the first answer: every event of one instance's life, and the phases between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.clock import Event, Timeline
from bench.probes.base import Workbench
from bench.sample import Sample

CONTAINER_CHAIN = (Event.REQUESTED, Event.CREATED, Event.INIT, Event.READY)
"""The causes one after another where the start call returns after the first mark, or beside it."""

GUEST_CHAIN = (Event.REQUESTED, Event.CREATED, Event.STARTED, Event.KERNEL, Event.INIT, Event.READY)
"""The same where a guest kernel boots after the start call has returned."""


def startup(bench: Workbench) -> Iterator[Sample]:
    """Start one instance, wait until its workload answers, end it; yield every duration with both its names.

    The phases of the chain sum to requested→ready of the same trial. `started` (the call returned) is in the
    chain of guests only: a container's INIT comes a little before its start call returns.
    """
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        instance.stop()
        instance.remove()
        timeline = instance.timeline
    for end in (Event.CREATED, Event.STARTED, Event.KERNEL, Event.INIT, Event.READY):
        yield bench.duration(timeline, Event.REQUESTED, end)
    yield from phases(bench, timeline)
    yield bench.duration(timeline, Event.STOPPING, Event.STOPPED)
    yield bench.duration(timeline, Event.STOPPING, Event.REMOVED)


def phases(bench: Workbench, timeline: Timeline) -> Iterator[Sample]:
    """Yield the chain's phases of one start, marked `part=phase`; their order is the chain's."""
    chain = _present(GUEST_CHAIN if timeline.at(Event.KERNEL) else CONTAINER_CHAIN, timeline)
    for place, (first, second) in enumerate(zip(chain, chain[1:], strict=False)):
        yield bench.duration(timeline, first, second, part="phase", place=str(place))


def _present(chain: Sequence[Event], timeline: Timeline) -> list[Event]:
    return [event for event in chain if timeline.at(event) is not None]
