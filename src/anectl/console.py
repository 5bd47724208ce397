"""What people see: messages and progress on stderr, never on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_EVERY_S = 30.0
_WIDEST = 10_000


def log(command: str) -> Callable[[str], None]:
    """A function that prints one message of this command to stderr."""

    def write(message: str) -> None:
        print(f"{command}: {message}", file=sys.stderr, flush=True)

    return write


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table to stderr; the first column is text, the others are numbers. No cell is ever cut short.

    On a terminal too narrow for it cells go on in further lines; elsewhere it is as wide as it needs to be.
    """
    from rich.console import Console  # 50 ms that `anectl --help` should not pay
    from rich.table import Table

    is_terminal = sys.stderr.isatty()
    view = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        view.add_column(column, justify="left" if number == 0 else "right", overflow="fold", no_wrap=not is_terminal)
    for row in rows:
        view.add_row(*row)
    Console(stderr=True, width=None if is_terminal else _WIDEST).print(view)


@contextmanager
def progress(command: str, total: int | None = None) -> Iterator[Callable[[str], None]]:
    """Report long work: a live bar on a terminal, else a line every half minute. Call the result once per row."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn(command),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(command, total=total, note="")

            def step(note: str = "") -> None:
                bar.update(task, advance=1, note=note)

            yield step
        return
    started = shown = time.monotonic()
    done = 0

    def advance(note: str = "") -> None:
        nonlocal done, shown
        done += 1
        now = time.monotonic()
        if now - shown >= _EVERY_S:
            shown = now
            of = f" of {total}" if total else ""
            print(f"{command}: {done}{of} rows, {done / (now - started):.1f}/s {note}", file=sys.stderr, flush=True)

    yield advance


def quiet_libraries() -> None:
    """Keep the engines' own bars and banners off stderr unless it is a terminal."""
    import os

    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
