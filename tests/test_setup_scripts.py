"""The set-up scripts, run for real in a checkout of their own, with a PATH on which only stand-ins are found.

The stand-ins for apt-get, Python and pip write down how they were called and do in a moment what the real ones do
in a minute. Paths such as /usr/include cannot be faked, so the tests speak of commands only: cc, crun, docker.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("awk", "cat", "chmod", "cp", "cut", "dirname", "flock", "grep", "mkdir", "printf", "readlink", "rm", "sed")
MORE_TOOLS = ("bash", "env", "mktemp", "nice", "sh", "sha256sum", "sleep", "sort", "tail", "timeout", "touch", "tr")

APT = """#!/bin/sh
echo "apt-get $*" >>"$CALLS"
case " $* " in *" install "*) ;; *) exit 0 ;; esac
[ ! -e "$FAILURES/apt" ] || case " $* " in *" gcc "*crun*|*crun*" gcc "*) exit 100 ;; esac
case " $* " in *" gcc "*) cp "$STUBS/id" "$STUBS/cc" ;; esac
case " $* " in *" crun "*) [ -e "$FAILURES/apt" ] && exit 100; cp "$STUBS/id" "$STUBS/crun" ;; esac
exit 0
"""
PYTHON = """#!/bin/sh
case "$*" in
    "-I - "*) exit 0 ;;
    "-c import libvirt") [ -e "${0%/*}/libvirt" ] ;;
    "-m venv "*)
        echo "venv" >>"$CALLS"
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"-m pip "*libvirt.txt*)
        echo "pip libvirt" >>"$CALLS"
        [ ! -e "$FAILURES/libvirt" ] || { echo "no compiler today"; exit 1; }
        touch "${0%/*}/libvirt" ;;
    *"-m pip "*--editable*)
        echo "pip project" >>"$CALLS"
        printf '#!/bin/sh\\nprintf "<%%s>" "$@"\\nexit "${ANSWER:-0}"\\n' >"${0%/*}/bench"
        chmod +x "${0%/*}/bench" ;;
    *"-m pip "*)
        echo "pip wheels" >>"$CALLS"
        sleep "${PIP_TAKES:-0}"
        [ ! -e "$FAILURES/pip" ] || { echo "the index is on fire"; exit 1; } ;;
    "-m "*) echo "CI=${CI:-} $*" >>"$CALLS" ;;
