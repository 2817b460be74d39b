"""The errors a user can meet, as one tree.

BenchError                 what went wrong, and .hint: what to do about it
├── UsageError             an unknown name or an impossible combination         exit 2
├── ScenarioError          a scenario, subject or profile file is wrong         exit 2
├── BackendUnavailable     an engine is missing or does not answer              exit 3 if nothing is left
├── BuildError             a root file system or guest image could not be built
├── InstanceError          one instance failed; the run goes on                 becomes a sample
│   ├── StartTimeout       it did not reach the awaited event before the deadline
│   ├── InstanceDied       it ended before the awaited event
│   └── CleanupFailed      it could not be stopped or removed
├── Unsupported            the question makes no sense for this subject         becomes a sample
├── StoreError             results could not be written or read
│   └── SchemaTooNew       a newer bench wrote them
└── ReportError            the report could not be made

Only the command line turns these into text and an exit code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `bench` says to the shell. Documented in the README, tested as a table."""

    DONE = 0
    SOME_TRIALS_FAILED = 1
    USAGE = 2
    NOTHING_MEASURED = 3
    FAIL_ON = 4
    INCONCLUSIVE = 5
    INTERRUPTED = 130
    TERMINATED = 143


class BenchError(Exception):
    """Something the user can understand and usually mend.

    Args:
        message: what went wrong and where, one sentence.
        hint: the remedy, one sentence or command; empty when there is none.
    """

    exit_code: ExitCode = ExitCode.SOME_TRIALS_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BenchError):
    """An unknown scenario, subject, profile or run, or an impossible combination."""

    exit_code = ExitCode.USAGE


class ScenarioError(BenchError):
    """A file below scenarios/ is wrong. The message lists every fault with its place."""

    exit_code = ExitCode.USAGE


class BackendUnavailable(BenchError):
    """An engine is missing, does not answer or may not be used."""

    exit_code = ExitCode.NOTHING_MEASURED


class BuildError(BenchError):
    """A root file system, image, disk or agent could not be built."""


class InstanceError(BenchError):
    """One instance failed. The trial becomes a failed sample; the run goes on."""


class StartTimeout(InstanceError):
    """The awaited event did not come before the deadline."""


class InstanceDied(InstanceError):
    """The instance ended before the awaited event."""


class CleanupFailed(InstanceError):
    """An instance could not be stopped or removed."""


class Unsupported(BenchError):
    """The question makes no sense for this subject, or the host lacks what it needs."""


class StoreError(BenchError):
    """Results could not be written or read."""


class SchemaTooNew(StoreError):
    """The run was written by a newer version of bench."""


class ReportError(BenchError):
    """The report could not be made."""
