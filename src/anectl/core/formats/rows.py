"""Reading the fields of a published row, and making its problem; every complaint names the field."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from anectl.core.errors import RowError
from anectl.core.formats import ImageSink, Row
from anectl.core.formats.marks import place_marks
from anectl.core.records import AnswerType, Problem

_LONGEST_PATH = 1024
_NOT_THERE = object()


def is_missing(value: object) -> bool:
    """Whether a table has nothing there: null, NaN, an empty list or blank text."""
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, (list, tuple, bytes)) and not value)


def text(row: Row, name: str) -> str:
    """A field as text, as it is; whole numbers are written out. Raises RowError when it is missing."""
    value = optional_text(row, name)
    if value is None:
        raise RowError(f"field {name!r} is empty" if name in row else f"no field {name!r}")
    return value


def optional_text(row: Row, name: str) -> str | None:
    """A field as text; None where the table has nothing there. Raises RowError for a list or an object."""
    value = row.get(name)
    if is_missing(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value)) if float(value).is_integer() else str(value)
    raise RowError(f"field {name!r} is {type(value).__name__}, not text")


def texts(row: Row, name: str) -> tuple[str, ...]:
    """A field that is a list of texts; empty where the table has nothing there. Raises RowError for anything else."""
    value = row.get(name)
    if is_missing(value):
        return ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, (str, int, float)) for item in value):
        raise RowError(f"field {name!r} is not a list of texts")
    return tuple(str(item) for item in value)


def one_of(row: Row, name: str, known: Iterable[str]) -> str:
    """A field that says which of a few kinds the row is. Raises RowError for another value."""
    value = text(row, name).strip()
    if value not in known:
        raise RowError(f"field {name!r}: unknown value {value[:60]!r}", hint="known: " + ", ".join(known))
    return value


def decimals(row: Row, name: str) -> int | None:
    """A count of decimals, which tables keep as a float (`1.0`); None where there is none. Raises RowError."""
    value = row.get(name)
    if is_missing(value):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if number < 0 or not number.is_integer():
        raise RowError(f"field {name!r}: {str(value)[:60]!r} is no count of decimals")
    return int(number)


def image_values(row: Row, *names: str) -> list[object]:
    """The images of the first of these fields that has any; a list gives each of its items."""
    for name in names:
        value = row.get(name)
        if isinstance(value, (list, tuple)):
            found = [item for item in value if not is_missing(item)]
            if found:
                return found
        elif not is_missing(value):
            return [value]
    return []


def published(row: Row, image_fields: Iterable[str]) -> dict[str, Any]:
    """Every field of the row as it was published, but image data: the `fields` of a problem's source.

    Paths of images stay. NaN becomes null and a time its text, for records are JSON.
    """
    dropped = frozenset(image_fields)
    fields = {name: _plain(value, image=name in dropped) for name, value in row.items()}
    return {name: value for name, value in fields.items() if value is not _NOT_THERE}


def _plain(value: Any, *, image: bool) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)) or (isinstance(value, Mapping) and "bytes" in value):
        return _NOT_THERE
    if image and (value is None or (isinstance(value, str) and (len(value) > _LONGEST_PATH or "." not in value))):
        return _NOT_THERE
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(item, image=image) for name, item in value.items() if not _is_image_data(item)}
    if isinstance(value, (list, tuple)):
        items = [_plain(item, image=image) for item in value]
        return items if _NOT_THERE not in items else _NOT_THERE
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)


def _is_image_data(value: Any) -> bool:
    return _plain(value, image=False) is _NOT_THERE


def joined(*parts: str | None) -> str:
    """The parts that are there, a line each."""
    return "\n".join(part for part in parts if part)


def tags_of(row: Row, *names: str) -> tuple[str, ...]:
    """The values of these fields, lists item by item, without those that are missing; `level` keeps its name."""
    found: list[str] = []
    for name in names:
        value = row.get(name)
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if not is_missing(item) and isinstance(item, (str, int, float)):
                found.append(f"{name} {item}" if isinstance(item, (int, float)) else item.strip())
    return tuple(dict.fromkeys(found))


def make_problem(
    benchmark: str,
    row: Row,
    sink: ImageSink,
    *,
    own_id: str | None,
    question: str,
    images: Sequence[object],
    answer: str,
    answer_type: AnswerType,
    choices: tuple[str, ...] | None = None,
    image_numbers: Sequence[int] | None = None,
    image_fields: Iterable[str] = ("image", "images", "decoded_image"),
    precision: int | None = None,
    unit: str | None = None,
    solution: str | None = None,
    tags: tuple[str, ...] = (),
) -> Problem:
    """The problem of a row of a benchmark: images stored, marks placed, the published fields kept in `source`.

    The id is the set's own behind the set's name; without one (None) it is a digest of question, images and answer.
    Raises RowError for a problem without question or answer, or whose answer is none of its choices.
    """
    references = tuple(map(sink.put, images))
    numbers = image_numbers if image_numbers is not None else range(1, len(images) + 1)
    question, placed = place_marks(question.strip(), choices or (), numbers)
    if not question or not answer.strip():
        raise RowError(f"the row has no {'answer' if question else 'question'}")
    if own_id is None:
        # The name of a stored image is its digest; the folder before it may be another next time.
        content = "\0".join((question, *placed, *(PurePath(reference).name for reference in references), answer))
        own_id = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    try:
        return Problem(
            id=f"{benchmark}-{own_id}",
            question=question,
            images=references,
            answer=answer.strip(),
            answer_type=answer_type,
            choices=placed or None,
            precision=precision,
            unit=unit,
            solution=solution,
            tags=tags,
            source={"benchmark": benchmark, "fields": published(row, image_fields)},
        )
    except ValueError as error:
        raise RowError(f"field 'answer': {error}") from None
