"""The command `bench` with one more backend: a fake that leaves a process, a folder and a mark, and hangs on request.

Run as a program by test_supervisor.py. The environment variable CLINGY names a folder for its notes:
`child` holds the pid of its process, `orphan` that of one that nobody was told of, `closed` says that close() ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.backends import BACKENDS
from bench.backends.base import Session
from bench.backends.fake import FakeBackend, FakeInstance
from bench.commands.cli import main
from bench.scenario import Subject

NOTES = Path(os.environ["CLINGY"])


class ClingyBackend(FakeBackend):
    """Starts two processes when opened, and sleeps in the n-th launch as its subject's option `stall` says."""

    def open(self, session: Session) -> None:
        """Start a watched child in a session of its own, and an orphan nobody is told of."""
        super().open(session)
        child = subprocess.Popen(["sleep", "300"], start_new_session=True, env={"PATH": os.environ["PATH"]})
        session.guard.watch("process", str(child.pid))
        (NOTES / "child").write_text(str(child.pid))
        script = "sleep 300 & echo $! > $CLINGY/orphan"
        subprocess.run(["setsid", "-f", "sh", "-c", script], check=True)
        (session.scratch / "overlay").mkdir()
        (NOTES / "folders").write_text(f"{session.directory}\n{session.scratch}")

    def launch(self, subject: Subject) -> FakeInstance:
        """Stall in the launch that the option names."""
        instance = super().launch(subject)
        if str(self._draws[subject.name].start) == subject.option("stall"):
            (NOTES / "stalled").write_text(str(os.getpid()))
            time.sleep(60)
        return instance

    def close(self) -> None:
        """Take a while, as engines do, and note when it is done. Leaves its processes to the guardian."""
        if self._session is not None:
            time.sleep(float(os.environ.get("CLINGY_CLOSE", "0")))
            (NOTES / "closed").touch()
        super().close()


BACKENDS["clingy"] = "clingy:ClingyBackend"

if __name__ == "__main__":
    sys.modules["clingy"] = sys.modules["__main__"]
    main()
