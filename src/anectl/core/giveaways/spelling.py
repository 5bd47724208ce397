"""Numbers that a text spells in other ways than `leading_number` reads: years, Roman numerals, clocks, amounts."""

from __future__ import annotations

import re
from fractions import Fraction

from anectl.core.grading.conversions import factor_between
from anectl.core.grading.units import parse_unit
from anectl.core.grading.words import leading_number

_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_BELOW_HUNDRED = rf"(?:(?:{_TENS})(?:[- ](?:{_ONES}))?|{_TEENS}|(?:oh|o|aught)[- ](?:{_ONES}))"
# `nineteen thirty-seven` is a year, `twenty six` a number.
_YEAR = re.compile(rf"\b(thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty)[- ]({_BELOW_HUNDRED})\b"
                   rf"(?<!twenty (?:one|two|six|ten))", re.IGNORECASE)  # fmt: skip
_ROMAN = re.compile(r"(?<![\w'.])(?:X{1,3}(?:IX|IV|V?I{0,3})|IX|IV|VI{0,3}|I{2,3})(?![\w'])")
_PART_OF_BOOK = re.compile(
    r"\b(?:chapter|act|part|book|volume|scene|section|figure|class|type|king|[A-Z][a-z]+)\s*$", re.IGNORECASE
)
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_ABBREVIATION = re.compile(
    r"\b(nos?|nr|figs?|ex|eq|sec|ch|vol|prob|ref|tab|pg|pp?|approx|ca)\.\s{0,2}(?=[0-9(])", re.IGNORECASE
)
_COLLECTIVES = (
    (re.compile(r"\ba (?:couple|brace) of (?:the )?(?=[a-z])", re.IGNORECASE), "2 "),
    (re.compile(r"\b(?:a|one) (?:pair|twosome|duo) of (?:the )?(?=them|these|those|[a-z]+s\b)", re.IGNORECASE), "2 "),
    (re.compile(r"\b(?:a|one) trio of (?:the )?(?=[a-z])", re.IGNORECASE), "3 "),
    (re.compile(r"\bhalf an hour\b", re.IGNORECASE), "30 minutes"),
    (re.compile(r"\ba quarter of an hour\b", re.IGNORECASE), "15 minutes"),
    (re.compile(r"\bthree quarters of an hour\b", re.IGNORECASE), "45 minutes"),
    (re.compile(r"\b(?:a|one) (?:round|full|good|whole|baker's) dozen\b", re.IGNORECASE), "12"),
    (re.compile(r"\b(?<!not )(?:a|one|the) (?:single|sole|solitary|lone) (?=[a-z])", re.IGNORECASE), "1 "),
    (re.compile(r"\b(?:a|one) century\b", re.IGNORECASE), "100 years"),
    (re.compile(r"\b(?:a|one) decade\b", re.IGNORECASE), "10 years"),
    (re.compile(r"\b(?:a|one) fortnight\b", re.IGNORECASE), "14 days"),
    (re.compile(r"\b(?:a|one) score of\b", re.IGNORECASE), "20"),
    (re.compile(r"\b(?:a|one) gross of\b", re.IGNORECASE), "144"),
)

_COLLECTIVE = re.compile(
    "couple|brace|hour|dozen|single|sole|solitary|lone|pair|twosome|duo|trio|century|decade|fortnight|score|gross",
    re.IGNORECASE,
)
_CORNER_LIST = "triangle quadrilateral pentagon hexagon heptagon octagon nonagon decagon hendecagon dodecagon"
_CORNERS = {name: corners for corners, name in enumerate(_CORNER_LIST.split(), start=3)}
_POLYGON = re.compile(rf"\b(is|it's|be|called) (?:an? )(?:regular )?({'|'.join(_CORNERS)})\b", re.IGNORECASE)

_FACTORS = {"doubled": "2", "tripled": "3", "quadrupled": "4", "quintupled": "5", "halved": "1/2", "doubles": "2"}
_FACTORS |= {"triples": "3", "quadruples": "4", "halves": "1/2"}
_MULTIPLIED = re.compile(rf"\b(?:is |was |has |have )?({'|'.join(_FACTORS)})\b", re.IGNORECASE)
_FOLD = re.compile(rf"\b({_ONES}|ten|twelve)[- ]?fold\b", re.IGNORECASE)
_RIGHT_ANGLE = re.compile(
    r"\b((?:it|this|that|which|angle \w+|angle at \w+) (?:is|must be)) a right(?: angle|-angle)\b", re.IGNORECASE
)

