"""Bytes on disk beside what Docker, qemu-img, debugfs's checker and du say; applications that answer; trimmed disks."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.backends.base import Instance
from bench.backends.docker import DockerBackend
from bench.backends.vm_instance import VmInstance
from bench.clock import Event
from bench.collectors.pool import pool_used
from bench.plan import Trial
from bench.probes.base import Workbench
from bench.running.runner import run_trial
from bench.sample import Phase, Sample, Status
from bench.scenario import Subject
from tests.conftest import Engines

APPS = {"python": b"psycopg2 on libpq", "ruby": b"pg ", "node": b"semver 1.2.3"}
MB = 10**6


def on_disk(engines: Engines, name: str) -> Subject:
    """The subject as the standard profile's scenario wants it: three applications."""
    scenario = engines.catalogue.scenarios["disk"]
    apps = scenario.profiles["standard"].apps
    assert apps == tuple(APPS)
    return scenario.model_copy(update={"apps": apps}).fitted(engines.subject(name))


def info(path: Path) -> dict[str, Any]:
    """What qemu-img says of a disk, also while a machine has it open."""
    command = ["qemu-img", "info", "--force-share", "--output=json", str(path)]
    said: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return said


def du(*options: str, path: Path) -> int:
    return int(subprocess.run(["du", "-s", *options, path], check=True, capture_output=True).stdout.split()[0])


def page(instance: Instance) -> bytes:
    """Ask an application for its page from inside, where it listens; a minimal Debian has no client but busybox."""
    return instance.channel.run("/bin/busybox wget -qO- http://127.0.0.1:8080/", 60)[1]


def test_each_application_answers_in_a_container_and_shares_its_base(engines: Engines) -> None:
    subject = on_disk(engines, "docker")
    backend = engines.backend(subject)
    assert isinstance(backend, DockerBackend)
    uses = {}
    bench = Workbench(_trial(engines, subject), backend, engines.session)
    for app in subject.apps():
        with bench.launched(app) as instance:
            bench.wait(instance, Event.READY)
            assert APPS[app.rootfs] in page(instance)
            uses[app.rootfs] = instance.disk()
    told = {str(image["RepoTags"][0]).rpartition("/")[2].partition(":")[0]: image
            for image in backend.engine.disk_usage()["Images"]}  # fmt: skip
    for name, use in uses.items():
        assert use.unpacked == told[name]["Size"]
        # Docker adds the lengths of files; st_blocks are whole blocks and directories besides.
        assert use.shared is not None
        assert use.layer is not None
        assert told[name]["SharedSize"] < use.shared < 1.4 * told[name]["SharedSize"]
        own = told[name]["Size"] - told[name]["SharedSize"]
        assert own < use.layer < 1.6 * own
    assert len({use.shared for use in uses.values()}) == 1


def test_a_container_grows_and_shrinks_as_du_says(engines: Engines) -> None:
    subject = engines.subject("docker")
    backend = engines.backend(subject)
    assert isinstance(backend, DockerBackend)
    bench = Workbench(_trial(engines, subject), backend, engines.session)
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        own = _own(backend, instance.name)
        assert instance.channel.run("dd if=/dev/urandom of=/x bs=65536 count=160 && sync", 60)[0] == 0
        assert instance.disk().unique == sum(du("-B1", path=path) for path in own)
        assert instance.disk().unique == pytest.approx(160 * 65536, abs=3 * 65536)


def _own(backend: DockerBackend, name: str) -> list[Path]:
    """Return where a container's own bytes are, by what Docker itself calls its places."""
    told = backend.engine.inspect(name)
    upper = Path(told["GraphDriver"]["Data"]["UpperDir"])
    beginning = upper.parent.with_name(f"{upper.parent.name}-init") / "diff"
    return [upper, beginning, Path(backend.engine.info()["DockerRootDir"]) / "containers" / told["Id"]]


def test_three_containers_take_what_du_says_of_all_their_places(engines: Engines) -> None:
    subject = engines.subject("docker")
    backend = engines.backend(subject)
    assert isinstance(backend, DockerBackend)
    bench = Workbench(_trial(engines, subject), backend, engines.session)
    with bench.launched() as first, bench.launched() as second, bench.launched() as third:
        live = [first, second, third]
        for instance in live:
            bench.wait(instance, Event.READY)
        uses = [instance.disk() for instance in live]
        layers = [path for path in backend.files(subject) if path.is_dir()]
        places = [*layers, *(path for instance in live for path in _own(backend, instance.name))]
        told = sum(du("-B1", path=path) for path in places)
    shared, layer, unique = uses[0].shared, uses[0].layer, [use.unique for use in uses]
    assert shared is not None
    assert layer is not None
    assert shared + layer == sum(du("-B1", path=path) for path in layers)
    assert shared + layer + sum(each or 0 for each in unique) == pytest.approx(told, abs=65536)


