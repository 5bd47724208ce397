"""Where rows go: stdout, or a file that is either whole or not there.

A named output is written to `<out>.partial`, fsynced and renamed. A resumable command leaves the partial file when
it is stopped; `--resume` picks it up (or the finished file), drops a torn last line and appends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from anectl.core.errors import AnectlError
from anectl.core.jsonl import Line

_BUFFER_BYTES = 1 << 18


class Output:
    """One output of a command. Use as a context manager: leaving it normally commits the file."""

    def __init__(self, path: str | None, *, resume: bool = False, resumable: bool = False) -> None:
        """`path` None or `-` is stdout. Raises AnectlError when a partial file would be lost or is in use."""
        self.path = None if path in (None, "-") else Path(str(path))
        self.resumable = resumable
        self._taken_up: int | None = None  # bytes of the finished file that this run goes on with
        if resume and self.path is None:
            raise AnectlError("--resume needs a named output", hint="add -o FILE")
        if self.path is None:
            self._file = _stdout()
            return
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._file = self._open(resume)

    def _open(self, resume: bool) -> BinaryIO:
        assert self.path is not None
        if self.path.is_dir():
            raise AnectlError("is a directory", path=str(self.path), hint="name a file")
        if self.resumable and not resume and self.partial.exists() and self.partial.stat().st_size:
            raise AnectlError(
                f"{self.partial} holds rows of an interrupted run",
                hint="--resume goes on with it; remove the file to start anew",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if resume and self.path.exists() and not self.partial.exists():
                self._taken_up = self.path.stat().st_size
                os.replace(self.path, self.partial)
            # Closed by commit() or __exit__; it outlives this function.
            mode = "r+b" if resume and self.partial.exists() else "w+b"
            file = cast(BinaryIO, open(self.partial, mode, buffering=_BUFFER_BYTES))  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnectlError("another anectl is writing this file", path=str(self.path)) from None
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self.path)) from None
        return file

    def finished(self) -> Iterator[Line]:
        """The whole lines already written (resume). Cuts a torn last line off; leaves the file at its end."""
        if self.path is None:
            return
        keep = 0
        self._file.seek(0)
        for number, data in enumerate(self._file, 1):
            if not data.endswith(b"\n"):
                break
            keep += len(data)
            if data.strip():
                yield Line(str(self.partial), number, data)
        self._file.seek(keep)
        self._file.truncate(keep)

    def remove(self, numbers: Container[int]) -> None:
        """Drop these whole lines (numbered from 1) of a resumed output, in one step that a kill cannot halve."""
        assert self.path is not None
        fresh = self.partial.with_name(self.partial.name + ".new")
        self._file.seek(0)
        try:
            # Takes the place of the open file, and is closed as it would have been.
            kept = open(fresh, "w+b", buffering=_BUFFER_BYTES)  # noqa: SIM115
            fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept.writelines(data for number, data in enumerate(self._file, 1) if number not in numbers)
            kept.flush()
            os.fsync(kept.fileno())
            os.replace(fresh, self.partial)
        except OSError as error:
            raise self._failed(error) from None
        self._file.close()
        self._file, self._taken_up = kept, None

    def write(self, data: bytes) -> None:
        """Append whole lines; a resumable output and a pipe get them at once."""
        try:
            self._file.write(data)
            if self.resumable:
                self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> AnectlError:
        kept = f"; the rows so far are in {self.partial}" if self.path and self.resumable else ""
        hint = "free some space and run again with --resume" if kept else "free some space and run again"
        return AnectlError(
            f"cannot write: {error.strerror}{kept}",
            path=str(self.path or "<stdout>"),
            hint=hint if error.errno in (errno.ENOSPC, errno.EDQUOT) else None,
        )

    def commit(self) -> None:
        """Flush, fsync and put the file in its place."""
        try:
            self._file.flush()
            if self.path is not None:
                os.fsync(self._file.fileno())
                os.replace(self.partial, self.path)
                self._file.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        elif self.path is not None:
            # A full disk refuses the last flush too; the first failure is the one to report.
            with contextlib.suppress(OSError):
                self._file.close()
            if self._taken_up is not None and self.partial.exists() and self.partial.stat().st_size == self._taken_up:
                os.replace(self.partial, self.path)  # nothing has become of it: it is as finished as it was
            elif not self.resumable or (self.partial.exists() and self.partial.stat().st_size == 0):
                self.partial.unlink(missing_ok=True)


def _stdout() -> BinaryIO:
    stream = sys.stdout.buffer
    # With PYTHONUNBUFFERED, which containers like to set, stdout has no buffer and each row would be a system call.
    if isinstance(stream, io.RawIOBase):
        return os.fdopen(stream.fileno(), "wb", buffering=_BUFFER_BYTES, closefd=False)
    return stream


def write_atomic(path: Path, data: bytes) -> None:
    """Write a small side file so that it is whole or not there. Raises AnectlError when it cannot be written."""
    temporary = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise AnectlError(f"cannot write: {error.strerror}", path=str(path)) from None
