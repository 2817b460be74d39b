"""The commands that read runs and measure nothing: runs, report, compare, export."""

# ruff: noqa: FBT002  # the signatures are the command line

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import ExitCode, UsageError
from bench.screens.console import answers

app = typer.Typer(rich_markup_mode=None)

Results = Annotated[Path | None, typer.Option("--results", metavar="DIR", help="Where runs are kept.")]
RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's id, its beginning, or its folder.")]
RunNames = Annotated[
    list[str] | None, typer.Argument(metavar="RUN", help="A run's id, its beginning, or its folder; or several.")
]

ClaimFiles = Annotated[
    list[Path] | None, typer.Option("--claims", metavar="FILE.toml", help="Your own claims. Repeatable.")
]


def results_folder(asked: Path | None = None) -> Path:
    """Return where runs are kept: as asked, else $BENCH_RESULTS, else results/ of this project.

    Raises:
        UsageError: the folder that was asked for is not there.
    """
    from bench.store import DIRECTORY

    if asked is None:
        return Path(os.environ.get("BENCH_RESULTS") or DIRECTORY)
    if not asked.is_dir():
        raise UsageError(f"there is no folder {asked}", "name the one that holds your runs with --results")
    return asked


def _make_room(file: Path, option: str) -> None:
    """See that a file can be written before the work for it is done.

    Raises:
        UsageError: its folder cannot be made or written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(file.parent, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UsageError(f"{file} cannot be written", f"choose another place with {option}")


@app.command()
def runs(results: Results = None) -> None:
    """List all runs, oldest first."""
    from bench.screens.results import runs_screen
    from bench.store import list_runs

    folder = results_folder(results)
    known = list_runs(folder)
    if not known:
        typer.echo(f"there is no run in {folder} yet: bench run all")
        return
    runs_screen(answers(), [(path.name, _info(path)) for path in known])


def _info(path: Path) -> dict[str, Any]:
    """Return a run's run.json; an unreadable one says so itself."""
    import json

    try:
        content = json.loads((path / "run.json").read_text("utf-8"))
        return content if isinstance(content, dict) else {"ending": "damaged"}
    except (OSError, ValueError, RecursionError):
        return {"ending": "damaged"}


@app.command()
def report(
    runs: RunNames = None,
    results: Results = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write the page.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    claims: ClaimFiles = None,
) -> None:
    """Make the HTML report of a run, or of several side by side.

    The newest run, if none is named. Of several, each is put beside the first one: what was different about them,
    which sentences flipped, then every headline; the page is comparison.html in the last one's folder.
    """
    from bench.commands.measure import comparison_reporter, reporter
    from bench.judging.verdicts import judge_by_files, with_verdicts
    from bench.store import find_run, read_run

    paths = [find_run(results_folder(results), name) for name in runs or (None,)]
    if out is not None:
        _make_room(out, "--out")
    typer.echo(f"making the report of {', '.join(path.name for path in paths)}", err=True)
    judged = [with_verdicts(run, judge_by_files(run, tuple(claims or ()))) for run in map(read_run, paths)]
    if len(judged) > 1:
        page = comparison_reporter()(judged, out or paths[-1] / "comparison.html")
    else:
        page = reporter()(judged[0], out or paths[0] / "report.html")
    typer.echo(str(page))
    if open_it:
        typer.launch(page.resolve().as_uri())


@app.command()
def claims(
    run: RunName = None,
    results: Results = None,
    claims: ClaimFiles = None,
    about: Annotated[str, typer.Option(metavar="CLAIM", help="Only this one, with all its evidence.")] = "",
) -> None:
    """Judge the popular sentences from a run.

    The newest run, if none is named. Supported, refuted, depends (on the subject), not measurable here (in this way,
    on this host) or not measured (that question was not asked): each with the reason.
    """
    from bench.judging.verdicts import judge_by_files
    from bench.screens.claims import judgement_screen, verdicts_screen
    from bench.store import find_run, read_run
    from bench.text import did_you_mean

    found = judge_by_files(read_run(find_run(results_folder(results), run)), tuple(claims or ()))
    by_id = {judgement.claim.id: judgement for judgement in found}
    if about and about not in by_id:
        raise UsageError(f'there is no claim "{about}"', did_you_mean(about, by_id))
    if about:
        judgement_screen(answers(), by_id[about])
    else:
        verdicts_screen(answers(), found)


