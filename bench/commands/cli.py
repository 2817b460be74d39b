"""The command line. Heavy imports happen inside the command that needs them: `bench --help` is quick.

Exit codes: 0 done, 1 some trial failed (results kept), 2 wrong usage or a wrong scenario file, 3 nothing could be
measured or compared, 4 and 5 what `compare --fail-on` asked for, 70 a fault in bench itself, 130 interrupted and 143
terminated (results kept), 141 nobody reads the output, 128 + n killed by signal n. Pairings that are skipped or make
no sense are no failures.
"""

# ruff: noqa: FBT001, FBT002, PLR0913, PLR0917  # the signatures are the command line

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.reading import Results, RunName, results_folder
from bench.commands.reading import app as reading
from bench.errors import ExitCode, UsageError
from bench.screens.console import answers, guarded

if TYPE_CHECKING:
    from bench.running.guardian import Guardian
    from bench.running.request import Choice, Request
    from bench.scenario import Catalogue

app = typer.Typer(
    name="bench",
    help="Containers and virtual machines on one clock. Begin with: bench run all",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip

Names = Annotated[list[str], typer.Argument(metavar="all|NAME...", help="Scenarios to run, or all of them.")]
SubjectNames = Annotated[
    list[str] | None, typer.Option("--subject", "-s", metavar="S", help="Only this subject and its twin. Repeatable.")
]
ProfileName = Annotated[
    str,
    typer.Option(
        "--profile", "-p", metavar="NAME", help="How thorough: quick, standard, thorough, or one of your own."
    ),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", help="Decides every order. Drawn and printed if not given.", min=0)
]
Scenarios = Annotated[Path | None, typer.Option("--scenarios", metavar="DIR", help="Another folder of scenario files.")]
Extra = Annotated[
    list[Path] | None, typer.Option("--subjects", metavar="FILE.toml", help="Your own subjects. Repeatable.")
]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="K=V", help="A word about this run. Repeatable.")]
Budget = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help='How long the trials may take, "30 min": each question ends in its share, after six blocks at least.',
    ),
]
Scratch = Annotated[Path | None, typer.Option(metavar="DIR", help="Where overlays and engine data go meanwhile.")]


def _version(wanted: bool) -> None:
    if wanted:
        from bench import __version__

        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks. May stand anywhere.")] = False,
) -> None:
    del version, debug  # main() and the callback above have seen to them


@app.command(no_args_is_help=True)
def run(
    names: Names,
    subject: SubjectNames = None,
    profile: ProfileName = "quick",
    seed: Seed = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    results: Results = None,
    subjects: Extra = None,
    scenarios: Scenarios = None,
    label: Labels = None,
    scratch: Scratch = None,
    budget: Budget = "",
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not make the HTML report.")] = False,
    events: Annotated[str, typer.Option(metavar="json", help="Write every event as a JSON line instead.")] = "",
) -> None:
    """Measure, and say what came out.

    Results go to results/RUN/, the answers to the screen, everything into one HTML report.

    The profile "quick" gives a first answer; --profile standard or thorough gives one to rely on.
    """
    from bench.commands.measure import measure
    from bench.running.application import bury, check_ground
    from bench.running.places import new_run_id
    from bench.running.request import choose
    from bench.running.supervisor import supervise

    if events not in ("", "json"):
        raise UsageError(f'--events knows "json", not "{events}"')
    request = _request(names, subject, profile, seed, subjects, scenarios, budget, results, label, scratch)
    choice = choose(request)
    if dry_run:
        return _print_plan(request, choice)
    check_ground(request)
    run_id = new_run_id()

    def work(guard: Guardian) -> int:
        return guarded(lambda: measure(request, choice, run_id, guard, events, report=not no_report))

    code = supervise(run_id, work)
    bury(request.results / run_id, code)
    raise typer.Exit(code)


