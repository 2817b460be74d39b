"""Removes what a dead run left behind. The guardian's own program: standard library only, so that it starts at once.

Run as `python -I -S sweeper.py FRONT-PID FRONT-START RUN-ID` with a pipe as standard input. It reads lines of
tab-separated words until the pipe closes, the line "!" comes or the front process is gone, then sweeps and exits:

    +  kind  word …      watch this            -  kind  word …      forget it again            !      sweep now

    process     PID START               a process and its descendants; START is field 22 of /proc/PID/stat
    directory   PATH                    a tree, its mounts detached first; a component of PATH begins with "bench-"
    containers  SOCKET LABEL            containers, images, networks and volumes with that label, by the Engine API
    qemu        PREFIX [ROOT]           QEMU processes whose guest name begins with PREFIX (and that mention ROOT)
    netdev      NAME                    a network device; NAME begins with "bench"
    cgroup      NAME                    cgroups of that name in every hierarchy, their processes killed first
    marked      RUN-ID                  processes whose environment says BENCH_OWNER=RUN-ID

What it removed is written to standard output, a line each. A process is held by a pidfd (pidfd_open(2)) and looked at
again before the signal is sent: a number alone kills nobody. What the sweeper itself descends from is never killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import time

MARK = "BENCH_OWNER"
"""The environment variable by which a run's processes are known as its own."""

KINDS = ("containers", "images", "networks", "volumes")
"""What an engine may hold, in the order in which it can be removed."""

NOT_REMOVED = "NOT REMOVED"
"""How the line begins that tells of something that is still there."""

Entry = tuple[str, ...]
"""A kind and its words."""


class Watchlist:
    """What is to be swept, in the order in which it was named. Sweeping goes backwards."""

    def __init__(self) -> None:
        self.entries: dict[Entry, None] = {}
        self.due = False

    def take(self, line: str) -> None:
        """Read one line of the protocol; a line that makes no sense is ignored."""
        sign, *words = line.split("\t")
        if sign == "!":
            self.due = True
        elif sign == "+" and len(words) > 1:
            self.entries[tuple(words)] = None
        elif sign == "-" and len(words) > 1:
            # The start time of a process is the guardian's knowledge, not the caller's: released by its number.
            self.entries = {e: None for e in self.entries if e[: len(words)] != tuple(words)}

    def words(self, kind: str) -> list[Entry]:
        """Return the words of every entry of a kind, newest first."""
        return [entry[1:] for entry in reversed(self.entries) if entry[0] == kind]


def start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" if there is none (proc_pid_stat(5), field 22)."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; the second may hold blanks and parentheses."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read().decode("utf-8", "replace")
    return ""


