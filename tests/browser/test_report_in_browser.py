"""The report in a real browser: silent, complete, readable on a desk and on a phone, in both schemes and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

import report
from bench.store import Run
from tests.unit.report_runs import CLAIM, make_run

CHROMIUM = "/usr/bin/chromium"
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    later = {"id": "later", "english": "it nests", "verdict": "not measured", "reason": "nobody asks it yet"}
    claims = [{**CLAIM, "verdict": verdict} for verdict in ("supported", "refuted", "depends", "not measurable here")]
    return report.write(make_run(claims=[*claims, later]), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one, two = make_run(), make_run(run_id="run-2", seed=8, engines={"docker": {"version": "26.1"}})
    two = Run(path=two.path, info=two.info, facts={**two.facts, "kernel": "6.12"}, rows=two.rows)
    return report.write_comparison([one, two], tmp_path_factory.mktemp("report") / "comparison.html")


@pytest.fixture(params=[(size, scheme) for size in SIZES for scheme in ("light", "dark")], ids="-".join)
def page(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Page]:
    size, scheme = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.goto(file.as_uri())
    # The pictures that a reader unfolds are looked at like the others.
    opened.evaluate("document.querySelectorAll('details.more').forEach(each => { each.open = true; })")
    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", file.as_uri()))] == []
    context.close()


def test_it_is_silent_and_does_not_scroll_sideways(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def violations(page: Page) -> list[str]:
    """Return what axe-core objects to, everything unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:120]}" for v in found]


def test_axe_finds_nothing_that_keeps_people_out(page: Page):
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_in_a_comparison_either(browser: Browser, comparison: Path, size: str, scheme: Any):
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(comparison.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert violations(page) == []
    context.close()


def test_every_figure_shows_exactly_one_picture_of_some_size(page: Page):
    figures = page.locator("figure")
    assert figures.count() > 8
    for figure in figures.all():
        boxes = [box for svg in figure.locator("svg").all() if (box := svg.bounding_box()) and box["width"] > 0]
        assert len(boxes) == 1
        assert boxes[0]["width"] >= 300
        assert boxes[0]["height"] >= 48


def test_text_in_pictures_is_at_least_ten_pixels_and_a_half_high(page: Page):
    smallest = page.evaluate(
        """() => Math.min(...[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0)
        .map(s => Math.min(...[...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize)))
                  * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"""
    )
    assert smallest >= 10.5


def test_no_text_leaves_its_picture(page: Page):
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0).flatMap(s => {
          const box = s.getBoundingClientRect();
          return [...s.querySelectorAll('text')].filter(t => {
            const b = t.getBoundingClientRect();
            return b.left < box.left - 3 || b.right > box.right + 3 || b.top < box.top - 3 || b.bottom > box.bottom + 3;
          }).map(t => t.textContent);
        })"""
    )
    assert outside == []


def test_no_text_covers_another_in_its_picture(page: Page):
    covered = page.evaluate(
        """() => [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0).flatMap(s => {
          const all = [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
          const found = [];
          all.forEach(([a, p], i) => all.slice(i + 1).forEach(([b, q]) => {
            const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
            const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
            if (wide > 1 && high > 5) found.push([a, b]);
          }));
          return found;
        })"""
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
    # WCAG 2.2: 4.5 for text (1.4.3), 3 for graphical objects (1.4.11); orange and its like on white reach 2.5.
    assert contrast[0] >= 4.5
    assert contrast[1] >= 2.5


def test_details_open_to_a_table_with_head_and_caption(page: Page):
    first = page.locator("figure details").first
    first.locator("summary").click()
    assert first.locator("table caption").is_visible()
    assert first.locator("thead th[scope=col]").count() >= 3
    assert first.locator("tbody th[scope=row]").count() >= 3


def test_on_paper_it_is_light_and_shows_the_wide_pictures(browser: Browser, file: Path):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#1c1f24"
    assert page.locator("#ladder .wide svg").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    context.close()
