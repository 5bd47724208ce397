"""Whether a text gives away an answer that is no number: yes or no, a text, a list, a formula."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from anectl.core.giveaways.conclusions import conclusions
from anectl.core.giveaways.numbers import mentions
from anectl.core.giveaways.question import Asked, stem
from anectl.core.giveaways.reading import in_digits, rows, sentences, without_mark
from anectl.core.grading import GradeSpec, algebra
from anectl.core.grading.booleans import boolean_value
from anectl.core.grading.compare import compare
from anectl.core.grading.items import split_list
from anectl.core.grading.normalise import fold_expression, fold_text
from anectl.core.grading.quantity import parse_quantity

_FIRST_WORD = re.compile(r"([^\W\d_]+)\s*(?:[.,;!:)(]|$|\bit\b)")
_CLAIM = re.compile(
    r"\b(?:it|that|this|(?:the|this|that) (?:statement|claim|assertion|sentence|guess))(?:'s| is| was| would be)"
    r"\s+(not\s+)?(true|correct|right|false|wrong|incorrect|untrue)\b(?!\s+(?:if|when|unless|only))",
    re.IGNORECASE,
)
_TRUE = frozenset(("true", "correct", "right"))
_DENIED_VALUE = re.compile(
    r"\b(yes|no)['\"]? (?:is|would be|was) (?:wrong|false|incorrect|untrue)\b"
    r"|\b(?:not|n't|wrong to (?:say|answer)|(?:cannot|can't) (?:be|say|answer))\s+['\"]?(yes|no|true|false)\b"
    r"(?=['\"]?\s*(?:[.,;!]|$))",
    re.IGNORECASE,
)
_STATED_VALUE = re.compile(
    r"(?:[=:→|]|\b(?:is|be|are|say|answer|so|thus|hence|therefore),?)\s*['\"]?([^\W\d_]+)['\"]?\s*(?=[.,;!|)]|$)",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"(?:so |and |indeed,? |well,? )?(?:it|they|he|she|that|this|we|you) (?:is|are|does|do|did|was|were|can|has|have"
    r"|will|would)"
    r"(n't| not)?(?: (?:so|indeed|too))?[.!]?",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:not|never|no|neither|cannot)\b|n't\b", re.IGNORECASE)
_CONDITION = re.compile(r"\b(?:if|whether|when|unless|compare|check|find|see|is it|does it)\b", re.IGNORECASE)
_POLAR = re.compile(
    r"(?:^|[.!?,]\s+)(is|are|was|were|does|do|did|can|could|has|have|will|would|should|must)\s+([^?]{3,300})\?",
    re.IGNORECASE,
)
_AUXILIARY_LIST = "is are was were does do did can could has have will would should must not be cannot never"
_AUXILIARY = frozenset(_AUXILIARY_LIST.split())
_WORD = re.compile(r"[^\W_]+(?:'t)?")
_FILLER = re.compile(
    r"(?:[\s,;<>|(){}\[\]/&→*-]|\b(?:and|then|next|first|lastly|finally|before|by|is|comes?|followed|after that)\b"
    r"|\\[{}])*",
    re.IGNORECASE,
)
_FORMULA_RUN = re.compile(
    r"(?:\\[A-Za-z]+|[-+*/^().{}0-9 _]|(?<![A-Za-z])(?:[A-Za-z]|sin|cos|tan|log|ln|exp|pi)(?![A-Za-z]))+"
)
_LONGEST_FORMULA = 120
_RUN_ON = re.compile(r"(?<=[0-9]),(?=[0-9]{1,2}(?![0-9]))")


def gives_boolean(text: str, answer: str, asked: Asked) -> str | None:
    """The part of a folded text that says yes or no as the answer does."""
    truth = boolean_value(answer)
    if truth is None:
        return None
    question = _POLAR.search(asked.text)
    for part in map(without_mark, sentences(text)):
        if truth in _said(part) or (question and _asserts(part, question[2]) == truth):
            return part[:200]
    return None


def _said(part: str) -> set[str | None]:
    """The values that a sentence states by a word for them, by calling the claim true, or in short (`It is.`)."""
    said: set[str | None] = set()
    if first := _FIRST_WORD.match(part):
        said.add(boolean_value(first[1]))
    said |= {boolean_value(m[1]) for m in _STATED_VALUE.finditer(part) if not _CONDITION.search(part[: m.start()])}
    if claim := _CLAIM.search(part):
        said.add("yes" if (claim[2].lower() in _TRUE) != bool(claim[1]) else "no")
    if denied := _DENIED_VALUE.search(part):
        said.add("no" if boolean_value(denied[1] or denied[2]) == "yes" else "yes")
    if short := _SHORT.fullmatch(part):
        said.add("no" if short[1] else "yes")
    return said


def _asserts(part: str, claim: str) -> str | None:
    """Yes where a sentence repeats the question as a statement, no where it denies it."""
    if _CONDITION.search(part):
        return None
    kept, words = _content(part), _content(claim)
    denied = _NEGATION.search(part) is not None
    if _in_order(words, kept):
        return "no" if denied else "yes"
    # `It does not boil`: a pronoun for the subject.
    rest = kept[1:] if kept[:1] in (["it"], ["they"], ["that"], ["this"]) else []
    if rest and denied and _in_order(rest, words):
        return "no"
    return "yes" if rest and words[-len(rest) :] == rest else None


def _content(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [stem(word) for word in words if word not in _AUXILIARY and not word.endswith("n't")]


def _in_order(words: list[str], among: list[str]) -> bool:
    left = iter(among)
    return bool(words) and all(word in left for word in words)


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
    letters = re.sub(r"\W", "", spec.answer)
    if len(spec.answer.strip()) > 2 and not pattern.search(asked.text) and boolean_value(spec.answer) is None:
        spelled = re.compile(r"(?<!\w)" + r"[-.\s]{1,3}".join(map(re.escape, letters)) + r"(?!\w)", re.IGNORECASE)
        m = pattern.search(text) or pattern.search(in_digits(text)) or spelled.search(text)
        return m[0] if m else None
    return next((found.value for found in conclusions(text) if found.sign and _is(spec, found.value)), None)


def _is(spec: GradeSpec, stated: str) -> bool:
    return len(stated) <= 400 and compare(spec, stated.strip(" .;!")).correct is True


def gives_list(text: str, spec: GradeSpec) -> str | None:
    """Where the items of a list stand one after the other, or each as a conclusion."""
    items = split_list(spec.answer)
    wanted = [parse_quantity(item) for item in items]
    plain = _RUN_ON.sub(", ", in_digits("\n".join(map(without_mark, text.split("\n")))))
    if all(wanted):
        values = [quantity.value for quantity in wanted if quantity is not None]
        if found := _run(plain, values):
            return found
    else:
        spaced = r"[\s,;]+(?:and\s+|then\s+)?".join(
            re.escape(part) for part in re.split(r"[\s,;]+", spec.answer) if part
        )
        if m := re.search(rf"(?<![\w.,])(?:{spaced})(?![\w]|[.,][0-9])", plain, re.IGNORECASE):
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


def _run(text: str, values: Sequence[Fraction]) -> str | None:
    """The part of a text where these numbers follow each other with nothing but separators between."""
    found = list(mentions(text))
    for first in range(len(found) - len(values) + 1):
        window = found[first : first + len(values)]
        if [one.value for one in window] == values and all(
            _FILLER.fullmatch(text[left.end : right.start][:40]) for left, right in pairwise(window)
        ):
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
