"""Builds all that instances start from, before anything is measured: userlands, kernel, disks. It takes minutes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.backends.base import Session
from bench.backends.vm_parts import boot_of, gather
from bench.rootfs.agent import agent_binary
from bench.rootfs.build import build_tree, load_recipe
from bench.rootfs.download import compressed_bytes, disk_download
from bench.rootfs.kernel import fetch_kernel
from bench.rootfs.layer import layer_tar
from bench.running.places import cache_directory
from bench.scenario import Catalogue, Subject, load


def started(catalogue: Catalogue) -> list[Subject]:
    """Return one subject for every userland and set of options that a scenario asks for under some profile."""
    found = {}
    for scenario in catalogue.scenarios.values():
        for apps in {scenario.apps, *(change.apps or () for change in scenario.profiles.values())}:
            asked = scenario.model_copy(update={"apps": apps})
            for name in scenario.subjects:
                found.update({app.key: app for app in asked.fitted(catalogue.subjects[name]).apps()})
    return [subject for subject in found.values() if subject.rootfs != "none"]


def build(name: str, session: Session, *, guest: bool = False) -> None:
    """Build one recipe's tree."""
    build_tree(load_recipe(name), session.cache, session.say, guest=guest)


def pack(machines: Iterable[Subject], session: Session) -> None:
    """Make the machines' disks and weigh them: one after another, because they share their bases."""
    for machine in machines:
        # What is built does not depend on the accelerator; which one works here is seen when a machine is started.
        parts = gather(machine, session, "tcg")
        if parts.disk:
            disk_download(parts.disk, copied=parts.copied)


def weigh(names: Iterable[str], session: Session) -> None:
    """Compress what an engine would fetch of these recipes: their own layers."""
    for recipe in map(load_recipe, names):
        tree = build_tree(recipe, session.cache)
        base = build_tree(load_recipe(recipe.base), session.cache) if recipe.base else None
        compressed_bytes(layer_tar(base, tree) if base else tree.tar)


def together(*tasks: Callable[[], object]) -> None:
    """Run these side by side, as many as there are processors; the first that fails is raised."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()


def main() -> None:
    """Build everything that the cache does not have yet."""
    subjects = started(load())
    session = Session(run_id="", directory=Path(), scratch=Path(), cache=cache_directory(), say=print)
    names = {subject.rootfs for subject in subjects}
    machines = [subject for subject in subjects if subject.backend == "libvirt"]
    by_disk = [machine for machine in machines if boot_of(machine) == "disk"]
    guests = {recipe.base or recipe.name for recipe in (load_recipe(machine.rootfs) for machine in by_disk)}
    agent_binary(session.cache)
    together(
        partial(fetch_kernel, session.cache, session.say),
        *(partial(build, name, session, guest=True) for name in sorted(guests)),
        *(partial(build, name, session) for name in sorted(names)),
    )
    together(
        partial(pack, [machine for machine in machines if machine not in by_disk], session),
        partial(pack, by_disk, session),
        partial(weigh, sorted({s.rootfs for s in subjects if s.backend == "docker"}), session),
    )


if __name__ == "__main__":
    main()
