"""What people see: messages, tables and progress on stderr, never on stdout.

This is the edge at which texts from data are made harmless (`core/terminal_text.py`): whatever goes to the terminal
goes through here. `--log-format json` makes each message one JSON object, `--quiet` leaves warnings and errors alone.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, TextIO, TypeAlias

from anectl.core.errors import AnectlError
from anectl.core.pace import Pace, speed, spoken
from anectl.core.terminal_text import cut, visible, visible_lines

LogFormat: TypeAlias = Literal["text", "json"]
Level: TypeAlias = Literal["info", "warning", "error"]
_EVERY_S = 30.0
_BAR_EVERY_S = 0.5
_WIDEST = 10_000
_INDENT = "  "


@dataclass
class _Manner:
    """How messages are written; one for the whole process, as there is one stderr."""

    command: str = "anectl"
    is_json: bool = False
    is_quiet: bool = False


_manner = _Manner()


def configure(command: str = "anectl", log_format: LogFormat = "text", *, quiet: bool = False) -> None:
    """Say how messages are to be written from here on; `command` is the one that runs."""
    _manner.command, _manner.is_json, _manner.is_quiet = command, log_format == "json", quiet


def log(command: str) -> Callable[[str], None]:
    """A function that prints one message of this command to stderr.

    Where a message has several lines the others are indented, so that none of them passes for a message of its own.
    """

    def write(message: str) -> None:
        is_warning = message.startswith("warning: ") or ": warning: " in message[:200]
        _say("warning" if is_warning else "info", message, command)

    return write


def _say(level: Level, message: str, name: str, fields: Mapping[str, Any] | None = None) -> None:
    """Write one message. `name` is the command, a part of it (`build-index: text`), or an engine."""
    if _manner.is_quiet and level == "info":
        return
    if not _manner.is_json:
        _print(f"{name}: ", message)
        return
    part = name.removeprefix(_manner.command).removeprefix(": ")
    _print_json({"level": level, **({"part": part} if part else {}), "message": message, **(fields or {})})


def _print(head: str, message: str) -> None:
    first, *others = visible_lines(message)
    text = "".join(f"{line}\n" for line in (head + first, *(_INDENT + line for line in others)))
    print(text, end="", file=sys.stderr, flush=True)


def _print_json(fields: Mapping[str, Any]) -> None:
    import json  # a start without messages should not pay for these
    from datetime import UTC, datetime

    # All but ASCII is escaped, so that these lines are as harmless on a terminal as the others.
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"time": now, "command": _manner.command, **_shortened(fields)}), file=sys.stderr, flush=True)


def _shortened(value: Any) -> Any:
    """A JSON value whose texts are of a sane length."""
    if isinstance(value, str):
        return "".join(cut(value))
    if isinstance(value, Mapping):
        return {name: _shortened(one) for name, one in value.items()}
    return [_shortened(one) for one in value] if isinstance(value, list) else value


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table to stderr; the first column is text, the others are numbers. Cells of a sane length are not cut.

    On a terminal too narrow for it cells go on in further lines; elsewhere it is as wide as it needs to be.
    """
    if _manner.is_quiet:
        return
    if _manner.is_json:
        _print_json({"level": "info", "message": title, "columns": list(columns), "rows": [list(row) for row in rows]})
        return
    from rich.console import Console  # 50 ms that `anectl --help` should not pay
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stderr.isatty()
    view = Table(title=Text(visible(title)), title_justify="left")
    for number, column in enumerate(columns):
        justify: Literal["left", "right"] = "left" if number == 0 else "right"
        view.add_column(Text(visible(column)), justify=justify, overflow="fold", no_wrap=not is_terminal)
    for row in rows:
        # Text, and not str: rich would read `[red]` in a str.
        view.add_row(*(Text(visible(cell)) for cell in row))
    Console(stderr=True, width=None if is_terminal else _WIDEST).print(view)


class Advance(Protocol):
    """Call it once per row. `note` is for people, `figures` are the same for machines.

    `is_new` is false of a row that an interrupted run had done: it counts, but says nothing of the speed.
    """

    def __call__(self, note: str = "", figures: Mapping[str, float] | None = None, *, is_new: bool = True) -> None:
        """One row is done."""
        ...


@contextmanager
def progress(command: str, total: int | None = None) -> Iterator[Advance]:
    """Report long work: a live bar on a terminal, else a line at its start and one every half minute at most."""
    if _manner.is_quiet:
        yield _silent
    elif sys.stderr.isatty() and not _manner.is_json:
        with _bar(command, total) as advance:
            yield advance
    else:
        lines = _ProgressLines(command, total)
        yield lines.advance
        lines.end()


