"""Whether a text gives away an answer that is no number, choice or truth: a text, a list, a formula."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from anectl.core.giveaways.cells import rows
from anectl.core.giveaways.conclusions import conclusions
from anectl.core.giveaways.numbers import mentions
from anectl.core.giveaways.question import Asked, stems
from anectl.core.giveaways.reading import LIKE_ASCII, in_digits, without_mark
from anectl.core.giveaways.spelling import clock, date_pattern, time_of_day
from anectl.core.grading import GradeSpec, algebra
from anectl.core.grading.booleans import boolean_value
from anectl.core.grading.compare import compare
from anectl.core.grading.items import split_list
from anectl.core.grading.normalise import fold_expression, fold_text
from anectl.core.grading.quantity import parse_quantity

_FILLER = re.compile(
    r"(?:[\s,;<>|(){}\[\]/&→*-]|\b(?:and|or|then|next|first|lastly|finally|before|by|is|comes?|followed|after that"
    r"|over|at)\b"
    r"|\\[{}]|\b[A-Za-z](?:_?[0-9])?\s?=)*",
    re.IGNORECASE,
)
_ORDER = (
    r"(?:[\s,;<>&→]|\b(?:and|then|next|first|second|third|lastly|finally|before|by|is|comes?|goes|followed|after that"
    r"|shorter|longer|smaller|larger|less|greater|than|last)\b){1,12}"
)
_MORE_BEFORE = re.compile(r"[\w)],\s+(?:and\s+)?$|\w\s+(?:and|or)\s+$")
_MORE_BEHIND = re.compile(r",\s*(?:and |or )?[A-Z0-9-]|,\s*\w+(?:,|\s+and\b)|\s+(?:and|or)\s+[A-Z0-9]")
_FORMULA_RUN = re.compile(
    r"(?:\\[A-Za-z]+|[-+*/^().{}0-9 _]|(?<![A-Za-z])(?:[A-Za-z]|sin|cos|tan|log|ln|exp|pi)(?![A-Za-z]))+"
)
_IF = re.compile(r"\b(?:if|whether|unless)\b", re.IGNORECASE)
_ITEM = r"(?<!')\b(?!(?:is|are|was|it) )(?:(?:an?|the) |(?!(?:an?|the) ))[\w-]+(?: (?!and |or )[\w-]+)?"
_SEVERAL = re.compile(rf"{_ITEM}(?:, {_ITEM})+,? (?:and|or) {_ITEM}", re.IGNORECASE)
_ORDERED_LIST = (
    "order sort arrange rank sequence least greatest smallest largest ascending descending component coordinate list "
    "first next term point vector"
)
_ORDERED = frozenset(_ORDERED_LIST.split())
_ANY_ORDER = re.compile(
    r"\b(?:which|both|all|zeros?|roots?|solutions?|modes?|factors?|in common"
    r"|belongs?)\b",
    re.IGNORECASE,
)
_LONGEST_FORMULA = 120
_RUN_ON = re.compile(r"(?<=[0-9]),(?=[0-9]{1,2}(?![0-9]))")


@lru_cache(maxsize=512)
def _text_pattern(answer: str) -> re.Pattern[str] | None:
    words = re.findall(r"\w+", fold_text(answer))
    between = r"(?:[\W_]{1,3}|\s+to\s+)" if ":" in answer else r"[\W_]{1,3}"
    return re.compile(rf"(?<!\w){between.join(map(re.escape, words))}(?!\w)", re.IGNORECASE) if words else None


def gives_text(text: str, spec: GradeSpec, asked: Asked) -> str | None:
    """Where a text stands: anywhere, also letter by letter, or only as a conclusion where the question names it too."""
    pattern = _text_pattern(spec.answer)
    if pattern is None:
        return None
    if (time := time_of_day(spec.answer)) is not None and time in clock(text) - clock(asked.text):
        return spec.answer
    if (
        (day := date_pattern(spec.answer.translate(LIKE_ASCII)))
        and not day.search(asked.text)
        and (m := day.search(text))
    ):
        return m[0]
    letters = re.sub(r"\W", "", spec.answer)
    if len(spec.answer.strip()) > 2 and not pattern.search(asked.text) and boolean_value(spec.answer) is None:
        spelled = re.compile(
            r"(?<!\w)"
            + (r"[-.\s:_{}]{0,3}" if len(letters) > 4 else r"[-.\s]{1,3}").join(map(re.escape, letters))
            + r"(?!\w)",
            re.IGNORECASE,
        )
        alone = (m for m in pattern.finditer(text) if not _is_one_of_several(text, m))
        apart = (m for m in spelled.finditer(text) if not pattern.fullmatch(m[0]))
        if (m := next(alone, None)) or (m := next(apart, None)):
            return m[0]
        return m[0] if not pattern.search(text) and (m := pattern.search(in_digits(text))) else None
    for cells in rows(text):
        beside = stems(" ".join(cells)) - stems(spec.answer)
        if len(cells) > 1 and beside & asked.words and any(_is(spec, cell) for cell in cells):
            return " | ".join(cells)
    for found in conclusions(text):
        stated = found.sign and not _IF.search(found.sentence.partition(found.value)[0])
        if stated and (_is(spec, found.value) or _is(spec, found.value.partition(",")[0])):
            return found.value
    return None


def _is_one_of_several(text: str, answer: re.Match[str]) -> bool:
    """Whether an answer stands in a list of things that are there: `grass, a frog, a snake and a hawk`."""
    return any(
        several.start() <= answer.start() and answer.end() <= several.end()
        for several in _SEVERAL.finditer(text, max(0, answer.start() - 200), answer.end() + 200)
    )


def _is(spec: GradeSpec, stated: str) -> bool:
    return len(stated) <= 400 and compare(spec, stated.strip(" .;!")).correct is True


def gives_list(text: str, spec: GradeSpec, asked: Asked) -> str | None:
    """Where the items of a list stand one after the other, or each as a conclusion."""
    items = split_list(spec.answer)
    if not items:
        return None
    wanted = [parse_quantity(item) for item in items]
    plain = _RUN_ON.sub(", ", in_digits("\n".join(map(without_mark, text.split("\n")))))
    if all(wanted):
        values = [quantity.value for quantity in wanted if quantity is not None]
        if found := _run(plain, values, in_order=bool(asked.words & _ORDERED) or not _ANY_ORDER.search(asked.text)):
            return found
    else:
        if len(items) > 1 and (found := _named_in_order(text, items)):
            return found
        spaced = r"[\s,;]+(?:and\s+|then\s+)?".join(
            re.escape(part) for part in re.split(r"[\s,;]+", spec.answer) if part
        )
        if m := re.search(rf"(?<![\w.,])(?:{spaced})(?![\w]|[.,][0-9])", plain, re.IGNORECASE):
            longer = _MORE_BEFORE.search(plain[: m.start()][-40:]) or _MORE_BEHIND.match(plain, m.end())
            if not longer:
                return m[0]
    left = set(items)
    for found_one in conclusions(text):
        stated = in_digits(re.sub(r"\s+and\s+", ", ", found_one.value[:300]))
        if len(items) > 1 and found_one.sign and _is(spec, stated):
            return found_one.value
        if found_one.sign:
            left -= {item for item in left if stated.strip(" .;!").casefold() == item.casefold()}
            if not left:
                return found_one.sentence[:200]
    return None


def _named_in_order(text: str, items: Sequence[str]) -> str | None:
    """Where texts follow each other with words of order between: `the pen comes first, then the pencil`."""
    forms = [rf"(?:the |an? )?{re.escape(item)}(?!\w)" for item in items]
    first = re.search(rf"(?<![\w]){forms[0]}", text, re.IGNORECASE)
    if first is None:
        return None
    place, ordered = first.end(), False
    for form in forms[1:]:
        m = re.compile(rf"(?P<between>{_ORDER})\s*{form}", re.IGNORECASE).match(text, place)
        if m is None:
            return None
        ordered = ordered or re.search(r"[a-z<>]{4}|[<>]", m["between"]) is not None
        place = m.end()
    return text[first.start() : place][:200] if ordered else None


def _run(text: str, values: Sequence[Fraction], *, in_order: bool) -> str | None:
    """The part of a text where these numbers follow each other with nothing but separators between."""
    found = list(mentions(text))
    for first in range(len(found) - len(values) + 1):
        window = found[first : first + len(values)]
        same = [one.value for one in window] == list(values)
        if not same and not in_order:
            same = sorted(one.value for one in window) == sorted(values)
        if same and all(_FILLER.fullmatch(text[left.end : right.start][:40]) for left, right in pairwise(window)):
            return text[window[0].start : window[-1].end]
    return None


def gives_expression(text: str, spec: GradeSpec, asked: Asked) -> str | None:
    """Where a formula stands that equals the answer, unless the question has it as well."""
    known = {fold_expression(part) for part in _formulas(asked.text)}
    for part in _formulas(text):
        folded = fold_expression(part)
        if folded not in known and _equal(spec.answer, folded):
            return part
    return next((" | ".join(cells) for cells in rows(text) if any(_is(spec, cell) for cell in cells)), None)


@lru_cache(maxsize=4096)
def _equal(answer: str, stated: str) -> bool:
    return fold_expression(answer) == stated or algebra.equal(answer, stated) is True


def _formulas(text: str) -> list[str]:
    """Runs of a text that may be formulas, cut at signs of equality."""
    parts = (
        m[0].strip(" .(") if m[0].count("(") > m[0].count(")") else m[0].strip(" .")
        for m in _FORMULA_RUN.finditer(text)
    )
    return [part for part in parts if 2 < len(part) <= _LONGEST_FORMULA]
