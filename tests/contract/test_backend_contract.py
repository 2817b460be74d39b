"""One suite that every backend passes, on real engines. An engine that is missing fails the test: it is not skipped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from bench.backends.base import Instance, Role
from bench.clock import Event
from bench.errors import InstanceDied, StartTimeout
from tests.conftest import Engines

CONTAINERS = [
    "process", "namespaces", "oci-runc", "oci-crun",
    "docker", "docker-hostnet", "docker-crun", "docker-cli", "docker-debian",
]  # fmt: skip
GUESTS = ["vm-direct", "vm-direct-tuned", "vm-distro", "vm-restored"]
SUBJECTS = ["fake", *CONTAINERS, *GUESTS, "vm-bare"]
WITH_AGENT = [*CONTAINERS, *GUESTS]


def state_of(pid: int) -> str:
    """Return the process's state letter, or "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return ""


PROGRAMS = "sha256sum /bench/agent /bin/busybox | cut -d' ' -f1"


@pytest.fixture(scope="module")
def programs(engines: Engines) -> bytes:
    """The digests of agent and application in the process subject: what everybody has to have."""
    workbench = engines.workbench(engines.subject("process"))
    with workbench.launched() as instance:
        workbench.wait(instance, Event.READY)
        code, output = instance.channel.run(PROGRAMS, 20.0)
    assert code == 0
    assert len(output.split()) == 2
    return output


def the_agent_obeys(instance: Instance, programs: bytes) -> None:
    """Assert that commands run inside, in the same programs as everywhere."""
    code, output = instance.channel.run("echo one; echo two >&2; exit 7", 60.0)
    assert (code, sorted(output.split())) == (7, [b"one", b"two"])
    code, page = instance.channel.run("cat /srv/index.html", 60.0)
    assert code == 0
    assert page
    assert instance.channel.run(PROGRAMS, 60.0) == (0, programs)
    with pytest.raises(ValueError, match="one line"):
        instance.channel.run("a\nb", 1.0)


# One boot answers everything that one instance can be asked: guests boot for seconds, a distribution's for twenty.
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_life_in_order(engines: Engines, programs: bytes, name: str) -> None:
    subject = engines.subject(name)
    workbench = engines.workbench(subject)
    with workbench.launched() as instance:
        workbench.wait(instance, Event.READY)
        assert instance.alive()
        pids = [pid for role in instance.processes().values() for pid in role]
        if name in WITH_AGENT:
            the_agent_obeys(instance, programs)
        instance.stop()
        instance.remove()
        instance.remove()
    line = instance.timeline
    requested = line.at(Event.REQUESTED)
    assert requested is not None
    assert min(line.as_dict().values()) == requested
    causes = [Event.REQUESTED, Event.CREATED, Event.KERNEL, Event.INIT, Event.READY, Event.STOPPING, Event.STOPPED]
    stamps = [at for event in causes if (at := line.at(event)) is not None]
    assert stamps == sorted(stamps), line.as_dict()
    for event in (Event.READY, Event.STOPPING, Event.STOPPED, Event.REMOVED):
        assert line.at(event) is not None, f"no {event}"
    if name in GUESTS and name != "vm-restored":
        assert line.at(Event.KERNEL) is not None
    if name != "fake":
        assert pids, "an instance has processes"
        assert [pid for pid in pids if state_of(pid) not in ("", "Z", "X")] == []


@pytest.mark.parametrize("name", [s for s in SUBJECTS if s not in ("vm-restored", "vm-distro")])
def test_two_at_once(engines: Engines, name: str) -> None:
    workbench = engines.workbench(engines.subject(name))
    with workbench.launched() as first, workbench.launched() as second:
        workbench.wait(first, Event.READY)
        workbench.wait(second, Event.READY)
        assert first.name != second.name
        one = {pid for role in first.processes().values() for pid in role}
        two = {pid for role in second.processes().values() for pid in role}
        assert not one & two


@pytest.mark.parametrize("name", ["fake", "process", "namespaces", "oci-runc", "docker", "vm-direct-tuned"])
def test_a_deadline_is_kept(engines: Engines, name: str) -> None:
    workbench = engines.workbench(engines.subject(name).model_copy(update={"deadline_s": 0.6}))
    began = time.monotonic()
    with workbench.launched() as instance, pytest.raises(StartTimeout, match=r"no stopped within 0\.6 s"):
        workbench.wait(instance, Event.STOPPED)
    assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize("name", ["process", "namespaces", "oci-runc", "docker", "docker-cli", "vm-direct-tuned"])
def test_a_death_is_seen(engines: Engines, name: str) -> None:
    workbench = engines.workbench(engines.subject(name))
    with workbench.launched() as instance:
        workbench.wait(instance, Event.READY)
        roles = instance.processes()
        for pid in roles.get(Role.VMM) or roles[Role.WORKLOAD]:
            with contextlib.suppress(ProcessLookupError):  # the first one's death may take the others along
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(InstanceDied, match="ended before stopped"):
            workbench.wait(instance, Event.STOPPED)
    assert instance.timeline.at(Event.REMOVED) is not None


def test_the_rom_has_no_operating_system(engines: Engines) -> None:
    workbench = engines.workbench(engines.subject("vm-bare"))
    with workbench.launched() as instance:
        workbench.wait(instance, Event.READY)
        assert instance.timeline.at(Event.KERNEL) is None
        assert workbench.backend.accelerator(workbench.trial.subject) in ("kvm", "tcg")


@pytest.mark.parametrize("name", [*WITH_AGENT, "vm-bare"])
def test_the_manifest_says_what_it_is_made_of(engines: Engines, name: str) -> None:
    subject = engines.subject(name)
    manifest = engines.backend(subject).manifest(subject)
    expected = {"accelerator", "machine", "memory"} if subject.backend == "libvirt" else {"kernel", "application"}
    assert expected <= {key.split(" ")[0] for key in manifest} | set(manifest), manifest
