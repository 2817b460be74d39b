"""A recipe: what a userland consists of, read from scenarios/rootfs/*.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.errors import ScenarioError, UsageError
from bench.text import did_you_mean

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "scenarios" / "rootfs"
"""The suite's own recipes."""

_Package = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*$")]


def _is_inside(path: str) -> str:
    """Refuse what could leave the tree: a recipe is data, and its paths become files."""
    if not path.startswith("/") or path.strip("/") == "" or ".." in path.split("/") or "\0" in path:
        raise ValueError('a path inside the userland begins with "/" and has no ".."')
    return path


_Inside = Annotated[str, AfterValidator(_is_inside)]


class Recipe(BaseModel):
    """What a userland consists of: packages of one Debian suite, a few files, and the app."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    title: str
    base: str = ""
    """The recipe it is laid on: all of that one belongs to it, and is kept apart as a layer that others share."""
    suite: str = Field(default="bookworm", pattern=r"^[a-z]+$")
    variant: Literal["extract", "essential", "minbase", "standard"]
    """mmdebstrap's: "extract" unpacks the packages and configures none (no dpkg, no shell but busybox)."""
    packages: tuple[_Package, ...] = ()
    files: Mapping[_Inside, str] = Field(default_factory=dict)
    drop: tuple[_Inside, ...] = ()
    """Paths that are left out, with all below them."""
    applets: bool = False
    """Make a link to busybox for each of its commands."""
    app: tuple[str, ...] = Field(min_length=1)
    """The app's command, run in the foreground; "{port}" stands for the port."""
    port: int = Field(default=8080, ge=1, le=65535)
    ready: str = Field(default="/", pattern=r"^/\S*$")
    """The path of the HTTP request whose status 200 means that the app answers."""
    guest: tuple[_Package, ...] = ()
    """Packages that only a VM with its own init and boot loader needs: the price of being a machine."""

    def command(self) -> tuple[str, ...]:
        """Return the app's command with its port filled in."""
        return tuple(word.replace("{port}", str(self.port)) for word in self.app)


def load_recipe(name: str, directory: Path = DIRECTORY) -> Recipe:
    """Read one recipe.

    Raises:
        UsageError: there is no recipe of this name.
        ScenarioError: the file is wrong; the message has one line for every fault.
    """
    known = {path.stem: path for path in sorted(directory.glob("*.toml"))}
    if name not in known:
        raise UsageError(f'there is no root file system "{name}"', did_you_mean(name, known))
    try:
        content = tomllib.loads(known[name].read_text("utf-8"))
        if base := str(content.get("base", "")):
            content = _laid_on(load_recipe(base, directory), content)
        return Recipe.model_validate({**content, "name": name})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"rootfs/{name}.toml cannot be read: {error}") from error
    except ValidationError as error:
        faults = (
            f"  rootfs/{name}.toml: {'.'.join(map(str, fault['loc']))}: {fault['msg']} (found {fault['input']!r})"
            for fault in error.errors(include_url=False)
        )
        raise ScenarioError("the recipe has faults:\n" + "\n".join(faults), "mend the lines named above") from error


def _laid_on(base: Recipe, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's content with all of its base's: lists are joined, files replaced one by one.

    Raises:
        UsageError: the base has a base itself: there are two layers, not more.
    """
    if base.base:
        raise UsageError(f'the base "{base.name}" is itself laid on "{base.base}"', "name that one")
    below = base.model_dump(exclude={"name", "title", "base"})
    joined = {key: (*below[key], *content.get(key, ())) for key in ("packages", "drop", "guest")}
    return {**below, **content, **joined, "files": {**below["files"], **content.get("files", {})}}