def test_a_machine_takes_what_du_says_of_its_files(engines: Engines) -> None:
    subject = engines.subject("vm-direct-tuned")
    backend = engines.backend(subject)
    bench = Workbench(_trial(engines, subject), backend, engines.session)
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        assert isinstance(instance, VmInstance)
        use, overlay = instance.disk(), instance.overlay
        assert overlay is not None
        # What all share: everything that a start reads but the emulator.
        shared = [path for path in backend.files(subject) if "qemu-system" not in path.name]
        assert use.shared == sum(du("-B1", path=path) for path in shared)
        assert use.unique == du("-B1", path=overlay)


def test_the_pool_loses_what_df_says(engines: Engines) -> None:
    subject = engines.subject("docker")
    bench = Workbench(_trial(engines, subject), engines.backend(subject), engines.session)
    place = bench.backend.pool(subject)
    assert place is not None
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        before = pool_used(place), df(place)
        assert instance.channel.run("dd if=/dev/urandom of=/x bs=65536 count=640 && sync", 60)[0] == 0
        after = pool_used(place), df(place)
    assert after[0] - before[0] == pytest.approx(after[1] - before[1], abs=MB)
    assert after[0] - before[0] == pytest.approx(640 * 65536, rel=0.2)


def df(place: Path) -> int:
    command = ["df", "-B1", "--output=used", str(place)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


@pytest.mark.parametrize("app", ["python"])
def test_an_application_answers_in_a_machine_on_a_cloned_disk(engines: Engines, app: str) -> None:
    [subject] = [a for a in on_disk(engines, "vm-direct-tuned").apps() if a.rootfs == app]
    subject = subject.model_copy(update={"options": {k: v for k, v in subject.options.items() if k != "apps"}})
    bench = Workbench(_trial(engines, subject), engines.backend(subject), engines.session)
    with bench.launched() as instance:
        assert isinstance(instance, VmInstance)
        bench.wait(instance, Event.READY)
        assert APPS[app] in page(instance)
        use, overlay = instance.disk(), instance.overlay
        assert overlay is not None
        own, clone = info(overlay), info(Path(info(overlay)["full-backing-filename"]))
        base = info(Path(clone["full-backing-filename"]))
        assert "backing-filename" not in base
        assert (use.virtual, use.layer) == (own["virtual-size"], clone["actual-size"])
        assert use.unique == own["actual-size"]
        assert use.image == base["actual-size"] + clone["actual-size"]
        assert use.layer is not None
        assert 0 < use.layer < base["actual-size"]
        assert use.download is not None
        assert use.download < use.image
    _is_sound(Path(clone["filename"]), engines.session.scratch)


def _is_sound(disk: Path, place: Path) -> None:
    """Let e2fsck read the whole file system of the cloned disk, and qemu-img its map."""
    raw = place / "sound.raw"
    try:
        subprocess.run(["qemu-img", "check", "-q", disk], check=True)
        subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
        done = subprocess.run([shutil.which("e2fsck", path="/usr/sbin:/sbin") or "e2fsck", "-fn", raw],
                              check=False, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stdout
    finally:
        raw.unlink(missing_ok=True)


@pytest.mark.parametrize(("name", "returned"), [("vm-direct-tuned", False), ("vm-direct-discard", True)])
def test_a_disk_gives_back_what_is_trimmed_only_where_its_driver_lets_it(
    engines: Engines, name: str, returned: bool
) -> None:
    samples = measured(engines, name)
    grown, freed = the(samples, "grown").value, the(samples, "freed").value
    assert grown is not None
    assert freed is not None
    assert 20 * MB < grown < 30 * MB
    assert (freed > 0.8 * grown) is returned
    assert returned or freed < 0.05 * grown


def test_a_full_copy_has_all_for_itself(engines: Engines) -> None:
    copied, linked = measured(engines, "vm-direct-copied"), measured(engines, "vm-direct-tuned")
    told = the(linked, "three-full-copies").value
    assert told is not None
    # The kernel beside the disk stays one file; the computed copies count it thrice.
    kernels = 2 * (the(copied, "shared").value or 0)
    assert the(copied, "three-instances").value == pytest.approx(told - kernels, rel=0.05)


@functools.cache
def measured(engines: Engines, name: str) -> list[Sample]:
    """Run the probe on a subject's own userland, with 25 MB instead of 100; once, whoever asks."""
    subject = engines.subject(name)
    return list(run_trial(_trial(engines, subject), engines.backend(subject), engines.session).samples)


def _trial(engines: Engines, subject: Subject) -> Trial:
    scenario = engines.catalogue.scenarios["disk"].model_copy(update={"settings": {"written-mb": 25}})
    return Trial(index=0, scenario=scenario, subject=subject, block=0, position=0, phase=Phase.MEASURE,
                 profile=engines.catalogue.profiles["quick"], expected_s=1.0)  # fmt: skip


def the(samples: list[Sample], metric: str) -> Sample:
    [found] = [s for s in samples if s.metric == metric]
    assert found.status is Status.OK, found.reason
    return found
