"""The notebooks: executing them on a run, and opening a copy of them in JupyterLab. Nothing prints here.

The source of a notebook is its .py file (py:percent); the .ipynb beside it is the same cells with the outputs of the
committed sample run. The copy that JupyterLab opens is the reader's: the checkout stays as it is.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bench.errors import BenchError, UsageError
from bench.frames import CHOICE

DIRECTORY = Path(__file__).resolve().parents[2] / "notebooks"
"""The suite's own notebooks."""

COPIES = "notebooks"
"""The folder beside the runs in which the reader's copies are kept: git ignores it there."""

ADDRESS = "127.0.0.1"
"""JupyterLab runs code for whoever reaches it: it is not to be reached from outside."""

_CELL_S = 300
_START_S = 60.0


def sources(directory: Path = DIRECTORY) -> list[Path]:
    """Return the notebooks' source files, in their order.

    Raises:
        UsageError: there are none: bench was installed without its repository.
    """
    found = sorted(directory.glob("[0-9][0-9]-*.py"))
    if not found:
        raise UsageError("the notebooks are not here: they come with the repository", "clone it and call ./bench.sh")
    return found


def built(source: Path) -> Any:
    """Return the notebook of a source file, without outputs; the same source gives the same notebook."""
    _needed("jupytext")
    import jupytext

    notebook = jupytext.read(source)
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place:02d}"
    # Which tool and which Python made it is nothing of the notebook's: it would change with every machine.
    notebook.metadata.get("jupytext", {}).get("text_representation", {}).pop("jupytext_version", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebook: Any, folder: Path, environment: Mapping[str, str]) -> Any:
    """Compute a notebook's outputs in a kernel of its own, and return it.

    Args:
        folder: where the kernel works.
        environment: what is set for the kernel beside what is set here (BENCH_RUN).

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised something.
    """
    _needed("nbclient")
    from nbclient import NotebookClient
    from traitlets.config import Config

    # The kernel listens on ports of the loopback: every message is signed, and this way encrypted too.
    encrypted = Config({"KernelManager": {"transport_encryption": "auto"}})
    # What a cell prints arrives in pieces that the kernel's buffers cut: joined, it is the same every time.
    client = NotebookClient(
        notebook, kernel_name="python3", config=encrypted, timeout=_CELL_S, record_timing=False, coalesce_streams=True
    )
    client.execute(cwd=str(folder), env=_environment(environment))
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def refresh(run: Path, directory: Path = DIRECTORY, say: Callable[[str], None] = lambda _: None) -> None:
    """Execute every notebook on a run and write it beside its source.

    Raises:
        BenchError: a cell raised something; notebooks before that one are written.
    """
    _needed("nbformat")
    _needed("nbclient")
    import nbformat
    from nbclient.exceptions import CellExecutionError

    for source in sources(directory):
        say(f"executing {source.name}")
        try:
            notebook = execute(built(source), source.parent, {CHOICE: str(run.resolve())})
        except CellExecutionError as error:
            raise BenchError(f"{source.name}: a cell failed: {error.ename}: {error.evalue}") from error
        target = source.with_suffix(".ipynb")
        part = target.with_name(f".{target.name}.{os.getpid()}")
        nbformat.write(notebook, part)  # type: ignore[no-untyped-call]
        part.replace(target)
        say(f"wrote {target.name}")


def copied(folder: Path, directory: Path = DIRECTORY, say: Callable[[str], None] = lambda _: None) -> Path:
    """Copy the notebooks into the folder, without outputs; what the reader has changed there is kept.

    Raises:
        UsageError: the folder cannot be written.
    """
    _needed("nbformat")
    import nbformat

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources(directory):
            notebook = built(source)
            # Paired with a source that is not there, the copy could not be saved.
            notebook.metadata.pop("jupytext", None)
            target = folder / f"{source.stem}.ipynb"
            if target.exists():
                say(f"kept {target.name} as it was left; delete it to have it afresh")
            else:
                nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written: {error.strerror or error}", "name another with --folder"
        ) from error
    return folder


def serve(folder: Path, run: Path, say: Callable[[str], None], *, browser: bool) -> int:
    """Run JupyterLab on the folder until it is ended; return its exit code. Listens on the loopback only.

    Raises:
        UsageError: JupyterLab is not installed.
        BenchError: it did not start.
    """
    _needed("jupyterlab")
    port, token = _free_port(), secrets.token_urlsafe(24)
    command = [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", f"--ServerApp.ip={ADDRESS}",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.allow_remote_access=False",
        f"--ServerApp.open_browser={browser}", "--Application.log_level=WARN",
        "--KernelManager.transport_encryption=auto",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    # Not among the words of the command, which every user of the host can read in /proc.
    environment = _environment({CHOICE: str(run.resolve()), "JUPYTER_TOKEN": token})
    before = signal.signal(signal.SIGTERM, _end)
    with subprocess.Popen(command, env=environment) as process:
        try:
            _await(process, port)
            say(f"http://{ADDRESS}:{port}/lab?token={token}")
            say("Ctrl-C ends it.")
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            # At Ctrl-C it would ask whether it is meant; at SIGTERM it does not. To one that has ended it says nothing.
            process.terminate()
            signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End in order at SIGTERM: what was started ends too."""
    del frame
    raise SystemExit(128 + number)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"JupyterLab ended at once, with exit code {process.returncode}", "it said why above")
        with suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"http://{ADDRESS}:{port}/api", timeout=2).close()
            return
        time.sleep(0.2)
    raise BenchError(f"JupyterLab did not answer within {_START_S:g} s")


def _free_port() -> int:
    """Return a port that was free a moment ago; were it taken meanwhile, JupyterLab would say so and end."""
    with socket.socket() as tried:
        tried.bind((ADDRESS, 0))
        return int(tried.getsockname()[1])


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with more set, and bench importable from wherever the kernel's folder is."""
    places = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, **more, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def _needed(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{package} is not installed", f"pip install {package}, or let ./bench.sh make .venv afresh")
