"""Takes the README's pictures from the report of the committed sample: python -m tests.browser.pictures."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

import report
from tests.samples import judged

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZE = (1180, 1250)
"""The window in CSS pixels: as wide as the report's text needs, high enough for most answers."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the host's Chromium; playwright's own would be another one, and a download."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "Chromium is not installed"
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


def take(folder: Path, browser: Browser) -> None:
    """Write report.png, the report's first page, and ladder.png, its first picture."""
    page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
    with tempfile.TemporaryDirectory() as place:
        page.goto(report.write(judged(), Path(place) / "report.html").as_uri())
        page.screenshot(path=folder / "report.png")
        page.locator("#ladder figure").screenshot(path=folder / "ladder.png")
    page.close()


if __name__ == "__main__":
    with chromium() as found:
        take(DOCS, found)
