"""From a run to everything its page says: reads the run once, then has every part of the page made. Pure."""

from __future__ import annotations

import csv
import io

from bench.comparing.compare import Comparison
from bench.sample import Status
from bench.store import Run
from bench.text import harmless, plural
from report import cards, glossary, pictures, sections, setting, trust, words
from report.data import FAMILIES, ScenarioView, View, clean, mapping, view
from report.model import Answer, Matrix, MatrixCell, MatrixRow, Page, Value


def build(run: Run) -> Page:
    """Return everything the report of a run says. Pure: the same run gives the same page."""
    seen = view(run)
    first = pictures.ladder_scenario(seen)
    return Page(
        title="Containers and virtual machines on one clock",
        lead=_lead(seen), host=setting.host(seen), ending=clean(run.info.get("ending"), 200) or "unknown",
        emulated=any(s.emulated for s in seen.subjects.values()),
        answers=tuple(_answer(seen, scenario) for scenario in seen.scenarios.values()),
        claims=cards.claims(seen), matrix=matrix(seen), families=_families(seen),
        ladder=pictures.ladder(seen, first) if first else None,
        forest=pictures.forest(seen, first, "forest") if first else None,
        trust=trust.trust(seen),
        sections=tuple(sections.section(seen, s, on_ladder=s is first) for s in seen.scenarios.values()),
        environment=setting.environment(seen), shared=setting.shared(seen), manifests=setting.manifests(seen),
        events=tuple(glossary.events()), terms=glossary.TERMS,
        summary_csv=summary_csv(seen), command=setting.command(seen), foot=_foot(seen),
    )  # fmt: skip


def _lead(seen: View) -> str:
    fine = [row for row in seen.rows if row["status"] == Status.OK]
    subjects, trials = ({row[key] for row in fine} for key in ("subject", "trial"))
    started = clean(seen.info.get("started_utc") or seen.info.get("started"), 40)
    when = f", begun {started.replace('T', ' ').removesuffix('Z')} UTC" if started else ""
    counts = (plural(len(subjects), "subject"), plural(len(seen.scenarios), "question"), plural(len(trials), "trial"))
    return f"{', '.join(counts)} with a value{when}."


def _answer(seen: View, scenario: ScenarioView) -> Answer:
    values = tuple(
        Value(label=subject.label, family=subject.family, emulated=subject.emulated, text=text)
        for subject, text in words.values(seen, scenario)
    )
    metric = scenario.metrics.get(scenario.headline)
    beside = (words.guest_beside_container(seen, scenario), words.emulation(seen, scenario)) if values else ()
    return Answer(
        title=", ".join(filter(None, (scenario.title, metric.counted if metric else ""))),
        question=scenario.question, values=values,
        note=" ".join(filter(None, beside)) if values else words.answer(seen, scenario),
        sure=words.has_interval(seen, scenario),
        rests_on=words.rests_on(seen, scenario),
    )  # fmt: skip


def _families(seen: View) -> tuple[tuple[str, str], ...]:
    there = {subject.family for subject in seen.subjects.values()}
    return tuple((family, pictures.FAMILY_TITLES[family]) for family in FAMILIES if family in there)


def matrix(seen: View) -> Matrix:
    """Return every subject's headline in every scenario, twins left out."""
    columns = tuple((s.name, s.title, _column_note(seen, s)) for s in seen.scenarios.values())
    rows = []
    for subject in seen.subjects.values():
        cells = tuple(_matrix_cell(seen, scenario, subject.label) for scenario in seen.scenarios.values())
        if not subject.twin_of and any(cell.value not in ("–", Status.UNSUPPORTED) for cell in cells):
            rows.append(
                MatrixRow(label=subject.label, title=subject.title, family=subject.family, emulated=subject.emulated,
                          cells=cells)
            )  # fmt: skip
    return Matrix(columns=columns, rows=tuple(rows))


def _column_note(seen: View, scenario: ScenarioView) -> str:
    params = seen.principal(scenario.name, scenario.headline)
    return ", ".join(filter(None, (scenario.headline, words.conditions(params))))


def _matrix_cell(seen: View, scenario: ScenarioView, label: str) -> MatrixCell:
    if seen.subject(label).name in scenario.excluded:
        return MatrixCell(value="–")
    params = seen.principal(scenario.name, scenario.headline)
    key = (scenario.name, label, scenario.headline, params)
    estimate = seen.estimates.get(key)
    if estimate is None:
        cell = seen.row(scenario.name, scenario.headline, params).get(label) or seen.row(
            scenario.name, scenario.headline, ()
        ).get(label)
        return MatrixCell(value=cell.missing[0][0] if cell and cell.missing else "–")
    comparison = seen.comparisons.get(key)
    verdict = str(comparison.verdict) if comparison else "baseline" if _is_baseline(seen, scenario, label) else "alone"
    metric = scenario.metrics[scenario.headline]
    sign = words.sign_of(seen.subject(label), metric)
    ratio = _ratio(comparison, sign) if comparison else "baseline" if verdict == "baseline" else ""
    return MatrixCell(value=words.brief(estimate, metric, sign), ratio=ratio, verdict=verdict)


def _ratio(comparison: Comparison, sign: str) -> str:
    """Return the ratio for a narrow cell: it may break before its interval and its verdict, nowhere else."""
    if not comparison.ratio:
        return f"{words.VERDICT_SIGNS[comparison.verdict]}\u00a0no ratio"
    return words.tight(words.compared(comparison, sign)).replace("\u00a0[", " [").replace(",\u00a0", ", ")


def _is_baseline(seen: View, scenario: ScenarioView, label: str) -> bool:
    return seen.subject(label).name == scenario.baseline


def summary_csv(seen: View) -> str:
    """Return every estimate as CSV, values unscaled. A text that a spreadsheet would run begins with an apostrophe."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(
        ("scenario", "subject", "emulated", "metric", "params", "unit", "median", "low", "high", "n", "blocks",
         "failures", "ratio", "ratio_low", "ratio_high", "verdict")
    )  # fmt: skip
    units = {(s.name, m.name): str(m.unit) for s in seen.scenarios.values() for m in s.metrics.values()}
    for (scenario, label, metric, params), e in sorted(seen.estimates.items()):
        c = seen.comparisons.get((scenario, label, metric, params))
        writer.writerow(
            harmless(x)
            for x in (
                scenario, label, seen.subject(label).emulated, metric, words.conditions(params),
                units.get((scenario, metric), "s"), e.median, e.low, e.high, e.n, e.blocks, e.failures,
                *((c.ratio, c.low, c.high, c.verdict) if c else (None, None, None, None)),
            )
        )  # fmt: skip
    return sheet.getvalue()


def _foot(seen: View) -> tuple[tuple[str, str], ...]:
    info, profile = seen.info, seen.info.get("profile")
    told = {
        "run": info.get("run_id"), "bench": info.get("version") or info.get("bench_version"),
        "commit": info.get("git_commit"),
        "schema": info.get("schema_version"), "profile": mapping(profile).get("name") if mapping(profile) else profile,
        "seed": info.get("seed"), "host": next((row["host_id"] for row in seen.rows if row["host_id"]), None),
    }  # fmt: skip
    return tuple((title, clean(value, 80) or "unknown") for title, value in told.items())
