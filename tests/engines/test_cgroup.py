"""The reader of control groups, version 2, against a real kernel that has nothing else: that of a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.clock import Event
from bench.collectors.cgroup import memory_group, read_charge, read_cpu_ns
from tests.conftest import Engines

MIB = 1 << 20

MOUNTED = "mount -t cgroup2 none /sys/fs/cgroup && echo '+memory +cpu' >/sys/fs/cgroup/cgroup.subtree_control"

# In a group of its own: 8 MiB written to a file, and a dd that holds a buffer of 16 MiB because nobody reads its pipe.
HELD = (
    "mkdir /sys/fs/cgroup/box && { sh -c 'echo $$ >/sys/fs/cgroup/box/cgroup.procs;"
    " head -c 8388608 /dev/zero >/held; dd if=/dev/zero bs=16777216 count=1 | sleep 600' >/dev/null 2>&1 & }"
)

SETTLED = "for n in $(seq 300); do [ $(cat /sys/fs/cgroup/box/memory.current) -gt 26000000 ] && break; sleep 0.1; done"

SHOWN = (
    "for f in /proc/self/mountinfo /sys/fs/cgroup/box/cgroup.type /sys/fs/cgroup/box/memory.current"
    " /sys/fs/cgroup/box/memory.stat /sys/fs/cgroup/box/cpu.stat"
    " $(for p in $(cat /sys/fs/cgroup/box/cgroup.procs); do echo /proc/$p/cgroup /proc/$p/status /proc/$p/stat; done);"
    ' do echo "== $f"; cat $f; done'
)


def copied(text: str, root: Path) -> list[int]:
    """Lay the guest's files out below a folder, byte by byte as they were read; return the group's processes."""
    for part in text.split("== ")[1:]:
        name, _, content = part.partition("\n")
        place = root / name.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, "utf-8")
    return sorted(int(path.parent.name) for path in root.glob("proc/[0-9]*/cgroup"))


@pytest.mark.slow
def test_version_two_is_read_as_the_kernel_means_it(engines: Engines, tmp_path: Path) -> None:
    bench = engines.workbench(engines.subject("vm-direct-tuned"))
    with bench.launched() as instance:
        bench.wait(instance, Event.READY)
        for command in (MOUNTED, HELD, SETTLED):
            assert instance.channel.run(command, 120.0) == (0, b"")
        code, output = instance.channel.run(SHOWN, 60.0)
    assert code == 0, output
    pids = copied(output.decode("utf-8", "replace"), tmp_path)
    assert len(pids) == 3, "sh, dd and sleep"

    groups = {memory_group(pid, tmp_path / "proc", tmp_path) for pid in pids}
    assert {(g.version, g.name, g.path) for g in groups if g} == {(2, "/box", tmp_path / "sys/fs/cgroup/box")}
    (group,) = groups
    assert group is not None
    charge = read_charge(group)
    assert charge.current is not None
    assert charge.anon is not None
    assert charge.file is not None
    assert charge.kernel is not None
    # What the kernel says of the same processes in another place.
    status = [(tmp_path / f"proc/{pid}/status").read_text("utf-8") for pid in pids]
    resident = sum(int(line.split()[1]) << 10 for s in status for line in s.splitlines() if line.startswith("RssAnon:"))
    assert charge.anon == pytest.approx(resident, abs=MIB)
    assert 16 * MIB <= charge.anon < 18 * MIB
    assert 8 * MIB <= charge.file < 10 * MIB
    # The counters of one group are folded per CPU, a few pages late (mm/memcontrol.c).
    assert charge.current == pytest.approx(charge.anon + charge.file + charge.kernel, abs=MIB)

    used = read_cpu_ns(group)
    assert used is not None
    ticks = [(tmp_path / f"proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:15] for pid in pids]
    assert used / 1e9 == pytest.approx(sum(int(n) for fields in ticks for n in fields) / 100, abs=0.1)
