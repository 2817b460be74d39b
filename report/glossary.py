"""What the words of the report mean. The events' meanings are read from the clock's own source: they cannot differ."""

from __future__ import annotations

import ast
import inspect

from bench import clock
from bench.comparing.stats import values_needed


def events() -> list[tuple[str, str]]:
    """Return (event, meaning) in the order in which the events can happen, from the docstrings of bench.clock.Event."""
    body = ast.parse(inspect.getsource(clock.Event)).body[0]
    if not isinstance(body, ast.ClassDef):
        return []
    found = []
    for line, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(after, ast.Expr):
            text = after.value.value if isinstance(after.value, ast.Constant) else ""
            found.append((str(line.value.value), str(text)))
    return found


TERMS: tuple[tuple[str, str], ...] = (
    (
        "a→b",
        (
            "The time between two events, both stamped by the host's monotonic clock when they reached the host. A "
            "guest's clock is never read."
        ),
    ),
    (
        "subject",
        "One thing compared: a backend with its options. Its name carries the accelerator it really ran on.",
    ),
    (
        "rung",
        "A subject's place on the ladder from the bare process outwards; each adds one thing.",
    ),
    (
        "block",
        (
            "One round in which every subject is measured once, in a balanced random order. What disturbs a block "
            "disturbs all of it and cancels in the ratio."
        ),
    ),
    (
        "n",
        "How many values. Failed trials are not among them and are counted beside them.",
    ),
    (
        "median and interval",
        (
            "The middle value, and in brackets the span that holds the true median with at least 95 % confidence, "
            f"read from the sorted values without assuming their shape. It needs {values_needed()} blocks; below that "
            "no interval and no verdict is given."
        ),
    ),
    (
        "headline",
        "The one metric that answers a scenario's question; the others explain it.",
    ),
    (
        "baseline",
        "The subject that a scenario's others are divided by: the bare process, or Docker where a process has nothing.",
    ),
    (
        "ratio",
        "Subject divided by baseline within each block; the median of these, with its interval.",
    ),
    (
        "verdict",
        (
            "▲ worse or more, ▼ better or less: the whole interval lies beyond the margin of 5 %. ■ equivalent: it "
            "lies within it. ○ inconclusive: anything else."
        ),
    ),
    (
        "firm",
        "A verdict that still stands when the intervals of its whole table are widened so far that they hold together.",
    ),
    (
        "A/A, twins, noise floor",
        (
            "The same subject measured twice under two names. What differs between them is noise; a smaller "
            "difference between other subjects says nothing."
        ),
    ),
    (
        "KVM, TCG",
        (
            "Two ways to run a guest: KVM, the host's kernel, lets the processor itself run it; TCG, part of QEMU, "
            "imitates a processor by software and is many times slower."
        ),
    ),
    (
        "emulated, ≤, ≥, ~",
        (
            "The guest's processor was imitated by software (TCG), not virtualised (KVM). Its time and cost are an "
            "upper bound of a virtualised guest's (≤), its speed a lower one (≥); ~ stands where neither is known. "
            "What an upper bound refutes is refuted, the rest is not told. Never pooled with KVM."
        ),
    ),
    (
        "translated code",
        "What an emulator keeps of the guest's instructions in the form of the host's. There is none with KVM.",
    ),
    (
        "ECDF",
        (
            "For each value the share of trials that needed no more. A curve that ends below “all” belongs to a "
            "subject some of whose trials failed."
        ),
    ),
    (
        "PSS",
        ("Proportional set size: memory of the instance's processes, shared pages divided among those who share them."),
    ),
    (
        "USS",
        "Unique set size: memory that would be freed if the instance's processes ended.",
    ),
    (
        "cgroup",
        "What the kernel charges to the instance's control group, page cache included.",
    ),
    (
        "MemAvailable slope",
        "What the host's MemAvailable falls by for each further instance: the referee between definitions.",
    ),
    (
        "workload, VMM, shim, control plane",
        (
            "Whose memory it is: the instance's own processes, the virtual machine monitor with the guest's memory, "
            "what the engine keeps beside each container, the daemons all instances share."
        ),
    ),
    (
        "with its engine's daemons",
        "The instance's own processes and the control plane together: what both cost while nothing runs.",
    ),
    (
        "stolen time, waiting (PSI)",
        (
            "What the host suffered beside a trial: CPU time that a hypervisor above gave to others, and time in which "
            "something was stalled on processor, disk or memory, as its kernel counts it (pressure stall information)."
        ),
    ),
    (
        "shared and unique",
        "Disk that all instances of a subject use together, and disk that one instance alone adds.",
    ),
    (
        "pool delta",
        "What the file system under the images really grew by: the referee between definitions.",
    ),
    (
        "failed, timeout, unsupported, skipped",
        (
            "Why there is no value: it broke; the deadline passed; the question makes no sense for this subject; this "
            "host lacks something. A missing value is never counted as 0."
        ),
    ),
)
"""(term, meaning) of the words that are no events."""
