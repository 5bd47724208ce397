"""Multiple choice: which letters an answer names. The choices of the problem decide, never a capital in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from anectl.core.grading.hedges import takes_back
from anectl.core.grading.normalise import fold_expression, fold_text, unwrapped
from anectl.core.grading.quantity import Quantity, parse_quantity
from anectl.core.grading.statements import first_statement

_LETTER_ALONE = re.compile(r"(?P<open>[(\[{]?)\s*(?P<letter>[A-Za-z])\s*[)\]}]?\s*[.:,;!]?")
_WRAPPED_FIRST = re.compile(r"[(\[{]\s*([A-Za-z])\s*[)\]}]\s*[:.,;-]*\s*(.*)", re.DOTALL)
_POINTED_FIRST = re.compile(r"([A-Z])\s*(?:[).:,;]|-(?=\s))\s*(.*)", re.DOTALL)
_BARE_FIRST = re.compile(r"([A-Z])\s+(.*)", re.DOTALL)
_WRAPPED_LAST = re.compile(r"(.+?)[\s:,-]*[(\[]\s*([A-Z])\s*[)\]]", re.DOTALL)
_INTRODUCTION = re.compile(
    r"(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:options?|choices?|answers?|letters?)\s*(?:is|are|:)?\s+"
    r"(?=[(\[]?[A-Za-z](?![A-Za-z]))",
    re.IGNORECASE,
)
_CONFIRMATION = re.compile(r"is\s+(?:the\s+)?(?:correct|right|best|true)(?:\s+(?:one|answer|option|choice))?")
_NEGATION = re.compile(r"\b(?:not|cannot|neither|nor|never|except|incorrect|wrong|false|eliminate[ds]?)\b|n't\b", re.I)
# An article (`A dog`) and the pronoun `I` are no letters of choices.
_OTHER_LETTER = re.compile(
    r"(?<![\w'])(?:([B-HJ-Z])(?![\w'])|[(\[]\s*([A-Z])\s*[)\]]|(A)(?=\s*(?:[.,;:)\]/]|$|or\b|and\b)))"
)
_RUN_TOGETHER = re.compile(r"[A-Z]{2,}|(?:\([A-Z]\)){2,}|(?:\[[A-Z]\]){2,}")
_REASON = re.compile(r"(?:because|since|as|for|given|so|while|whereas)\b", re.IGNORECASE)
_OR = re.compile(r"\bor\b", re.IGNORECASE)
_LETTER_LAST = re.compile(r"\(\s*[A-Z]\s*[).:]")
_CAPITAL = re.compile("[A-Z]")
_BOTH = re.compile(r"^both\s+", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:,|;|&|\n|\band\b)\s*(?:and\b\s*)?", re.IGNORECASE)

Letters: TypeAlias = frozenset[str]
_NONE: Letters = frozenset()


@dataclass(frozen=True, slots=True)
class _Forms:
    """The letters of the choices by each form of their text."""

    texts: dict[str, Letters]
    formulas: dict[str, Letters]
    numbers: dict[Quantity, Letters]


def parse_choice(text: str, choices: tuple[str, ...]) -> tuple[Letters, bool]:
    """The letters that `text` names as one answer, and whether it names them by the text of the choice.

    No letter: it names none. More than one: it is ambiguous (`A or B`, or the letter of one choice with the text of
    another), which is never resolved by a guess.
    """
    stated = unwrapped(text)
    found = _whole(stated, choices)
    if not found[0]:
        found = _whole(_INTRODUCTION.sub("", stated, count=1), choices)
    if not found[0] and (first := unwrapped(first_statement(stated))) != stated:
        found = _whole(_INTRODUCTION.sub("", first, count=1), choices)
        # `Rome. London`: a second sentence that is an answer as well
        found = (
            found[0] | (_whole(unwrapped(stated[len(first) :].strip(" .")), choices)[0] if found[0] else _NONE),
            found[1],
        )
    return found


def parse_choices(text: str, choices: tuple[str, ...]) -> Letters | None:
    """The set of letters that `text` names (`A, C`, `AC`, `(A) and (C)`); null when a part of it names no choice."""
    stated = _BOTH.sub("", _INTRODUCTION.sub("", unwrapped(text), count=1))
    whole, by_text = parse_choice(stated, choices)
    if len(whole) == 1 and (by_text or not _BETWEEN.search(stated)):
        return whole
    if _RUN_TOGETHER.fullmatch(stated):
        parts = _CAPITAL.findall(stated)
    else:
        bare = re.sub(r"^[(\[{]([^()\[\]{}]*)[)\]}]$", r"\1", stated)
        parts = [part for part in _BETWEEN.split(bare) if part]
        if len(parts) == 1:
            parts = bare.split()
    letters = [parse_choice(part, choices)[0] for part in parts]
    if not letters or any(len(one) != 1 for one in letters):
        return None
    return frozenset().union(*letters)


def _whole(text: str, choices: tuple[str, ...]) -> tuple[Letters, bool]:
    by_text = _by_text(text, choices)
    alone = _LETTER_ALONE.fullmatch(text)
    letter = _in_range(alone["letter"], choices) if alone else frozenset()
    if by_text and letter and by_text != letter:
        # Choices that are letters themselves: `(C)` means the letter, a bare `C` may mean either.
        return (letter, False) if alone and alone["open"] else (by_text | letter, False)
    if letter or by_text:
        return letter or by_text, not letter
    return _letter_and_rest(text, choices), False


def _letter_and_rest(text: str, choices: tuple[str, ...]) -> Letters:
    if m := _WRAPPED_LAST.fullmatch(text):
        named = _by_text(m[1], choices)
        if named:
            return named | _in_range(m[2], choices)
    for pattern in (_WRAPPED_FIRST, _POINTED_FIRST, _BARE_FIRST):
        m = pattern.fullmatch(text)
        letter = _in_range(m[1], choices) if m else frozenset()
        if not m or not letter:
            continue
        if named := _by_text(m[2], choices):
            return letter if letter <= named else letter | named
        if _CONFIRMATION.fullmatch(m[2]):
            return letter
        others = frozenset().union(*(_in_range(o[1] or o[2] or o[3], choices) for o in _OTHER_LETTER.finditer(m[2])))
        if others - letter:
            return letter | others
        if takes_back(m[2]):
            return _NONE
        if beside := _beside_own_text(letter, m[2], choices):
            return letter | beside
        if pattern is not _BARE_FIRST and not _REASON.match(m[2]):
            named = _named_in(first_statement(" " + m[2]), choices)
            if named and (not letter & named or (named - letter and _OR.search(m[2]))):
                return letter | named
        # `A careful look ...` begins with an article: after a bare letter only the text of its choice may follow.
        return frozenset() if pattern is _BARE_FIRST or _NEGATION.search(m[2]) else letter
    return frozenset()


def _beside_own_text(letter: Letters, text: str, choices: tuple[str, ...]) -> Letters:
    """Other letters that the words behind the choice's own text may mean: `C. Rome/London`; all if they deny it."""
    (own,) = (unwrapped(choices[ord(one) - ord("A")]).casefold() for one in letter)
    if not own or not text.casefold().startswith(own):
        return _NONE
    behind = text[len(own) :]
    if takes_back(behind):
        return frozenset(chr(ord("A") + place) for place in range(len(choices)))
    return _named_in(first_statement(behind), choices) - letter


