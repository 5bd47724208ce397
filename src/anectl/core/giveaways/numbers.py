"""Whether a text gives a number away.

A number that texts rarely mention by chance may not occur at all: in digits, in words, as a fraction, in other units,
as a percentage. One that they often do (small integers, the question's own numbers, 180 where it is about angles) may
not be concluded, neither as it is nor as an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from anectl.core.giveaways.arithmetic import in_signs, sums
from anectl.core.giveaways.conclusions import COUNTED, Conclusion, Work, conclusions, is_other, standing
from anectl.core.giveaways.labels import gives_label, without_labels
from anectl.core.giveaways.question import stems
from anectl.core.giveaways.reading import in_digits, sentences
from anectl.core.giveaways.restated import asks_about, restates
from anectl.core.giveaways.spelling import compound_amounts, with_corners, with_factors, with_right_angles
from anectl.core.giveaways.wanted import Mention, Wanted, mentions, wanted
from anectl.core.giveaways.workings import is_open_sum, nothing_left, stated_share, with_results
from anectl.core.grading import algebra
from anectl.core.grading.numerals import plain_number
from anectl.core.grading.words import NUMBER_WORDS

__all__ = ["gives_number", "mentions", "wanted"]

_FACTORS = frozenset((Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(3, 2)))  # of formulas: half of b times h

_OPERAND_BEHIND = re.compile(r"\s*[-+*/^=]\s*[\w?(\\]|\s*\^|\s+times\b")
_HALF_OF = re.compile(r"\s+(?:of|the|as)\b", re.IGNORECASE)
_WHOLE = re.compile(r"\s+of (?:all )?(?:the )?([^\W\d_]{3,20})")
_OPEN = re.compile(r"\s*=\s*\?")
_OPERAND_BEFORE = re.compile(r"[-+*/^·]\s*$")
_NO_VALUE_BEHIND = re.compile(
    r"\s*[-+*/^:<>]\s*[\w?(\\]|\s*,\s*(?:and\s+)?[-0-9]|\s*[-–]\s*[0-9]|\s+[0-9?]"
    r"|\s+(?:and|or|to|of the|times|out of|more|less|fewer|plus|minus|over|by(?= [0-9])|percent of|others?|another"
    r"|points? of)\b"
    r"(?!\s+(?:of them|in all|altogether|remain|left))"
    r"|\s*(?:st|nd|rd|th)\b|\s*[A-Za-z]\s*(?:[-+*/^=]|$)|\s*\\[a-z]|[A-Za-z]|\s*\(",
)
_EXPRESSION = re.compile(r"(?:[-+*/^().{}0-9 ]|\\sqrt)+(?![A-Za-z?\\=])")
_OPERATOR = re.compile(r"[-+*/^]|\\sqrt")
_TAIL_END = re.compile(r"[.,;!?)]\s|[.,;!?)]$|$")
# Chinese counts with a word such as 个 between the number and the things.
_MEASURE_WORD = re.compile("^\\s*[\u3040-\u9fff\uac00-\ud7af]{1,3}")
_POINT = re.compile(r"(?:at\s+)?\(\s*([^(),]{1,20})\s*,\s*([^(),]{1,20})\s*\)")
_MEASURE = re.compile(
    r"\s*(?:\u00a2|cents?|dollars?|euros?|pence|pounds?|kg|kilograms?|g|grams?|mg|cm|mm|m|km|met(?:er|re)s?|inch(?:es)?"
    r"|feet|ft|miles?|lit(?:er|re)s?|ml|volts?|watts?|newtons?|km/h|degrees?|seconds?|minutes?|hours?)(?![\w'])"
)
_THAN = re.compile(r"((?:\s[^\W\d_]{1,12})?\s(?:\w+er|more|less)) than\b")
_HOW_MUCH_MORE = re.compile(r"\bhow (?:much|far|many(?: \w+)?) (?:more|less|fewer|\w+er)\b|\bby how\b", re.IGNORECASE)
_CORNERS = frozenset(("side", "vertice", "vertex", "corner", "angle"))
_FACTOR_WORDS, _ANGLE_WORDS = frozenset(("factor", "time")), frozenset(("angle", "degree"))
_ASKS_MORE = re.compile(r"\b(?:more|add(?:ed)?|needs?|needed|additional|extra|another|missing)\b", re.IGNORECASE)
_MORE = re.compile(r"(?<=[0-9a-z]) (?:more|extra|additional) (?!than)", re.IGNORECASE)
_RANGE_BEHIND = re.compile(r"\s*(?:[-–]|to|and|or)\s*[0-9]")
_NOUN_END = re.compile(
    r"[,.;:()]|\b(?:of|in|on|at|is|are|was|were|and|or|for|from|to|with|that|which|have|has|get|by)\b"
)
_LOOK_BACK = 12
_LONGEST_TAIL = 60


def gives_number(text: str, want: Wanted) -> str | None:
    """The part of a folded text that gives the number away; null where none does."""
    text = _as_asked(text, want)
    if found := _said_or_concluded(text, want):
        return found
    if found := nothing_left(text, want):
        return found
    plain = in_digits(text)
    worked = compound_amounts(plain)
    if worked != plain and (found := _said_or_concluded(worked, want)):
        return found
    worked = in_signs(worked, tasks=not want.common)
    if found := stated_share(worked, want):
        return found
    evaluated = with_results(worked, want)
    if evaluated is None:
        return None
    if not want.common:
        return next((worked[one.start : one.end] for one in sums(worked) if is_open_sum(worked, one, want)), None)
    return _concluded(evaluated, want)


def _as_asked(text: str, want: Wanted) -> str:
    """The text without the names of other things, and with words for numbers that are some in such a question."""
    text = without_labels(text, want.truth.value, want.asked)
    if want.asked.target & _CORNERS:
        text = with_corners(text)
    if want.asked.words & _FACTOR_WORDS:
        text = with_factors(text)
    if want.asked.words & _ANGLE_WORDS:
        text = with_right_angles(text)
    if _ASKS_MORE.search(want.asked.text):
        text = _MORE.sub(" ", text)
    return text


def _said_or_concluded(text: str, want: Wanted) -> str | None:
    for mention in () if want.common else mentions(text):
        if want.is_said_by(mention) and not _is_innocent(text, mention, want):
            return text[mention.start : mention.end]
    return _concluded(text, want)


def _concluded(text: str, want: Wanted) -> str | None:
    """Where the number stands as a result: as a conclusion, in the question said as a statement, as a name."""
    work = Work(text)
    said = any(want.is_said_by(mention) for mention in mentions(text))
    for found in (*conclusions(text), *_counted(text, want)) if said or _OPERATOR.search(text) else ():
        tail = _tail_behind(found, want)
        if tail is None:
            continue
        about = standing(found, tail, want.asked)
        if _is_result(found, about, tail, want) and not work.remains(found, about):
            return f"{found.subject} {found.sign} {found.value}".strip()
    value = want.truth.value
    if value.denominator == 1 and (named := gives_label(text, int(value), want.asked)):
        return named
    for part in sentences(text) if said else ():
        if _is_restated(part, want):
            return part[:200]
    return None


def _is_restated(part: str, want: Wanted) -> bool:
    said = [mention for mention in mentions(part) if want.is_said_by(mention)]
    if len(said) <= want.given or not restates(part, want.asked) or is_other(part, want.asked):
        return False
    return any(_fits(part, mention, want) for mention in said)


def _fits(part: str, mention: Mention, want: Wanted) -> bool:
    """Whether a number is no end of a range, and where the question counts, no number of other things."""
    if _RANGE_BEHIND.match(part, mention.end):
        return False
    behind = stems(_NOUN_END.split(part[mention.start : mention.start + _LONGEST_TAIL])[0])
    things = {word for word in behind if not word.isdigit() and word not in NUMBER_WORDS}
    return not want.asked.counts or not things or bool(things & want.asked.words)


def _counted(text: str, want: Wanted) -> Iterator[Conclusion]:
    """Wherever the things that the question counts stand behind the number: `the flag carries six stars`."""
    if not want.asked.counts or want.asked.compares:
        return
    for place, sentence in enumerate(sentences(text)):
        for mention in mentions(sentence):
            if want.is_said_by(mention):
                rest = sentence[mention.start :]
                yield Conclusion(
                    sentence[: mention.start].strip(), COUNTED, rest[:_LONGEST_TAIL], place, False, sentence
                )


def _is_innocent(text: str, mention: Mention, want: Wanted) -> bool:
    """Whether a mention is a division that is left open (`46 / 2 = ?`), or the factor of `half of b`, `1/2 * b`."""
    if "/" in text[mention.start : mention.end] and _OPEN.match(text, mention.end):
        return True
    if mention.value not in _FACTORS or mention.unit:
        return False
    if want.in_percent and (whole := _WHOLE.match(text, mention.end)) and asks_about(whole[1], want.asked):
        return False
    before = text[max(0, mention.start - _LOOK_BACK) : mention.start]
    if mention.value == Fraction(1, 2) and _HALF_OF.match(text, mention.end):
        return True
    return _OPERAND_BEHIND.match(text, mention.end) is not None or _OPERAND_BEFORE.search(before) is not None


def _tail_behind(found: Conclusion, want: Wanted) -> str | None:
    """The words behind the value of a conclusion that states the number; null where it does not."""
    phrase = found.value
    if want.asked.variable in ("x", "y") and (point := _POINT.fullmatch(phrase.strip(" .;!"))):
        phrase = point[1 if want.asked.variable == "x" else 2]
    if not phrase or phrase[0] == "?":
        return None
    first = next(mentions(phrase[: _LONGEST_TAIL * 2]), None)
    if first is not None and want.is_said_by(first) and phrase[: first.start].strip(" -+(").lower() in _BEFORE:
        if found.more and "/" in phrase[: first.end]:
            return None
        end = first.end if first.unit in ("%", "°", "°C", "°F") or not first.unit else _end_of_number(phrase, first)
        if want.asked.counts and _MEASURE.match(phrase, end) and not _MEASURE.search(want.asked.text):
            return None
        if not _NO_VALUE_BEHIND.match(phrase, end) and not _compares(phrase[end:], want):
            return _tail(phrase, end)
    if found.sign and (not found.more or found.sign in "=→"):
        return _evaluated(phrase, found, want)
    return None


def _compares(tail: str, want: Wanted) -> bool:
    """Whether a number is a difference (`3 years older than Eva`), where the question asks for none."""
    m = _THAN.match(tail)
    asks_difference = want.asked.compares or "difference" in want.asked.words or _HOW_MUCH_MORE.search(want.asked.text)
    return m is not None and not asks_difference


_BEFORE = frozenset(("", "a", "an", "minus", "negative", "only", "about", "exactly", "the number", "the value"))


def _end_of_number(phrase: str, mention: Mention) -> int:
    """Where the number ends, without its unit."""
    end = phrase.rfind(" ", mention.start, mention.end)
    return end if end > mention.start else mention.end


def _tail(phrase: str, end: int) -> str:
    stop = _TAIL_END.search(phrase, end)
    return _MEASURE_WORD.sub("", phrase[end : stop.start() if stop else None][:_LONGEST_TAIL])


def _evaluated(phrase: str, found: Conclusion, want: Wanted) -> str | None:
    """The tail of an expression that comes to the number and of which the result is not left open (`3 + 4 = ?`)."""
    if found.more:
        return None
    m = _EXPRESSION.match(in_digits(phrase[:200]))
    if m is None or not _OPERATOR.search(m[0].strip(" -")):
        return None
    return "" if _comes_to(m[0].strip(" ."), plain_number(want.truth.value)) else None


@lru_cache(maxsize=4096)
def _comes_to(expression: str, truth: str) -> bool:
    return algebra.equal(truth, expression) is True


def _is_result(found: Conclusion, about: str, tail: str, want: Wanted) -> bool:
    """Whether a value stands where results stand; one without any sign must be alone, or count what is asked for."""
    if found.sign == COUNTED:
        return want.asked.target <= stems(tail)
    if found.sign:
        return len(tail.split()) <= 8
    return not tail.strip() or (want.asked.counts and about in ("asked", "counted") and not want.asked.compares)
