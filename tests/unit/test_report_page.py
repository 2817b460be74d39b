"""The report as a file: one, closed, harmless, the same every time."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import report
from bench.errors import ReportError
from bench.store import Run
from bench.units import Unit
from report.figures import linear_ticks, log_ticks, ratio_ticks
from report.render import data_uri, samples_link
from tests.samples import SAMPLE, enlarged, judged
from tests.unit.report_runs import make_run, row

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Collects what the page is made of, and complains about tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")
            elif name.startswith("on"):
                self.handlers.append(name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report") / "report.html"
    return report.write(make_run(), out).read_text("utf-8")


def test_nothing_is_asked_of_the_network_and_no_script_runs(page: str):
    found = read(page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert not found.tags & {"script", "iframe", "object", "embed", "base", "form", "img"}
    assert found.handlers == []
    assert all(link.startswith(("#", "data:")) for link in found.links)
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_every_anchor_has_its_place_and_every_place_its_own_name(page: str):
    found = read(page)
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    named = {word for words in re.findall(r'aria-labelledby="([^"]*)"', page) for word in words.split()}
    assert named <= set(found.ids)


def test_headings_descend_one_step_at_a_time(page: str):
    headings = read(page).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


def test_every_picture_has_a_title_a_text_and_no_colour_of_its_own(page: str):
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) > 10
    for picture in pictures:
        assert re.match(
            r'<svg viewBox="[^"]+" role="img" aria-labelledby="\S+ \S+"><title [^>]+>[^<]+</title><desc', picture
        )
        assert not re.findall(r"#[0-9a-f]{6}\b", picture)
        assert "<style" not in picture
        assert "<metadata" not in picture
        assert "font-family" not in picture


def test_small_print_is_no_smaller_than_eleven_pixels(page: str):
    sizes = {float(size) for size in re.findall(r"font-size: ([0-9.]+)px", page)}
    assert len(sizes) > 2
    assert min(sizes) >= 11.0


def test_the_same_run_gives_the_same_bytes_whatever_is_around_it(tmp_path: Path):
    """Two processes that hash, tell the time and speak differently."""
    pages = []
    for seed, zone, language in (("1", "UTC", "C"), ("2", "Asia/Tokyo", "C.UTF-8")):
        out = tmp_path / seed / "report.html"
        around = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LANG": language, "LC_ALL": language}
        words = [sys.executable, "-m", "bench", "report", str(SAMPLE), "--out", str(out)]
        subprocess.run(words, cwd=ROOT, env=around, check=True, capture_output=True)
        pages.append(out.read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_a_standard_run_fits_into_five_megabytes(tmp_path: Path):
    run = enlarged(judged(), 15)
    assert len(run.rows) > 15_000
    assert report.write(run, tmp_path / "report.html").stat().st_size < 5_000_000


EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>$\\frac{1}{2}$ \x00\u202e\ud800 {{ 7*7 }}'


def test_nothing_a_stranger_writes_becomes_markup_mathematics_or_a_template(tmp_path: Path):
    run = make_run(
        run_id=EVIL, ending=EVIL, command=EVIL, version=EVIL, engines={EVIL: {EVIL: EVIL}},
        manifests={EVIL: {EVIL: EVIL}},
        subjects={EVIL: {"name": EVIL, "title": EVIL, "backend": EVIL}}, refusals=[{"reason": EVIL, "subject": EVIL}],
        scenarios={EVIL: {"title": EVIL, "question": EVIL, "headline": EVIL, "metrics": [{"name": EVIL, "unit": "s"}]}},
        findings=[{"level": EVIL, "what": EVIL}], claims=[{"id": EVIL, "verdict": EVIL}],
    )  # fmt: skip
    rows = [row(EVIL, EVIL, EVIL, 1.0 + b, b, params={EVIL: EVIL}) for b in range(7)]
    rows += [row(EVIL, EVIL, EVIL, None, 8, reason=EVIL)]
    out = report.write(
        Run(path=run.path, info=run.info, facts={EVIL: {EVIL: EVIL}}, rows=tuple(rows)), tmp_path / "evil.html"
    )
    found = read(out.read_text("utf-8"))
    assert not found.tags & {"script", "img"}
    assert found.handlers == []
    assert "{{ 7*7 }}" in out.read_text("utf-8")


def test_samples_are_linked_only_where_they_lie_near(tmp_path: Path):
    samples = tmp_path / "run 1" / "samples"
    samples.mkdir(parents=True)
    assert samples_link(tmp_path / "run 1", tmp_path / "run 1" / "report.html") == ""
    (samples / "samples.parquet").touch()
    assert samples_link(tmp_path / "run 1", tmp_path / "run 1" / "report.html") == "samples/samples.parquet"
    assert samples_link(tmp_path / "run 1", tmp_path / "out.html") == "run%201/samples/samples.parquet"
    assert samples_link(tmp_path / "run 1", tmp_path / "a" / "b" / "c" / "out.html") == ""


def test_a_report_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ReportError) as caught:
        report.write(make_run(), tmp_path / "file" / "report.html")
    assert "--out" in caught.value.hint


def test_an_empty_run_has_a_page_too(tmp_path: Path):
    text = report.write(Run(path=tmp_path, info={}, facts={}, rows=()), tmp_path / "r.html").read_text("utf-8")
    assert "The run holds no samples." in text
    read(text)


def test_the_summary_link_carries_its_text():
    assert data_uri("a,b\n≤,2\n") == "data:text/csv;charset=utf-8,a%2Cb%0A%E2%89%A4%2C2%0A"


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0.003, 70.0, Unit.SECONDS, ["10 ms", "100 ms", "1 s", "10 s", "1 min"]),
        (0.2, 3.0, Unit.SECONDS, ["200 ms", "500 ms", "1 s", "2 s"]),
        (1 << 20, 500 << 20, Unit.BYTES, ["1 MiB", "10 MiB", "100 MiB"]),
        (1100.0, 56000.0, Unit.PER_SECOND, ["2000 /s", "5000 /s", "10 k/s", "20 k/s", "50 k/s"]),
    ],
)
def test_ticks_are_ones_that_people_read(low: float, high: float, unit: Unit, labels: list[str]):
    assert [text for _, text in log_ticks(low, high, unit)] == labels


def test_even_ticks_share_one_unit_and_reach_below_zero():
    assert [t for _, t in linear_ticks(0.0, 0.82, Unit.SECONDS)] == ["0", "200 ms", "400 ms", "600 ms", "800 ms"]
    assert [t for _, t in linear_ticks(-2048.0, 4096.0, Unit.BYTES, 3)] == ["-2 KiB", "0", "2 KiB", "4 KiB"]


def test_ratio_ticks_lie_evenly_about_one():
    assert [t for _, t in ratio_ticks(0.4, 3.0)] == ["0.5×", "1×", "2×"]
    assert [t for _, t in ratio_ticks(0.05, 2000.0)] == ["0.1×", "1×", "10×", "100×", "1,000×"]
