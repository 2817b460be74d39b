"""From matplotlib's SVG to one that may stand inside a page: ids of its own, CSS variables as colours, a title."""

from __future__ import annotations

import re
from html import escape
from itertools import zip_longest

from report.charts import SENTINELS

_PROLOGUE = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"\s*<style type=\"text/css\">.*?</style>", re.DOTALL)
_ROOT = re.compile(r"<svg [^>]*>")
_VIEW_BOX = re.compile(r'viewBox="([^"]*)"')
_FAMILY = re.compile(r" ?font-family: [^;\"]*;?")
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_LONG = re.compile(r"(\d+\.\d\d)\d+")
_PATHS_ONLY = re.compile(r'(?<=\s)(?:d|x|y|transform)="[^"]*"')
_WORDS = re.compile(r"(?<=>)([^<>]*[^<>\s][^<>]*)(?=<)")
_BREAK = "\0"
"""What stands in no SVG: it marks where visible words were."""


def inline(svg: str, key: str, title: str, description: str) -> str:
    """Return the figure for use inside an HTML page.

    Args:
        svg: what matplotlib wrote.
        key: a word that no other figure of the page has; every id begins with it.
        title: the figure's name for those who do not see it.
        description: what it shows, its finding first.
    """
    text = _PROLOGUE.sub("", svg, count=1)
    # matplotlib styles "*": inside a page that would be the whole page. The style sheet has its own rule.
    for pattern in (_METADATA, _STYLE, _COMMENT):
        text = pattern.sub("", text)
    # Visible words may look like anything: only what stands between them is rewritten.
    pieces = _WORDS.split(text)
    markup = _own(_BREAK.join(pieces[::2]), key)
    box = _VIEW_BOX.search(markup)
    root = (
        f'<svg viewBox="{box.group(1) if box else "0 0 1 1"}" role="img" aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    between = _ROOT.sub(lambda _: root, markup, count=1).split(_BREAK)
    return "".join(f"{tags}{words}" for tags, words in zip_longest(between, pieces[1::2], fillvalue="")).strip()


def _own(markup: str, key: str) -> str:
    """Return the tags with ids that begin with the key, with the page's fonts and colours, and with short numbers."""
    for before in ('id="', "url(#", 'href="#'):
        markup = re.sub(rf"\b{re.escape(before)}", f"{before}{key}-", markup)
    # The page's own fonts: matplotlib was never asked how wide its words are.
    markup = _FAMILY.sub("", markup)
    markup = _PATHS_ONLY.sub(lambda found: _LONG.sub(r"\1", found.group()), markup)
    for role, colour in SENTINELS.items():
        markup = markup.replace(colour, f"var(--{role})")
    return markup
