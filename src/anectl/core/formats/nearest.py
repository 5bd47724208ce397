"""Which format a row looks like, for the message about a row that is not of the one asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from anectl.core.errors import RowError
from anectl.core.formats import BENCHMARKS, SHAPES, Format, Row, load_format


def refuse_other_shape(form: Format, row: Row) -> None:
    """Raises RowError for a row that lacks required fields, naming the format whose required fields fit it best."""
    missing = sorted(form.required - row.keys())
    if not missing:
        return
    near = nearest(frozenset(row))
    hint = f"fields of the row: {', '.join(map(str, row))}"[:300]
    if near is not None and near != form.name:
        hint = f"the row looks like the format {near}"
    raise RowError(f"no field {missing[0]!r}, which every {form.name} row has", hint=hint)


@functools.lru_cache(maxsize=64)
def nearest(fields: frozenset[str]) -> str | None:
    """The format with the most required fields among those that the fields satisfy; None when they satisfy none."""
    fitting = [form for form in _all_formats() if form.required and form.required <= fields]
    return max(fitting, key=lambda form: len(form.required)).name if fitting else None


def _all_formats() -> Iterable[Format]:
    return (load_format(name) for name in BENCHMARKS | SHAPES)
