"""Options of multiple-choice questions: lists written as text, options inside the question, letters."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from anectl.core.errors import RowError

_MAX_LENGTH = 100_000
_STARTS_OF_LETTER = (
    r"\({letter}\)",
    r"(?:(?<=[\s;,])|^){letter}:",
    r"(?:(?<=[\s;,])|^){letter}\.(?=\s|[^\sA-Za-z])",
    r"(?:(?<=[\s;,])|^){letter}\)",
)
_TITLE = re.compile(r"(?:choices?|options?)\s*[:：]?$", re.IGNORECASE)
_RANGE = re.compile(r"(?<![A-Za-z])A\s*(?:-|–|to|through)\s*([B-Z])(?![A-Za-z])")
_LISTED = re.compile(r"(?<![A-Za-z])A(?:,\s*(?:or\s+|and\s+)?[B-Z](?![A-Za-z])|\s+(?:or|and)\s+[B-Z](?![A-Za-z]))+")
_FEWEST_DRAWN = 4


def letter(index: int) -> str:
    """A for 0, B for 1 and so on."""
    return chr(ord("A") + index)


def letters(count: int) -> tuple[str, ...]:
    """The first letters: the choices of a question whose options stand in its picture."""
    return tuple(letter(index) for index in range(count))


def letters_in(answer: str) -> tuple[str, ...] | None:
    """The letters of an answer such as `B`, `(b)` or `A, C`, in their order; None when it is anything else."""
    parts = [part.strip(" ().").upper() for part in re.split(r"[,;\s]+", answer.strip()) if part]
    if parts and all(len(part) == 1 and "A" <= part <= "Z" for part in parts):
        return tuple(sorted(set(parts)))
    return None


def letter_of(answer: str, choices: Sequence[str], *, field: str = "answer") -> str:
    """The letter of an answer that is a letter or the text of a choice. Raises RowError for neither.

    A capital letter is a letter even where it is the text of another choice; a small one is not.
    """
    stated = answer.strip()
    named = letters_in(stated)
    is_text = stated.islower() and any(choice.strip() == stated for choice in choices)
    if named and len(named) == 1 and named[0] <= letter(len(choices) - 1) and not is_text:
        return named[0]
    return letter_of_text(answer, choices, field=field)


def letter_of_text(answer: str, choices: Sequence[str], *, field: str = "answer") -> str:
    """The letter of the first choice with this text. Raises RowError where there is none."""
    stated = answer.strip()
    for index, choice in enumerate(choices):
        if choice.strip() == stated:
            return letter(index)
    raise RowError(f"field {field!r}: {stated[:60]!r} is none of the {len(choices)} choices")


def parse_list(text: str, *, field: str) -> tuple[str, ...]:
    """The items of a list that a set keeps as the text of a Python list (`"['1', '2']"`); literals only, no code.

    Raises RowError naming the field for anything else.
    """
    try:
        if len(text) > _MAX_LENGTH:
            raise ValueError
        items = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        items = None
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, (str, int, float)) for item in items):
        raise RowError(f"field {field!r} is not the text of a list: {text[:60]!r}")
    return tuple(str(item) for item in items)


def split_options(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The text before the options, and the options, where it ends in `(A) .. (B) ..`, `A: ..`, `A. ..` or `A) ..`.

    The options begin at the last A that has a B after it, for a question may speak of (A) before. None when there
    are not two options in a row, or one of them is empty.
    """
    for pattern in _STARTS_OF_LETTER:
        found = _starts(text, pattern)
        if found is None:
            continue
        ends = [start for start, _ in found[1:]] + [len(text)]
        options = tuple(
            text[start:end].strip().rstrip(";,").rstrip() for (_, start), end in zip(found, ends, strict=True)
        )
        if all(options):
            return _TITLE.sub("", text[: found[0][0]].rstrip()).rstrip(), options
    return None


def _starts(text: str, pattern: str) -> list[tuple[int, int]] | None:
    """Where the mark of each option begins and ends; None without a B after an A."""
    heads = {name: list(re.finditer(pattern.format(letter=name), text)) for name in "AB"}
    if not heads["A"] or not heads["B"]:
        return None
    last_b = heads["B"][-1].start()
    first = next((head for head in reversed(heads["A"]) if head.end() <= last_b), None)
    if first is None:
        return None
    found = [first.span()]
    for index in range(1, 26):
        head = re.compile(pattern.format(letter=letter(index))).search(text, found[-1][1])
        if head is None:
            break
        found.append(head.span())
    return found


def drawn_choices(question: str, answer: tuple[str, ...]) -> tuple[str, ...]:
    """Names for choices that stand in the picture alone: their letters, as many as the question says.

    It says so by a range (`A-E`, `A to F`) or by naming them (`A, B, C, or D`); else there are four. The letters of
    the answer are among them in any case.
    """
    named = [m[1] for m in _RANGE.finditer(question)]
    named += [m[0].rstrip()[-1] for m in _LISTED.finditer(question)]
    last = max([*(named or [letter(_FEWEST_DRAWN - 1)]), *answer])
    return letters(ord(last) - ord("A") + 1)
