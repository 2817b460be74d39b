"""The drawing board: matplotlib's object API behind a few strokes in pixels. The only module that imports matplotlib.

Layout is decided by the caller in pixels, y downwards, so that matplotlib never has to measure text or choose a tick:
a figure takes some ten milliseconds and looks the same on every host. Colours are sentinels that report.svg turns
into CSS variables, so that one picture serves the light and the dark scheme.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
    from matplotlib.text import Text

ROLES: tuple[str, ...] = (
    "ink", "soft", "faint", "line", "paper", "accent", "alarm",
    "process", "oci", "docker", "vm", "other",
    "process-tint", "oci-tint", "docker-tint", "vm-tint", "other-tint",
    "part-0", "part-1", "part-2", "part-3", "part-4", "part-5", "part-6", "part-7", "emulated",
)  # fmt: skip
"""What a colour is for. Each is a CSS variable of the same name in the style sheet."""

SENTINELS = {role: f"#01{place:02x}fe" for place, role in enumerate(ROLES)}
"""The colour drawn for each role; none of them is ever seen."""

_MIDDLE = 0.36
"""How far below a line's middle its baseline lies, as a share of the font's size: half the height of a capital."""

Anchor = Literal["left", "center", "right"]


@functools.cache
def _plain_text() -> type[Text]:
    """Return matplotlib's text without its layout: one line needs none, and measuring it takes most of the time."""
    from matplotlib.text import Text

    class PlainText(Text):
        """One line, drawn with its middle at its y."""

        def draw(self, renderer: RendererBase) -> None:
            """Hand the words to the renderer as they are."""
            stroke = renderer.new_gc()
            stroke.set_foreground(self.get_color())
            x, y = self.get_transform().transform(self.get_unitless_position())
            _, height = renderer.get_canvas_width_height()
            baseline = height - y + _MIDDLE * self.get_fontproperties().get_size_in_points()
            # Not said to be mathematics, so a "$" in a stranger's label is a dollar.
            renderer.draw_text(stroke, x, baseline, self.get_text(), self.get_fontproperties(), 0.0, mtext=self)
            stroke.restore()

    return PlainText


class Canvas:
    """A sheet of `width` × `height` CSS pixels, the origin at its top left."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        self.width, self.height = width, height
        # At 72 dots per inch a point is a pixel, and no axes are needed: every stroke says where it stands.
        self._figure = Figure(figsize=(width / 72.0, height / 72.0), dpi=72.0, facecolor="none")
        FigureCanvasSVG(self._figure)
        self._pixels = Affine2D.from_values(1.0, 0.0, 0.0, -1.0, 0.0, height)
        self._strokes = 0

    def _above(self) -> int:
        """Return a height above everything drawn so far: what is drawn later lies on top."""
        self._strokes += 1
        return self._strokes

    def line(
        self, xs: Sequence[float], ys: Sequence[float], role: str, *, width: float = 1.0,
        dash: Sequence[float] = (), alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw a line through points; `dash` are lengths on and off in pixels."""
        from matplotlib.lines import Line2D

        # Dashes of matplotlib are in units of the line's width; ours are in pixels.
        style: Any = (0, tuple(length / width for length in dash)) if dash else "solid"
        stroke = Line2D(
            xs, ys, color=SENTINELS[role], linewidth=width, linestyle=style, alpha=alpha, solid_capstyle="butt",
            zorder=self._above(), transform=self._pixels,
        )  # fmt: skip
        self._figure.add_artist(stroke)

    def lines(
        self, ends: Sequence[tuple[float, float, float, float]], role: str, *, width: float = 1.0,
        dash: Sequence[float] = (), alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw separate straight lines of one kind, each (x, y, x, y), in a single stroke: many times as fast."""
        gap = float("nan")
        xs = [x for first, _, second, _ in ends for x in (first, second, gap)]
        ys = [y for _, first, _, second in ends for y in (first, second, gap)]
        if ends:
            self.line(xs, ys, role, width=width, dash=dash, alpha=alpha)

    def bar(self, x: float, y: float, width: float, height: float, role: str, *, alpha: float = 1.0) -> None:
        """Fill a rectangle."""
        from matplotlib.patches import Rectangle

        patch = Rectangle(
            (x, y), width, height, facecolor=SENTINELS[role], edgecolor="none", linewidth=0.0, alpha=alpha,
            zorder=self._above(), transform=self._pixels,
        )  # fmt: skip
        self._figure.add_artist(patch)

    def dots(
        self, xs: Sequence[float], ys: Sequence[float], role: str, *, size: float = 5.0, shape: str = "o",
        hollow: bool = False, alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw one marker of `size` pixels at every point; shapes are matplotlib's (o, D, |, x, ^, v, s)."""
        from matplotlib.lines import Line2D

        colour = SENTINELS[role]
        marks = Line2D(
            xs, ys, linestyle="none", marker=shape, markersize=size, alpha=alpha, markeredgecolor=colour,
            markerfacecolor=SENTINELS["paper"] if hollow else colour,
            markeredgewidth=1.6 if hollow or shape in "x|" else 0.0,
            zorder=self._above(), transform=self._pixels,
        )  # fmt: skip
        self._figure.add_artist(marks)

    def text(
        self, x: float, y: float, text: str, role: str = "ink", *, size: float = 12.0, anchor: Anchor = "left",
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write one line whose middle is at y. A "$" is a dollar: nothing is read as mathematics."""
        words = _plain_text()(
            x, y, text, color=SENTINELS[role], fontsize=size, ha=anchor, fontweight="bold" if bold else "normal",
            zorder=self._above(), transform=self._pixels,
        )  # fmt: skip
        self._figure.add_artist(words)

    def svg(self) -> str:
        """Return the sheet as SVG text, byte-identical for the same strokes."""
        import matplotlib as mpl

        sheet = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report", "path.simplify": False}):
            self._figure.savefig(sheet, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return sheet.getvalue()
