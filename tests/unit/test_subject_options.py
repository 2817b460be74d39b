"""The options of a subject: every one that a backend reads is declared and explained, and no other is let through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.backends import OPTIONS, check_options
from bench.errors import UsageError
from bench.scenario import Catalogue
from tests.unit.test_plan import subject

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = ROOT / "bench" / "backends"
SOURCES = {
    "process": ("process.py", "common.py"), "oci": ("oci.py", "common.py"), "docker": ("docker.py", "common.py"),
    "libvirt": ("libvirt.py", "vm_parts.py", "common.py"), "fake": ("fake.py",),
}  # fmt: skip


@pytest.mark.parametrize("backend", OPTIONS)
def test_what_is_declared_is_what_is_read(backend: str) -> None:
    read = {
        name
        for file in SOURCES[backend]
        for name in re.findall(r'\.(?:option|flag)\(\s*"([a-z_]+)"', (BACKENDS / file).read_text("utf-8"))
    }
    assert read == set(OPTIONS[backend])


def test_every_option_is_explained_and_no_other() -> None:
    page = (ROOT / "scenarios" / "README.md").read_text("utf-8")
    listed = page.partition("| option | backend |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z, ]+) \|", listed, re.MULTILINE)
    real = OPTIONS.keys() - {"fake"}
    told = {(name, backend) for name, which in rows for backend in (real if which == "all" else which.split(", "))}
    assert told == {(name, backend) for backend in real for name in OPTIONS[backend]}


def test_the_suites_own_subjects_have_no_other(catalogue: Catalogue) -> None:
    for one in catalogue.subjects.values():
        check_options(one)


def test_a_misspelt_option_is_said_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError) as caught:
        check_options(subject("mine", backend="docker", options={"runtme": "runsc"}))
    assert 'subjects.mine: the backend docker has no option "runtme"' in caught.value.message
    assert "runtime" in caught.value.hint


def test_of_another_packages_backend_nothing_is_known() -> None:
    check_options(subject("mine", backend="theirs", options={"anything": 1}))
