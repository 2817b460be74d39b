"""Run inside a guest by test_checkpoint.py: one trial of `restore` with mode=criu; prints what came of it as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bench.backends import load_backend
from bench.backends.abilities import Checkpointable
from bench.clock import Event
from bench.plan import make_plan
from bench.probes.base import Workbench
from bench.probes.restore import restore
from bench.running.places import new_run_id, open_session
from bench.scenario import load


def has_ended(pid: int) -> bool:
    """Say whether nothing of it runs: who has to take it in may not have done so yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def main() -> None:
    """Measure once as the runner would, then look closer at an instance of the test's own."""
    catalogue = load()
    scenario = catalogue.scenarios["restore"]
    asked = {"parameters": {"mode": ("criu",)}, "subjects": ("oci-runc",), "excluded": {}, "profiles": {}}
    scenario = scenario.model_copy(update=asked)
    subject = catalogue.subjects["oci-runc"].model_copy(update={"deadline_s": 120.0})
    plan = make_plan([scenario], {subject.name: subject}, catalogue.profiles["quick"], 1)
    backend = load_backend("oci")
    with open_session(new_run_id()) as session:
        backend.open(session)
        backend.prepare(subject)
        bench = Workbench(plan.trials[0], backend, session)
        samples = [(s.metric, s.value, str(s.status), s.reason) for s in restore(bench)]
        with bench.launched() as instance:
            bench.wait(instance, Event.READY)
            assert isinstance(instance, Checkpointable)
            instance.channel.run("echo kept >/tmp/kept; sleep 3600 >/dev/null 2>&1 &", 60.0)
            before = instance.cgroup_pid() or 0
            size = instance.checkpoint()
            gone = not instance.alive() and has_ended(before)
            instance.restore()
            bench.wait(instance, Event.READY)
            after = instance.channel.run("cat /tmp/kept; ps | grep -c '[s]leep 3600'", 60.0)
            alive, events = instance.alive(), list(instance.timeline.as_dict())
        left = [path.name for base in (session.directory, session.scratch) for path in base.glob("bench-*")]
        backend.close()
    version = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    told = {
        "samples": samples, "size": size, "gone": gone, "after": [after[0], after[1].decode()], "alive": alive,
        "events": events, "left": left, "cgroup": version, "kernel": os.uname().release,
    }  # fmt: skip
    print("TOLD " + json.dumps(told))  # noqa: T201  # read by the test


if __name__ == "__main__":
    main()