@app.command(no_args_is_help=True)
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more; the first is the base.")],
    results: Results = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(metavar="WHAT", help="slower (exit 4) or inconclusive (exit 5). Repeatable.")
    ] = None,
    margin: Annotated[float, typer.Option(min=0.0, help="Differences up to this share count as none.")] = 0.05,
) -> None:
    """Compare runs with the first one.

    What differs between their hosts and versions comes first, then every headline metric: FASTER, SLOWER (or LESS
    and MORE), EQUIVALENT, INCONCLUSIVE. A guest on KVM and one on emulation are different subjects, never compared.

    --fail-on slower: exit code 4 if anything is worse by more than the margin, its whole interval included; which
    way is worse, the metric says. --fail-on inconclusive: 5 if something has no verdict, or only the first run has
    it. 4 goes before 5. If the runs have nothing in common the code is 3, whatever was asked.
    """
    from bench.judging.between import compare_runs, gate, headlines_only
    from bench.judging.summary import headlines
    from bench.screens.comparison import between_screen
    from bench.store import find_run, read_run

    if len(runs) < 2:
        raise UsageError("compare needs two runs", "bench runs lists them")
    unknown = sorted(set(fail_on or ()) - {"slower", "inconclusive"})
    if unknown:
        raise UsageError(f'--fail-on knows "slower" and "inconclusive", not "{unknown[0]}"')
    known = [read_run(find_run(results_folder(results), name)) for name in runs]
    compared = [headlines_only(c, headlines(known[0])) for c in compare_runs(known, margin=margin)]
    between_screen(answers(), compared)
    raise typer.Exit(gate(compared, fail_on or ()))


@app.command(no_args_is_help=True)
def export(
    form: Annotated[str, typer.Option("--format", "-f", metavar="FORMAT", help="One of the list above.")],
    run: RunName = None,
    results: Results = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Instead of the screen.")
    ] = None,
) -> None:
    """Write a run in the words of another tool.

    \b
    csv                   every sample, warm-up and failures too, one a line
    csv-estimates         one line a metric: median, 95 % interval, n, failures
    markdown              the headline tables, for a job's summary or a comment
    json                  facts, estimates and comparisons in the suite's own form
    pytest-benchmark      for pytest-benchmark compare; times only
    hyperfine             for hyperfine's plotting scripts; times only
    bmf                   Bencher's metric format
    github-action         github-action-benchmark, customSmallerIsBetter
    github-action-bigger  the same, customBiggerIsBetter: one direction a file
    openmetrics           for Prometheus and node_exporter's textfile collector

    The newest run, if none is named. What a format cannot hold is left out and told on standard error. A value that
    is missing is left out, never 0. Exit code 3 if the format found nothing to hold.
    """  # noqa: D301  # \b keeps the list's lines apart
    from bench import exports
    from bench.store import find_run, read_run

    if output is not None:
        _make_room(output, "--output")
    made = exports.export(read_run(find_run(results_folder(results), run)), form)
    if output is None:
        typer.echo(made.text, nl=False)
    else:
        _write(output, made.text)
    for line in made.notes:
        typer.echo(f"bench: {line}", err=True)
    if not made.count:
        typer.echo(f"bench: this run has nothing that {form} could hold", err=True)
        raise typer.Exit(ExitCode.NOTHING_MEASURED)


@app.command()
def simulate(
    runs: Annotated[int, typer.Option(min=1, help="Simulated runs for each world and design.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything that is drawn.")] = 1,
    docs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the figures into simulation.json and methods.md there.")
    ] = None,
) -> None:
    """Count how often the statistics are right.

    Nothing is started: the fake backend's generator draws whole runs from worlds without and with drift, outliers, two
    modes and memory, and they are judged as real ones are. docs/methods.md has the figures of the defaults.
    """
    from bench import scenario
    from bench.comparing import simulation

    if docs is not None and not (docs / "methods.md").is_file():
        raise UsageError(f"there is no methods.md in {docs}", "name the folder of the documents with --docs")
    profiles = scenario.load().profiles.values()
    found = simulation.simulate(profiles, runs=runs, seed=seed, tell=lambda world: typer.echo(world, err=True))
    if docs is not None:
        simulation.write(docs, found, runs=runs, seed=seed)
    typer.echo(simulation.as_table(found), nl=False)


def _write(path: Path, text: str) -> None:
    """Write beside the file, then rename over it: a collector that reads meanwhile sees the old or the new one."""
    from bench.errors import StoreError

    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror or error}", "choose another --output") from error
