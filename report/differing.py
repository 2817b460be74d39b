"""What was not the same about several runs: their hosts, engines and questions, and the verdicts on the sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.judging.between import SETUP, RunComparison
from report.cards import VERDICTS
from report.data import View, clean, listing, mapping
from report.model import Row, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One kind of thing that was not the same about the runs; `table` is None where all of it was."""

    title: str
    noun: str
    table: Table | None


KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Engines, versions, profile and accelerators": ("thing", tuple(f"info.{name}" for name in SETUP)),
    "The hosts": ("fact", ("facts",)),
    "Scenarios, subjects and what they are made of": ("thing", ("info",)),
}
"""What may differ, the gravest first: how each is counted, and where it stands. The first that fits has it."""


def differences(compared: Sequence[RunComparison], names: Sequence[str]) -> Iterator[Differing]:
    """Yield each kind of thing with what is not the same in all runs."""
    found: dict[str, list[Any]] = {}
    for place, pair in enumerate(compared):
        for difference in pair.differences:
            values = found.setdefault(difference.what, [difference.first] * len(names))
            values[place + 1] = difference.second
    left = dict(sorted(found.items()))
    for title, (noun, places) in KINDS.items():
        mine = {what: left.pop(what) for what in list(left) if any(f"{what}.".startswith(f"{p}.") for p in places)}
        rows = tuple(_difference(what.partition(".")[2], values) for what, values in mine.items())
        table = Table(
            caption="What is not the same; a marked cell differs from A's", columns=("what", *names), rows=rows
        )
        yield Differing(title=title, noun=noun, table=table if rows else None)


def _difference(what: str, values: Sequence[Any]) -> Row:
    texts = tuple("–" if value is None else clean(value, 120) or "empty" for value in values)
    return Row(
        head=clean(what, 160).replace(".", " · ").replace("_", " "), cells=texts, marked=_other_than_first(texts)
    )


def _other_than_first(texts: Sequence[str]) -> tuple[int, ...]:
    return tuple(place for place, text in enumerate(texts) if text != texts[0])


def verdicts(views: Sequence[View], names: Sequence[str]) -> tuple[Table | None, Table | None]:
    """Return the sentences whose verdicts differ, with the reasons, and those that all runs judge alike.

    None where there is none, or no run carries verdicts (bench.judging.verdicts.with_verdicts).
    """
    told = [{clean(c.get("id"), 80): c for c in map(mapping, listing(seen.info.get("claims")))} for seen in views]
    flipped, kept = [], []
    for claim in dict.fromkeys(key for of_run in told for key in of_run):
        judged = [of_run.get(claim, {}) for of_run in told]
        found = tuple(clean(one.get("verdict"), 40) for one in judged)
        head = next(filter(None, (clean(one.get("english")) for one in judged)), claim)
        signed = [f"{VERDICTS.get(v, ('○', ''))[0]} {v}" if v else "–" for v in found]
        if len({verdict for verdict in found if verdict}) > 1:
            why = [clean(one.get("reason"), 200) for one in judged]
            cells = tuple(f"{sign}: {reason}" if reason else sign for sign, reason in zip(signed, why, strict=True))
            flipped.append(Row(head=head, note=claim, cells=cells, marked=_other_than_first(found)))
        else:
            kept.append(Row(head=head, note=claim, cells=tuple(signed)))
    # What is decided in all runs, and differently, goes before what one of them could not or did not measure.
    flipped.sort(key=lambda row: sum(cell[:1] in "○–" for cell in row.cells))
    columns = ("sentence", *names)
    return (
        Table(caption="Another verdict than in A, and why", columns=columns, rows=tuple(flipped)) if flipped else None,
        Table(caption="The same verdict in all runs that judge it", columns=columns, rows=tuple(kept))
        if kept
        else None,
    )
