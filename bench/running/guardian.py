"""The guardian: a process started before everything else that sweeps when the run is over, however it ended.

It lives in a session of its own and ignores the terminal's signals. Whoever creates something that could outlive
the run names it first (`watch`) and takes the name back when it is gone (`release`). The same lines are kept in a
journal in the run's directory, so that `bench clean` can do the work if the guardian itself was killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from pathlib import Path

from bench.backends.base import Watched
from bench.running import sweeper


class Guardian:
    """The near end of the pipe. Both the front process and its worker hold it; descendants that exec do not.

    Args:
        run_id: processes whose environment carries it (BENCH_OWNER) are swept without being named.
        children: every child of this process is the run's, named or not. False where others start some here too.
    """

    def __init__(self, run_id: str, *, children: bool = True) -> None:
        self.run_id = run_id
        self.lost = False
        """The guardian is gone: what is watched from now on stands in the journal only."""
        self._journal: int | None = None
        self._front = os.getpid()
        far_in, self._pipe = os.pipe()
        self._said, far_out = os.pipe()
        arguments = [sys.executable, "-I", "-S", sweeper.__file__]
        arguments += [str(self._front), sweeper.start_time(self._front), run_id, *([] if children else ["spare"])]
        self.pid = os.posix_spawn(
            sys.executable, arguments, {"PATH": os.environ.get("PATH", os.defpath)}, setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, far_in, 0),
                (os.POSIX_SPAWN_DUP2, far_out, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )  # fmt: skip
        os.close(far_in)
        os.close(far_out)

    def keep_journal(self, path: Path) -> None:
        """Write every line from now on into this file too; its first line says whose run it is."""
        self._journal = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        owner = ("front", str(self._front), sweeper.start_time(self._front), self.run_id)
        os.write(self._journal, ("\t".join(owner) + "\n").encode())

    def watch(self, kind: Watched, *words: str) -> None:
        """Name something to be swept; kinds and words as in `bench.backends.base.Watched`.

        Raises:
            ValueError: a word holds a tab or a line end.
        """
        if kind == "process":
            words = (words[0], sweeper.start_time(int(words[0])))
        self._tell("+", kind, *words)

    def release(self, kind: Watched, *words: str) -> None:
        """Take a name back: it is gone, or shall stay."""
        self._tell("-", kind, *words)

    def _tell(self, *words: str) -> None:
        line = "\t".join(words)
        if "\n" in line or line.count("\t") != len(words) - 1:
            raise ValueError(f"the guardian cannot be told of {words!r}")
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        if self._journal is not None:
            with contextlib.suppress(OSError):
                os.write(self._journal, data)
        try:
            os.write(self._pipe, data)
        except OSError:
            self.lost = True

    def sweep(self, patience_s: float = 30.0) -> list[str]:
        """Ask for the sweep and wait until the guardian has ended; return what it removed, a line each.

        The caller, or a handler of SIGCHLD, reaps it.
        """
        with contextlib.suppress(OSError):
            os.write(self._pipe, b"!\n")
        os.close(self._pipe)
        said = b""
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._said], [], [], left)
            data = os.read(self._said, 65536) if ready else b""
            said += data
            if not data:
                break
        os.close(self._said)
        return said.decode("utf-8", "replace").splitlines()
