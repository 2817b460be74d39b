"""What some instances and backends can do beyond what all promise; probes ask for it by these protocols."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from bench.scenario import Subject


@runtime_checkable
class Pausable(Protocol):
    """An instance that can be frozen where it is, memory and all, and run on."""

    def pause(self) -> None:
        """Freeze it; return when it stands still.

        Raises:
            InstanceError: the engine refused.
        """
        ...

    def resume(self) -> None:
        """Let it run on, on a timeline of its own: REQUESTED, STARTED, and READY when its workload answers again.

        The agent's question is on its way before the call, so that nothing but the resumption is timed.

        Raises:
            InstanceError: the engine refused.
        """
        ...


@runtime_checkable
class Restartable(Protocol):
    """An instance that its engine keeps after it was stopped, and can start once more."""

    def start_again(self) -> None:
        """Start it after `stop`, on a timeline of its own: REQUESTED, STARTED, INIT and READY.

        Raises:
            InstanceError: the engine refused.
        """
        ...


@runtime_checkable
class Checkpointable(Protocol):
    """An instance whose processes can be saved to files and restored from them (CRIU)."""

    def checkpoint(self) -> int:
        """Save its processes and let them end; return the bytes of the files.

        Raises:
            InstanceError: the runtime refused, or the agent would not hang up first.
        """
        ...

    def restore(self) -> None:
        """Restore it, on a timeline of its own: REQUESTED, STARTED, and READY when its workload answers again.

        Raises:
            InstanceError: the runtime refused.
        """
        ...


@runtime_checkable
class Checkpointer(Protocol):
    """A backend whose instances are checkpointable, on a host where it can be done."""

    def require_checkpoints(self, subject: Subject) -> None:
        """Return where this subject's instances can be saved and restored.

        Raises:
            Unsupported: what is missing here, and what brings it.
        """
        ...


@runtime_checkable
class Resizable(Protocol):
    """An instance that can be asked, while it runs, to give memory back."""

    def set_memory(self, size: int) -> None:
        """Ask it to make do with so many bytes; return before it obeyed.

        Raises:
            InstanceError: the engine refused.
        """
        ...

    def given_memory(self) -> int | None:
        """Return how many bytes it is left now; None if the engine does not tell.

        Raises:
            Unsupported: it has nothing by which it could give memory back.
        """
        ...


@runtime_checkable
class Addressed(Protocol):
    """An instance that can be reached from this host over a bridge, where its subject has that network."""

    def address(self) -> str:
        """Return its IPv4 address there.

        Raises:
            Unsupported: this one has no such network, and why.
            InstanceError: it has one, but no address can be had.
        """
        ...
