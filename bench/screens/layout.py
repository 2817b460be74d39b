"""How every screen is laid out: lines, tables without a frame, paragraphs that hang beside their first word.

What stands in a run's folder or in a user's file is a stranger's. Here it becomes text: its brackets are no markup, and
characters that would steer a terminal are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bench.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.style import StyleType

_STYLES = {"failed": "red", "timeout": "red", "problem": "red", "skipped": "yellow", "warning": "yellow"}


class Sheet(Table):
    """A table in which every text is shown as it stands."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        """Add a row; a cell that is a string becomes plain text."""
        told = (plain(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*told, style=style, end_section=end_section)


def plain(text: str, style: str = "") -> Text:
    """Return a text as it stands, without markup and without what steers a terminal."""
    return Text(printable(text), style=style)


def line(console: Console, text: str, style: str = "") -> None:
    """Print one text as it stands."""
    console.print(plain(text, style))


def table_of(*columns: str, title: str = "") -> Sheet:
    """Return an empty table in the suite's style: no frame, so that it can be copied as text."""
    table = Sheet(title=plain(title, "bold") if title else None, title_justify="left", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(plain(column), overflow="fold", no_wrap=place == 0)
    return table


def grid_of(style: str = "", width: int = 11) -> Sheet:
    """Return an empty grid: words, `width` wide, and the texts that hang beside them."""
    grid = Sheet(box=None, padding=(0, 2), collapse_padding=True, show_header=False, show_edge=False, pad_edge=False)
    grid.add_column(style=style, no_wrap=True, width=width)
    grid.add_column(overflow="fold")
    return grid


def hanging(word: str, text: str) -> Sheet:
    """Return a paragraph that hangs beside its first word."""
    grid = grid_of(_STYLES.get(word, "dim"))
    grid.add_row(word, text)
    return grid
