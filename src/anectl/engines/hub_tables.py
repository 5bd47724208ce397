"""Rows of a named data set through the datasets library: streamed, images undecoded, no code of the set is run."""

from __future__ import annotations

from collections.abc import Iterator

import datasets

from anectl.core.errors import AnectlError
from anectl.core.table_rows import TableRow


def read_named(name: str, split: str | None, subset: str | None) -> Iterator[TableRow]:
    """The rows of a data set by its name (or folder). Without a split it must have one only.

    Raises AnectlError: unknown, unreachable, without that split or subset.
    """
    try:
        found = datasets.load_dataset(name, subset, split=split, streaming=True)
        if isinstance(found, dict):
            if len(found) != 1:
                names = ", ".join(map(str, found))
                raise AnectlError("has several splits", path=name, hint=f"--split, one of {names}")
            (found,) = found.values()
        rows = found.decode(False)
        for number, row in enumerate(rows, 1):
            yield TableRow(name, number, row)
    except AnectlError:
        raise
    except Exception as error:  # the library raises its own and its network client's, with no common base
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AnectlError(f"cannot load the data set: {reason}", path=name, hint="--split, --subset") from None
