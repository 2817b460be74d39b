"""What the commands print: the closing screen, the plan, the lists. Everything goes to a rich console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plan import Plan, Trial
from bench.sample import Phase, Status
from bench.stopping import in_a_line as stopped_in_a_line
from bench.summary import Answer, Summary, Trouble, format_cell, format_ratio, summarise
from bench.text import plural
from bench.units import Unit, format_value
from bench.verdicts import in_a_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bench.backends.base import Availability
    from bench.scenario import Catalogue
    from bench.store import Run


def table_of(*columns: str, title: str = "") -> Table:
    """Return an empty table in the suite's style: no frame, so that it can be copied as text."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place == 0)
    return table


def closing(console: Console, run: Run, report: Path | None = None) -> None:
    """Print what a run says: the answers, one table, what failed or was skipped, where everything is."""
    from rich.text import Text

    summary = summarise(run)
    console.print()
    for answer in summary.answers:
        console.print(Text(answer.sentence))
    console.print()
    for table in _tables(summary, console.width):
        console.print(table)
        console.print()
    for trouble in summary.troubles:
        if trouble.status != Status.UNSUPPORTED:
            console.print(_trouble(trouble))
    senseless = sum(trouble.count for trouble in summary.troubles if trouble.status == Status.UNSUPPORTED)
    if senseless:
        text = f"{plural(senseless, 'question')} made no sense for a subject; bench plan all says why"
        console.print(hanging("unsupported", text))
    findings = [finding for finding in run.info.get("findings") or () if isinstance(finding, Mapping)]
    findings_screen(console, findings, most=4)
    verdicts = in_a_line(run)
    if verdicts:
        console.print(hanging("claims", verdicts))
    if summary.troubles or findings or verdicts:
        console.print()
    _paths(console, run, report)


def _tables(summary: Summary, width: int) -> list[Table]:
    """Return one table, a row a subject, a column a scenario; one scenario alone gets its ratios too."""
    if len(summary.answers) == 1:
        return [_single(summary.answers[0])] if summary.answers[0].cells else []
    interval = 22 + 24 * len(summary.answers) <= width
    tables = []
    for part in _shares(summary, width, interval=interval):
        table = table_of("subject", *(f"{answer.title}\n{answer.metric}" for answer in part))
        for label in summary.subjects:
            cells = [format_cell(answer.cells.get(label), answer.unit, interval=interval) for answer in part]
            if any(cells):
                table.add_row(label, *cells)
        tables.append(table)
    return tables


def _shares(summary: Summary, width: int, *, interval: bool) -> list[list[Answer]]:
    """Return the answers in as many tables as keep every word of a heading and every value on one line."""
    names = max((len(label) for label in summary.subjects), default=0)
    shares: list[list[Answer]] = []
    left = 0
    for answer in summary.answers:
        cells = [format_cell(cell, answer.unit, interval=interval) for cell in answer.cells.values()]
        need = 2 + max(map(len, (*answer.title.split(), answer.metric, *cells)))
        if need > left:
            shares.append([])
            left = width - names
        shares[-1].append(answer)
        left -= need
    return shares


def _single(answer: Answer) -> Table:
    base = f"× {answer.baseline}" if answer.baseline else "ratio"
    table = table_of("subject", answer.metric, base, "n", "verdict")
    for label, cell in answer.cells.items():
        ratio, verdict = ("–", "") if cell.ratio is None else (format_ratio(cell.ratio), str(cell.ratio.verdict))
        if label == answer.baseline:
            ratio, verdict = "1", "baseline"
        n = str(cell.estimate.n) if cell.estimate else "0"
        table.add_row(label, format_cell(cell, answer.unit), ratio, n, verdict)
    return table


def _trouble(trouble: Trouble) -> Table:
    """Return "skipped  vm-bare, vm-direct: why"."""
    shown = ", ".join(trouble.subjects[:6]) + (f" and {len(trouble.subjects) - 6} more" * (len(trouble.subjects) > 6))
    times = f" ({trouble.count}×)" if trouble.count > len(trouble.subjects) else ""
    reason = trouble.reason if len(trouble.reason) < 600 else trouble.reason[:600] + "…"
    return hanging(trouble.status, f"{shown}{times}: {reason}")


