"""Docker's layers by what an engine says of them: where they can be weighed, and where not and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.backends.base import Session
from bench.backends.common import Nest
from bench.backends.docker import DockerBackend, _Image
from bench.backends.docker_instance import DockerInstance
from bench.clock import Event
from bench.collectors.pool import TreeUse, tree_use
from bench.errors import InstanceError, Unsupported
from bench.plan import Trial
from bench.probes.base import Workbench
from bench.probes.startup import startup
from bench.rootfs.build import Tree
from bench.rootfs.recipe import Recipe
from bench.running.runner import run_trial
from bench.sample import Phase, Status
from bench.scenario import Profile, Subject, load

CONTAINERD = {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
REASON = "Docker's storage driver {} keeps layers where this suite cannot weigh them"


class Engine:
    """Answers as an engine with one image does."""

    def __init__(self, info: Mapping[str, Any], graph: Mapping[str, Any] | None) -> None:
        self.address = "unix:///nowhere"
        self._info = info
        self._graph = graph

    def info(self) -> Mapping[str, Any]:
        return self._info

    def inspect_image(self, tag: str) -> Mapping[str, Any]:
        assert tag == "bench/minimal:1"
        return {"Size": 3000, "GraphDriver": self._graph}

    def labelled(self, label: str) -> tuple[str, ...]:
        assert label == "bench.run=test-000000"
        return ("bench-000000-3",)


def backend_of(engine: Engine, place: Path) -> Any:
    """A backend that is open on this engine."""
    backend = DockerBackend()
    backend._session = Session(run_id="test-000000", directory=place, scratch=place, cache=place)
    backend._engine = engine  # type: ignore[assignment]
    (place / "layer.tar").write_bytes(b"x" * 4096)
    recipe = Recipe(name="minimal", title="a test's", variant="minbase", app=("app",))
    tree = Tree(directory=place, tar=place / "layer.tar", digest="0" * 64, packages=(), bytes=1, recipe=recipe)
    backend._images["minimal"] = _Image(tree=tree, tag="bench/minimal:1", layers=(place / "layer.tar",))
    return backend


def laid_out(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lay out overlay2's directories of an image of two layers and of a container; return what inspecting tells."""
    for name, size in (("base/diff", 5), ("app/diff", 3), ("own-init/diff", 1), ("own/diff", 2), ("containers/1", 4)):
        (place / name).mkdir(parents=True)
        (place / name / "file").write_bytes(b"x" * (size << 16))
    image = {"Data": {"UpperDir": f"{place}/app/diff", "LowerDir": f"{place}/base/diff"}}
    below = f"{place}/own-init/diff:{place}/app/diff:{place}/base/diff"
    container = {
        "GraphDriver": {"Data": {"UpperDir": f"{place}/own/diff", "LowerDir": below}},
        "HostnamePath": f"{place}/containers/1/hostname",
    }
    return image, container


def weighed(*directories: Path) -> int:
    found = [tree_use(directory) for directory in directories]
    return sum(use.allocated for use in found if use)


def test_overlay_layers_are_weighed_with_what_belongs_to_a_container_beside_its_layer(tmp_path: Path) -> None:
    image, container = laid_out(tmp_path)
    use = backend_of(Engine({"Driver": "overlay2"}, image), tmp_path).disk(subject(), container)
    assert use.unknown == ""
    assert (use.shared, use.layer) == (weighed(tmp_path / "base/diff"), weighed(tmp_path / "app/diff"))
    own = [tmp_path / name for name in ("own/diff", "own-init/diff", "containers/1")]
    assert use.unique == weighed(*own) > 7 << 16


@pytest.mark.parametrize(
    ("info", "graph"),
    [
        (CONTAINERD, None),
        ({"Driver": "btrfs"}, {"Name": "btrfs", "Data": {}}),
        ({"Driver": "zfs"}, {"Name": "zfs", "Data": {"Dataset": "tank/1", "Mountpoint": "/1"}}),
        ({"Driver": "vfs"}, {"Name": "vfs", "Data": None}),
    ],
)
def test_layers_out_of_sight_are_unknown_and_their_start_is_never_cold(
    tmp_path: Path, info: Mapping[str, Any], graph: Mapping[str, Any] | None
) -> None:
    backend = backend_of(Engine(info, graph), tmp_path)
    use = backend.disk(subject(), {"GraphDriver": graph})
    assert (use.shared, use.layer, use.unique, use.image) == (None, None, None, None)
    assert use.unknown == REASON.format(info["Driver"])
    assert (use.unpacked, use.download) != (None, None)
    with pytest.raises(Unsupported, match=f"storage driver {info['Driver']} keeps"):
        backend.files(subject())
    cold = run_trial(trial("cold"), backend, backend._opened())
    assert {(s.status, s.reason) for s in cold.samples} == {(Status.UNSUPPORTED, use.unknown)}


def test_part_of_a_layer_is_no_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, container = laid_out(tmp_path)
    partly = TreeUse(allocated=1, apparent=1, unreadable=2)
    monkeypatch.setattr("bench.backends.docker.tree_use", lambda _: partly)
    with pytest.raises(InstanceError, match="base/diff cannot be weighed"):
        backend_of(Engine({"Driver": "overlay2"}, image), tmp_path).disk(subject(), container)


def test_layers_that_may_not_be_read_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, container = laid_out(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    use = backend_of(Engine({"Driver": "overlay2"}, image), tmp_path).disk(subject(), container)
    assert (use.shared, use.unknown) == (None, "Docker's layers are not on this host, or may not be read without root")


def test_a_warm_start_goes_on_and_says_why_its_pages_are_not_known(tmp_path: Path) -> None:
    from tests.unit.children import Keepers

    class Hidden(Keepers):
        def files(self, subject: Subject) -> tuple[Path, ...]:
            raise Unsupported("out of sight")

    session = Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    samples = list(startup(Workbench(trial("warm"), Hidden(), session)))
    [share] = [s for s in samples if s.metric == "resident-before"]
    assert (share.status, share.reason) == (Status.UNSUPPORTED, "out of sight")
    assert next(s for s in samples if s.metric == "requested→ready").status is Status.OK


def test_containers_of_the_run_are_what_the_engine_keeps(tmp_path: Path) -> None:
    assert backend_of(Engine({}, None), tmp_path).kept() == ("container bench-000000-3",)


def test_an_engine_is_asked_once_before_a_container_is_killed(tmp_path: Path) -> None:
    asked: list[str] = []

    class Asked:
        def inspect(self, name: str) -> dict[str, Any]:
            asked.append("inspect")
            return {"State": {"Running": True, "Pid": 1}}

        def kill(self, name: str) -> None:
            asked.append("kill")

    session = Session(run_id="test-000000", directory=tmp_path, scratch=tmp_path, cache=tmp_path)
    nest = Nest(session)
    try:
        instance = DockerInstance(Asked(), nest, lambda _: None)  # type: ignore[arg-type, return-value]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bench.backends.docker_instance.end", lambda *_: instance._engine.kill(""))
            instance.stop()
        assert asked == ["inspect", "kill"]
        assert instance.timeline.at(Event.STOPPED) is None, "the double of `end` stamps nothing"
    finally:
        nest.clear()


def subject() -> Subject:
    return Subject(name="docker", title="d", backend="docker", rootfs="minimal")


def trial(mode: str) -> Trial:
    return Trial(
        index=0, scenario=load().scenarios["cold"], subject=subject(), params={"mode": mode}, block=0, position=0,
        phase=Phase.MEASURE, profile=Profile(name="quick", blocks=1, warmup=0), expected_s=1.0,
    )  # fmt: skip
