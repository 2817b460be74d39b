"""Runs made by hand for the tests of the report: small, whole, with everything a report has to draw."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.store import Run

SUBJECTS: Mapping[str, Mapping[str, Any]] = {
    "process": {"name": "process", "title": "the floor", "backend": "process", "rung": 0},
    "process-twin": {"name": "process-twin", "title": "again", "backend": "process", "rung": 1, "twin_of": "process"},
    "docker": {"name": "docker", "title": "Docker", "backend": "docker", "rung": 30},
    "vm-bare@kvm": {"name": "vm-bare", "title": "a bare VM", "backend": "libvirt", "rung": 40, "accelerator": "kvm"},
    "vm-distro@tcg": {"name": "vm-distro", "title": "a VM", "backend": "libvirt", "rung": 60, "accelerator": "tcg"},
    "podman": {"name": "podman", "title": "Podman", "backend": "podman", "rung": 70},
}

SECONDS = {"process": 0.004, "process-twin": 0.00402, "docker": 0.4, "vm-bare@kvm": 0.3, "vm-distro@tcg": 40.0}

STARTUP: Mapping[str, Any] = {
    "title": "Starting", "question": "How long?", "headline": "requested→ready", "baseline": "process", "order": 10,
    "metrics": [
        {"name": "requested→ready", "unit": "s", "better": "lower", "title": "until the workload answers"},
        {"name": "requested→init", "unit": "s", "better": "lower", "title": "until the first instruction"},
    ],
}  # fmt: skip

MEMORY: Mapping[str, Any] = {
    "title": "Memory", "question": "How much?", "headline": "pss", "baseline": "process", "order": 20,
    "metrics": [{"name": "pss", "unit": "B", "better": "lower", "title": "proportional set size"}],
    "excluded": {"podman": "nobody asked"},
}  # fmt: skip

DISK: Mapping[str, Any] = {
    "title": "Disk", "question": "How many bytes?", "headline": "three-instances", "baseline": "docker", "order": 30,
    "metrics": [{"name": n, "unit": "B", "better": "lower"} for n in ("three-instances", "shared", "unique")],
}  # fmt: skip

PHASES = {"requested→created": 0.3, "created→init": 0.5, "init→ready": 0.2}

FACTS = {"cpu": {"model": "a processor", "cores": 2, "boost": None}, "memory": {"total_bytes": 8 << 30}, "host": "here"}


def row(scenario: str, subject: str, metric: str, value: float | None, block: int, **more: Any) -> dict[str, Any]:
    """Return one row of samples as the store gives it."""
    known = {
        "run_id": "run-1", "host_id": "host", "scenario": scenario, "subject": subject, "backend": "any", "params": {},
        "trial": block * 10 + list(SUBJECTS).index(subject) if subject in SUBJECTS else block, "block": block,
        "position": 0, "instance": "i", "metric": metric, "value": value, "low": None, "high": None, "unit": "s",
        "better": "lower", "phase": "measure", "status": "ok" if value is not None else "failed",
        "reason": "" if value is not None else "it broke", "event_from": "", "event_to": "",
        "started_ns": block * 10**9, "steal_s": 0.0, "pressure_cpu_s": 0.01, "pressure_io_s": None,
        "pressure_memory_s": 0.0, "load": 0.5,
    }  # fmt: skip
    return {**known, **more}


def startup_rows(blocks: int) -> Iterator[dict[str, Any]]:
    """Yield the samples of a startup scenario; every third trial of docker fails, podman is skipped."""
    for block, (subject, typical) in itertools.product(range(blocks), SECONDS.items()):
        if subject == "docker" and block % 3 == 2:
            yield row("startup", subject, "requested→ready", None, block, reason="bench-ab12cd-7 ended before ready")
            continue
        value = typical * (1.0 + 0.01 * ((block * 7) % 5))
        yield row("startup", subject, "requested→ready", value, block)
        yield row("startup", subject, "requested→init", value * 0.8, block)
        for place, (name, share) in enumerate(
            {"requested→created": 0.3, "created→init": 0.5, "init→ready": 0.2}.items()
        ):
            yield row("startup", subject, name, value * share, block, params={"part": "phase", "place": str(place)})
    for metric in ("requested→ready", "requested→init"):
        yield row("startup", "podman", metric, None, -1, trial=-1, status="skipped", reason="it is not installed")


def memory_rows(blocks: int) -> Iterator[dict[str, Any]]:
    """Yield PSS by owner for one and three instances."""
    parts = {"process": {"workload": 1.0}, "docker": {"workload": 1.2, "shim": 9.0, "control-plane": 100.0},
             "vm-distro@tcg": {"vmm": 400.0, "control-plane": 20.0}}  # fmt: skip
    for block, (subject, owned), count in itertools.product(range(blocks), parts.items(), (1, 3)):
        sizes = {part: size * 2**20 * (1 if part == "control-plane" else count) for part, size in owned.items()}
        for part, size in {**sizes, "total": sum(sizes.values())}.items():
            params = {"part": part, "instances": str(count)}
            yield row("memory", subject, "pss", size + block * 4096, block, params=params, unit="B")


def disk_rows() -> Iterator[dict[str, Any]]:
    """Yield shared and unique bytes of three instances, one block."""
    for subject, shared in {"docker": 3 << 20, "vm-distro@tcg": 700 << 20}.items():
        yield row("disk", subject, "shared", shared, 0, unit="B")
        for number in (1, 2, 3):
            yield row("disk", subject, "unique", 4096.0 * number, 0, unit="B", params={"instance": str(number)})
        yield row("disk", subject, "three-instances", shared + 24576.0, 0, unit="B")


def make_run(blocks: int = 9, folder: Path = Path("nowhere"), **changes: Any) -> Run:
    """Return a whole run of three scenarios with so many blocks."""
    info = {
        "run_id": "run-1", "schema_version": 1, "started": "2026-01-02T03:04:05Z", "ending": "complete", "seed": 7,
        "profile": {"name": "quick"}, "command": "bench run all --seed 7", "bench_version": "0.1.0",
        "git_commit": "abc",
        "scenarios": {"startup": STARTUP, "memory": MEMORY, "disk": DISK}, "subjects": SUBJECTS, "trials": 45,
        "manifests": {
            "docker": {"rootfs": "minimal", "agent": "sha256:1"}, "vm-bare@kvm": {"kernel": "6.1", "agent": "sha256:1"},
            "vm-distro@tcg": {"kernel": "6.12", "agent": "sha256:1"},
        },
        "engines": {"docker": {"version": "20.10"}},
        "refusals": [{"scenario": "startup", "subject": "podman", "reason": "it is not installed"}],
    }  # fmt: skip
    rows = (*startup_rows(blocks), *memory_rows(blocks), *disk_rows())
    return Run(path=folder, info={**info, **changes}, facts=FACTS, rows=rows)


CLAIM = {
    "id": "minutes", "quotation": "虚拟机需要数分钟启动", "english": "a VM takes minutes", "source": "a page",
    "measured": "from … to …", "forgets": "", "verdict": "refuted", "reason": "fails for vm-bare",
    "evidence": [
        {"text": f"vm-{n} 1 s", "condition": "at least 60 s", "metric": "requested→ready", "scenario": "startup",
         "value": 1.0, "outcome": "fails", "decides": True, "reason": ""}
        for n in range(9)
    ] + [{"text": "process 4 ms", "condition": "at least 60 s", "metric": "m", "value": 0.004, "outcome": "holds",
          "decides": False}],
}  # fmt: skip
"""A judged claim as bench.judging.verdicts.told writes it."""
