"""The ids of a run that are most like one that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import msgspec

from anectl.core.tracing import lines_of

# So many of the likeliest ids, by a quick measure, are compared letter by letter.
_POOL = 64
_ALIKE = 0.5


class _Inner(msgspec.Struct):
    id: str | None = None


class _Ids(msgspec.Struct):
    """What may be an id in a row of any kind; all else is passed over without being made."""

    id: str | None = None
    problem_id: str | None = None
    problem: _Inner | str | None = None


def nearest_ids(files: Sequence[str], wanted: str, most: int = 3) -> list[str]:
    """The ids of the files that are most like the wanted one, best first; none that is quite another.

    Raises AnectlError for a file that cannot be read. Stdin, which can be read but once, has none to give.
    """
    decoder = msgspec.json.Decoder(_Ids)
    pool: dict[str, int] = {}
    for path in files:
        for _, data in lines_of(path) if path != "-" else ():
            try:
                ids = decoder.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            inner = ids.problem.id if isinstance(ids.problem, _Inner) else None
            name = inner or ids.problem_id or ids.id
            if name is not None and name not in pool:
                _enter(pool, name, _num_shared(name.casefold(), wanted.casefold()))
    likeness = {name: SequenceMatcher(None, name.casefold(), wanted.casefold()).ratio() for name in pool}
    ranked = sorted(likeness, key=lambda name: (-likeness[name], -_num_equal(name, wanted), name))
    return [name for name in ranked if likeness[name] >= _ALIKE][:most]


def _enter(pool: dict[str, int], name: str, shared: int) -> None:
    """Put an id into the pool; once it is full, in the place of the least like."""
    if len(pool) >= _POOL:
        least = min(pool, key=pool.__getitem__)
        if pool[least] >= shared:
            return
        del pool[least]
    pool[name] = shared


def _num_shared(name: str, wanted: str) -> int:
    """How many characters the two have in common at the beginning and at the end, less those that one has more."""
    ahead = _num_equal(name, wanted)
    behind = _num_equal(name[ahead:][::-1], wanted[ahead:][::-1])
    return 2 * (ahead + behind) - abs(len(name) - len(wanted))


def _num_equal(one: str, other: str) -> int:
    """The length of the beginning that two texts share."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
