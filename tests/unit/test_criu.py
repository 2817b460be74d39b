"""Whether CRIU serves is asked of the programs themselves: here they are stand-ins that say what each test needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.backends import criu
from bench.errors import Unsupported


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which alone programs are looked for."""
    monkeypatch.setattr(criu, "find_program", lambda name: str(tmp_path / name) if (tmp_path / name).exists() else None)
    return tmp_path


def says(programs: Path, name: str, text: str, code: int = 0) -> None:
    """Put a program there that says this and ends so."""
    (programs / name).write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
    (programs / name).chmod(0o755)


def test_where_it_is_not_installed_the_remedy_is_told(programs: Path) -> None:
    with pytest.raises(Unsupported, match="CRIU is not installed") as raised:
        criu.require_criu("runc")
    assert raised.value.hint == "apt-get install criu"


def test_its_own_word_about_the_kernel_is_the_reason(programs: Path) -> None:
    says(programs, "criu", "Error (criu/vdso.c:381): no good", 1)
    with pytest.raises(Unsupported, match=r"criu check fails on this kernel: Error .*no good"):
        criu.require_criu("runc")
    says(programs, "criu", "Looks good.")
    criu.require_criu("runc")


def test_crun_is_asked_whether_it_was_built_with_it(programs: Path) -> None:
    says(programs, "criu", "Looks good.")
    says(programs, "crun", "crun version 1.8.1 +SYSTEMD +CAP")
    with pytest.raises(Unsupported, match="crun was built without CRIU"):
        criu.require_criu("crun")
    says(programs, "crun", "crun version 1.8.1 +SYSTEMD +CAP +CRIU")
    criu.require_criu("crun")


def test_the_last_errors_of_the_newer_log_are_its_complaint(tmp_path: Path) -> None:
    assert criu.complaint(tmp_path / "nowhere") == ""
    (tmp_path / "dump.log").write_text("(0.1) Error (criu/sk-unix.c:1): an old one\n")
    os.utime(tmp_path / "dump.log", (1, 1))
    (tmp_path / "restore.log").write_text(
        "(0.1) Error (criu/a.c:1): first\n(0.2) all is well\n(0.3) Error (b): next\n(0.4) Error (c): last\n"
    )
    assert criu.complaint(tmp_path) == "(0.3) Error (b): next (0.4) Error (c): last"
