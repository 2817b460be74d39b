"""The house's own rules: layers, sizes, docstrings, silence, and the ties between code and documents."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.scenario import Catalogue

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "report").rglob("*.py")])
SPEAKERS = {
    f"bench/{name}.py"
    for name in (
        "commands/cli", "commands/measure", "commands/reading", "running/supervisor",
        "screens/console", "screens/progress", "screens/results",
    )
}  # fmt: skip
"""The modules that may write to the terminal: the commands, their screens, and the process in front of a run."""
HEAVY = (
    "docker", "duckdb", "jinja2", "libvirt", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "rich", "scipy",
)  # fmt: skip
"""What `bench --help` must not pay for."""

MODULE_LINES = 350
FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    """Return a path as it is read from the top of the project."""
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield every class, function and method with its dotted name; nothing inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            yield within + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{within}{node.name}.")


def published() -> list[Path]:
    """Return every file that a clone has, or will have once it is committed."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in dict.fromkeys(listed) if (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every published text file."""
    for path in published():
        try:
            yield name_of(path), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def test_layers_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[done.stdout.find("Contracts") :] + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sizes_are_kept(path: Path) -> None:
    length = len(path.read_text("utf-8").splitlines())
    long = [f"{name_of(path)}: {length} lines"] if length > MODULE_LINES else []
    for name, node in definitions(parsed(path)):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if not isinstance(node, ast.ClassDef) and lines > FUNCTION_LINES:
            long.append(f"{name_of(path)}: {name}: {lines} lines")
    assert long == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_names_are_explained_and_annotated(path: Path) -> None:
    tree = parsed(path)
    faults = [] if ast.get_docstring(tree) else ["the module has no docstring"]
    for name, node in definitions(tree):
        is_public = not any(part.startswith("_") for part in name.split("."))
        if is_public and not ast.get_docstring(node):
            faults.append(f"{name} has no docstring")
        if isinstance(node, ast.FunctionDef) and node.returns is None:
            faults.append(f"{name} does not say what it returns")
    assert faults == [], name_of(path)


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p) not in SPEAKERS], ids=name_of)
def test_nothing_prints_below_the_screens(path: Path) -> None:
    spoken = [
        f"{name_of(path)}:{node.lineno}: {what}"
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.Call, ast.Attribute))
        and (what := ast.unparse(node.func if isinstance(node, ast.Call) else node))
        in {"print", "typer.echo", "sys.stdout", "sys.stderr", "input"}
    ]
    assert spoken == []


def test_help_needs_no_heavy_library() -> None:
    program = (
        "import sys\nfrom bench.commands.cli import app\ntry:\n    app(args=['--help'])\nexcept SystemExit:\n    pass\n"
        f"print(*sorted({set(HEAVY)!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_no_registry_is_named() -> None:
    # Written apart, so that this file does not name them either.
    hosts = ("pypi:org", "pythonhosted:org", "registry:npmjs", "registry-1:docker", "hub:docker:com", "rubygems:org")
    pattern = re.compile("|".join(re.escape(host.replace(":", ".")) for host in hosts))
    found = [f"{name}: {match[0]}" for name, text in texts() for match in pattern.finditer(text)]
    assert found == []


def test_no_path_of_one_machine_is_named() -> None:
    pattern = re.compile(r"/wor[k]/|/tm[p]/w/|/hom[e]/[a-z]+/|/op[t]/(?:pypi|wheels)|/roo[t]/\.")
    found = [f"{name}: {match[0]}" for name, text in texts() for match in pattern.finditer(text)]
    assert found == []


def test_every_key_of_a_scenario_file_is_explained(catalogue: Catalogue) -> None:
    text = (ROOT / "scenarios" / "README.md").read_text("utf-8")
    scenario = next(iter(catalogue.scenarios.values()))
    models = (
        type(scenario),
        type(scenario.metrics[0]),
        type(next(iter(catalogue.subjects.values()))),
        type(next(iter(catalogue.profiles.values()))),
    )
    keys = {key for model in models for key in model.model_fields} - {"name"}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_the_lock_covers_what_is_declared() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    wanted = {
        line.strip()
        for line in (ROOT / "requirements.in").read_text("utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    }
    assert sorted(wanted - locked) == []
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_project_needs_only_what_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {*project["dependencies"], *(n for extra in project["optional-dependencies"].values() for n in extra)}
    listed = set((ROOT / "requirements.in").read_text("utf-8").split())
    assert sorted(needed - listed) == []
