"""Damage done to the files of an index: bytes flipped, cut off, zeroed, put in, files emptied, removed or swapped."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

Change = Callable[[bytes, random.Random], bytes | None]


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _flip_header(data: bytes, rng: random.Random) -> bytes:
    return _flip(data[:96], rng) + data[96:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _zero(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 64)) + data[at:]


def _noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(data))


CHANGES: tuple[Change, ...] = (
    _flip,
    _flip_header,
    _cut,
    _zero,
    _insert,
    _noise,
    lambda data, rng: b"",
    lambda data, rng: None,
)


def damaged(index: Path, copy: Path, rng: random.Random) -> str:
    """A copy of an index with one file damaged; says which and how."""
    shutil.copytree(index, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    path = rng.choice(files)
    data = path.read_bytes()
    made: bytes | None = data
    while made == data:  # zeros put over zeros
        change = rng.choice(CHANGES)
        made = change(data, rng)
    if made is None:
        path.unlink()
    else:
        path.write_bytes(made)
    name = path.relative_to(copy).as_posix()
    return f"{name} by {change.__name__.strip('_<>')}"
