"""Lines that can be read again later, in any order, without keeping their text in memory."""

from __future__ import annotations

import os
import stat
import tempfile
from array import array
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO, Self

from anectl.core.errors import AnectlError
from anectl.core.jsonl import STDIN, Line


class LineStore:
    """Where lines lie: about 28 bytes of memory a line, however long it is.

    A regular file is read again in place and must not be rewritten meanwhile; lines of stdin and of pipes go to an
    anonymous temporary file (in TMPDIR), which the system removes when the store is closed or the process ends.
    """

    def __init__(self) -> None:
        self._closing = ExitStack()
        self._files: list[BinaryIO] = []
        self._paths: list[str] = []
        self._spool: BinaryIO | None = None
        self._source = -1
        self._path: str | None = None
        self._sources, self._numbers, self._sizes = array("I"), array("L"), array("L")
        self._offsets = array("Q")

    def add(self, line: Line) -> int:
        """Remember a line; the number that comes back gets it again."""
        if line.path != self._path:
            self._enter(line.path)
        offset = line.offset
        file = self._files[self._source]
        if file is self._spool:
            offset = file.tell()
            file.write(line.data)
        self._sources.append(self._source)
        self._numbers.append(line.number)
        self._offsets.append(offset)
        self._sizes.append(len(line.data))
        return len(self._offsets) - 1

    def read(self, index: int) -> bytes:
        """The bytes of a line. Raises AnectlError when its file has shrunk since."""
        file, size = self._files[self._sources[index]], self._sizes[index]
        if file is self._spool:
            file.flush()
        data = os.pread(file.fileno(), size, self._offsets[index])
        if len(data) < size:
            raise AnectlError("the file changed while it was read", path=self._paths[self._sources[index]])
        return data

    def place(self, index: int) -> str:
        """`file:line` of a line."""
        return f"{self._paths[self._sources[index]]}:{self._numbers[index]}"

    def _enter(self, path: str) -> None:
        self._path = path
        try:
            if path != STDIN and stat.S_ISREG(os.stat(path).st_mode):
                file: BinaryIO = self._closing.enter_context(open(path, "rb"))  # noqa: SIM115
            else:
                file = self._spool = self._spool or self._closing.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        except OSError as error:
            raise AnectlError(f"cannot read: {error.strerror}", path=path) from None
        self._files.append(file)
        self._paths.append(path)
        self._source = len(self._files) - 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
