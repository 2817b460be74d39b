"""Recipes and trees: built once, equal bytes from equal recipes, nothing half-built, nothing outside the tree."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bench.errors import BuildError, ScenarioError, UsageError
from bench.rootfs import build
from bench.rootfs.build import EPOCH, Tree, build_tree
from bench.rootfs.recipe import DIRECTORY, Recipe, load_recipe

RECIPE = Recipe(
    name="small", title="a test's", variant="minbase", packages=("busybox-static",), guest=("systemd",),
    files={"/srv/index.html": "hello\n", "/etc/motd": "ours\n"}, drop=("/usr/share/doc",),
    app=("/bin/app", "-p", "{port}"), port=8081,
)  # fmt: skip

STATUS = """\
Package: first
Status: install ok installed
Version: 1.2-3
Description: a package
 with a longer text: and a colon

Package: gone
Status: deinstall ok config-files
Version: 9
"""


def debootstrapped(names: tuple[str, ...]) -> bytes:
    """A tar as mmdebstrap writes it: names with "./", a link for /bin, documents, a package database."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:

        def put(name: str, kind: bytes = tarfile.REGTYPE, text: str = "", link: str = "", mode: int = 0o644) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode, member.size = kind, link, mode, len(text)
            member.mtime = EPOCH + 1000
            tar.addfile(member, io.BytesIO(text.encode()))

        for folder in (
            "",
            "usr",
            "usr/bin",
            "usr/share",
            "usr/share/doc",
            "etc",
            "tmp",
            "var",
            "var/lib",
            "var/lib/dpkg",
        ):
            put(f"./{folder}", tarfile.DIRTYPE, mode=0o755)
        put("./bin", tarfile.SYMTYPE, link="usr/bin")
        put("./usr/bin/su", text="su", mode=0o4755)
        put("./usr/bin/su2", tarfile.LNKTYPE, link="./usr/bin/su")
        put("./usr/share/doc/readme", text="x" * 1000)
        put("./usr/share/documents", text="stay")
        put("./etc/motd", text="theirs")
        put("./var/lib/dpkg/status", text=STATUS)
        put("./packages", text=",".join(names))
    return content.getvalue()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "the-agent"
    path.write_bytes(b"agent")
    monkeypatch.setattr(build, "agent_binary", lambda cache: path)
    return path


