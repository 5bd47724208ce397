"""Marks that say where an image stands in a question: `<image>`, `<image 2>` or `<image2>`.

In our records the images stand together before the text, so the marks of every benchmark become words here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(r"<image[ _]?([0-9]{0,3})>")


def place_marks(question: str, others: Sequence[str], numbers: Sequence[int]) -> tuple[str, tuple[str, ...]]:
    """The question and the other texts (choices) of a row that has images of these numbers, without image marks.

    - No image: nothing changes; `<image>` is then a text like any other.
    - `<image 2>` becomes `[image 2]`, and a bare `<image>` takes the number that it has by its place, where there is
      an image of it; the words tell the reader which image is meant.
    - Where every image is marked once, in its order and in the question alone, the marks at its two ends go: they
      say no more than that there is an image.
    """
    if not numbers:
        return question, tuple(others)
    marks = list(_MARK.finditer(question))
    named = [int(mark[1]) if mark[1] else numbers[i] if i < len(numbers) else 0 for i, mark in enumerate(marks)]
    start, end = 0, len(question)
    if named == list(numbers) and not any(_MARK.search(text) for text in others):
        inner = list(zip(marks, named, strict=True))
        while inner and not question[start : inner[0][0].start()].strip():
            start = inner.pop(0)[0].end()
        while inner and not question[inner[-1][0].end() : end].strip():
            end = inner.pop()[0].start()
    words = {
        mark.start(): f"[image {number}]" if number else "[image]" for mark, number in zip(marks, named, strict=True)
    }
    placed = _MARK.sub(lambda mark: words[mark.start()] if start <= mark.start() < end else "", question)
    return placed.strip(), tuple(_MARK.sub(_as_words, text) for text in others)


def _as_words(mark: re.Match[str]) -> str:
    return f"[image {mark[1]}]" if mark[1] else "[image]"
