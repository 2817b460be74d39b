"""What the commands print: the closing screen, the plan, the lists. Everything goes to a rich console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparing.stopping import in_a_line as stopped_in_a_line
from bench.judging.summary import Answer, Summary, Trouble, format_cell, format_ratio, summarise
from bench.judging.verdicts import in_a_line
from bench.plan import Plan, Trial
from bench.sample import Phase, Status
from bench.screens.course import cell_of
from bench.screens.host import availability_screen, findings_screen
from bench.screens.layout import Sheet, grid_of, hanging, line, table_of
from bench.soundness import sound
from bench.text import few, plural
from bench.units import Unit, format_value

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from bench.backends.base import Availability
    from bench.scenario import Catalogue
    from bench.store import Run


def closing(console: Console, run: Run, report: Path | None = None) -> None:
    """Print what a run says: the answers, one table, what failed or was skipped, where everything is."""
    run = sound(run)
    summary = summarise(run)
    whole = "in the report" if report else f"bench report {run.path.name}"
    console.print()
    for answer in summary.answers:
        line(console, answer.sentence)
    console.print()
    for table in _tables(summary, console.width):
        console.print(table)
        console.print()
    for trouble in summary.troubles:
        if trouble.status != Status.UNSUPPORTED:
            console.print(_trouble(trouble))
    senseless = sum(trouble.count for trouble in summary.troubles if trouble.status == Status.UNSUPPORTED)
    if senseless:
        text = f"{plural(senseless, 'question')} made no sense for a subject; why: {whole}"
        console.print(hanging("unsupported", text))
    findings = run.info["findings"]
    findings_screen(console, findings, most=4, more=whole)
    verdicts = in_a_line(run)
    if verdicts:
        console.print(hanging("claims", verdicts))
    if summary.troubles or findings or verdicts:
        console.print()
    _paths(console, run, report)


def _tables(summary: Summary, width: int) -> list[Sheet]:
    """Return one table, a row a subject, a column a scenario; one scenario alone gets its ratios too."""
    if len(summary.answers) == 1:
        return [_single(summary.answers[0])] if summary.answers[0].cells else []
    interval = 22 + 24 * len(summary.answers) <= width
    tables = []
    for part in _shares(summary, width, interval=interval):
        table = table_of("subject", *(f"{answer.title}\n{answer.metric}" for answer in part))
        for label in summary.subjects:
            cells = [format_cell(answer.cells.get(label), answer.unit, interval=interval) for answer in part]
            told = ["–" if text == Status.UNSUPPORTED else text for text in cells]
            if set(told) - {"", "–"}:
                table.add_row(label, *told)
        if table.row_count:
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


def _single(answer: Answer) -> Sheet:
    base = f"× {answer.baseline}" if answer.baseline else "ratio"
    table = table_of("subject", answer.metric, base, "n", "verdict")
    for label, cell in answer.cells.items():
        if cell.note == Status.UNSUPPORTED:
            continue
        ratio, verdict = ("–", "") if cell.ratio is None else (format_ratio(cell.ratio), str(cell.ratio.verdict))
        if label == answer.baseline:
            ratio, verdict = "1", "baseline"
        n = str(cell.estimate.n) if cell.estimate else "0"
        table.add_row(label, format_cell(cell, answer.unit), ratio, n, verdict)
    return table


def _trouble(trouble: Trouble) -> Sheet:
    """Return "skipped  vm-bare, vm-direct: why"."""
    times = f" ({trouble.count}×)" if trouble.count > len(trouble.subjects) else ""
    reason = trouble.reason if len(trouble.reason) < 600 else trouble.reason[:600] + "…"
    return hanging(trouble.status, f"{few(trouble.subjects, 6)}{times}: {reason}")


def _paths(console: Console, run: Run, report: Path | None) -> None:
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
    grid = grid_of("bold")
    for name, text in lines:
        if text:
            grid.add_row(name, text)
    console.print(grid)


def plan_screen(console: Console, plan: Plan, available: Mapping[str, Availability], *, orders: bool = False) -> None:
    """Print what would be run: how much of each question, its first block, by what, what is left out and why.

    Args:
        orders: every block of every question, not the first alone.
    """
    asked = {name: [t for t in plan.trials if t.scenario.name == name] for name in _names(plan)}
    table = table_of("question", "subjects", "blocks", "trials", "about")
    for name, trials in asked.items():
        subjects = len({trial.subject.name for trial in trials})
        table.add_row(name, str(subjects), _blocks(trials), f"{_up_to(trials)}{len(trials)}", _time(trials))
    console.print(table, "")
    line(
        console, f"{_up_to(plan.trials)}{plural(len(plan.trials), 'trial')} in all, about {_time(plan.trials)} and the "
        f"preparation; profile {plan.profile.name} ({plan.profile.title}), seed {plan.seed}",
    )  # fmt: skip
    for trials in asked.values():
        console.print()
        _order_screen(console, trials, orders=orders)
    console.print()
    availability_screen(console, {s.name: available[s.name] for s in plan.subjects if s.name in available})
    refusals_screen(console, plan)


def _names(plan: Plan) -> dict[str, None]:
    return dict.fromkeys(trial.scenario.name for trial in plan.trials)


def _time(trials: Sequence[Trial]) -> str:
    return format_value(sum(trial.expected_s for trial in trials), Unit.SECONDS, digits=2)


def _measured(trials: Sequence[Trial]) -> list[int]:
    """Return the blocks that are measured, not those to warm up."""
    return sorted({trial.block for trial in trials if trial.phase is Phase.MEASURE})


def _blocks(trials: Sequence[Trial]) -> str:
    """Return "6 and 1 to warm up"."""
    measured = len(_measured(trials))
    warm = len({trial.block for trial in trials}) - measured
    return f"{measured} and {warm} to warm up" if warm else str(measured)


def _order_screen(console: Console, trials: Sequence[Trial], *, orders: bool) -> None:
    """Print a question and in which order its subjects come."""
    scenario, measured = trials[0].scenario, _measured(trials)
    line(console, f"{scenario.title} ({scenario.name}): {scenario.question}", "bold")
    grid = grid_of("dim")
    for block in sorted({trial.block for trial in trials}) if orders else measured[:1]:
        kind = f"block {block:2}" if block in measured else f"warm-up {block:2}"
        order = " ".join("".join(cell_of(t)) for t in trials if t.block == block)
        grid.add_row(kind if orders else "first block", order)
    if len(measured) > 1 and not orders:
        grid.add_row("", f"+ {len(measured) - 1} more, their order drawn by the seed")
    console.print(grid)


def _up_to(trials: Sequence[Trial]) -> str:
    """Return "up to " where subjects may leave before the last block."""
    return "up to " * any(t.profile.width and min(t.profile.looks, default=t.block) < t.profile.blocks for t in trials)


def refusals_screen(console: Console, plan: Plan) -> None:
    """Print what is not run: what this host lacks with the reason and the remedy, the rest a line a question."""
    lacking: dict[tuple[str, str], dict[str, None]] = {}
    senseless: dict[str, dict[str, None]] = {}
    for refusal in plan.refusals:
        if refusal.missing:
            lacking.setdefault((refusal.reason, refusal.hint), {})[refusal.subject.name] = None
        else:
            senseless.setdefault(refusal.scenario.name, {})[refusal.subject.name] = None
    if plan.refusals:
        console.print()
    for (reason, hint), names in lacking.items():
        console.print(hanging("skipped", f"{few(tuple(names), 6)}: {reason}{f' ({hint})' if hint else ''}"))
    for question, names in senseless.items():
        console.print(hanging("unsupported", f"{question}: {few(tuple(names), 3)}"))
    if senseless:
        line(console, f"Why it makes no sense for them: bench show {next(iter(senseless))}, or another question", "dim")


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
    line(console, "\nWhether a subject can be measured here: bench doctor, bench plan all")


def record_screen(console: Console, title: str, content: BaseModel | Sequence[tuple[str, str]]) -> None:
    """Print one declared thing, a line an attribute; tables inside it hang below their names."""
    line(console, title, "bold")
    table = table_of("", "")
    table.show_header = False
    for key, value in content if isinstance(content, Sequence) else _attributes(content):
        table.add_row(key, value)
    console.print(table)


def _attributes(record: BaseModel) -> list[tuple[str, str]]:
    """Return what is declared of a record as (name, text); its name, and what is empty, is left out."""
    content = record.model_dump(mode="json", exclude_none=True, exclude={"name"})
    told = ((key, _metrics(value) if key == "metrics" else _lines(value)) for key, value in content.items())
    return [(key, "\n".join(lines)) for key, lines in told if lines]


def _metrics(metrics: Sequence[Mapping[str, str]]) -> list[str]:
    return [f"{m['name']}: {m['title'] or '–'} ({m['unit']}, {m['better']} is better)" for m in metrics]


def _lines(value: object) -> list[str]:
    """Return a value as lines: those of a table inside another are indented below its name."""
    if isinstance(value, Mapping):
        lines = []
        for key, inner in value.items():
            told = _lines(inner)
            if isinstance(inner, Mapping):
                lines += [f"{key}:", *(f"  {text}" for text in told)] if told else []
            else:
                lines += [f"{key} = {text}" for text in told]
        return lines
    if isinstance(value, list):
        return [", ".join(map(str, value))] if value else []
    return [str(value)] if value != "" else []


def runs_screen(console: Console, runs: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """Print all runs, oldest first."""
    table = table_of("run", "profile", "scenarios", "trials", "ended", "labels")
    for name, info in runs:
        labels = info.get("labels")
        table.add_row(
            name, str(info.get("profile") or ""), _asked(info), str(info.get("planned_trials", "")),
            str(info.get("ending") or "cut short"),
            ", ".join(f"{k}={v}" for k, v in labels.items()) if isinstance(labels, Mapping) else "",
        )  # fmt: skip
    console.print(table)


def _asked(info: Mapping[str, object]) -> str:
    """Return "all 10", or the names of a run's scenarios."""
    scenarios = info.get("scenarios")
    if not isinstance(scenarios, Mapping):
        return ""
    every = str(info.get("command")).split()[2:3] == ["all"]
    return f"all {len(scenarios)}" if every and len(scenarios) > 1 else ", ".join(map(str, scenarios))