_STYLES = {"failed": "red", "timeout": "red", "problem": "red", "skipped": "yellow", "warning": "yellow"}


def hanging(word: str, text: str) -> Table:
    """Return a paragraph that hangs beside its first word."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=_STYLES.get(word, "dim"), no_wrap=True, width=11)
    grid.add_column(overflow="fold")
    grid.add_row(word, Text(text))
    return grid


def _paths(console: Console, run: Run, report: Path | None) -> None:
    from rich.table import Table
    from rich.text import Text

    samples = run.path / "samples"
    whole = samples / "samples.parquet"
    again = str(run.info.get("command") or "")
    ending = str(run.info.get("ending") or "cut short")
    lines = [
        ("stopped", stopped_in_a_line(run.info) if run.info.get("profile") != "quick" else ""),
        ("ended", "" if ending == "complete" else f"{ending}: what was measured until then is kept"),
        ("report", "" if report is None else str(report)),
        ("samples", str(whole if whole.is_file() else samples)),
        ("again", again),
    ]
    if run.info.get("profile") == "quick":
        lines.append(("more", "--profile standard or thorough: narrower intervals, firmer verdicts"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True, width=11)
    grid.add_column(overflow="fold")
    for name, text in lines:
        if text:
            grid.add_row(name, Text(text))
    console.print(grid)


def plan_screen(console: Console, plan: Plan, available: Mapping[str, Availability]) -> None:
    """Print what would be run: the order of the first block, the counts, the time, what is left out and why."""
    from rich.table import Table
    from rich.text import Text

    for name in dict.fromkeys(t.scenario.name for t in plan.trials):
        trials = [t for t in plan.trials if t.scenario.name == name]
        measured = [t for t in trials if t.phase is Phase.MEASURE]
        warm, blocks = {t.block for t in trials} - {t.block for t in measured}, {t.block for t in measured}
        time_s = sum(t.expected_s for t in trials)
        console.print(Text(f"{trials[0].scenario.title} ({name}): {trials[0].scenario.question}", style="bold"))
        console.print(
            f"  {_up_to(trials)}{plural(len(trials), 'trial')}: {plural(len(blocks), 'block')} and {len(warm)} to warm "
            f"up, about {format_value(time_s, Unit.SECONDS, digits=2)}"
        )
        grid = Table.grid(padding=(0, 1))
        for block in sorted(blocks | warm):
            row = [_cell_name(t) for t in trials if t.block == block]
            grid.add_row(f"  {'warm-up' if block in warm else 'block'} {block:2}", Text(" ".join(row)))
        console.print(grid, "")
    table = table_of("subject", "engine")
    for subject in plan.subjects:
        table.add_row(subject.name, available[subject.name].detail if subject.name in available else "")
    console.print(table)
    refusals_screen(console, plan)
    console.print(
        f"\n{_up_to(plan.trials)}{plural(len(plan.trials), 'trial')} in all, about "
        f"{format_value(plan.expected_s, Unit.SECONDS, digits=2)} and the preparation; "
        f"profile {plan.profile.name} ({plan.profile.title}), seed {plan.seed}",
        highlight=False,
    )


def _up_to(trials: Sequence[Trial]) -> str:
    """Return "up to " where subjects may leave before the last block."""
    return "up to " * any(t.profile.width and min(t.profile.looks, default=t.block) < t.profile.blocks for t in trials)


def _cell_name(trial: Trial) -> str:
    """Return the subject and, in brackets, the parameters that tell its trials apart."""
    varied = [f"{k}={v}" for k, v in trial.params.items() if len(trial.scenario.parameters.get(k, ())) > 1]
    return trial.subject.name + (f"[{','.join(varied)}]" if varied else "")


def refusals_screen(console: Console, plan: Plan) -> None:
    """Print what is not run and why, one paragraph a reason."""
    groups: dict[tuple[bool, str, str], list[str]] = {}
    for refusal in plan.refusals:
        names = groups.setdefault((refusal.missing, refusal.reason, refusal.hint), [])
        if refusal.subject.name not in names:
            names.append(refusal.subject.name)
    if groups:
        console.print()
    for (missing, reason, hint), names in groups.items():
        trouble = Trouble(
            status="skipped" if missing else "unsupported", reason=f"{reason} ({hint})" if hint else reason,
            subjects=tuple(names), scenarios=(), count=1,
        )  # fmt: skip
        console.print(_trouble(trouble))


def catalogue_screen(console: Console, catalogue: Catalogue) -> None:
    """Print all scenarios, subjects and profiles."""
    table = table_of("scenario", "asks")
    for scenario in catalogue.scenarios.values():
        table.add_row(scenario.name, scenario.question)
    console.print(table, "")
    table = table_of("subject", "backend", "is")
    for subject in catalogue.subjects.values():
        table.add_row(subject.name, subject.backend, subject.title)
    console.print(table, "")
    table = table_of("profile", "blocks", "is")
    for profile in catalogue.profiles.values():
        table.add_row(profile.name, str(profile.blocks), profile.title)
    console.print(table)
    console.print("\nWhether a subject can be measured here: bench doctor, bench plan all", highlight=False)


def availability_screen(console: Console, available: Mapping[str, Availability]) -> None:
    """Print which subjects can be measured here, by which engine, or why not."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for name, found in available.items():
        why = found.detail if found.usable else found.reason + (f" → {found.hint}" if found.hint else "")
        groups.setdefault((found.usable, why), []).append(name)
    table = table_of("usable", "subjects", "by, or why not")
    for (usable, why), names in groups.items():
        table.add_row("[green]yes[/]" if usable else "[yellow]no[/]", ", ".join(names), _plain(why))
    console.print(table)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def record_screen(console: Console, title: str, lines: Sequence[tuple[str, str]]) -> None:
    """Print one declared thing, a line an attribute."""
    from rich.text import Text

    console.print(Text(title, style="bold"))
    table = table_of("", "")
    table.show_header = False
    for key, value in lines:
        table.add_row(key, Text(value))
    console.print(table)


