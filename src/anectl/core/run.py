"""One run of a command: its inputs, output, rejects, row law and manifest, the same for every command.

The row law: rows in = rows kept + rows dropped with a reason + rows rejected. `Run` counts and checks it at the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from anectl.core import manifest as sidecar
from anectl.core.errors import AnectlError, RowError
from anectl.core.jsonl import STDIN, Line, decode, encode, read_lines
from anectl.core.output import Output
from anectl.core.records import Record, Reject
from anectl.core.seen import Seen

R = TypeVar("R", bound=Record)
T = TypeVar("T")
OnError = Literal["fail", "skip"]


class Run:
    """Context manager around a command's work.

    `read` gives the input's records, `write` puts a record out and counts the input row it stands for, `drop`
    counts an input row that leaves with a reason. Leaving the block normally checks the law and commits.
    """

    def __init__(
        self,
        command: str,
        options: Mapping[str, Any],
        *,
        inputs: Sequence[str] = (),
        output: str | None = None,
        on_error: OnError = "fail",
        rejects: str | None = None,
        resume: bool = False,
        resumable: bool = False,
        limit: int | None = None,
        log: Callable[[str], None] = lambda message: None,
        open_lines: Callable[[str], Iterator[Line]] = read_lines,
    ) -> None:
        """`open_lines` gives the lines of an input, for a command that reads more kinds of files than JSON Lines."""
        self.command = command
        self.inputs = list(inputs) or ["-"]
        self.on_error = on_error
        self.limit = limit
        self.log = log
        self.num_read = self.num_kept = self.num_rejected = self.num_written = 0
        self.dropped: Counter[str] = Counter()
        self.source: str | None = None
        self.notes: dict[str, Any] = {}
        self._options = dict(options)
        self._open_lines = open_lines
        self._started = time.monotonic()
        self._resume = resume
        self._owed: set[int] = set()
        if resume and output not in (None, "-"):
            sidecar.refuse_changed_settings(Path(str(output)), self._options)
        self._manifest_before: bytes | None = None
        self.output = Output(output, resume=resume, resumable=resumable)
        default = f"{output}.rejects.jsonl" if self.output.path else f"anectl-{command}.rejects.jsonl"
        self._rejects_path = rejects or default
        self._rejects: Output | None = None
        self._manifest = sidecar.describe(command, self._options)

    def __enter__(self) -> Self:
        if self.output.path and self.output.resumable:
            self._manifest_before = sidecar.manifest_bytes(self.output.path)
            sidecar.write_manifest(self.output.path, self._manifest)
        return self

    @property
    def description(self) -> Mapping[str, Any]:
        """What the manifest says before the work begins: argv, options, versions, commit."""
        return self._manifest

    @property
    def resuming(self) -> bool:
        """Whether the run goes on with an interrupted output."""
        return self._resume

    def finished(self, kind: type[R], *, owed: Callable[[R], bool] = lambda record: False) -> Iterator[R]:
        """The rows an interrupted run already wrote; must be read to the end before the first `write`.

        A row that is still `owed` (it is to be made again) is taken out of the file, but not before the first `write`:
        a resume that is refused, or fails before it has made anything, leaves all rows that were there.
        """
        if not self._resume:
            return
        self._owed = set()
        for line in self.output.finished():
            try:
                record = decode(line.data, kind)
            except RowError as error:
                raise error.at(line.path, line.number) from None
            if owed(record):
                self._owed.add(line.number)
            else:
                yield record

    def _take_out_owed(self) -> None:
        if self._owed:
            self.output.remove(self._owed)
            self._owed = set()

    def read(
        self,
        kind: type[R],
        *,
        unique: Callable[[R], Hashable] | None = None,
        check: Callable[[R, str | None], R] = lambda record, source: record,
    ) -> Iterator[R]:
        """Records of all inputs, in order.

        `unique` gives a key that may come once only. `check(record, file)` may raise RowError or return the record
        mended (images resolved); file is None for stdin. A bad row ends the run, or with on_error="skip" goes to
        the rejects file with its place.
        """
        with ExitStack() as closing:
            seen = closing.enter_context(Seen()) if unique is not None else None
            for line in self.lines():
                try:
                    record = check(decode(line.data, kind), self.source)
                    if unique is not None and seen is not None:
                        key = unique(record)
                        if first := seen.add(key, line.path, line.number):
                            raise RowError(f"duplicate id {key!r}, first seen at {first}")
                except RowError as error:
                    self.reject(line, error)
                    continue
                yield record

    def lines(self) -> Iterator[Line]:
        """The undecoded lines of all inputs, in order and counted; `reject` takes those that are bad."""
        for path in self.inputs:
            for line in self._open_lines(path):
                if self.limit is not None and self.num_read >= self.limit:
                    return
                self.num_read += 1
                self.source = None if line.path == STDIN else line.path
                yield line

    def counted(self, rows: Iterable[T]) -> Iterator[T]:
        """The rows of a table, counted as input rows, as far as `limit`; for commands that read other than lines."""
        for row in rows:
            if self.limit is not None and self.num_read >= self.limit:
                return
            self.num_read += 1
            yield row

    def reject(self, line: Line, error: RowError) -> None:
        """Fail with the place of a bad row, or put the row into the rejects file."""
        if self.on_error == "fail":
            error.hint = error.hint or "--on-error skip leaves such rows out and lists them"
            raise error.at(line.path, line.number)
        self.num_rejected += 1
        self.list_reject(rejected(line, error))

    def list_reject(self, reject: Reject) -> None:
        """Put a record into the rejects file; the row it tells of is counted elsewhere (`drop`), or not at all."""
        if self._rejects is None:
            self._rejects = Output(self._rejects_path)
        self._rejects.write(encode(reject))

    def write(self, record: Record, *, rows: int = 1) -> None:
        """Put a record out; it stands for `rows` input rows (0 for a further output of the same row)."""
        self.write_bytes(encode(record), rows=rows)

    def write_bytes(self, line: bytes, *, rows: int = 1) -> None:
        """Put out a line that is already encoded."""
        self._take_out_owed()
        self.output.write(line)
        self.num_kept += rows
        self.num_written += 1

    def keep(self, rows: int = 1) -> None:
        """Count input rows that are used without an output of their own (rows finished before a resume)."""
        self.num_kept += rows

    def drop(self, reason: str, rows: int = 1) -> None:
        """Count input rows that leave for a stated reason."""
        self.dropped[reason] += rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rejects is not None:
            self._rejects.__exit__(None, None, None)
        if kind is None:
            self._check_law()
            self._finish()
        else:
            self.output.__exit__(kind, error, trace)
            if self.output.path and self._resume and not self.num_written:
                # What it said of the rows that are there still holds: this run was refused, or added none.
                sidecar.put_back(self.output.path, self._manifest_before)
            elif self.output.path and not self.output.partial.exists():
                sidecar.remove_stale(self.output.path)

    def _check_law(self) -> None:
        out = self.num_kept + sum(self.dropped.values()) + self.num_rejected
        if out != self.num_read:
            raise RuntimeError(
                f"row law broken in {self.command}: {self.num_read} rows in, {self.num_kept} kept, "
                f"{dict(self.dropped)} dropped, {self.num_rejected} rejected"
            )

    def _finish(self) -> None:
        counts = {
            "read": self.num_read,
            "kept": self.num_kept,
            "dropped": dict(self.dropped),
            "rejected": self.num_rejected,
            "written": self.num_written,
        }
        try:
            self._take_out_owed()
            self.output.commit()
        except AnectlError as failure:
            self.output.__exit__(type(failure), failure, None)
            raise
        if self.output.path:
            self._manifest |= {
                "status": "complete",
                "inputs": [sidecar.input_entry(path) for path in self.inputs if path != "-"],
                "counts": counts,
                "seconds": round(time.monotonic() - self._started, 3),
                "notes": self.notes,
            }
            sidecar.write_manifest(self.output.path, self._manifest)
        self.log(self._summary())

    def _summary(self) -> str:
        dropped = "".join(f", {count} dropped ({reason})" for reason, count in sorted(self.dropped.items()))
        rejected = f", {self.num_rejected} rejected (see {self._rejects_path})" if self.num_rejected else ""
        seconds = time.monotonic() - self._started
        return f"{self.num_read} rows in, {self.num_written} out{dropped}{rejected}, {seconds:.1f} s"


def rejected(line: Line, error: RowError) -> Reject:
    """The record of a bad row; bytes that are no UTF-8 are shown as escapes."""
    row = line.data.decode("utf-8", "backslashreplace").rstrip("\r\n")
    return Reject(path=line.path, line=line.number, problem=error.problem, hint=error.hint, row=row)