@app.command(no_args_is_help=True)
def plan(
    names: Names,
    subject: SubjectNames = None,
    profile: ProfileName = "quick",
    seed: Seed = None,
    subjects: Extra = None,
    scenarios: Scenarios = None,
    budget: Budget = "",
    orders: Annotated[bool, typer.Option("--orders", help="The order of every block, not of the first alone.")] = False,
) -> None:
    """Print what run would do.

    The counts, the time it takes, the order, and what is left out and why.
    """
    from bench.running.request import choose

    request = _request(names, subject, profile, seed, subjects, scenarios, budget)
    _print_plan(request, choose(request), orders=orders)


def _print_plan(request: Request, choice: Choice, *, orders: bool = False) -> None:
    from bench.running.application import availability, lay_out
    from bench.screens.results import plan_screen
    from bench.units import Unit, format_value

    typer.echo("looking at this host", err=True)
    available = availability(choice.subjects)
    laid = lay_out(choice, available)
    plan_screen(answers(), laid, available, orders=orders)
    if request.budget_s is not None:
        enough = laid.expected_s <= request.budget_s
        ends = "enough for all of it" if enough else "each question ends in its share of it, after six blocks at least"
        typer.echo(f"The budget is {format_value(request.budget_s, Unit.SECONDS, digits=2)}: {ends}")
    if not laid.trials:
        raise typer.Exit(ExitCode.NOTHING_MEASURED)


@app.command("list")
def list_command(scenarios: Scenarios = None, subjects: Extra = None) -> None:
    """Print all scenarios, subjects and profiles."""
    from bench.screens.results import catalogue_screen

    catalogue_screen(answers(), _catalogue(scenarios, subjects))


def _catalogue(folder: Path | None, subjects: list[Path] | None) -> Catalogue:
    from bench.running.request import catalogue_of
    from bench.scenario import DIRECTORY

    return catalogue_of(folder or DIRECTORY, tuple(subjects or ()))


@app.command(no_args_is_help=True)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A scenario, a subject, a profile or a run.")],
    scenarios: Scenarios = None,
    subjects: Extra = None,
    results: Results = None,
) -> None:
    """Print a scenario, subject, profile or run."""
    from bench.screens.results import closing, record_screen
    from bench.store import find_run, list_runs, read_run

    catalogue = _catalogue(scenarios, subjects)
    found = catalogue.scenarios.get(name) or catalogue.subjects.get(name) or catalogue.profiles.get(name)
    if found is not None:
        record_screen(answers(), f"{type(found).__name__.lower()} {name}", found)
        return
    folder = results_folder(results)
    if not (Path(name) / "run.json").is_file() and not any(p.name.startswith(name) for p in list_runs(folder)):
        from bench.text import did_you_mean

        known = [*catalogue.scenarios, *catalogue.subjects, *catalogue.profiles, *(p.name for p in list_runs(folder))]
        raise UsageError(f'there is no scenario, subject, profile or run "{name}"', did_you_mean(name, known))
    path = find_run(folder, name)
    page = path / "report.html"
    closing(answers(), read_run(path), page if page.is_file() else None)


@app.command()
def doctor(
    scenarios: Scenarios = None,
    subjects: Extra = None,
    no_boot: Annotated[bool, typer.Option("--no-boot", help="Do not try /dev/kvm with a guest.")] = False,
) -> None:
    """Say what can be measured here.

    Which subjects, by which engine and why, and what is known of the host. A /dev/kvm that opens proves nothing,
    so two small guests are booted on it, each with a deadline of seconds; the answer is remembered.
    """
    from bench.commands.doctor import examine
    from bench.running.places import new_run_id
    from bench.running.supervisor import supervise

    catalogue = _catalogue(scenarios, subjects)
    typer.echo("looking at this host", err=True)
    run_id = new_run_id()
    code = supervise(run_id, lambda guard: guarded(lambda: examine(catalogue, None if no_boot else guard, run_id)))
    raise typer.Exit(code)


app.add_typer(reading)