_HOUR = rf"(?:[01]?[0-9]|2[0-3]|{_TEENS}|{_ONES}|twenty(?:[- ](?:one|two|three))?|noon|midnight)"
_TO_OR_PAST = re.compile(
    rf"\b(half|(?:a )?quarter|[0-5]?[0-9]|(?:{_TENS})(?:[- ](?:{_ONES}))?|{_TEENS}|{_ONES})(?: minutes?)?"
    rf" (past|after|to|before) ({_HOUR})\b(?!:)",
    re.IGNORECASE,
)
_READ_OUT = re.compile(rf"\b({_HOUR})[- :]({_BELOW_HUNDRED})\b", re.IGNORECASE)
_ON_THE_HOUR = re.compile(rf"\b({_HOUR}) (?:o'?clock|sharp|a\.?m\b|p\.?m\b)|\b(noon|midnight)\b", re.IGNORECASE)
_IN_DIGITS = re.compile(r"(?<![\w:.,])([01]?[0-9]|2[0-4])(?:[:.]|\s?h\s?)([0-5][0-9])(?![\w:]|[.,][0-9])")

_TIMES = re.compile(r"[0-2]?[0-9][:.][0-5][0-9](?:, [0-2]?[0-9][:.][0-5][0-9])+,? (?:and|or) [0-2]?[0-9][:.][0-5][0-9]")
_RUN_TOGETHER = re.compile(r"(?<![\w:.,])([01][0-9]|2[0-3])([0-5][0-9])(?![\w:]|[.,][0-9])")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(
    rf"(?:({_MONTHS})\s+([0-3]?[0-9])|([0-3]?[0-9])(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTHS}))(?:st|nd|rd|th)?",
    re.IGNORECASE,
)
_YEAR_BEHIND = re.compile(r",?\s+[12][0-9]{3}$")
_ORDINAL_LIST = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
ORDINALS = _ORDINAL_LIST.split()
"""The place of each is its value less one."""

_AMOUNTS = re.compile(
    r"(?<![\w.,])([0-9]{1,12}(?:\.[0-9]{1,12})?|an?)\s?([A-Za-z']+"
    r"|°),?\s(?:and\s)?([0-9]{1,12}(?:\.[0-9]{1,12})?)\s?([A-Za-z]+|¢)(?!\w)"
)
_AND_A_HALF = re.compile(r"(?<![\w.,])(an?|[0-9]{1,12}) ([a-z]{1,12}?)s? and (?:a |1/2|half)(?:half)?\b", re.IGNORECASE)
_SMALL_MONEY = {
    ("dollar", "cent"): 100,
    ("euro", "cent"): 100,
    ("pound", "pence"): 100,
    ("pound", "p"): 100,
    ("franc", "centime"): 100,
}
_SHARE = re.compile(
    r"(?<![\w.,])([0-9]{1,6})\s(?:[a-z]{1,20}\s)?(?:in|out of|in every|out of every|of every|of the)\s(?:all )?"
    r"([0-9]{1,6})(?![\w]|[.,][0-9])"
)


def without_abbreviations(text: str) -> str:
    """The text with `No. 7` as `No 7`, so that its dot ends no sentence."""
    return _ABBREVIATION.sub(lambda m: f"{m[1]} ", text)


def with_years(text: str) -> str:
    """The text with years in words and Roman numerals in digits, and words for amounts of things as numbers."""
    text = _ROMAN.sub(_roman, _YEAR.sub(_year, text))
    if _COLLECTIVE.search(text):
        for pattern, plain in _COLLECTIVES:
            text = pattern.sub(plain, text)
    return text


def with_corners(text: str) -> str:
    """The text with the name of a polygon that something is said to be as the number of its corners."""
    return _POLYGON.sub(lambda m: f"{m[1]} {_CORNERS[m[2].lower()]}", text)


def with_factors(text: str) -> str:
    """The text with `tripled`, `ninefold` and the like as what something is multiplied by."""
    text = _FOLD.sub(r": the factor is \1 ", text)
    return _MULTIPLIED.sub(lambda m: f": the factor is {_FACTORS[m[1].lower()]}", text)


def with_right_angles(text: str) -> str:
    """The text with `it is a right angle` in degrees."""
    return _RIGHT_ANGLE.sub(r"\1 90°", text)


def _year(m: re.Match[str]) -> str:
    first, second = leading_number(m[1]), leading_number(re.sub(r"^(?:oh|o|aught)[- ]", "", m[2].lower()))
    return f"{first[0]}{int(second[0]):02d}" if first and second else m[0]


def _roman(m: re.Match[str]) -> str:
    if len(m[0]) == 1 and not _PART_OF_BOOK.search(m.string[max(0, m.start() - 12) : m.start()]):
        return m[0]
    values = [_ROMAN_VALUES[letter] for letter in m[0]]
    following = [*values[1:], 0]
    return str(sum(-one if one < after else one for one, after in zip(values, following, strict=True)))


