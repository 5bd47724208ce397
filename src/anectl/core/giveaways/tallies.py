"""How a text tells a count without a number: there is none, or the last thing that is counted is the seventh."""

from __future__ import annotations

import re

from anectl.core.giveaways.question import stems
from anectl.core.giveaways.reading import sentences
from anectl.core.giveaways.spelling import ORDINALS
from anectl.core.giveaways.wanted import Wanted

_NONE = re.compile(
    r"\b(?:none(?: of (?:them|these|those|the (\w+)))?|nobody|no one|nothing"
    r"|(?:not (?:a single|one|any)|without a single|there (?:is|are) no|has no|have no) (\w+))\b",
    re.IGNORECASE,
)
_NO_VERDICT = re.compile(
    r"\?$|\b(?:if(?! (?:you|we) (?:count|go|list))|whether|unless|until|so that|make sure|check|else|left out|should"
    r"|must)\b",
    re.IGNORECASE,
)
_IS_LAST = re.compile(
    r"\b(?:is|as) the (?:very )?(?:last|final)\b|\blast (?:[\w-]+ ){0,6}is the\b|\b(?:you are|you're|are|is) "
    r"(?:done|finished|through)\b|\b(?:none|nothing) follows?\b"
    r"|\bthere (?:is|are) no (?:more|further|other)s?\b|\bno more\b|\bstop counting at\b|\bcount (?:ends|stops"
    r"|is complete)\b",
    re.IGNORECASE,
)


def says_none(text: str, want: Wanted) -> str | None:
    """Where a text says that there is none of what is counted: `none of the plates has one`, `not a single child`."""
    for part in sentences(text):
        m = None if _NO_VERDICT.search(part) else _NONE.search(part)
        if m and (not (noun := m[1] or m[2]) or noun == "one" or stems(noun) & want.asked.words):
            return part[:200]
    return None


def last_of_count(text: str, want: Wanted) -> str | None:
    """Where a text names the last thing that is counted: `the seventh car is the last`, `at the sixth you are done`."""
    value = want.truth.value
    if value.denominator != 1 or not 1 <= value <= len(ORDINALS):
        return None
    nth = re.compile(rf"\b(?:{ORDINALS[int(value) - 1]}|{int(value)}(?:st|nd|rd|th))\b", re.IGNORECASE)
    for part in sentences(text):
        if nth.search(part) and _IS_LAST.search(part) and not _NO_VERDICT.search(part):
            return part[:200]
    return None