def _named_in(text: str, choices: tuple[str, ...]) -> Letters:
    """Letters of the choices whose text stands in these words: `C. Surely Paris` says two things."""
    folded = f" {fold_text(text)} | {fold_text(text.replace('/', ' '))} "
    named = (letters for known, letters in _forms(choices).texts.items() if known and f" {known} " in folded)
    return frozenset().union(*named)


def _in_range(letter: str, choices: tuple[str, ...]) -> Letters:
    upper = letter.upper()
    return frozenset(upper) if 0 <= ord(upper) - ord("A") < len(choices) else frozenset()


def _by_text(text: str, choices: tuple[str, ...]) -> Letters:
    """Letters of the choices whose text this is: word for word, as a formula, or as the same number and unit."""
    folded = fold_text(text)
    if not folded:
        return _NONE
    forms = _forms(choices)
    if (found := forms.texts.get(folded)) is not None:
        return found
    if (found := forms.formulas.get(fold_expression(text))) is not None:
        return found
    number = parse_quantity(text) if forms.numbers and not _LETTER_LAST.search(text) else None
    if number is None:
        return _NONE
    if number in forms.numbers or number.unit or number.percent:
        return forms.numbers.get(number, _NONE)
    # A number without its unit names a choice if a single one has that number.
    bare = [letters for known, letters in forms.numbers.items() if known.value == number.value]
    return bare[0] if len(bare) == 1 else _NONE


@lru_cache(maxsize=4096)
def _forms(choices: tuple[str, ...]) -> _Forms:
    forms = _Forms({}, {}, {})
    for place, choice in enumerate(choices):
        letter = frozenset(chr(ord("A") + place))
        folded, formula, number = fold_text(choice), fold_expression(choice), parse_quantity(choice)
        forms.texts[folded] = forms.texts.get(folded, _NONE) | letter
        if formula:
            forms.formulas[formula] = forms.formulas.get(formula, _NONE) | letter
        if number is not None:
            forms.numbers[number] = forms.numbers.get(number, _NONE) | letter
    return forms
