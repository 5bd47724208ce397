"""The rows of benchmark files by their words: an inverted index of hashed questions and n-grams, on disk.

Memory grows by about 30 bytes a benchmark row, for its place: a row is read again from its file when a candidate needs
it. The index itself is a scratch database in TMPDIR, about 20 bytes an n-gram.
"""

from __future__ import annotations

import glob
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.jsonl import STDIN, decode, read_lines
from anectl.core.leaks import Side
from anectl.core.line_store import LineStore
from anectl.core.ngrams import Tokens, gram_keys, masked, text_key
from anectl.core.records import Problem
from anectl.core.scratch import no_room, open_scratch

_CACHE_KB = 65_536
_ROWS_READ = 4096
# n-grams of more rows than this are an instruction or a template, and tell nothing of a single one of them.
_COMMON = 64
_MOST_EQUAL = 16
_ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """A benchmark's problem, its place, and itself as a side of a comparison."""

    number: int
    path: str
    line: int
    problem: Problem
    side: Side
    images: tuple[ImageRef, ...]


class BenchmarkRows:
    """Context manager: rows of problem/1 files, numbered from 0 as they are added."""

    def __init__(self, root: ImageRoot, size: int) -> None:
        """`size` is the length of n-grams in tokens."""
        self.count = 0
        self._root, self._size = root, size
        self._lines = LineStore()
        self._database = open_scratch("grams (key INTEGER, row INTEGER, PRIMARY KEY (key, row)) WITHOUT ROWID")
        self._database.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        for table in ("questions (key INTEGER, row INTEGER, PRIMARY KEY (key, row)) WITHOUT ROWID",):
            self._database.execute(f"CREATE TABLE {table}")
        self._database.execute("CREATE TABLE templates (key INTEGER PRIMARY KEY, num_rows INTEGER)")
        self._database.execute("CREATE TABLE sizes (row INTEGER PRIMARY KEY, num_grams INTEGER)")
        self.row = lru_cache(maxsize=_ROWS_READ)(self._row)

    def add(self, path: str) -> Iterator[BenchmarkRow]:
        """The rows of a file, each indexed as it is given. Raises AnectlError: no such file, no row, a bad row."""
        for line in read_lines(path):
            try:
                problem = decode(line.data, Problem)
                images = self._root.resolve_all(problem.images, None if line.path == STDIN else line.path)
                number = self._lines.add(line)
                row = BenchmarkRow(number, line.path, line.number, problem, Side.of_problem(problem), images)
                self._index(row)
                yield row
            except RowError as error:
                raise error.at(line.path, line.number) from None

    def _index(self, row: BenchmarkRow) -> None:
        words = row.side.words
        grams = gram_keys(words, self._size)
        try:
            keys = {text_key(words), _whole_key(words, row.side.choices)}
            self._database.executemany("INSERT INTO questions VALUES (?, ?)", [(key, row.number) for key in keys])
            self._database.execute(
                "INSERT INTO templates VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET num_rows = num_rows + 1",
                (text_key(masked(words)),),
            )
            self._database.executemany("INSERT INTO grams VALUES (?, ?)", [(key, row.number) for key in grams])
        except sqlite3.OperationalError as error:
            raise no_room(error) from None
        self.count += 1

    def finish(self) -> None:
        """Leave out n-grams that are common; to be called after the last `add` and before `overlaps`."""
        try:
            self._database.execute(
                f"DELETE FROM grams WHERE key IN (SELECT key FROM grams GROUP BY key HAVING count(*) > {_COMMON})"
            )
            self._database.execute("INSERT INTO sizes SELECT row, count(*) FROM grams GROUP BY row")
        except sqlite3.OperationalError as error:
            raise no_room(error) from None

    def equal(self, words: Tokens, choices: frozenset[Tokens]) -> list[int]:
        """Rows whose question has the same tokens, and the same choices where both have some; at most 32 of them."""
        keys = {_whole_key(words, choices), _whole_key(words, frozenset())} if choices else {text_key(words)}
        query = f"SELECT row FROM questions WHERE key = ? ORDER BY row LIMIT {_MOST_EQUAL}"
        return [row for key in sorted(keys) for (row,) in self._database.execute(query, (key,))]

    def overlaps(self, keys: Collection[int], least: float) -> dict[int, float]:
        """Rows of whose n-grams at least the share `least` is among `keys` (of `gram_keys`), with that share."""
        counts: dict[int, int] = {}
        waiting = iter(keys)
        while asked := list(islice(waiting, _ASKED_AT_ONCE)):
            marks = ",".join("?" * len(asked))
            query = f"SELECT row, count(*) FROM grams WHERE key IN ({marks}) GROUP BY row"
            for row, count in self._database.execute(query, asked):
                counts[row] = counts.get(row, 0) + count
        shares = {row: count / self._num_grams(row) for row, count in counts.items()}
        return {row: share for row, share in shares.items() if share >= least}

    def _num_grams(self, row: int) -> int:
        (count,) = self._database.execute("SELECT num_grams FROM sizes WHERE row = ?", (row,)).fetchone()
        return int(count)

    def is_template(self, words: Tokens) -> bool:
        """Whether more than one row asks this question, numbers and single letters apart."""
        found = self._database.execute("SELECT num_rows FROM templates WHERE key = ?", (text_key(masked(words)),))
        return (found.fetchone() or (0,))[0] > 1

    def _row(self, number: int) -> BenchmarkRow:
        """A row by its number, read from its file again."""
        path, _, line = self._lines.place(number).rpartition(":")
        problem = decode(self._lines.read(number), Problem)
        images = self._root.resolve_all(problem.images, None if path == STDIN else path)
        return BenchmarkRow(number, path, int(line), problem, Side.of_problem(problem), images)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.__exit__(kind, error, trace)
        self._database.close()


def _whole_key(words: Tokens, choices: frozenset[Tokens]) -> int:
    """The key of a question with its choices, in whatever order, or with none."""
    return text_key([*words, "choices", *(word for choice in sorted(choices) for word in ("or", *choice))])


def benchmark_files(against: list[str]) -> list[str]:
    """The files that `--against` names: files, all *.jsonl of folders, or patterns (`**` is any folder).

    Each file once, however it is named: rows read twice would look like a template.

    Raises AnectlError when nothing is there.
    """
    files: dict[Path, str] = {}
    for name in against:
        if Path(name).is_dir():
            found = sorted(str(path) for path in Path(name).glob("*.jsonl"))
        else:
            found = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))
        if not found:
            raise AnectlError("no such benchmark", path=name, hint="--against takes a file, a folder or a 'pattern'")
        for path in found:
            files.setdefault(Path(path).resolve(), path)
    return list(files.values())


def refuse_stray_inputs(inputs: list[str], files: list[str]) -> None:
    """Raises UsageError where a shell has spread `--against bench/*.jsonl` over the inputs."""
    folders = {Path(path).resolve().parent for path in files}
    beside = [path for path in inputs if path != "-" and Path(path).resolve().parent in folders]
    if beside and len(beside) < len(inputs):
        raise UsageError(
            f"{beside[0]} is an input, but lies beside the benchmarks",
            hint="quote the pattern, such as --against 'bench/*.jsonl', or name the folder",
        )
    same = {Path(path).resolve() for path in files} & {Path(path).resolve() for path in inputs if path != "-"}
    if same:
        raise UsageError(f"{min(same).name} is both an input and a benchmark")