def _silent(note: str = "", figures: Mapping[str, float] | None = None, *, is_new: bool = True) -> None:
    pass


@contextmanager
def _bar(command: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    words = (TextColumn("{task.fields[" + name + "]}", markup=False) for name in ("pace", "note"))
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), *words)
    pace = Pace(time.monotonic(), total, num_marks=round(_EVERY_S / _BAR_EVERY_S))
    shown = pace.started
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(visible(command), total=total, pace="", note="")

        def advance(note: str = "", figures: Mapping[str, float] | None = None, *, is_new: bool = True) -> None:
            nonlocal shown
            pace.add(is_new=is_new)
            now = time.monotonic()
            if now - shown < _BAR_EVERY_S:
                bar.advance(task)
                return
            shown = now
            bar.update(task, completed=pace.num_done, pace=", ".join(_pace_words(pace, now)), note=visible(note))
            pace.mark(now)

        yield advance


def _pace_words(pace: Pace, now: float) -> list[str]:
    """`3.1 rows/s`, `12 min to go`; what is not known is left out."""
    rate, remaining = pace.rate(now), pace.remaining_s(now)
    words = [] if rate is None else [speed(rate)]
    return words if remaining is None else [*words, f"{spoken(remaining)} to go"]


class _ProgressLines:
    """Progress as messages: one at the start, then one every half minute at most."""

    def __init__(self, command: str, total: int | None) -> None:
        self._command = command
        self._pace = Pace(time.monotonic(), total)
        self._shown = self._pace.started
        self._figures: Mapping[str, float] = {}
        self._tell("start", "started" if total is None else f"{total} rows in all", self._pace.started)

    def advance(self, note: str = "", figures: Mapping[str, float] | None = None, *, is_new: bool = True) -> None:
        """One row is done."""
        self._pace.add(is_new=is_new)
        self._figures = figures or {}
        now = time.monotonic()
        if now - self._shown < _EVERY_S:
            return
        self._shown = now
        of = "" if self._pace.total is None else f" of {self._pace.total}"
        words = [f"{self._pace.num_done}{of} rows", *_pace_words(self._pace, now), *([note] if note else [])]
        self._tell("progress", ", ".join(words), now)
        self._pace.mark(now)

    def end(self) -> None:
        """The last line, for machines; people read the command's summary."""
        if _manner.is_json:
            now = time.monotonic()
            self._tell("end", f"{self._pace.num_done} rows in {spoken(now - self._pace.started)}", now)

    def _tell(self, event: str, message: str, now: float) -> None:
        figures = {
            "rows": self._pace.num_done,
            "total": self._pace.total,
            "rows_per_s": self._pace.rate(now),
            "eta_s": self._pace.remaining_s(now),
            "seconds": now - self._pace.started,
            **self._figures,
        }
        known = {name: round(one, 6) for name, one in figures.items() if one is not None and math.isfinite(one)}
        _say("info", message, self._command, {"event": event, **known})


def show_error(error: AnectlError) -> None:
    """What the user can mend: where, what, and what to try next."""
    if _manner.is_json:
        place = {"path": error.path, "line": error.line, "hint": error.hint}
        _print_json({"level": "error", "message": error.problem, **place})
        return
    _print("error: ", str(error))
    if error.hint:
        _print("hint: ", error.hint)


def show_usage_error(message: str) -> None:
    """What is wrong with the command line itself, for machines."""
    _print_json({"level": "error", "message": message, "path": None, "line": None, "hint": None})


def show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The traceback of a bug (`sys.excepthook`): its message may hold texts of the data."""
    import traceback

    lines = []
    for part in traceback.format_exception(kind, error, trace):
        first, *others = visible_lines(part.rstrip())
        lines += [first, *(line if line.startswith(" ") else _INDENT + line for line in others)]
    if _manner.is_json:
        _print_json({"level": "error", "message": f"a bug: {kind.__name__}: {error}", "traceback": lines})
    else:
        print("\n".join(lines), file=sys.stderr, flush=True)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What a library warns of (`warnings.showwarning`)."""
    _say("warning", f"warning: {message} ({category.__name__})", _manner.command)


def is_json() -> bool:
    """Whether each message is a JSON object."""
    return _manner.is_json


def quiet_libraries() -> None:
    """Keep the engines' own bars and banners off stderr unless it is a terminal for people."""
    if not sys.stderr.isatty() or _manner.is_json or _manner.is_quiet:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
