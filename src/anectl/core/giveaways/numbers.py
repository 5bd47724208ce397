"""Whether a text gives a number away.

A number that texts rarely mention by chance may not occur at all: in digits, in words, as a fraction, in other units,
as a percentage. One that they often do (small integers, the question's own numbers, 180 where it is about angles) may
not be concluded, neither as it is nor as an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from anectl.core.giveaways.arithmetic import Sum, in_signs, sums
from anectl.core.giveaways.conclusions import Conclusion, conclusions
from anectl.core.giveaways.labels import gives_label
from anectl.core.giveaways.picked_texts import TASK
from anectl.core.giveaways.question import stems
from anectl.core.giveaways.reading import in_digits, sentences
from anectl.core.giveaways.remaining import Work
from anectl.core.giveaways.repeated import OPERAND_BEHIND, is_restated
from anectl.core.giveaways.rephrased import as_asked
from anectl.core.giveaways.restated import asks_about
from anectl.core.giveaways.spelling import compound_amounts
from anectl.core.giveaways.standing import COUNTED, standing
from anectl.core.giveaways.tallies import last_of_count, says_none
from anectl.core.giveaways.values import OPERATOR, tail_behind
from anectl.core.giveaways.wanted import Mention, Wanted, mentions, wanted
from anectl.core.giveaways.workings import is_open_sum, nothing_left, stated_share, with_results

__all__ = ["gives_number", "mentions", "wanted"]

_FACTORS = frozenset((Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(3, 2)))  # of formulas: half of b times h

_HALF_OF = re.compile(r"\s+(?:of|the|as)\b", re.IGNORECASE)
_WHOLE = re.compile(r"\s+of (?:all )?(?:the )?([^\W\d_]{3,20})")
_OPEN = re.compile(r"\s*=\s*\?")
_OPERAND_BEFORE = re.compile(r"[-+*/^·]\s*$")
_SHARES = frozenset(("fraction", "probability", "chance", "share", "proportion", "part"))
_MASKED = re.compile(
    r"^[^\w\n]{0,8}([^|:\n]{1,60})[|:](?:[^\n.]{0,60}[|:=])?\s*(?:\?|to be (?:found|read)|\.\.\.|_+)(?: "
    r"|$)",
    re.MULTILINE,
)
_OTHER_PHRASE = re.compile(r"[,;:]|\b(?:and|so|that|which|who|when|while|because|is|has|have|to|into)\b")
_IN_ALL = re.compile(r"\s*(?:of them(?: all)?|in all|in total|altogether|overall|in the end)[.!]?\s*")
_RATE = re.compile(r"\s+(?:per|an?|each|every)\b")
_NUMERAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_LOOK_BACK = 12
_LONGEST_TAIL = 60


def gives_number(text: str, want: Wanted) -> str | None:
    """The part of a folded text that gives the number away; null where none does."""
    text = as_asked(text, want)
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
        return _concluded(worked, want) if worked != plain else None
    if not want.common:
        return next((worked[one.start : one.end] for one in sums(worked) if is_open_sum(worked, one, want)), None)
    return _concluded(evaluated, want) or next(
        (
            worked[one.start : one.end]
            for one in sums(worked)
            if (one.steps > 1 or not one.loose) and is_open_sum(worked, one, want) and not _is_a_task(worked, one, want)
        ),
        None,
    )


def _is_a_task(worked: str, one: Sum, want: Wanted) -> bool:
    """Whether a text tells to calculate with what the question gives: `start with 12 and take 5 away`."""
    start = max(worked.rfind(mark, 0, one.start) for mark in (". ", "\n", "; ")) + 1
    asked = {mention.value for mention in mentions(want.asked.text)}
    numbers = _NUMERAL.findall(worked[one.start : one.end])
    return TASK.search(worked[start : one.end].strip()) is not None and all(Fraction(one) in asked for one in numbers)


def _said_or_concluded(text: str, want: Wanted) -> str | None:
    for mention in () if want.common else mentions(text):
        if want.is_said_by(mention) and not _is_innocent(text, mention, want):
            return text[mention.start : mention.end]
    return _concluded(text, want)


def _concluded(text: str, want: Wanted) -> str | None:
    """Where the number stands as a result: as a conclusion, in the question said as a statement, as a name."""
    work = Work(text)
    said = any(want.is_said_by(mention) for mention in mentions(text))
    masked = [stems(m[1]) for m in _MASKED.finditer(text)]
    for found in (*conclusions(text), *_counted(text, want)) if said or OPERATOR.search(text) else ():
        tail = tail_behind(found, want)
        if tail is None:
            continue
        if masked and found.sign in (":", "|") and not any(one <= stems(found.subject) for one in masked):
            continue
        about = standing(found, tail, want.asked)
        if _is_result(found, about, tail, want) and not work.remains(found, about):
            return f"{found.subject} {found.sign} {found.value}".strip()
    value = want.truth.value
    if value == 0 and want.asked.counts and (nothing := says_none(text, want)):
        return nothing
    if want.asked.counts and (last := last_of_count(text, want)):
        return last
    if value.denominator == 1 and (named := gives_label(text, int(value), want.asked)):
        return named
    for part in sentences(text) if said else ():
        if is_restated(part, want):
            return part[:200]
    return None


def _counted(text: str, want: Wanted) -> Iterator[Conclusion]:
    """Wherever the things that the question counts stand behind the number: `the flag carries six stars`."""
    if not want.asked.counts or want.asked.compares or not want.asked.target:
        return
    for place, sentence in enumerate(sentences(text)):
        for mention in mentions(sentence):
            if want.is_said_by(mention) and mention.unit != "%":
                rest = sentence[mention.start :]
                yield Conclusion(
                    sentence[: mention.start].strip(), COUNTED, rest[:_LONGEST_TAIL], place, False, sentence
                )


def _is_innocent(text: str, mention: Mention, want: Wanted) -> bool:
    """Whether a mention is a division that is left open (`46 / 2 = ?`), or the factor of `half of b`, `1/2 * b`."""
    if want.is_of_another_kind(mention) and not _RATE.match(text, mention.end):
        return True
    if "/" in text[mention.start : mention.end] and _OPEN.match(text, mention.end):
        return True
    if mention.value not in _FACTORS or mention.unit:
        return False
    if (
        (want.in_percent or want.asked.words & _SHARES)
        and (whole := _WHOLE.match(text, mention.end))
        and asks_about(whole[1], want.asked)
    ):
        return False
    before = text[max(0, mention.start - _LOOK_BACK) : mention.start]
    if mention.value == Fraction(1, 2) and _HALF_OF.match(text, mention.end):
        return True
    return OPERAND_BEHIND.match(text, mention.end) is not None or _OPERAND_BEFORE.search(before) is not None


def _is_result(found: Conclusion, about: str, tail: str, want: Wanted) -> bool:
    """Whether a value stands where results stand; one without any sign must be alone, or count what is asked for."""
    if found.sign == COUNTED:
        return want.asked.target <= stems(" ".join(_OTHER_PHRASE.split(tail)[0].split()[:4]))
    if found.sign:
        return len(tail.split()) <= 8
    alone = not tail.strip() or (len(found.sentence.split()) < 6 and _IN_ALL.fullmatch(tail) is not None)
    return alone or (want.asked.counts and about in ("asked", "counted") and not want.asked.compares)
