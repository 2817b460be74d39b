"""The agent's program: compiled once on this host, static, kept in the cache by its content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bench.errors import BuildError

SOURCE = Path(__file__).with_name("agent.c")

PATH_INSIDE = "/bench/agent"
"""Where every root file system has it."""

_FLAGS = ("-O2", "-static", "-s", "-Wall", "-Wextra", "-std=gnu11")


def agent_binary(cache: Path) -> Path:
    """Return the compiled agent, compiling it when source, flags or compiler are new.

    Raises:
        BuildError: there is no C compiler, or it fails.
    """
    # musl makes a static program of 50 KB; glibc's, ten times the size, serves where musl is not installed.
    compiler = shutil.which("musl-gcc") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BuildError("there is no C compiler for the agent", "install musl-tools, or gcc and libc6-dev")
    recipe = SOURCE.read_bytes() + " ".join((Path(compiler).name, os.uname().machine, *_FLAGS)).encode()
    target = cache / "agent" / hashlib.sha256(recipe).hexdigest()[:16]
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}")
    done = subprocess.run(
        [compiler, *_FLAGS, "-o", str(part), str(SOURCE)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"the agent could not be compiled: {done.stderr.strip()[-400:]}", "is libc6-dev installed?")
    part.replace(target)
    return target