def clock(text: str) -> frozenset[int]:
    """The times of day that a text states, as minutes of the half day: `half past ten` and `22:30` are 630."""
    text = _TIMES.sub("", text)
    times = {_minutes(int(m[1]), int(m[2])) for m in _IN_DIGITS.finditer(text)}
    times |= {_minutes(int(m[1]), int(m[2])) for m in _RUN_TOGETHER.finditer(text)}
    for m in _TO_OR_PAST.finditer(text):
        part, hour = _minute(m[1]), _hour(m[3])
        if part is not None and hour is not None:
            times.add(_minutes(hour, part if m[2].lower() in ("past", "after") else -part))
    for m in _READ_OUT.finditer(text):
        part, hour = _minute(re.sub(r"^(?:oh|o|aught)[- ]", "", m[2].lower())), _hour(m[1])
        if part is not None and hour is not None:
            times.add(_minutes(hour, part))
    times |= {_minutes(hour, 0) for m in _ON_THE_HOUR.finditer(text) if (hour := _hour(m[1] or m[2])) is not None}
    return frozenset(times)


def time_of_day(answer: str) -> int | None:
    """The minutes of the half day that an answer such as `14:45` or `2:45 pm` names; null where it is no time."""
    m = re.fullmatch(r"([01]?[0-9]|2[0-4])[:.]([0-5][0-9])\s*(?:h|hrs|o'clock|[ap]\.?m\.?)?", answer.strip(), re.I)
    return None if m is None else _minutes(int(m[1]), int(m[2]))


def date_pattern(answer: str) -> re.Pattern[str] | None:
    """The ways to say a day of a month such as `May 3`; null where the answer is none."""
    m = _DATE.fullmatch(_YEAR_BEHIND.sub("", answer.strip()))
    if m is None:
        return None
    month, day = (m[1] or m[4]), int(m[2] or m[3])
    place = _MONTHS.lower().split("|").index(month.lower()) + 1
    european, american = rf"0?{day}[./-]0?{place}", rf"0?{place}[./-]0?{day}"
    figures = rf"(?:{european}|{american})[./-](?:[12][0-9])?[0-9]{{2}}|[12][0-9]{{3}}-0?{place}-0?{day}"
    ordinal = _day_word(day)
    number = rf"(?:0?{day}(?:st|nd|rd|th)?|{ordinal})"
    short = rf"{month[:3]}(?:{month[3:]}|\.|t\.?)?"
    return re.compile(
        rf"\b{short}\s+(?:the\s+)?{number}(?![\w:])|(?<![\w:]){number}\s+(?:of\s+)?{short}(?!\w)"
        rf"|(?<![\w/.-])(?:{figures})(?![\w/-]|\.[0-9])",
        re.IGNORECASE,
    )


def _day_word(day: int) -> str:
    """`third`, `twenty-first`."""
    if day <= len(ORDINALS):
        return ORDINALS[day - 1]
    if day == 30:
        return "thirtieth"
    return rf"{'twenty' if day < 30 else 'thirty'}[- ]{ORDINALS[day % 10 - 1]}"


def _minutes(hour: int, minute: int) -> int:
    return (60 * hour + minute) % 720


def _hour(word: str) -> int | None:
    if word.lower() in ("noon", "midnight"):
        return 12
    return int(word) if word.isdigit() else _minute(word)


def _minute(word: str) -> int | None:
    word = word.lower().removeprefix("a ")
    if word.isdigit():
        return int(word)
    if word in ("half", "quarter"):
        return 30 if word == "half" else 15
    found = leading_number(word)
    return int(found[0]) if found else None


def compound_amounts(text: str) -> str:
    """Text in digits with amounts in two units as one: `6 dollars and 50 cents`, `1 hour 35 minutes`, `1 m 50 cm`."""

    def joined(m: re.Match[str]) -> str:
        large, small = m[2].lower().removesuffix("s"), m[4].lower()
        first = Fraction(1 if m[1].lower() in ("a", "an") else m[1])
        money = _SMALL_MONEY.get((large, small if small in ("pence", "p") else small.removesuffix("s")))
        if money:
            value = first + Fraction(m[3]) / money
            return f"{float(value):.2f} {m[2]}"
        units = parse_unit(m[2]), parse_unit(m[4])
        factor = factor_between(*units) if units[0] and units[1] else None
        if factor is None or factor <= 1 or Fraction(m[3]) >= factor:
            return m[0]
        total = first * factor + Fraction(m[3])
        return f"{total if total.denominator == 1 else float(total)} {m[4]}"

    return _AMOUNTS.sub(joined, _AND_A_HALF.sub(lambda m: f"{1 if m[1].isalpha() else m[1]}.5 {m[2]}s", text))


def shares(text: str) -> list[Fraction]:
    """The parts of a whole that a text in digits states as counts: `1 pupil in 4`, `3 out of 5`."""
    return [Fraction(int(m[1]), int(m[2])) for m in _SHARE.finditer(text) if 0 < int(m[1]) < int(m[2])]
