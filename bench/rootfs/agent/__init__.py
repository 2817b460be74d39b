"""The agent's program, and the one that looks around: compiled once on this host, static, cached by their content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bench.errors import BuildError

SOURCE = Path(__file__).with_name("agent.c")
LOOK = Path(__file__).with_name("look.c")

PATH_INSIDE = "/bench/agent"
"""Where every root file system has it."""

_FLAGS = ("-O2", "-static", "-s", "-Wall", "-Wextra", "-std=gnu11")


def agent_binary(cache: Path) -> Path:
    """Return the compiled agent, compiling it when source, flags or compiler are new.

    Raises:
        BuildError: there is no C compiler, or it fails.
    """
    return _compiled(SOURCE, cache)


def look_binary(cache: Path) -> Path:
    """Return the program that tells what can be seen from where it runs (look.c), compiled in the same way.

    Raises:
        BuildError: there is no C compiler, or it fails.
    """
    return _compiled(LOOK, cache)


def _compiled(source: Path, cache: Path) -> Path:
    # musl makes a static program of 50 KB; glibc's, ten times the size, serves where musl is not installed.
    compiler = shutil.which("musl-gcc") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BuildError(f"there is no C compiler for {source.name}", "install musl-tools, or gcc and libc6-dev")
    recipe = source.read_bytes() + " ".join((Path(compiler).name, os.uname().machine, *_FLAGS)).encode()
    target = cache / "agent" / hashlib.sha256(recipe).hexdigest()[:16]
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}")
    done = subprocess.run(
        [compiler, *_FLAGS, "-o", str(part), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip()[-400:]
        raise BuildError(f"{source.name} could not be compiled: {said}", "is libc6-dev installed?")
    part.replace(target)
    return target