def _everybody() -> dict[int, int]:
    """Return the parent of every living process."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if len(fields) > 1 and fields[0] != "Z":
                parents[int(name)] = int(fields[1])
    return parents


def doomed(watch: Watchlist, front: int) -> set[int]:
    """Return the processes to kill: all watched ones with their descendants, and all descendants of the front."""
    parents = _everybody()
    found = {pid for pid, parent in parents.items() if parent == front}
    found |= {int(pid) for pid, start in watch.words("process") if start and start_time(int(pid)) == start}
    for name, *_ in watch.words("cgroup"):
        found |= {int(p) for path in _cgroups(name) for p in _read(f"{path}/cgroup.procs").split()}
    marks = {f"{MARK}={run}" for run, *_ in watch.words("marked")}
    guests = watch.words("qemu")
    for pid in parents:
        marked = bool(marks) and not marks.isdisjoint(_read(f"/proc/{pid}/environ").split("\0"))
        if marked or (guests and _is_guest(_read(f"/proc/{pid}/cmdline"), guests)):
            found.add(pid)
    ours = {0, 1, front, *_line_of(os.getpid(), parents)}
    found -= ours
    grown = True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in found} - found - ours
        found |= children
        grown = bool(children)
    return found


def _line_of(pid: int, parents: dict[int, int]) -> set[int]:
    """Return a process and all that it descends from."""
    line = {pid}
    while (pid := parents.get(pid, 0)) and pid not in line:
        line.add(pid)
    return line


def _is_guest(command: str, guests: list[Entry]) -> bool:
    """Say whether a command line is that of a QEMU whose `-name` libvirt wrote with one of the prefixes."""
    arguments = command.split("\0")
    if "qemu" not in arguments[0]:
        return False
    names = [arguments[i + 1].removeprefix("guest=") for i, a in enumerate(arguments[:-1]) if a == "-name"]
    return any(
        any(name.startswith(prefix) for name in names) and all(word in command for word in root)
        for prefix, *root in guests
    )


def kill_all(watch: Watchlist, front: int, patience_s: float = 3.0) -> list[str]:
    """Kill until nothing is left to kill or the patience is over; return what was killed, by name."""
    killed = []
    deadline = time.monotonic() + patience_s
    while (pids := doomed(watch, front)) and time.monotonic() < deadline:
        handles = []
        for pid in pids:
            before = start_time(pid)
            name = _read(f"/proc/{pid}/comm").strip()
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(pid)
                handles.append(handle)
                if before and start_time(pid) == before:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed.append(f"process {name} {pid}")
        for handle in handles:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            os.close(handle)
    return list(dict.fromkeys(killed))


def _cgroups(name: str) -> list[str]:
    """Return the folders of all cgroups of this name and below, deepest first, in every hierarchy."""
    if not name or not name.rsplit("/", maxsplit=1)[-1].startswith("bench") or ".." in name:
        return []
    top = "/sys/fs/cgroup"
    places = [f"{top}/{name}", *(f"{top}/{h}/{name}" for h in (os.listdir(top) if os.path.isdir(top) else []))]
    return [path for place in places for path, _, _ in os.walk(place, topdown=False)]


def remove_cgroups(name: str) -> list[str]:
    """Remove the cgroups of this name, which must be empty by now."""
    removed = []
    for path in _cgroups(name):
        with contextlib.suppress(OSError):
            os.rmdir(path)
            removed.append(f"cgroup {path}")
    return removed


def remove_netdev(name: str) -> list[str]:
    """Delete a network device of ours."""
    if not name.startswith("bench") or not os.path.exists(f"/sys/class/net/{name}"):
        return []
    with contextlib.suppress(OSError):
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)]
        pid = os.posix_spawnp("ip", ["ip", "link", "delete", name], os.environ, file_actions=null)
        if os.waitpid(pid, 0)[1] == 0:
            return [f"network device {name}"]
    return []


def remove_directory(path: str) -> list[str]:
    """Detach every mount at or below the folder, then remove it. Refuses what is not named like ours."""
    if not path.startswith("/") or ".." in path.split("/"):
        return []
    # The kernel tells mounts by their real paths; the last part may itself be a link, which is removed as one.
    path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if not any(part.startswith("bench-") for part in path.split("/")) or not os.path.lexists(path):
        return []
    for _ in range(3):
        for mount in _mounts(path):
            _detach(mount)
    if _mounts(path):
        return [f"{NOT_REMOVED}, still mounted: directory {path}"]
    with contextlib.suppress(OSError):
        parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        _remove(os.path.basename(path), parent)
        os.close(parent)
    return [f"{NOT_REMOVED}: directory {path}" if os.path.lexists(path) else f"directory {path}"]


def _remove(name: str, parent: int) -> None:
    """Remove what an open folder holds by this name. No link is followed, no other file system entered."""
    with contextlib.suppress(OSError):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=parent)
        elif found.st_dev == os.fstat(parent).st_dev:
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            with contextlib.suppress(OSError):
                os.fchmod(folder, 0o700)  # its owner may have closed it to itself
            for below in os.listdir(folder):
                _remove(below, folder)
            os.close(folder)
            os.rmdir(name, dir_fd=parent)


def _mounts(path: str) -> list[str]:
    """Return the mount points at or below the folder, deepest first (proc_pid_mountinfo(5), field 5)."""
    found = []
    for line in _read("/proc/self/mountinfo").splitlines():
        point = line.split(" ", 5)[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
        if point == path or point.startswith(path.rstrip("/") + "/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def _detach(point: str) -> None:
    import ctypes

    detach, no_follow = 2, 8
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), detach | no_follow)


def remove_containers(socket_path: str, label: str) -> list[str]:
    """Remove what carries the label, by HTTP over the engine's socket: containers first, they hold the rest."""
    removed = []
    for kind in KINDS:
        tail = "" if kind == "networks" else "?force=1&v=1"
        for item in list_labelled(socket_path, kind, label):
            name = str(item["Name" if kind == "volumes" else "Id"])
            status, _ = ask(socket_path, "DELETE", f"/{kind}/{name}{tail}")
            done = status in (200, 204, 404)
            text = f"{kind.removesuffix('s')} {name.removeprefix('sha256:')[:12]}"
            removed.append(text if done else f"{NOT_REMOVED}: {text}")
    return removed


