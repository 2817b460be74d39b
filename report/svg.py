"""From matplotlib's SVG to one that may stand inside a page: ids of its own, CSS variables as colours, a title."""

from __future__ import annotations

import re
from html import escape

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
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r"url\(#", f"url(#{key}-", text)
    text = re.sub(r'href="#', f'href="#{key}-', text)
    # The page's own fonts: matplotlib was never asked how wide its words are.
    text = _FAMILY.sub("", text)
    text = _PATHS_ONLY.sub(lambda found: _LONG.sub(r"\1", found.group()), text)
    for role, colour in SENTINELS.items():
        text = text.replace(colour, f"var(--{role})")
    box = _VIEW_BOX.search(text)
    root = (
        f'<svg viewBox="{box.group(1) if box else "0 0 1 1"}" role="img" aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    return _ROOT.sub(lambda _: root, text, count=1).strip()
