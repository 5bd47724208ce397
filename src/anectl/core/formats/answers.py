"""Question, answer and choices of a row whose options stand inside the question, or only in the picture."""

from __future__ import annotations

import re

from anectl.core.formats.answer_form import answer_form
from anectl.core.formats.options import drawn_choices, letter, letter_of, letters_in, split_options
from anectl.core.records import AnswerType

_BOXED = re.compile(r"\\boxed\s*\{")


def unboxed(text: str) -> str:
    r"""The content of `\boxed{..}` where the text is nothing else (dollar signs aside); else the text, stripped."""
    bare = text.strip().strip("$").strip()
    if not (m := _BOXED.match(bare)):
        return text.strip()
    depth = 1
    for position in range(m.end(), len(bare)):
        depth += {"{": 1, "}": -1}.get(bare[position], 0)
        if depth == 0:
            return bare[m.end() : position].strip() if position == len(bare) - 1 else text.strip()
    return text.strip()


def read_question(question: str, answer: str) -> tuple[str, str, AnswerType, tuple[str, ...] | None]:
    """Question, answer, answer type and choices of a row whose schema has no answer type.

    Multiple choice only where the question ends in options and the answer is their letters or the text of one; the
    options then leave the question. Everything else goes by the form of the answer (`answer_form`): yes or no, one
    number, a formula, else text; a letter without options is a text.
    """
    split = split_options(question)
    if split is not None:
        stem, options = split
        named = letters_in(answer)
        if named and named[-1] <= letter(len(options) - 1):
            return stem or question, ", ".join(named), "choice" if len(named) == 1 else "choices", options
        if answer.strip() in options:
            return stem or question, letter_of(answer, options), "choice", options
    stated, answer_type = answer_form(answer)
    return question, stated.strip(), answer_type, None


def read_choice(question: str, answer: str) -> tuple[str, str, tuple[str, ...]]:
    """Question, letter and choices of a row that is multiple choice by its schema.

    Options that are not in the text stand in the picture and are known by their letters alone. Raises RowError for an
    answer that is none of the options.
    """
    split = split_options(question)
    if split is not None:
        stem, options = split
        return stem or question, letter_of(answer, options), options
    choices = drawn_choices(question, letters_in(answer) or ())
    return question, letter_of(answer, choices), choices
