"""From the model to HTML: draws the pictures, fills the template. Everything is escaped; a missing name is an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from report.beside import BesidePage
from report.drawings import draw
from report.model import Figure, Page
from report.svg import inline

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(page: Page, *, samples: str = "") -> str:
    """Return the report as HTML text.

    Args:
        page: what it says.
        samples: relative link to the parquet file, or "" where there is none to link to.
    """
    return _filled("page.html.j2", page=page, samples=samples, csv=data_uri(page.summary_csv))


def render_beside(page: BesidePage) -> str:
    """Return the comparison of several runs as HTML text."""
    return _filled("beside.html.j2", page=page)


def _filled(name: str, **content: Any) -> str:
    """Return a template filled with the style sheet, the pictures and this content."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    style = Markup((_TEMPLATES / "style.css").read_text("utf-8"))  # noqa: S704  # our own file
    return environment.get_template(name).render(svg=picture, style=style, **content)


def picture(figure: Figure, form: str) -> Markup:
    """Return a figure as inline SVG; `form` is "wide" or "narrow"."""
    svg = draw(figure.chart, narrow=form == "narrow")
    return Markup(inline(svg, f"{figure.key}-{form}", figure.title, figure.description))  # noqa: S704  # escaped by inline and matplotlib


def data_uri(text: str) -> str:
    """Return a CSV text as a link that carries it."""
    return f"data:text/csv;charset=utf-8,{quote(text)}"


def samples_link(run: Path, out: Path) -> str:
    """Return the relative link from the report to the run's samples; "" where they are not beside or below it.

    A longer way up would tell a reader about directories that are none of their business.
    """
    samples = run / "samples" / "samples.parquet"
    if not samples.is_file():
        return ""
    link = os.path.relpath(samples.resolve(), out.resolve().parent)
    return "" if link.startswith(f"..{os.sep}..{os.sep}..") else quote(Path(link).as_posix())
