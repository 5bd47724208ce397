"""Whether what a text states as a result is the number that is to be kept, and what stands behind it."""

from __future__ import annotations

import re
from functools import lru_cache

from anectl.core.giveaways.conclusions import Conclusion
from anectl.core.giveaways.question import stems
from anectl.core.giveaways.reading import in_digits
from anectl.core.giveaways.standing import GENERIC
from anectl.core.giveaways.wanted import Mention, Wanted, mentions
from anectl.core.grading import algebra
from anectl.core.grading.conversions import factor_between
from anectl.core.grading.numerals import plain_number

_FUNCTION = r"\\?\b(?:log(?:_\{?[0-9]+\}?)?|lg|ln|sin|cos|tan)(?![a-z])"
OPERATOR = re.compile(rf"[-+*/^]|\\sqrt|{_FUNCTION}")
"""A sign that calculates."""

_NO_VALUE_BEHIND = re.compile(
    r"\s*[-+*/^:<>]\s*[\w?(\\]|\s*,\s*(?:and\s+)?[-0-9]|\s*[-–]\s*[0-9]|\s+[0-9?]"
    r"|\s+(?:and|or|to|of the|times|out of|more|less|fewer|plus|minus|over|by(?= [0-9])|percent of|others?|another"
    r"|points? of)\b"
    r"(?!\s+(?:of them|in all|altogether|remain|left))"
    r"|\s*(?:st|nd|rd|th)\b|\s*[A-Za-z]\s*(?:[-+*/^=]|$)|\s*\\[a-z]|[A-Za-z]|\s*\((?![a-z]+\)|(?i:so|just|and"
    r"|that|which|you|not|nothing)\b)",
)
_EXPRESSION = re.compile(rf"(?:[-+*/^().{{}}0-9 °]|\\sqrt|{_FUNCTION})+(?![A-Za-z?\\=])")
_UNIT_WITHIN = re.compile(r"(?<=[0-9]) ?(?:km|cm|mm|kg|m|g|s|N|V|A|h|min)(?=\s*[*/+-])")
_BARE_LOG = re.compile(r"\\?\b(?:lg|log)(?![a-z_])")
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
_FILLERS = re.compile(r"\b(?:a|an|the|of|at|to|about|exactly|only|just)\b")
_PLACED = re.compile(
    r"(?!divided|multiplied|increased|reduced|raised|followed|decreased|moved|shifted)\w+(?:ed"
    r"|wn|en) (?:by|to|at|as|into)|(?:found|located|drawn|placed|set|situated|measured|read(?: off)?|worth|equal"
    r"|made(?: up)? of|composed of|built (?:from|of))(?: at| as| to| to be)?"
)
_BEFORE = frozenset(("", "a", "an", "minus", "negative", "only", "about", "exactly", "the number", "the value"))
_TIMES = frozenset(("s", "min", "h", "day"))
_ABOUT_TIME = frozenset(("time", "long", "last", "take", "old", "age", "period", "second", "minute", "hour", "day"))
_LONGEST_TAIL = 60


def tail_behind(found: Conclusion, want: Wanted) -> str | None:
    """The words behind the value of a conclusion that states the number; null where it does not."""
    phrase = found.value.replace('"', "")
    if want.asked.variable in ("x", "y") and (point := _POINT.fullmatch(phrase.strip(" .;!"))):
        phrase = point[1 if want.asked.variable == "x" else 2]
    if not phrase or phrase[0] == "?":
        return None
    first = next(mentions(phrase[: _LONGEST_TAIL * 2]), None)
    if first is not None and want.is_said_by(first) and _leads_to(phrase[: first.start], want):
        if found.more and "/" in phrase[: first.end]:
            return None
        end = first.end if not first.unit or want.is_measured_in(first.unit) else _end_of_number(phrase, first)
        if first.unit in _TIMES and not want.measure and not want.asked.words & _ABOUT_TIME:
            return None
        if want.asked.counts and _is_a_measure(phrase, end, first, want):
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


def _is_a_measure(phrase: str, end: int, mention: Mention, want: Wanted) -> bool:
    """Whether a number is one of units that the question does not ask for, not of things: `5 hPa`."""
    if mention.unit and factor_between(mention.unit, mention.unit) is not None:
        return factor_between(mention.unit, want.measure) is None
    return _MEASURE.match(phrase, end) is not None and not _MEASURE.search(want.asked.text)


def _leads_to(before: str, want: Wanted) -> bool:
    """Whether what stands between a verb and a number keeps it the value: `a slope of 7`, `found at 7`, `level 7`."""
    before = before.strip(" -+({\"'").lower()
    if before in _BEFORE or _PLACED.fullmatch(before):
        return True
    words = stems(_FILLERS.sub(" ", before))
    return len(before.split()) < 6 and bool(words) and words <= want.asked.target | GENERIC


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
    m = _EXPRESSION.match(_UNIT_WITHIN.sub("", in_digits(phrase[:200])))
    if m is None or not OPERATOR.search(m[0].strip(" -")):
        return None
    return "" if _comes_to(m[0].strip(" ."), plain_number(want.truth.value)) else None


@lru_cache(maxsize=4096)
def _comes_to(expression: str, truth: str) -> bool:
    return algebra.equal(truth, _BARE_LOG.sub(r"\\log_{10}", expression)) is True