@app.command()
def notebook(
    run: RunName = None,
    results: Results = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where your copies of the notebooks are.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Execute the checkout's own notebooks and keep their outputs instead.")
    ] = False,
) -> None:
    """Open the notebooks in JupyterLab on a run.

    The newest run, if none is named. You work on copies, in results/notebooks unless told otherwise; they stay there,
    and the checkout stays as it is. JupyterLab listens on the loopback only and asks for the token in the address.

    --refresh is for contributors: it opens nothing, and writes the outputs that are committed. Its run is the
    committed sample, if none is named.
    """
    from bench.commands import notebook as notebooks
    from bench.store import DIRECTORY, find_run

    if refresh:
        path = find_run(results_folder(results), run) if run else find_run(DIRECTORY, "sample")
        return notebooks.refresh(path, say=typer.echo)
    kept = results_folder(results)
    path = find_run(kept, run)
    typer.echo("starting JupyterLab", err=True)
    notebooks.copied(folder or kept / notebooks.COPIES, say=typer.echo)
    raise typer.Exit(notebooks.serve(folder or kept / notebooks.COPIES, path, typer.echo, browser=not no_browser))


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    scratch: Scratch = None,
) -> None:
    """Remove what dead runs left behind.

    Lists it first, then removes exactly that. Runs that are going on, and results, are not touched.
    """
    from bench.running import leftovers

    if scratch is not None and not scratch.is_dir():
        raise UsageError(f"there is no folder {scratch}", "name one with --scratch, or none for /var/tmp")
    found = leftovers.find(*([scratch] if scratch else []))
    if not found:
        typer.echo("nothing is left over")
        return
    for item in found:
        typer.echo(item.text)
    if not yes and not (sys.stdin.isatty() and typer.confirm("Remove these?")):
        raise UsageError("nothing was removed", "bench clean --yes removes what is listed")
    for line in leftovers.remove(found):
        typer.echo(line if line.startswith("NOT") else f"removed {line}")
    if leftovers.find(*([scratch] if scratch else [])):
        raise typer.Exit(ExitCode.SOME_TRIALS_FAILED)


def _request(
    names: list[str], subject: list[str] | None, profile: str, seed: int | None, subjects: list[Path] | None,
    scenarios: Path | None, budget: str, results: Path | None = None, label: list[str] | None = None,
    scratch: Path | None = None,
) -> Request:  # fmt: skip
    from bench import scenario
    from bench.running.request import Request

    labels = [text.partition("=") for text in label or ()]
    for key, equals, _ in labels:
        if not (key and equals):
            raise UsageError(f'--label needs the form key=value, not "{key}"')
    words: list[object] = ["bench", "run", *names, "--profile", profile]
    words += [word for name in subject or () for word in ("--subject", name)]
    words += [word for path in subjects or () for word in ("--subjects", path)]
    words += ["--scenarios", scenarios] if scenarios else []
    words += ["--budget", budget] if budget else []
    return Request(
        names=tuple(names), subjects=tuple(subject or ()), profile=profile, seed=seed,
        results=results or results_folder(), scenarios=scenarios or scenario.DIRECTORY,
        extra=tuple(subjects or ()), scratch=scratch, budget_s=_seconds(budget) if budget else None,
        labels={key: value for key, _, value in labels}, command=shlex.join(map(str, words)),
    )  # fmt: skip


def _seconds(text: str) -> float:
    """Return a time as a person writes it, "30 min" or "30m", in seconds."""
    from bench.judging.claims import parse_quantity
    from bench.units import Unit

    try:
        value, unit = parse_quantity(re.sub(r"(?<=\d)\s*m$", " min", text))
    except ValueError as error:
        raise UsageError(f"--budget: {error}", 'for example --budget "30 min"') from error
    if unit is not Unit.SECONDS or value <= 0:
        raise UsageError(f'--budget needs a time, not "{text}"', 'for example --budget "30 min"')
    return value


def main() -> None:
    """Be the command `bench`."""
    words = [word for word in sys.argv[1:] if word != "--debug"]
    raise SystemExit(guarded(lambda: app(args=words)))
