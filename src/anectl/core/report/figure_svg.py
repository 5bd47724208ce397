"""A figure as SVG, with presentation attributes and classes only: a strict Content-Security-Policy lets no style in.

In the page the classes take their colours from its style sheet, so that the figures follow the theme; `standalone`
adds a style of its own, for papers.
"""

from __future__ import annotations

from collections.abc import Iterator

from anectl.core.report.figures import PALETTE, Band, Block, Dot, Figure, Line, Mark, Segment
from anectl.core.report.markup import Markup, tag

_TOP, _BOTTOM, _RIGHT = 30, 40, 20
_CHARACTER = 5.9
_LEGEND_ROW = 16
_FONT = "font-family:'Helvetica Neue',Helvetica,Arial,sans-serif"


class _Frame:
    """Where the axes of a figure lie in its picture."""

    def __init__(self, figure: Figure) -> None:
        longest = max((len(text) for _, text in figure.y.ticks), default=0)
        self.figure = figure
        self.left = min(14 + _CHARACTER * longest + (0 if figure.y.categories else 16), figure.width * 0.45)
        self.right = figure.width - _RIGHT
        self.top = _TOP + _LEGEND_ROW * len(legend_rows(figure))
        self.bottom = figure.height - _BOTTOM

    def x(self, value: float) -> float:
        """Pixels from the left."""
        axis = self.figure.x
        return round(self.left + (value - axis.low) / (axis.high - axis.low) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Pixels from the top; categories go down, numbers go up."""
        axis = self.figure.y
        share = (value - axis.low) / (axis.high - axis.low)
        return round(self.top + (share if axis.categories else 1 - share) * (self.bottom - self.top), 1)


def legend_rows(figure: Figure) -> list[list[tuple[str, str]]]:
    """The legend's entries in rows that fit the width."""
    rows: list[list[tuple[str, str]]] = []
    used = float(figure.width)
    for label, colour in figure.legend:
        size = 26 + _CHARACTER * len(label)
        if used + size > figure.width - 20:
            rows.append([])
            used = 0.0
        rows[-1].append((label, colour))
        used += size
    return rows


def svg(figure: Figure) -> Markup:
    """The figure as an element of the page."""
    frame = _Frame(figure)
    body = [*_axes(frame), *(part for mark in figure.marks for part in _drawn(frame, mark)), *_words(frame)]
    return tag(
        "svg",
        tag("title", figure.title + (f": {figure.summary}" if figure.summary else "")),
        body,
        viewBox=f"0 0 {figure.width} {figure.height}",
        role="img",
        class_="figure",
        data_name=figure.name,
    )


def standalone(figure: Figure) -> str:
    """The figure as a file of its own, on white."""
    rules = [f"text{{{_FONT};font-size:11px;fill:{PALETTE['ink'][0]}}}.title{{font-weight:600}}"]
    for name, (light, _) in PALETTE.items():
        rules.append(f".f-{name}{{fill:{light}}}.s-{name}{{stroke:{light};fill:none}}")
    rules.append(".faint{opacity:.22}.mark{stroke-width:1.6}.thin{opacity:.35}.tick{fill:#5c574f}")
    inside = svg(figure).partition(">")[2].removesuffix("</svg>")
    size = f'width="{figure.width}" height="{figure.height}" viewBox="0 0 {figure.width} {figure.height}"'
    ground = f'<rect width="{figure.width}" height="{figure.height}" fill="#fff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return f"{head}<style>{''.join(rules)}</style>{ground}{inside}</svg>\n"


def _axes(frame: _Frame) -> Iterator[Markup]:
    figure = frame.figure
    for value, text in figure.y.ticks:
        at = frame.y(value)
        yield tag("line", x1=frame.left, x2=frame.right, y1=at, y2=at, class_="s-rule")
        yield tag("text", text, x=frame.left - 6, y=at + 3.5, text_anchor="end", class_="tick")
    for value, text in figure.x.ticks:
        at = frame.x(value)
        yield tag("line", x1=at, x2=at, y1=frame.bottom, y2=frame.bottom + 4, class_="s-muted")
        yield tag("text", text, x=at, y=frame.bottom + 16, text_anchor="middle", class_="tick")
    yield tag("line", x1=frame.left, x2=frame.right, y1=frame.bottom, y2=frame.bottom, class_="s-muted")


def _words(frame: _Frame) -> Iterator[Markup]:
    figure = frame.figure
    yield tag("text", figure.title, x=0, y=13, class_="title")
    for number, row in enumerate(legend_rows(figure)):
        x, y = 0.0, 30 + _LEGEND_ROW * number
        for label, colour in row:
            yield tag("rect", x=x, y=y - 8, width=10, height=10, class_=f"f-{colour}")
            yield tag("text", label, x=x + 15, y=y + 1, class_="tick")
            x += 26 + _CHARACTER * len(label)
    yield tag("text", figure.x.label, x=frame.right, y=figure.height - 6, text_anchor="end", class_="tick")
    if figure.y.label:
        yield tag("text", figure.y.label, x=frame.left, y=frame.top - 6, class_="tick")


def _drawn(frame: _Frame, mark: Mark) -> Iterator[Markup]:
    if isinstance(mark, Line):
        path = " ".join(f"{frame.x(x)},{frame.y(y)}" for x, y in mark.points)
        yield tag(
            "polyline", _hint(mark.label), points=path, class_=f"s-{mark.colour} {'thin' if mark.thin else 'mark'}"
        )
    elif isinstance(mark, Band):
        there = [f"{frame.x(x)},{frame.y(low)}" for x, low, _ in mark.points]
        back = [f"{frame.x(x)},{frame.y(high)}" for x, _, high in reversed(mark.points)]
        yield tag("polygon", points=" ".join(there + back), class_=f"f-{mark.colour} faint")
    elif isinstance(mark, Segment):
        ends = {"x1": frame.x(mark.x0), "y1": frame.y(mark.y0), "x2": frame.x(mark.x1), "y2": frame.y(mark.y1)}
        yield tag("line", _hint(mark.label), **ends, class_=f"s-{mark.colour} mark")
    elif isinstance(mark, Dot):
        at = {"cx": frame.x(mark.x), "cy": frame.y(mark.y)}
        yield tag("circle", _hint(mark.label), **at, r=3.2, class_=f"f-{mark.colour}")
    else:
        yield _block(frame, mark)


def _block(frame: _Frame, mark: Block) -> Markup:
    xs, ys = sorted((frame.x(mark.x0), frame.x(mark.x1))), sorted((frame.y(mark.y0), frame.y(mark.y1)))
    return tag(
        "rect",
        _hint(mark.label),
        x=xs[0],
        y=ys[0],
        width=round(max(xs[1] - xs[0], 0.4), 1),
        height=round(max(ys[1] - ys[0], 1.2), 1),
        class_=f"f-{mark.colour}" + (" faint" if mark.faint else ""),
    )


def _hint(label: str) -> Markup | None:
    return tag("title", label) if label else None
