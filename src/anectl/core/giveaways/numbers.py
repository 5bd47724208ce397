"""Whether a text gives a number away.

A number that texts rarely mention by chance may not occur at all: in digits, in words, as a fraction, in other units,
as a percentage. One that they often do (`COMMON`) may not be concluded, neither as it is nor as an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from anectl.core.giveaways.conclusions import COUNTED, Conclusion, Work, conclusions, standing
from anectl.core.giveaways.question import Asked, stems
from anectl.core.giveaways.reading import in_digits, sentences
from anectl.core.grading import algebra
from anectl.core.grading.conversions import factor_between
from anectl.core.grading.numerals import plain_number, read_numeral, rounded
from anectl.core.grading.quantity import Quantity
from anectl.core.grading.units import parse_unit
from anectl.core.grading.words import NUMBER_WORDS, SCALES, leading_number

COMMON = frozenset(map(Fraction, (*range(13), 90, 100, 180, 360)))
"""Sizes of numbers that stand in texts for many reasons: small integers, angles, a hundred percent."""
_FACTORS = frozenset((Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(3, 2)))  # of formulas: half of b times h

_START = re.compile(
    rf"(?<![\w.,])(?:\.?[0-9]|(?:{'|'.join(sorted(NUMBER_WORDS - {'point'}, key=len, reverse=True))}|an?)(?!\w))",
    re.IGNORECASE,
)
_UNIT = re.compile(r"\s*([%‰°]\s?[CF]?(?!\w)|per ?cent\b|[^\W\d_]+(?:\^?[23])?(?:/[^\W\d_]+)?|°)")
_SCALE = re.compile(rf"\s*({'|'.join(SCALES)})\b", re.IGNORECASE)
_MINUS_BEFORE = re.compile(r"(?:(?:^|[\s=(:,])-\s?|\b(?:minus|negative)\s+)$", re.IGNORECASE)
_BELOW = re.compile(r"\s*(?:[^\W\d_]+\s+)?below (?:zero|0)\b", re.IGNORECASE)
_OPERAND_BEHIND = re.compile(r"\s*[-+*/^=]\s*[\w?(\\]|\s*\^|\s+times\b")
_HALF_OF = re.compile(r"\s+(?:of|the|as)\b", re.IGNORECASE)
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
_LOOK_BACK = 12
_LONGEST_TAIL = 60
_LONGEST_NUMBER = 100


@dataclass(frozen=True, slots=True)
class Mention:
    """A number in a text with its sign, and where the digits or words of it begin and end; `end` is behind its unit."""

    value: Fraction
    start: int
    end: int
    unit: str


def mentions(text: str) -> Iterator[Mention]:
    """The numbers of a folded text in digits and in words, each as far as it reaches (`1/2`, `two and a half`)."""
    place = 0
    while (m := _START.search(text, place)) is not None:
        place = m.end()
        if m[0][-1].isdigit():
            numeral = read_numeral(text[m.start() : m.start() + _LONGEST_NUMBER], 0)
            read = None if numeral is None else (numeral[0], m.start() + numeral[1])
        elif (words := leading_number(text[m.start() : m.start() + _LONGEST_NUMBER])) is not None:
            read = words[0], m.start() + words[2]
        else:
            read = None
        if read is None:
            continue
        value, place = read
        if scale := _SCALE.match(text, place):
            value, place = value * SCALES[scale[1].lower()], scale.end()
        end, unit = place, ""
        if behind := _UNIT.match(text, place):
            unit = parse_unit(behind[1].strip()) or ""
            end = behind.end() if unit else place
        before = text[max(0, m.start() - _LOOK_BACK) : m.start()]
        if _MINUS_BEFORE.search(before) or _BELOW.match(text, place):
            value = -value
        yield Mention(value, m.start(), end, unit)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number to be kept: its value, its unit, whether it is a percentage, decimals that count, what is asked."""

    truth: Quantity
    unit: str
    precision: int | None
    asked: Asked
    common: bool

    def is_said_by(self, mention: Mention) -> bool:
        """Whether a number is the one wanted: the same, in another unit, or as a percentage or its fraction."""
        value, truth = mention.value, self.truth.value
        if self._same(value, truth):
            return True
        in_percent = self.truth.percent or self.unit in ("%", "percent")
        if mention.unit in ("%", "percent", "per cent"):
            return not in_percent and self._same(value / 100, truth)
        if in_percent and 0 < value <= 1 and self._same(value * 100, truth):
            return True
        if "thousand" in self.asked.text or "million" in self.asked.text:
            return any(self._same(value, truth * scale) for scale in (1000, 10**6) if value >= 1000)
        if mention.unit in ("\u00a2", "ct") and self._same(value / 100, truth):
            return True
        factor = factor_between(mention.unit, self.unit) if mention.unit and self.unit else None
        return factor is not None and factor != 1 and self._same(value * factor, truth)

    def _same(self, value: Fraction, truth: Fraction) -> bool:
        if value == truth or (not self.common and abs(value) == abs(truth)):
            return True
        return self.precision is not None and value.denominator > 1 and (
            rounded(value, self.precision) == rounded(truth, self.precision)
        )  # fmt: skip


def wanted(truth: Quantity, unit: str | None, precision: int | None, asked: Asked) -> Wanted:
    """How a number is to be looked for. One that the question states is common: repeating it tells nothing."""
    folded_unit = truth.unit or parse_unit(unit or "") or ""
    common = abs(truth.value) in COMMON or any(mention.value == truth.value for mention in mentions(asked.text))
    return Wanted(truth, folded_unit, precision, asked, common)


def gives_number(text: str, want: Wanted) -> str | None:
    """The part of a folded text that gives the number away; null where none does."""
    for mention in mentions(text):
        if not want.common and want.is_said_by(mention) and not _is_innocent(text, mention):
            return text[mention.start : mention.end]
    work = Work(text)
    for found in (*conclusions(text), *_counted(text, want)):
        tail = _tail_behind(found, want)
        if tail is None:
            continue
        about = standing(found, tail, want.asked)
        if _is_result(found, about, tail, want) and not work.remains(found, about):
            return f"{found.subject} {found.sign} {found.value}".strip()
    return None


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


def _is_innocent(text: str, mention: Mention) -> bool:
    """Whether a mention is a division that is left open (`46 / 2 = ?`), or the factor of `half of b`, `1/2 * b`."""
    if "/" in text[mention.start : mention.end] and _OPEN.match(text, mention.end):
        return True
    if mention.value not in _FACTORS or mention.unit:
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
        if not _NO_VALUE_BEHIND.match(phrase, end):
            return _tail(phrase, end)
    if found.sign and (not found.more or found.sign in "=→"):
        return _evaluated(phrase, found, want)
    return None


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