@pytest.fixture
def calls(agent: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Stands for mmdebstrap; holds the packages of each call."""
    made: list[tuple[str, ...]] = []

    def mmdebstrap(suite: str, variant: str, packages: tuple[str, ...], target: Path) -> None:
        made.append(tuple(packages))
        target.write_bytes(debootstrapped(packages))

    monkeypatch.setattr(build, "mmdebstrap", mmdebstrap)
    return made


def names_of(tree: Tree) -> set[str]:
    with tarfile.open(tree.tar) as tar:
        return set(tar.getnames())


def test_tar_and_directory_hold_the_same(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    tree = build_tree(RECIPE, tmp_path / "cache")
    unpacked = {str(path.relative_to(tree.directory)) for path in tree.directory.rglob("*")}
    assert unpacked == names_of(tree)
    assert {"bench/agent", "bench/run", "srv/index.html", "proc", "usr/bin/su"} <= unpacked


def test_a_cached_tree_is_not_built_again(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    first = build_tree(RECIPE, tmp_path / "cache")
    assert build_tree(RECIPE, tmp_path / "cache") == first
    assert calls == [("busybox-static",)]


def test_equal_recipes_give_equal_bytes(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    one, two = build_tree(RECIPE, tmp_path / "1"), build_tree(RECIPE, tmp_path / "2")
    assert one.tar.read_bytes() == two.tar.read_bytes()
    assert one.digest == two.digest


def test_another_agent_or_recipe_is_another_tree(tmp_path: Path, calls: list[tuple[str, ...]], agent: Path) -> None:
    first = build_tree(RECIPE, tmp_path / "cache")
    other = build_tree(RECIPE.model_copy(update={"port": 9}), tmp_path / "cache")
    agent.write_bytes(b"a newer agent")
    newer = build_tree(RECIPE, tmp_path / "cache")
    assert len({first.digest, other.digest, newer.digest}) == 3
    assert (newer.directory / "bench/agent").read_bytes() == b"a newer agent"
    assert (first.directory / "bench/agent").read_bytes() == b"agent"


def test_only_a_guest_gets_what_only_a_guest_needs(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    plain, guest = build_tree(RECIPE, tmp_path / "cache"), build_tree(RECIPE, tmp_path / "cache", guest=True)
    assert calls == [("busybox-static",), ("busybox-static", "systemd")]
    unit = guest.directory / "etc/systemd/system/bench-app.service"
    assert "--ready http:8081/ --exec /bin/app -p 8081\n" in unit.read_text()
    wanted = guest.directory / "etc/systemd/system/multi-user.target.wants/bench-app.service"
    assert wanted.resolve() == unit.resolve()
    assert not (plain.directory / "etc/systemd").exists()


def test_what_is_dropped_is_gone_with_all_below_it_and_nothing_else(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    names = names_of(build_tree(RECIPE, tmp_path / "cache"))
    assert not {name for name in names if name.startswith("usr/share/doc/") or name == "usr/share/doc"}
    assert "usr/share/documents" in names


def test_the_recipes_files_replace_the_packages_and_links_stay_links(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    tree = build_tree(RECIPE, tmp_path / "cache")
    assert (tree.directory / "etc/motd").read_text() == "ours\n"
    assert (tree.directory / "bin").is_symlink()
    assert (tree.directory / "usr/bin/su").stat().st_ino == (tree.directory / "usr/bin/su2").stat().st_ino
    assert (tree.directory / "usr/bin/su").stat().st_mode & 0o7777 == 0o4755


def test_packages_are_those_that_are_installed(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    assert build_tree(RECIPE, tmp_path / "cache").packages == ("first=1.2-3",)


def test_bytes_are_the_sum_of_the_files_in_the_tree(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    tree = build_tree(RECIPE, tmp_path / "cache")
    # su2 is a second name of su's one file.
    files = [path for path in tree.directory.rglob("*") if path.is_file() and not path.is_symlink()]
    assert tree.bytes == sum(path.stat().st_size for path in files if path.name != "su2")


def test_times_do_not_tell_when_it_was_built(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    tree = build_tree(RECIPE, tmp_path / "cache")
    with tarfile.open(tree.tar) as tar:
        assert {int(member.mtime) for member in tar} == {EPOCH}


def test_a_failed_build_leaves_nothing(tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'E: there is no package of that name' >&2\nexit 25\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    with pytest.raises(BuildError, match=r"(?s)failed \(25\).*no package of that name"):
        build_tree(RECIPE, tmp_path / "cache")
    assert list((tmp_path / "cache" / "rootfs").iterdir()) == []


def test_without_mmdebstrap_the_error_says_what_to_install(
    tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError) as caught:
        build_tree(RECIPE, tmp_path / "cache")
    assert caught.value.hint == "apt install mmdebstrap"


def test_mmdebstrap_is_given_a_suite_and_no_address(
    tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {said}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.delenv("BENCH_MIRROR", raising=False)
    with pytest.raises(BuildError):
        build_tree(RECIPE, tmp_path / "cache")
    words = said.read_text().split()
    assert "--include=busybox-static" in words
    assert "bookworm" in words
    assert [word for word in words if "://" in word] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in DIRECTORY.glob("*.toml")))
def test_every_recipe_of_the_suite_is_sound(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert "{port}" not in " ".join(recipe.command())
    assert str(recipe.port) in " ".join(recipe.command())


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("minimall")
    assert "minimal" in caught.value.hint


def test_every_fault_of_a_recipe_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('title = "t"\nvariant = "tiny"\napp = []\ncolour = "red"\n')
    with pytest.raises(ScenarioError) as caught:
        load_recipe("bad", tmp_path)
    assert [word for word in ("variant", "app", "colour") if f"bad.toml: {word}:" not in caught.value.message] == []


@pytest.mark.parametrize("path", ["etc/passwd", "/../etc/passwd", "/srv/../../x", "/"])
def test_a_recipe_cannot_write_outside_its_tree(tmp_path: Path, path: str) -> None:
    (tmp_path / "bad.toml").write_text(f'title = "t"\nvariant = "minbase"\napp = ["a"]\n[files]\n"{path}" = "x"\n')
    with pytest.raises(ScenarioError, match="inside the userland"):
        load_recipe("bad", tmp_path)
