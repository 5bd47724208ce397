"""How fast rows are done, and how long the others will take."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

_LINE_FILES = (".jsonl", ".ndjson")
_BLOCK = 1 << 20


class Pace:
    """Counts rows; the rate is that of the last few marks, so that a slow start is forgotten.

    Times are in seconds of any clock that only goes forward.
    """

    def __init__(self, now: float, total: int | None = None, num_marks: int = 5) -> None:
        self.started = now
        self.total = total
        self.num_done = 0
        self._num_new = 0
        self._marks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=num_marks)

    def add(self, *, is_new: bool = True) -> None:
        """Count a row; one that an interrupted run had done is not new, and says nothing of the speed."""
        self.num_done += 1
        self._num_new += is_new

    def rate(self, now: float) -> float | None:
        """New rows a second since the oldest mark that is kept; null before the first one."""
        since, done = self._marks[0]
        new = self._num_new - done
        return new / (now - since) if new and now > since else None

    def mark(self, now: float) -> None:
        """Remember how far the work is now."""
        self._marks.append((now, self._num_new))

    def remaining_s(self, now: float) -> float | None:
        """Seconds that the other rows will take at this rate; null where the total or the rate is not known."""
        rate = self.rate(now)
        if rate is None or self.total is None or self.num_done > self.total:
            return None
        return (self.total - self.num_done) / rate


def spoken(seconds: float) -> str:
    """A span of time for people: `45 s`, `12 min`, `3 h 05 min`, `2 d 04 h`."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24:02} h"


def speed(rate: float) -> str:
    """Rows a second for people, in the first unit that has one at least: `3.1 rows/s`, `12.0 rows/min`."""
    per_minute, per_hour = 60 * rate, 3600 * rate
    if rate >= 1:
        return f"{rate:.1f} rows/s"
    return f"{per_minute:.1f} rows/min" if per_minute >= 1 else f"{per_hour:.1f} rows/h"


def expected_rows(inputs: Sequence[str], limit: int | None = None) -> int | None:
    """The rows that a run over these inputs will meet; null where that cannot be known beforehand.

    Lines are counted, blank ones too, which hardly any file has. What can be read but once (stdin, pipes) is not
    touched, and a table or a JSON array has no lines to count.
    """
    total = 0
    for name in inputs or ["-"]:
        path = Path(name)
        if path.suffix.lower() not in _LINE_FILES or not path.is_file():
            return None
        total += _num_lines(path)
    return total if limit is None else min(total, limit)


def _num_lines(path: Path) -> int:
    count, last = 0, b"\n"
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                count += block.count(b"\n")
                last = block
    except OSError:
        return 0  # whoever reads the rows says what is wrong with the file
    return count + (not last.endswith(b"\n"))
