"""The report in a real browser: silent, complete, readable on a desk and on a phone, in both schemes and on paper.

Three files: a small run by hand with every kind of verdict, the committed sample, and the sample beside another run.
Each is opened once for every size and scheme, everything unfolded, and everything is looked at there.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

import report
from tests.browser.pictures import DOCS, SIZE, chromium, take
from tests.samples import judged, slower
from tests.unit.report_runs import CLAIM, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
FILES = ("toy", "sample", "comparison")
UNFOLDED = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
SHOWN = "[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0)"
"""The pictures that this size shows: of two forms of each the other is hidden."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page in the browser, what it said on the console and whom it asked for something."""

    page: Page
    file: str
    size: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("report")
    later = {"id": "later", "english": "it nests", "verdict": "not measured", "reason": "nobody asks it yet"}
    claims = [{**CLAIM, "verdict": verdict} for verdict in ("supported", "refuted", "depends", "not measurable here")]
    sample = judged()
    return {
        "toy": report.write(make_run(claims=[*claims, later]), place / "toy.html"),
        "sample": report.write(sample, place / "sample.html"),
        "comparison": report.write_comparison([sample, slower(sample)], place / "comparison.html"),
    }


@pytest.fixture(scope="module", params=itertools.product(FILES, SIZES, ("light", "dark")), ids="-".join)
def opened(request: pytest.FixtureRequest, browser: Browser, files: dict[str, Path]) -> Iterator[Opened]:
    file, size, scheme = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    found = Opened(context.new_page(), file, size)
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda sent: found.asked.append(sent.url))
    found.page.goto(files[file].as_uri())
    found.page.evaluate(UNFOLDED)
    yield found
    context.close()


@pytest.fixture
def page(opened: Opened) -> Page:
    return opened.page


def test_it_is_silent_and_asks_for_nothing(opened: Opened):
    assert opened.said == []
    assert [url for url in opened.asked[1:] if not url.startswith("data:")] == []


def test_it_does_not_scroll_sideways(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_axe_finds_nothing_that_keeps_people_out(page: Page):
    found = Axe().run(page).response["violations"]
    assert [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:120]}" for v in found] == []


def test_every_figure_shows_exactly_one_picture_of_some_size(opened: Opened):
    figures = opened.page.locator("figure")
    assert figures.count() >= (3 if opened.file == "comparison" else 9)
    for figure in figures.all():
        boxes = [box for svg in figure.locator("svg").all() if (box := svg.bounding_box()) and box["width"] > 0]
        assert len(boxes) == 1
        assert boxes[0]["width"] >= 300
        assert boxes[0]["height"] >= 48


def test_text_in_pictures_is_at_least_ten_pixels_and_a_half_high(page: Page):
    smallest = page.evaluate(
        f"""() => Math.min(...{SHOWN}
        .map(s => Math.min(...[...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize)))
                  * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"""
    )
    assert smallest >= 10.5


def test_no_text_leaves_its_picture(page: Page):
    outside = page.evaluate(
        f"""() => {SHOWN}.flatMap(s => {{
          const box = s.getBoundingClientRect();
          return [...s.querySelectorAll('text')].filter(t => {{
            const b = t.getBoundingClientRect();
            return b.left < box.left - 3 || b.right > box.right + 3 || b.top < box.top - 3 || b.bottom > box.bottom + 3;
          }}).map(t => t.textContent);
        }})"""
    )
    assert outside == []


def test_no_text_covers_another_in_its_picture(page: Page):
    covered = page.evaluate(
        f"""() => {SHOWN}.flatMap(s => {{
          const all = [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
          const found = [];
          all.forEach(([a, p], i) => all.slice(i + 1).forEach(([b, q]) => {{
            const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
            const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
            if (wide > 1 && high > 5) found.push([a, b]);
          }}));
          return found;
        }})"""
    )
    assert covered == []


def test_ids_are_unique_and_anchors_lead_somewhere(page: Page):
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    targets = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))"
    )
    assert targets
    assert set(targets) <= set(ids)


def test_every_colour_of_a_picture_is_known_to_the_scheme(page: Page):
    unknown = page.evaluate(
        """() => { const root = getComputedStyle(document.documentElement);
        const text = document.documentElement.outerHTML;
        const used = new Set([...text.matchAll(/var\\((--[a-z0-9-]+)\\)/g)].map(m => m[1]));
        return [...used].filter(name => root.getPropertyValue(name).trim() === ''); }"""
    )
    assert unknown == []


def test_ink_stands_out_from_paper(page: Page):
    contrast = page.evaluate(
        """() => { const root = getComputedStyle(document.documentElement);
        const light = name => { const h = root.getPropertyValue(name).trim().slice(1);
          const c = [0, 2, 4].map(i => parseInt(h.slice(i, i + 2), 16) / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
        const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
          return (x + 0.05) / (y + 0.05); };
        const words = ['--ink', '--soft', '--accent', '--alarm', '--good', '--mixed'];
        const marks = ['--process', '--oci', '--docker', '--vm', '--other'];
        const grounds = ['--paper', '--ground', '--emulated'];
        return [Math.min(...words.flatMap(w => grounds.map(g => ratio(w, g)))),
                Math.min(...marks.flatMap(w => grounds.map(g => ratio(w, g))))]; }"""
    )
    # WCAG 2.2: 4.5 for text (1.4.3), 3 for graphical objects (1.4.11).
    assert contrast[0] >= 4.5
    assert contrast[1] >= 3.0


def test_a_picture_has_a_table_with_head_and_caption_that_folds(opened: Opened):
    if opened.file == "comparison":
        assert opened.page.locator("table caption").first.is_visible()
        return
    first = opened.page.locator("figure details").first
    assert first.locator("table caption").is_visible()
    assert first.locator("thead th[scope=col]").count() >= 3
    assert first.locator("tbody th[scope=row]").count() >= 3
    first.locator("summary").click()
    assert not first.locator("table caption").is_visible()
    first.locator("summary").click()


@pytest.mark.parametrize("file", FILES)
def test_on_paper_it_is_light_and_shows_what_is_folded(browser: Browser, files: dict[str, Path], file: str):
    context = browser.new_context(color_scheme="dark", viewport={"width": 794, "height": 1123})
    page = context.new_page()
    page.goto(files[file].as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#1c1f24"
    assert not page.locator("nav").is_visible()
    wide = page.locator(".picture.wide svg")
    assert wide.count() >= 3
    assert all(svg.is_visible() for svg in wide.all())
    assert not any(svg.is_visible() for svg in page.locator(".picture.narrow svg").all())
    folded = "[...document.querySelectorAll('details caption')].filter(c => !c.closest('details.raw'))"
    assert page.evaluate(f"{folded}.length") > 0
    assert page.evaluate(f"{folded}.filter(c => !c.checkVisibility()).map(c => c.textContent)") == []
    # Every question begins on a page of its own.
    pages = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    assert len(pages) > page.locator("section.scenario").count() >= 3
    context.close()


def test_the_readmes_pictures_can_be_taken_again(browser: Browser, tmp_path: Path):
    take(tmp_path, browser)
    sizes = {path.name: struct.unpack(">II", path.read_bytes()[16:24]) for path in tmp_path.iterdir()}
    assert sizes["report.png"] == SIZE
    assert sizes["ladder.png"][0] > 900
    assert sizes.keys() == {path.name for path in DOCS.glob("*.png")}
