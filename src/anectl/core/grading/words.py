"""Numbers in English words: `twenty-one`, `one hundred and five`, `minus five`, `two thirds`, `one and a half`."""

from __future__ import annotations

import re
from fractions import Fraction

_SMALL_LIST = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS_LIST = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: value for value, word in enumerate(_SMALL_LIST.split())}
_TENS = {word: 10 * place for place, word in enumerate(_TENS_LIST.split(), start=2)}
_GROUPS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES = {"hundred": 100, **_GROUPS, "dozen": 12, "lakh": 10**5, "crore": 10**7}
"""What a number before the word is multiplied by."""

_ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ONE_PART = {"half": 2, "quarter": 4, **{word: value for value, word in enumerate(_ORDINALS.split(), start=3)}}
_PARTS = {"halves": 2, **{word + "s": value for word, value in _ONE_PART.items() if word != "half"}}
_JOINING = frozenset(("a", "an", "and", "point", "minus", "negative"))
NUMBER_WORDS = frozenset((*_SMALL, *_TENS, *SCALES, *_ONE_PART, *_PARTS, "point", "minus", "negative"))
"""Words that belong to a number, so that none of them can be the unit behind one."""

_VOCABULARY = NUMBER_WORDS | _JOINING
_WORD = re.compile(r"[\s-]*([A-Za-z]+)")


def leading_number(text: str) -> tuple[Fraction, int, int] | None:
    """The number in words that `text` begins with, its scale word's factor (or 1), and where the words end.

    `five million` has scale 10^6, so that it can be told from a bare `five` of a problem that counts in millions.
    """
    words: list[str] = []
    ends: list[int] = []
    position = 0
    while (m := _WORD.match(text, position)) and m[1].casefold() in _VOCABULARY:
        words.append(m[1].casefold())
        ends.append(position := m.end())
    if not words:
        return None
    negative = words[0] in ("minus", "negative")
    read = _unsigned(words, int(negative))
    if read is None:
        return None
    value, used = read
    return -value if negative else value, SCALES.get(words[used - 1], 1), ends[used - 1]


def _unsigned(words: list[str], start: int) -> tuple[Fraction, int] | None:
    if (part := _part(words, start)) is not None:
        return part
    whole = _cardinal(words, start)
    if whole is None:
        return None
    value, end = whole
    if words[end : end + 1] == ["and"] and (part := _part(words, end + 1)) is not None:
        return value + part[0], part[1]
    if words[end : end + 1] == ["point"]:
        return _decimals(value, words, end + 1)
    return Fraction(value), end


def _decimals(whole: int, words: list[str], start: int) -> tuple[Fraction, int] | None:
    """`three point one four`: digit by digit."""
    end = start
    while end < len(words) and _SMALL.get(words[end], 10) < 10:
        end += 1
    if end == start:
        return None
    digits = "".join(str(_SMALL[word]) for word in words[start:end])
    return whole + Fraction(int(digits), 10 ** len(digits)), end


def _part(words: list[str], start: int) -> tuple[Fraction, int] | None:
    """`half`, `a third`, `two thirds`: a plural behind more than one, or it is an ordinal (`twenty third`)."""
    first, second = (*words[start : start + 2], "", "")[:2]
    if first == "half":
        return Fraction(1, 2), start + 1
    if first in ("a", "an", "one") and second in _ONE_PART:
        return Fraction(1, _ONE_PART[second]), start + 2
    if 2 <= _SMALL.get(first, 0) <= 12 and second in _PARTS:
        return Fraction(_SMALL[first], _PARTS[second]), start + 2
    return None


def _cardinal(words: list[str], start: int) -> tuple[int, int] | None:
    """Groups of falling scale: `three thousand two hundred and five`."""
    total, limit, end = 0, 10**15, start
    while (group := _below_thousand(words, end + (end > start and words[end : end + 1] == ["and"]))) is not None:
        value, after = group
        scale = _GROUPS.get(words[after]) if after < len(words) else None
        if end > start and _part(words, end + 1) is not None and words[end] == "and":
            break  # `five thousand and two thirds`
        if scale is None:
            if value < limit and limit > 1:
                total, end = total + value, after
            break
        if scale >= limit:
            break
        total, limit, end = total + value * scale, scale, after + 1
    if end == start:
        return None
    return (12 * total, end + 1) if words[end : end + 1] == ["dozen"] and total < 100 else (total, end)


def _below_thousand(words: list[str], start: int) -> tuple[int, int] | None:
    first, second = (*words[start : start + 2], "", "")[:2]
    if first == "a" and second in SCALES:
        value, end = 1, start + 1
    elif (small := _below_hundred(words, start)) is not None:
        value, end = small
    else:
        return None
    if value and words[end : end + 1] == ["hundred"]:
        value, end = value * 100, end + 1
        behind = end + (words[end : end + 1] == ["and"])
        if (rest := _below_hundred(words, behind)) is not None and _part(words, behind) is None:
            value, end = value + rest[0], rest[1]
    return value, end


def _below_hundred(words: list[str], start: int) -> tuple[int, int] | None:
    word = words[start] if start < len(words) else ""
    if word in _SMALL:
        return _SMALL[word], start + 1
    if word not in _TENS:
        return None
    ones = _SMALL.get(words[start + 1], 0) if start + 1 < len(words) else 0
    return (_TENS[word] + ones, start + 2) if 1 <= ones <= 9 else (_TENS[word], start + 1)