def list_labelled(socket_path: str, kind: str, label: str) -> list[dict[str, str]]:
    """Return the engine's objects of one kind that carry the label; empty when the engine does not answer."""
    import json

    filters = "".join(f"%{byte:02X}" for byte in json.dumps({"label": [label]}).encode())
    path = f"/{kind}/json?all=1&" if kind == "containers" else "/images/json?" if kind == "images" else f"/{kind}?"
    status, body = ask(socket_path, "GET", f"{path}filters={filters}")
    try:
        content = json.loads(body) if status == 200 else []
    except ValueError:
        return []
    return (content.get("Volumes") or []) if isinstance(content, dict) else (content or [])


def ask(socket_path: str, method: str, path: str, patience_s: float = 10.0) -> tuple[int, bytes]:
    """Return (status, body) of one HTTP/1.0 request over a UNIX socket; (0, b"") when nobody answers.

    HTTP/1.0 makes the engine answer without chunks and close the connection.
    """
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(patience_s)
            link.connect(socket_path)
            link.sendall(f"{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
            answer = b""
            while part := link.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body
    except (OSError, ValueError, IndexError):
        return 0, b""


def sweep(watch: Watchlist, front: int) -> list[str]:
    """Remove everything on the list: containers while their engine lives, processes, devices, cgroups, folders.

    Engines that live on are asked once more when their clients are dead: what those had asked for may have come late.
    """
    engines = watch.words("containers")
    removed = [line for engine in engines for line in remove_containers(*engine) if NOT_REMOVED not in line]
    removed += kill_all(watch, front)
    removed += [line for engine in engines for line in remove_containers(*engine)]
    for name, *_ in watch.words("netdev"):
        removed += remove_netdev(name)
    for name, *_ in watch.words("cgroup"):
        removed += remove_cgroups(name)
    for path, *_ in watch.words("directory"):
        removed += remove_directory(path)
    return removed


def wait_for_the_end(watch: Watchlist, front: int, started: str) -> None:
    """Read the pipe until it closes, somebody asks for the sweep, or the front process is gone."""
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    with contextlib.suppress(OSError):
        poll.register(os.pidfd_open(front), select.POLLIN)
    if start_time(front) != started:
        return
    rest = b""
    while not watch.due:
        ready = dict(poll.poll())
        if 0 in ready:
            data = os.read(0, 65536)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                watch.take(line.decode("utf-8", "surrogateescape"))
            if not data:
                return
        elif ready:
            return


def main() -> None:
    """Live until the run is over, then sweep."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    front, started, run_id = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    watch = Watchlist()
    watch.take(f"+\tmarked\t{run_id}")
    wait_for_the_end(watch, front, started)
    # No process has the parent -1: without its children there is nothing to know the front by.
    for line in sweep(watch, -1 if sys.argv[4:] else front):
        with contextlib.suppress(OSError):
            os.write(1, f"{line}\n".encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
