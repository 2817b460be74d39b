"""What one subject says of one condition of a claim, and on which side of a threshold a bounded value lies. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from bench.judging.claims import Condition, Side
from bench.units import Better, Unit, format_interval

Params = tuple[tuple[str, str], ...]
_PLAIN = frozenset({("mode", "warm"), ("part", "total")})
"""Parameters that go without saying."""


class Outcome(StrEnum):
    """What one subject says of one condition."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


class Doubt(StrEnum):
    """Why a subject decides nothing."""

    ABSENT = "it is not in this run"
    NO_VALUE = "there is no value"
    SENSELESS = "the question makes no sense for it"
    TOO_FEW = "there are too few blocks"
    EMULATED = "it is emulated, and a bound on this side of the threshold decides nothing: it needs a working KVM"
    FAILURES = "trials failed, and their values could be anything"
    NOISE = "the same subject differed from itself by as much"
    INTERVAL = "the interval holds the threshold"

    @property
    def word(self) -> str:
        """Its name in a table: "too few"."""
        return self.name.lower().replace("_", " ")


def is_emulated(label: str) -> bool:
    """Say whether a subject's label is that of an emulated guest: "vm-direct@tcg"."""
    return label.partition("@")[2] == "tcg"


class Bound(StrEnum):
    """What a measured value says of the true one."""

    EXACT = "exact"
    UPPER = "upper"
    LOWER = "lower"
    NONE = "none"

    @classmethod
    def of(cls, better: Better, *, emulated: bool, exact: bool) -> Bound:
        """Return what a subject's value says: an emulated guest costs no less than a virtualised one and does no more.

        Args:
            exact: the metric does not depend on how instructions are carried out.
        """
        if not emulated or exact:
            return cls.EXACT
        return {Better.LOWER: cls.UPPER, Better.HIGHER: cls.LOWER}.get(better, cls.NONE)

    @property
    def sign(self) -> str:
        """How it is written before a value."""
        return {Bound.UPPER: "≤ ", Bound.LOWER: "≥ ", Bound.NONE: "~ "}.get(self, "")

    @property
    def turned(self) -> Bound:
        """What it is of the reciprocal."""
        return {Bound.UPPER: Bound.LOWER, Bound.LOWER: Bound.UPPER}.get(self, self)

    def times(self, other: Bound) -> Bound:
        """What it is of a product."""
        if Bound.EXACT in (self, other):
            return other if self is Bound.EXACT else self
        return self if self is other else Bound.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one subject, or a pair, says of one condition.

    Attributes:
        subject: its label, "vm-direct@tcg"; `than`: the other's label where a ratio is tested.
        value, low, high: as measured, in `unit`, before anything is said about bounds; None where there is none
            (and where failures leave the interval open).
        blocks, failures: how many have a value, how many failed or timed out.
        doubt: why it is undecided; `reason` says it in full.
    """

    condition: Condition
    subject: str
    than: str = ""
    params: Params = ()
    unit: Unit = Unit.COUNT
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: Bound = Bound.EXACT
    blocks: int = 0
    failures: int = 0
    outcome: Outcome = Outcome.UNDECIDED
    doubt: Doubt | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """The subject, or the pair, and the parameters that were not asked for."""
        extra = [v for k, v in self.params if k not in self.condition.params and (k, v) not in _PLAIN]
        pair = f"{self.subject} / {self.than}" if self.than else self.subject
        return f"{pair} ({', '.join(extra)})" if extra else pair

    @property
    def text(self) -> str:
        """The subject with its value: "vm-direct@tcg ≤ 6.03 s [5.9–6.2]"."""
        if self.value is None:
            return self.name
        return f"{self.name} {self.bound.sign}{format_interval(self.value, self.low, self.high, self.unit)}"


def outcome_of(side: Side, threshold: float, low: float, high: float, bound: Bound) -> Outcome:
    """Return on which side of the threshold every value lies that the true one may have."""
    ends = (
        -math.inf if bound in (Bound.UPPER, Bound.NONE) else low,
        math.inf if bound in (Bound.LOWER, Bound.NONE) else high,
    )
    passed = {side.passed(end, threshold) for end in ends}
    return Outcome.UNDECIDED if len(passed) == 2 else Outcome.HOLDS if passed == {True} else Outcome.FAILS