def runs_screen(console: Console, runs: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """Print all runs, oldest first."""
    table = table_of("run", "profile", "scenarios", "trials", "ended", "labels")
    for name, info in runs:
        scenarios, labels = info.get("scenarios"), info.get("labels")
        table.add_row(
            name,
            _plain(str(info.get("profile") or "")),
            ", ".join(map(_plain, scenarios)) if isinstance(scenarios, Mapping) else "",
            str(info.get("planned_trials", "")),
            _plain(str(info.get("ending") or "cut short")),
            _plain(", ".join(f"{k}={v}" for k, v in labels.items())) if isinstance(labels, Mapping) else "",
        )
    console.print(table)


def findings_screen(console: Console, findings: Sequence[Mapping[str, str]], *, most: int | None = None) -> None:
    """Print findings, the gravest first: what, why, and the remedy. `most`: only so many, and only grave ones."""
    grave = [f for f in findings if most is None or f.get("level") in ("problem", "warning")]
    for finding in grave[:most]:
        text = str(finding.get("what", ""))
        text = f"{text.rstrip('.')}: {finding['why']}" if most is None and finding.get("why") else text
        text += f" → {finding['remedy']}" if finding.get("remedy") else ""
        console.print(hanging(str(finding.get("level", "note")), text))
    if most is not None and len(findings) > most:
        console.print(hanging("", "everything about this host: bench doctor"))


def facts_screen(console: Console, facts: Mapping[str, object]) -> None:
    """Print the host's facts, a line each; tables inside tables by dotted names."""
    table = table_of("fact", "value")
    for name, value in _flat(facts):
        table.add_row(name.replace("_", " "), _plain(_fact(name, value)))
    console.print("", table)


def _fact(name: str, value: object) -> str:
    """Write a fact for people: sizes as sizes, lists as lists, what is not known as that."""
    if value is None or value == "":
        return "unknown"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, (int, float)) and name.endswith("_bytes"):
        return format_value(float(value), Unit.BYTES)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _flat(content: Mapping[str, object], place: str = "") -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = []
    for key, value in content.items():
        name = f"{place}.{key}" if place else str(key)
        lines += _flat(value, name) if isinstance(value, Mapping) else [(name, value)]
    return lines
