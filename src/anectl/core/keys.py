"""Content keys and seeds: what makes two rows the same, and what each sample draws from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from anectl.core.records import Problem


def digest(parts: Iterable[bytes]) -> str:
    """32 hex digits over the parts; lengths are hashed too, so that no two lists of parts collide by joining."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def problem_key(problem: Problem, images: Iterable[bytes]) -> str:
    """Content key of a problem: question, answer, choices and image bytes; its id and file names play no part."""
    return digest(
        [
            problem.question.encode(),
            problem.answer.encode(),
            problem.answer_type.encode(),
            msgspec.json.encode(problem.choices),
            *(hashlib.blake2b(image).digest() for image in images),
        ]
    )


def image_key(images: Iterable[bytes]) -> str:
    """Content key of the images alone; problems with the same one are clustered in the statistics."""
    return digest(hashlib.blake2b(image).digest() for image in images)


def sample_seed(run_seed: int, key: str, sample: int) -> int:
    """63-bit seed of one sample, from the run seed, the problem's key and the sample number alone.

    Shards, batch size and device count therefore do not change what is drawn, and two problems never share a seed.
    """
    raw = hashlib.blake2b(f"{run_seed}/{key}/{sample}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "little") >> 1
