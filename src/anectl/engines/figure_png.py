"""Figures of a report as PNG, drawn by matplotlib without any display."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch, Rectangle

from anectl.core.report.figures import PALETTE, Axis, Band, Dot, Figure, Line, Mark, Segment

_DPI = 200
_PIXELS_PER_INCH = 96


def png(figure: Figure) -> bytes:
    """The figure on white, at 200 dots per inch."""
    canvas = Canvas(figsize=(figure.width / _PIXELS_PER_INCH, figure.height / _PIXELS_PER_INCH), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    axes.set_title(_literal(figure.title), loc="left", fontsize=8, fontweight="bold")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=7)
    axes.grid(axis="y", color=_colour("rule"), linewidth=0.6)
    axes.set_axisbelow(True)
    for mark in figure.marks:
        _draw(axes, mark)
    _scale(axes, figure.x, figure.y)
    if figure.legend:
        entries = [Patch(color=_colour(colour), label=_literal(label)) for label, colour in figure.legend]
        canvas.legend(handles=entries, loc="outside lower left", ncols=3, fontsize=6, frameon=False)
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()


def _literal(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$")


def _colour(name: str) -> str:
    return PALETTE[name][0]


def _scale(axes: Axes, x: Axis, y: Axis) -> None:
    axes.set_xlim(x.low, x.high)
    axes.set_ylim(*((y.high, y.low) if y.categories else (y.low, y.high)))
    axes.set_xticks([at for at, _ in x.ticks], [_literal(text) for _, text in x.ticks])
    axes.set_yticks([at for at, _ in y.ticks], [_literal(text) for _, text in y.ticks])
    axes.set_xlabel(_literal(x.label), fontsize=7, loc="right")
    axes.set_ylabel(_literal(y.label), fontsize=7)


def _draw(axes: Axes, mark: Mark) -> None:
    colour = _colour(mark.colour)
    if isinstance(mark, Line):
        xs, ys = [x for x, _ in mark.points], [y for _, y in mark.points]
        axes.plot(xs, ys, color=colour, linewidth=0.7 if mark.thin else 1.2, alpha=0.35 if mark.thin else 1.0)
    elif isinstance(mark, Band):
        xs, lows, highs = ([point[place] for point in mark.points] for place in range(3))
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.22, linewidth=0)
    elif isinstance(mark, Segment):
        axes.plot([mark.x0, mark.x1], [mark.y0, mark.y1], color=colour, linewidth=1.2)
    elif isinstance(mark, Dot):
        axes.plot([mark.x], [mark.y], "o", color=colour, markersize=3)
    else:
        corner = (min(mark.x0, mark.x1), min(mark.y0, mark.y1))
        sides = (abs(mark.x1 - mark.x0), abs(mark.y1 - mark.y0))
        axes.add_patch(Rectangle(corner, *sides, color=colour, alpha=0.22 if mark.faint else 1.0, linewidth=0))
