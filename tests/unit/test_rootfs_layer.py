"""What an application's layer holds, and how an engine is handed an image of layers."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.rootfs.build import Tree
from bench.rootfs.layer import image_archive, layer_tar
from bench.rootfs.recipe import Recipe, load_recipe


def tree(place: Path, name: str, **files: tuple[int, str]) -> Tree:
    """A tree whose tar has these files (mode, text), "__" standing for "/" in their names."""
    place.mkdir()
    with tarfile.open(place / "root.tar", "w") as tar:
        for path, (mode, text) in files.items():
            member = tarfile.TarInfo(path.replace("__", "/"))
            member.mode = mode
            if text.startswith("= "):
                member.type, member.linkname = tarfile.LNKTYPE, text[2:]
                tar.addfile(member)
            else:
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
    recipe = Recipe(name=name, title="a test's", variant="minbase", app=("/bin/app",))
    return Tree(directory=place, tar=place / "root.tar", digest=name * 12, packages=(), bytes=0, recipe=recipe)


def test_a_layer_has_what_is_new_or_changed_and_nothing_else(tmp_path: Path) -> None:
    base = tree(tmp_path / "b", "b", etc__same=(0o644, "same"), etc__text=(0o644, "old"), etc__mode=(0o644, "x"))
    app = tree(tmp_path / "a", "a", etc__same=(0o644, "same"), etc__text=(0o644, "new"), etc__mode=(0o600, "x"),
               usr__more=(0o755, "more"), usr__link=(0o755, "= usr/more"))  # fmt: skip
    with tarfile.open(layer_tar(base, app)) as layer:
        found = {member.name: (member.mode, (layer.extractfile(member) or io.BytesIO()).read()) for member in layer}
    assert found == {
        "etc/text": (0o644, b"new"), "etc/mode": (0o600, b"x"), "usr/more": (0o755, b"more"),
        "usr/link": (0o755, b"more"),
    }  # fmt: skip


def test_an_archive_names_its_layers_by_their_sums(tmp_path: Path) -> None:
    for name in ("low", "high"):
        (tmp_path / name).write_text(name)
    image_archive([tmp_path / "low", tmp_path / "high"], "a/b:1", {"bench.run": "x"}, tmp_path / "image")
    with tarfile.open(tmp_path / "image") as archive:
        [manifest] = json.loads((archive.extractfile("manifest.json") or io.BytesIO()).read())
        configuration = json.loads((archive.extractfile(manifest["Config"]) or io.BytesIO()).read())
        texts = [(archive.extractfile(path) or io.BytesIO()).read() for path in manifest["Layers"]]
    assert manifest["RepoTags"] == ["a/b:1"]
    assert configuration["config"]["Labels"] == {"bench.run": "x"}
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(text).hexdigest()}" for text in texts]
    assert texts == [b"low", b"high"]


def test_a_recipe_has_all_of_its_base() -> None:
    base = load_recipe("debian")
    for name in ("python", "ruby", "node"):
        recipe = load_recipe(name)
        assert recipe.base == "debian"
        assert set(base.packages) < set(recipe.packages)
        assert (recipe.guest, recipe.suite, recipe.variant) == (base.guest, base.suite, base.variant)
        assert base.files.items() < recipe.files.items()


def test_a_base_has_no_base_itself(tmp_path: Path) -> None:
    (tmp_path / "low.toml").write_text('title = "l"\nvariant = "minbase"\napp = ["/bin/app"]\n')
    (tmp_path / "middle.toml").write_text('title = "m"\nbase = "low"\n')
    (tmp_path / "high.toml").write_text('title = "h"\nbase = "middle"\n')
    assert load_recipe("middle", tmp_path).variant == "minbase"
    with pytest.raises(UsageError, match="itself laid on"):
        load_recipe("high", tmp_path)
