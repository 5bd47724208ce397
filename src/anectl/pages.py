"""What people read on stdout: titled parts of labelled texts, wrapped to the width of the terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable

from anectl.core.terminal_text import visible, visible_lines
from anectl.core.trace_parts import Part

_INDENT = 14
_TEXT_LIMIT = 1_500
_MAX_LINES = 40
_STYLES = {"plain": "", "good": "green", "bad": "red", "faint": "dim"}


def show(title: str, parts: Iterable[Part], *, full: bool = False) -> None:
    """Print the parts; texts of any length are cut with a note, unless `full`.

    Colours only on a terminal: rich leaves them out in a pipe and where NO_COLOR is set; FORCE_COLOR=1 puts them in.
    """
    from rich.console import Console  # 50 ms that `anectl --help` should not pay
    from rich.text import Text

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a letter gets its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    page = Console(highlight=False, markup=False, emoji=False)
    limit, max_lines = (None, None) if full else (_TEXT_LIMIT, _MAX_LINES)
    page.print(Text(visible(title), style="bold"))
    for part in parts:
        page.print()
        # A place that is broken over two lines could not be opened with a click or found with a search.
        heading = Text.assemble((visible(part.title), "bold"), "  ", (visible(part.place), "dim"))
        page.print(heading, soft_wrap=True)
        for entry in part.entries:
            text = "\n".join(visible_lines(entry.text, limit=limit, max_lines=max_lines))
            # Text, and not str: rich would read `[red]` in a str.
            lines = Text(text, style=_STYLES[entry.tone]).wrap(page, max(page.width - _INDENT, 20), overflow="fold")
            label = visible(entry.label, limit=60).ljust(_INDENT - 2) + "  "
            for line in lines:
                line.rstrip()
                page.print(Text.assemble((label, "dim"), line))
                label = " " * _INDENT
