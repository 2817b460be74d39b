"""Findings: each rule speaks when it should, is silent when it should, and names a way out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.collectors.host import State
from bench.host import findings
from bench.host.facts import Facts, read_facts
from bench.host.findings import KvmOutcome, Level, find

GIB = 2**30


@pytest.fixture
def good(tmp_path: Path) -> Facts:
    """Return a host of which there is nothing to say."""
    empty = read_facts(tmp_path)
    return changed(
        empty,
        kernel={"clocksource": "tsc", "clocksources": ("tsc", "hpet"), "cgroup_version": "v2"},
        cpu={"count": 8, "smt": State.OFF, "boost": State.OFF, "governors": ("performance",)},
        memory={
            "available_bytes": 16 * GIB,
            "swap_used_bytes": 0,
            "transparent_hugepages": "madvise",
            "ksm": State.OFF,
        },
        load={"steal_share": 0.0, "pressure": {"cpu": 0.01}, "load": (0.1, 0.1, 0.1)},
        virtualisation={"guest": State.OFF, "kvm_present": State.ON, "kvm_openable": State.ON},
        storage={"free_bytes": 100 * GIB, "rotational": State.OFF},
    )


def changed(facts: Facts, **sections: dict[str, Any]) -> Facts:
    """Return the facts with some fields of some sections changed."""
    new = {name: dataclasses.replace(getattr(facts, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(facts, **new)


def test_a_good_host_is_passed_over_in_silence(good: Facts) -> None:
    assert find(good, kvm=KvmOutcome.WORKS) == []


@pytest.mark.parametrize(
    ("rule", "level", "change"),
    [
        ("virtual-host", Level.WARNING, {"virtualisation": {"guest": State.ON, "hypervisor": "xen"}}),
        ("virtual-host", Level.UNKNOWN, {"virtualisation": {"guest": State.UNKNOWN}}),
        ("kvm", Level.PROBLEM, {"virtualisation": {"kvm_present": State.OFF, "kvm_openable": State.OFF}}),
        ("kvm", Level.PROBLEM, {"virtualisation": {"kvm_openable": State.OFF}}),
        ("steal", Level.WARNING, {"load": {"steal_share": 0.02}}),
        ("governor", Level.WARNING, {"cpu": {"governors": ("performance", "powersave")}}),
        ("boost", Level.INFO, {"cpu": {"boost": State.ON}}),
        ("smt", Level.INFO, {"cpu": {"smt": State.ON}}),
        ("swap", Level.WARNING, {"memory": {"swap_used_bytes": 1}}),
        ("pressure", Level.UNKNOWN, {"load": {"pressure": None}}),
        ("pressure", Level.WARNING, {"load": {"pressure": {"cpu": 0.0, "io": 0.3}}}),
        ("load", Level.WARNING, {"load": {"load": (4.0, 0.0, 0.0)}}),
        ("cgroups", Level.WARNING, {"kernel": {"cgroup_version": "hybrid"}}),
        ("cgroups", Level.WARNING, {"kernel": {"cgroup_version": "v1"}}),
        ("cgroups", Level.PROBLEM, {"kernel": {"cgroup_version": None}}),
        ("ksm", Level.WARNING, {"memory": {"ksm": State.ON}}),
        ("huge-pages", Level.INFO, {"memory": {"transparent_hugepages": "always"}}),
        ("clock", Level.WARNING, {"kernel": {"clocksource": "hpet"}}),
        ("clock", Level.UNKNOWN, {"kernel": {"clocksource": None}}),
        ("disk-space", Level.WARNING, {"storage": {"free_bytes": 9 * GIB}}),
        ("disk-space", Level.PROBLEM, {"storage": {"free_bytes": 0}}),
        ("memory", Level.WARNING, {"memory": {"available_bytes": 3 * GIB}}),
        ("memory", Level.PROBLEM, {"memory": {"available_bytes": 0}}),
        ("spinning-disk", Level.WARNING, {"storage": {"rotational": State.ON}}),
        ("container", Level.INFO, {"kernel": {"container": "docker"}}),
    ],
)
def test_each_rule_speaks_alone(good: Facts, rule: str, level: Level, change: dict[str, dict[str, Any]]) -> None:
    (found,) = find(changed(good, **change), kvm=KvmOutcome.WORKS)
    assert (found.rule, found.level) == (rule, level)
    assert found.what.endswith(".")
    assert found.why
    assert found.remedy


@pytest.mark.parametrize(
    "change",
    [
        {"load": {"steal_share": None, "load": None}},
        {"load": {"steal_share": 0.004, "load": (3.9, 9.0, 9.0), "pressure": {"cpu": 0.099}}},
        {"memory": {"swap_used_bytes": None, "available_bytes": None, "ksm": State.UNKNOWN}},
        {"cpu": {"governors": (), "boost": State.UNKNOWN, "smt": State.UNKNOWN, "count": None}},
        {"kernel": {"clocksource": "kvm-clock"}},
        {"storage": {"free_bytes": 10 * GIB, "rotational": State.UNKNOWN}},
    ],
)
def test_what_is_quiet_or_not_told_raises_no_alarm(good: Facts, change: dict[str, dict[str, Any]]) -> None:
    assert find(changed(good, **change), kvm=KvmOutcome.WORKS) == []


def test_a_disk_of_a_virtual_host_may_call_itself_what_it_likes(good: Facts) -> None:
    seen = changed(good, storage={"rotational": State.ON}, virtualisation={"guest": State.ON})
    assert [finding.rule for finding in find(seen, kvm=KvmOutcome.WORKS)] == ["virtual-host"]


@pytest.mark.parametrize(
    ("proof", "levels"),
    [
        (KvmOutcome.WORKS, []),
        (KvmOutcome.UNTRIED, [Level.UNKNOWN]),
        (KvmOutcome.ROM_ONLY, [Level.PROBLEM]),
        (KvmOutcome.FAILS, [Level.PROBLEM]),
    ],
)
def test_a_device_that_opens_is_no_proof(good: Facts, proof: KvmOutcome, levels: list[Level]) -> None:
    assert [finding.level for finding in find(good, kvm=proof)] == levels


@pytest.mark.parametrize(("seconds", "speaks"), [(None, False), (0.01, False), (1.4, True)])
def test_a_slow_reaper_is_named(good: Facts, seconds: float | None, speaks: bool) -> None:
    seen = dataclasses.replace(changed(good, kernel={"first_process": "tini"}), reap_latency_s=seconds)
    found = find(seen, kvm=KvmOutcome.WORKS)
    assert bool(found) is speaks
    assert all("1.40 s" in finding.what and "tini" in finding.what for finding in found)


@pytest.mark.parametrize(("driver", "speaks"), [("overlay2", False), ("vfs", True)])
def test_a_copying_storage_driver_is_named(good: Facts, driver: str, speaks: bool) -> None:
    found = find(good, kvm=KvmOutcome.WORKS, engines={"docker": {"storage driver": driver}, "oci": {}})
    assert [finding.rule for finding in found] == ["storage-driver"] * speaks


def test_the_gravest_comes_first(good: Facts) -> None:
    seen = changed(
        good, cpu={"smt": State.ON}, load={"pressure": None, "steal_share": 0.5}, storage={"free_bytes": 0}
    )  # fmt: skip
    levels = [finding.level for finding in find(seen, kvm=KvmOutcome.WORKS)]
    assert levels == [Level.PROBLEM, Level.WARNING, Level.UNKNOWN, Level.INFO]


def test_every_rule_is_in_the_table() -> None:
    rules = {
        value
        for value in vars(findings).values()
        if callable(value) and getattr(value, "__annotations__", {}).keys() == {"facts", "return"}
    }
    assert rules == set(findings.RULES)