esac
"""


class Checkout:
    """A checkout with the real scripts, and a host of stand-ins around it."""

    def __init__(self, place: Path) -> None:
        self.root = place / "a checkout"
        self.stubs = place / "bin"
        self.failures = place / "failures"
        self.calls_file = place / "calls"
        for folder in (self.root, self.stubs, self.failures, self.root / ".ci"):
            folder.mkdir()
        self.calls_file.touch()
        for name in (".setup.sh", "bench.sh", "test.sh", "requirements.lock", "pyproject.toml", ".ci/run"):
            shutil.copy2(ROOT / name, self.root / name)
        for name in (*TOOLS, *MORE_TOOLS):
            if found := shutil.which(name):
                (self.stubs / name).symlink_to(found)
        self.stub("id", "#!/bin/sh\necho 0\n")
        self.stub("apt-get", APT)
        self.stub("apt-cache", "#!/bin/sh\n[ $2 != docker-cli ]\n")
        self.stub("python", PYTHON)
        self.stub("unshare", '#!/bin/sh\nshift 5\nexec "$@"\n')
        for command in self.commands():
            self.stub(command, "#!/bin/sh\n")

    def commands(self) -> list[str]:
        """Return every command of the scripts' table."""
        table = subprocess.run(
            ["sh", "-c", 'ROOT=.; . "$1"; things', "sh", str(ROOT / ".setup.sh")],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        probes = [probe for line in table.splitlines() for probe in line.split()[1].split(",")]
        return [probe for probe in probes if not probe.startswith("/")]

    def stub(self, name: str, text: str) -> None:
        """Put a stand-in on the PATH."""
        path = self.stubs / name
        path.write_text(text)
        path.chmod(0o755)

    def lack(self, *names: str) -> None:
        """Take commands away."""
        for name in names:
            (self.stubs / name).unlink()

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of the scripts."""
        return {
            "PATH": str(self.stubs), "STUBS": str(self.stubs), "FAILURES": str(self.failures),
            "CALLS": str(self.calls_file), "BENCH_PYTHON": str(self.stubs / "python"), **more,
        }  # fmt: skip

    def run(self, *arguments: str, script: str = "bench.sh", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a script from another folder than its own."""
        command = [str(self.root / script), *arguments]
        return subprocess.run(
            command,
            cwd=self.stubs,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        """What the stand-ins were asked since the last look."""
        calls = self.calls_file.read_text().splitlines()
        self.calls_file.write_text("")
        return calls

    def python_calls(self) -> list[str]:
        """The calls without those of apt-get."""
        return [call for call in self.calls if not call.startswith("apt-get")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


EVERYTHING = ["venv", "pip wheels", "pip libvirt", "pip project"]


def builds_libvirt() -> Sequence[str]:
    """Return what a first run does on this host: the bindings need libvirt's real header."""
    return [c for c in EVERYTHING if c != "pip libvirt" or Path("/usr/include/libvirt/libvirt.h").exists()]


def test_first_run_installs_then_hands_everything_to_bench(checkout: Checkout) -> None:
    checkout.lack("cc", "crun")
    done = checkout.run("run", "all", "--label", "two words", "", ANSWER="5")
    assert done.stdout == "<run><all><--label><two words><>"
    assert done.returncode == 5
    calls = checkout.calls
    update, install = (call for call in calls if call.startswith("apt-get"))
    assert update.endswith(" update")
    assert " install --no-install-recommends " in install
    assert {"gcc", "crun"} <= set(install.split())
    assert "docker.io" not in install.split(), "docker is there already, perhaps of another brand"
    assert [call for call in calls if not call.startswith("apt-get")] == builds_libvirt()


def test_second_run_does_nothing_and_is_quick(checkout: Checkout) -> None:
    began = time.monotonic()
    checkout.run()
    first = time.monotonic() - began
    assert checkout.calls
    began = time.monotonic()
    done = checkout.run("doctor")
    assert time.monotonic() - began < first, "even where nothing is really installed"
    assert (done.stdout, done.stderr) == ("<doctor>", "")
    assert checkout.calls == []


def test_docker_is_announced_before_it_is_installed(checkout: Checkout) -> None:
    checkout.lack("docker", "dockerd")
    done = checkout.run()
    (install,) = [call for call in checkout.calls if " install " in call]
    assert "docker.io" in install.split()
    assert "starts the Docker daemon" in done.stderr


def test_a_failed_install_ends_with_69_and_is_repaired(checkout: Checkout) -> None:
    (checkout.failures / "pip").touch()
    done = checkout.run("run", "all")
    assert done.returncode == 69
    assert "the index is on fire" in done.stderr, "the log's end is shown"
    assert done.stdout == ""
    half_made = checkout.root / ".venv" / "half-made"
    half_made.touch()
    (checkout.failures / "pip").unlink()
    assert checkout.calls
    assert checkout.run("doctor").stdout == "<doctor>"
    assert checkout.python_calls() == builds_libvirt()
    assert not half_made.exists()


@pytest.mark.parametrize("damage", ["bin/python", "bin/bench", ".setup/packages", ".setup/project"])
def test_a_damaged_environment_is_not_trusted(checkout: Checkout, damage: str) -> None:
    checkout.run()
    (checkout.root / ".venv" / damage).unlink()
    assert checkout.calls
    assert checkout.run("doctor").stdout == "<doctor>"
    assert "pip project" in checkout.python_calls()
    assert checkout.run("doctor").stderr == ""


def test_a_new_lock_builds_anew(checkout: Checkout) -> None:
    checkout.run()
    with (checkout.root / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert checkout.calls
    checkout.run()
    assert checkout.python_calls() == builds_libvirt()


def test_a_new_pyproject_only_installs_the_project(checkout: Checkout) -> None:
    checkout.run()
    with (checkout.root / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert checkout.calls
    checkout.run()
    assert "pip project" in (calls := checkout.python_calls())
    assert "venv" not in calls
    assert "pip wheels" not in calls


def test_a_moved_checkout_builds_anew(checkout: Checkout) -> None:
    checkout.run()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.calls
    assert checkout.run("doctor").stdout == "<doctor>"
    assert "venv" in checkout.python_calls()


def test_who_is_not_root_is_told_and_goes_on_without_an_engine(checkout: Checkout) -> None:
    checkout.stub("id", "#!/bin/sh\necho 1000\n")
    checkout.lack("crun")
    done = checkout.run("doctor")
    assert done.stdout == "<doctor>"
    assert "apt-get install --no-install-recommends" in done.stderr
    assert "crun" in done.stderr.split()
    assert not [call for call in checkout.calls if call.startswith("apt-get")]
    assert checkout.run("doctor").stderr == "", "it is said once"


def test_who_is_not_root_is_stopped_without_a_compiler(checkout: Checkout) -> None:
    checkout.stub("id", "#!/bin/sh\necho 1000\n")
    checkout.lack("cc")
    done = checkout.run("doctor")
    assert done.returncode == 69
    assert "gcc" in done.stderr.split()
    assert "C compiler" in done.stderr
    assert checkout.calls == []


def test_installing_can_be_forbidden(checkout: Checkout) -> None:
    checkout.lack("crun")
    done = checkout.run("doctor", BENCH_NO_INSTALL="1")
    assert done.stdout == "<doctor>"
    assert not [call for call in checkout.calls if call.startswith("apt-get")]


@pytest.mark.parametrize(("tool", "package"), [("dnf", "qemu-img"), ("pacman", "qemu-img")])
def test_other_distributions_get_their_command(checkout: Checkout, tool: str, package: str) -> None:
    checkout.lack("apt-get", "apt-cache", "qemu-img", "mmdebstrap")
    checkout.stub(tool, '#!/bin/sh\necho "installed something" >>"$CALLS"\n')
    done = checkout.run("doctor")
    assert done.stdout == "<doctor>"
    (command,) = [line for line in done.stderr.splitlines() if line.strip().startswith(tool)]
    assert package in command.split()
    assert "-" not in command.split(), "what the distribution does not have is left out"
    assert "installed something" not in checkout.calls


def test_one_package_that_cannot_be_had_costs_only_itself(checkout: Checkout) -> None:
    checkout.lack("cc", "crun")
    (checkout.failures / "apt").touch()
    done = checkout.run("doctor")
    assert done.stdout == "<doctor>"
    assert "going on without crun" in done.stderr
    assert (checkout.stubs / "cc").exists()
    assert checkout.calls
    assert checkout.run("doctor").stderr == "", "it is not tried again and again"
    assert checkout.calls == []


def test_a_package_that_no_list_knows_is_not_asked_for(checkout: Checkout) -> None:
    checkout.stub("apt-cache", "#!/bin/sh\n[ $2 != criu ]\n")
    checkout.lack("criu")
    done = checkout.run("doctor")
    assert done.stdout == "<doctor>"
    assert not [call for call in checkout.calls if " install " in call]
    checkout.lack("crun")
    done = checkout.run("doctor")
    (install,) = [call for call in checkout.calls if " install " in call]
    assert "crun" in install.split()
    assert not {"criu", "-"} & set(install.split())


def test_a_package_that_came_later_is_noticed(checkout: Checkout) -> None:
    checkout.lack("crun")
    checkout.run("doctor", BENCH_NO_INSTALL="1")
    checkout.stub("crun", "#!/bin/sh\n")
    assert checkout.run("doctor").stdout == "<doctor>"
    assert checkout.run("doctor").stderr == ""


def test_bindings_that_cannot_be_built_cost_only_the_vms(checkout: Checkout) -> None:
    if "pip libvirt" not in builds_libvirt():
        pytest.fail("this host lacks libvirt-dev, which test.sh installs")
    (checkout.failures / "libvirt").touch()
    done = checkout.run("doctor")
    assert done.stdout == "<doctor>"
    assert "no compiler today" in done.stderr
    assert "VM subjects are left out" in done.stderr


def test_without_any_python_it_says_so(checkout: Checkout) -> None:
    done = checkout.run("doctor", BENCH_PYTHON=str(checkout.stubs / "nothing"), BENCH_NO_INSTALL="1")
    assert done.returncode == 69
    assert "Python 3.11" in done.stderr


def test_two_first_runs_at_once_build_once(checkout: Checkout) -> None:
    command = [str(checkout.root / "bench.sh"), "doctor"]
    pair = [
        subprocess.Popen(command, env=checkout.environment(PIP_TAKES="1"), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[0] for process in pair] == ["<doctor>", "<doctor>"]
    assert checkout.python_calls() == builds_libvirt()


def test_test_script_gives_its_arguments_to_pytest(checkout: Checkout) -> None:
    assert checkout.run("tests/unit", "-k", "plan", script="test.sh").returncode == 0
    assert checkout.python_calls()[-1] == "CI= -m pytest tests/unit -k plan"


def test_ci_runs_every_check(checkout: Checkout) -> None:
    done = checkout.run(script=".ci/run")
    assert done.returncode == 0, done.stderr
    checks = [call for call in checkout.python_calls() if call.startswith("CI=")]
    assert [call for call in checks if "pytest" not in call and "userlands" not in call] == [
        "CI=true -m ruff check", "CI=true -m ruff format --check", "CI=true -m mypy",
    ]  # fmt: skip
    assert "CI=true -m tests.userlands" in checks[:4], "built before anything is measured"
    assert len(checks) == 7
    alone, *together = [call.partition("--durations=25 ")[2] for call in checks[4:]]
    beside, long = sorted(together, key=len, reverse=True)
    assert beside == "tests " + " ".join(f"--ignore={path}" for path in (*alone.split(), long)), "all there is, once"


@pytest.mark.parametrize(
    "failing",
    ["-m tests.userlands", "-m mypy", "-m pytest*tests/benchmarks *", "-m pytest*_run_all.py", "-m pytest*tests --*"],
)
def test_one_failed_check_fails_the_whole(checkout: Checkout, failing: str) -> None:
    checkout.run(script="test.sh")
    python = checkout.root / ".venv" / "bin" / "python"
    pattern = failing.replace(" ", "\\ ")
    python.write_text(f'#!/bin/sh\necho "$*" >>"$CALLS"\ncase "$*" in {pattern}) exit 1 ;; esac\n')
    assert checkout.calls
    assert checkout.run(script="test.sh").returncode == 1
    assert len(checkout.calls) == 7, "the others are still run"


BUSY = """#!/bin/sh
case "$*" in
    *"tests --ignore"*)
        trap 'sleep 0.5; echo "tidied up" >>"$CALLS"; exit 2' INT
        echo "beside" >>"$CALLS"
        while :; do sleep 0.1; done ;;
    *_run_all.py) exec sleep 60 ;;
esac
"""


def test_tests_beside_are_given_the_time_to_tidy_up(checkout: Checkout) -> None:
    checkout.run(script="test.sh")
    (checkout.root / ".venv" / "bin" / "python").write_text(BUSY)
    command = [str(checkout.root / "test.sh")]
    with subprocess.Popen(command, env=checkout.environment(), stderr=subprocess.PIPE, start_new_session=True) as tests:
        assert until(lambda: "beside" in checkout.calls)
        # As a terminal does at Ctrl-C, and as `timeout` does: all of them are told.
        os.killpg(tests.pid, signal.SIGINT)
        assert tests.wait(30) == 130
    assert checkout.calls == ["tidied up"]


def test_what_runs_beside_the_long_run_has_files_of_its_own(tmp_path: Path) -> None:
    for name in ("cache", "place"):
        (tmp_path / name).mkdir()
    (tmp_path / "cache" / "tree").write_text("", "utf-8")
    files = [tmp_path / "cache" / "tree", *map(Path, filter(None, map(shutil.which, ("runc", "qemu-system-x86_64"))))]
    apart = [str(ROOT / "tests" / "apart.sh"), str(tmp_path / "place"), "stat", "--format", "%i", *map(str, files)]
    command = ["unshare", "--mount", "--propagation", "private", *apart]
    environment = {**os.environ, "BENCH_CACHE": str(tmp_path / "cache")}
    seen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert len(seen) == len(files)
    assert not {int(number) for number in seen} & {file.stat().st_ino for file in files}


@pytest.mark.parametrize("script", ["bench.sh", "test.sh", ".ci/run", "tests/apart.sh"])
def test_scripts_can_be_run(script: str) -> None:
    assert (ROOT / script).stat().st_mode & stat.S_IXUSR
    assert os.access(ROOT / script, os.X_OK)
