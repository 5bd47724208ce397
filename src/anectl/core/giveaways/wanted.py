"""The numbers that a text mentions, and whether one of them is the number that is to be kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from anectl.core.giveaways.question import Asked
from anectl.core.grading.conversions import factor_between
from anectl.core.grading.normalise import ascii_forms
from anectl.core.grading.numerals import read_numeral, rounded
from anectl.core.grading.quantity import Quantity
from anectl.core.grading.units import parse_unit
from anectl.core.grading.words import NUMBER_WORDS, SCALES, leading_number

SMALL = frozenset(map(Fraction, range(21)))
"""Sizes of numbers that stand in any text for many reasons."""

_WHOLES = frozenset(map(Fraction, (90, 100, 180, 360)))  # a right angle, all percent, a half turn, a turn
_HAVE_WHOLES = frozenset(
    ("angle", "degree", "triangle", "quadrilateral", "polygon", "circle", "sector", "pie", "arc", "turn", "rotation")
)

_START = re.compile(
    rf"(?<![\w.,])(?:\.?[0-9]|(?:{'|'.join(sorted(NUMBER_WORDS - {'point'}, key=len, reverse=True))}|an?)(?!\w))",
    re.IGNORECASE,
)
UNIT = re.compile(
    r"\s*([%‰°]\s?[CF]?(?!\w)|per ?cent\b"
    r"|[^\W\d_]+(?:\^?\{?[23]\}?)?(?:/[^\W\d_]+(?:\^?\{?[23]\}?)?)?|°)"
)
"""What may be the unit behind a number."""
_SCALE = re.compile(rf"\s*({'|'.join(SCALES)})\b", re.IGNORECASE)
_MINUS_BEFORE = re.compile(r"(?:(?:^|[\s=(:,])-\s?|\b(?:minus|negative)\s+)$", re.IGNORECASE)
_BELOW = re.compile(r"\s*(?:[^\W\d_]+\s+)?below (?:zero|0)\b", re.IGNORECASE)
_SPACED = re.compile(r"(?<=[0-9] )([1-9][0-9]{2})$")
_BEFORE_SPACE = re.compile(r"[0-9]+(?= )")
_WORD_IN = re.compile(r"\s+(?:in|at|as|a|am|us) [a-z]", re.IGNORECASE)
_BRACES = re.compile("[{}]")
_DECIMAL_COMMA = re.compile(r"([0-9]{1,4}),([0-9]{1,2})(?![0-9,])")
_PRONOUN_ONE = re.compile(
    r" (?:is|was|has|can|must|may|might|needs|sees|gets|finds|from|comes|that|which|who"
    r"|another|by one)\b"
)
_LOOK_BACK = 12
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
        if m[0].lower() == "one" and _PRONOUN_ONE.match(text, place):
            continue
        if scale := _SCALE.match(text, place):
            value, place = value * SCALES[scale[1].lower()], scale.end()
        end, unit = place, ""
        if behind := UNIT.match(text, place):
            unit = "" if _WORD_IN.match(text, place) else _plain_unit(behind[1]) or ""
            end = behind.end() if unit else place
        before = text[max(0, m.start() - _LOOK_BACK) : m.start()]
        if _MINUS_BEFORE.search(before) or _BELOW.match(text, place):
            value = -value
        yield Mention(value, m.start(), end, unit)
        if comma := _DECIMAL_COMMA.match(text, m.start()):
            yield Mention(Fraction(f"{comma[1]}.{comma[2]}"), m.start(), comma.end(), "")
        # `So: 1 101 + 0 = ?` may have two numbers where `1 101` reads as one with spaced thousands.
        if m[0][-1].isdigit() and (last := _SPACED.search(text, m.start(), place)):
            yield Mention(Fraction(int(last[1])), last.start(1), end, unit)
            if first := _BEFORE_SPACE.match(text, m.start()):
                yield Mention(Fraction(int(first[0])), first.start(), first.end(), "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number to be kept: its value, its unit, decimals that count, what is asked.

    `common`: it may stand in texts by chance; `given`: how often the question itself has it.
    """

    truth: Quantity
    unit: str
    precision: int | None
    asked: Asked
    common: bool
    given: int

    @property
    def measure(self) -> str:
        """The unit of the number, or else the one that the question asks for by name: `how many kilojoules`."""
        if self.unit:
            return self.unit
        named = (parse_unit(word) for word in sorted(self.asked.target))
        return next((unit for unit in named if unit), "") if self.asked.counts else ""

    def is_measured_in(self, unit: str) -> bool:
        """Whether a unit is a sign such as `%` and `°`, or one that the number may be said in."""
        return unit in ("%", "°", "°C", "°F") or (unit == self.measure and (len(unit) < 3 or unit == self.unit))

    def is_of_another_kind(self, mention: Mention) -> bool:
        """Whether a number is said in a unit that cannot be converted to that of the answer: litres for joules."""
        unit, measure = mention.unit, self.measure
        if not unit or not measure or unit == measure:
            return False
        return factor_between(unit, unit) is not None and factor_between(unit, measure) is None

    @property
    def in_percent(self) -> bool:
        """Whether the number is a percentage."""
        asked = self.asked.text.lower()
        return self.truth.percent or self.unit in ("%", "percent") or "percent" in asked or "per cent" in asked

    def is_said_by(self, mention: Mention) -> bool:
        """Whether a number is the one wanted: the same, in another unit, or as a percentage or its fraction."""
        value, truth = mention.value, self.truth.value
        if self._same(value, truth):
            return True
        if mention.unit in ("%", "percent", "per cent"):
            return not self.in_percent and self._same(value / 100, truth)
        if self.in_percent and 0 < value <= 1 and self._same(value * 100, truth):
            return True
        if "thousand" in self.asked.text or "million" in self.asked.text:
            return any(self._same(value, truth * scale) for scale in (1000, 10**6) if abs(value) >= 1000)
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


@lru_cache(maxsize=256)
def _values_in(question: str) -> tuple[Fraction, ...]:
    return tuple(mention.value for mention in mentions(question))


def wanted(truth: Quantity, unit: str | None, precision: int | None, asked: Asked) -> Wanted:
    """How a number is to be looked for. One that the question states is common: repeating it tells nothing.

    So are the whole turn and its parts, and a hundred, where the question is about angles or percent, and only there.
    """
    given = _values_in(asked.text).count(truth.value)
    folded_unit = _plain_unit(truth.unit) or _plain_unit(unit) or ""
    want = Wanted(truth, folded_unit, precision, asked, common=False, given=given)
    common = abs(truth.value) in SMALL or (abs(truth.value) in _WHOLES and _has_wholes(want)) or given > 0
    return replace(want, common=common)


def _plain_unit(unit: str | None) -> str | None:
    """A unit as it is folded, also of `cm²` and `cm^{2}`; null for what is none."""
    return parse_unit(_BRACES.sub("", ascii_forms(unit or "")).strip())


def _has_wholes(want: Wanted) -> bool:
    return want.in_percent or want.unit == "°" or bool(want.asked.words & _HAVE_WHOLES)
