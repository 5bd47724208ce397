"""A few shapes of SVG, drawn the same on every machine: no fonts of its own, no dates, one decimal.

The background is light in any theme, so that a picture reads in a dark page as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

INK, SOFT, GRID = "#1f2328", "#59636e", "#d8dee4"
FAILING, LEARNABLE, SOLVED, UNSURE = "#c4513b", "#2c8272", "#3567a8", "#a0a7ae"
GOLD, PLUM = "#b7791f", "#7d4e9e"

Point = tuple[float, float]


class Canvas:
    """A picture of so many pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size, self._title = (width, height), title
        self._parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 13,
        anchor: str = "start",
        fill: str = INK,
        bold: bool = False,
    ) -> None:
        """Words whose baseline begins (or, by `anchor`, is centred or ends) at a point."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{weight}>'
            f"{escape(words)}</text>"
        )

    def line(self, start: Point, end: Point, *, stroke: str = INK, width: float = 1, dash: str = "") -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
            f'stroke="{stroke}" stroke-width="{width}"{dashed}/>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, *, fill: str, opacity: float = 1, stroke: str = "none"
    ) -> None:
        """A rectangle by its upper left corner."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" '
            f'fill-opacity="{opacity}" stroke="{stroke}"/>'
        )

    def dot(self, at: Point, radius: float, *, fill: str, stroke: str = "none") -> None:
        """A filled circle."""
        self._parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}" fill="{fill}" stroke="{stroke}"/>')

    def path(
        self, points: Iterable[Point], *, stroke: str, width: float = 2, dash: str = "", fill: str = "none"
    ) -> None:
        """A line through points; with `fill` the area within it."""
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        shape = "polygon" if fill != "none" else "polyline"
        self._parts.append(
            f'<{shape} points="{way}" fill="{fill}" fill-opacity="0.18" stroke="{stroke}" '
            f'stroke-width="{width}"{dashed}/>'
        )

    def render(self) -> str:
        """The file."""
        width, height = self._size
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                f'height="{height}" role="img" font-family="Helvetica, Arial, sans-serif">',
                f"<title>{escape(self._title)}</title>",
                f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff" stroke="{GRID}"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


class Axes:
    """A frame on a canvas, and the way from values to pixels in it."""

    def __init__(
        self, canvas: Canvas, corner: Point, size: tuple[float, float], xs: tuple[float, float], ys: tuple[float, float]
    ) -> None:
        self.canvas, self.corner, self.size, self.xs, self.ys = canvas, corner, size, xs, ys

    def at(self, x: float, y: float) -> Point:
        """Where a pair of values is."""
        across = (x - self.xs[0]) / (self.xs[1] - self.xs[0])
        up = (y - self.ys[0]) / (self.ys[1] - self.ys[0])
        return self.corner[0] + across * self.size[0], self.corner[1] + (1 - up) * self.size[1]

    def frame(
        self, title: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str = ""
    ) -> None:
        """Grid lines, their values, and what the axes are."""
        left, top = self.corner
        self.canvas.text(left, top - 12, title, bold=True)
        for value, name in y_ticks:
            start, end = self.at(self.xs[0], value), self.at(self.xs[1], value)
            self.canvas.line(start, end, stroke=GRID)
            self.canvas.text(left - 7, start[1] + 4, name, size=11, anchor="end", fill=SOFT)
        for value, name in x_ticks:
            x, y = self.at(value, self.ys[0])
            self.canvas.line((x, y), (x, y + 4), stroke=SOFT)
            self.canvas.text(x, y + 17, name, size=11, anchor="middle", fill=SOFT)
        x, y = self.at(self.xs[0], self.ys[0])
        self.canvas.line((x, y), self.at(self.xs[1], self.ys[0]), stroke=SOFT)
        self.canvas.text(left + self.size[0] / 2, y + 34, x_name, size=12, anchor="middle", fill=SOFT)

    def curve(self, values: Iterable[tuple[float, float]], colour: str, *, width: float = 2, dash: str = "") -> None:
        """A line through pairs of values."""
        self.canvas.path([self.at(x, y) for x, y in values], stroke=colour, width=width, dash=dash)


def legend(canvas: Canvas, x: float, y: float, entries: Iterable[tuple[str, str]], step: float = 0) -> None:
    """Coloured squares with names, in a row; with `step` below each other, so far apart."""
    for colour, name in entries:
        canvas.box(x, y - 9, 10, 10, fill=colour)
        canvas.text(x + 15, y, name, size=12)
        x, y = (x, y + step) if step else (x + 30 + 6.4 * len(name), y)
