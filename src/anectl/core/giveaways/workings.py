"""Whether what a text calculates, or states as a share of a whole, comes to the number that is to be kept."""

from __future__ import annotations

import re

from anectl.core.giveaways.arithmetic import Sum, in_signs, sums
from anectl.core.giveaways.reading import in_digits
from anectl.core.giveaways.spelling import shares
from anectl.core.giveaways.wanted import UNIT, Mention, Wanted
from anectl.core.grading.numerals import plain_number
from anectl.core.grading.units import parse_unit

_SMALL = 12
_IDENTITY = re.compile(
    r"(?<![\w.,?)])(?:0 ?\+ ?|1 ?\* ?)([0-9.]{1,12}) ?= ?\?|(?<![\w.,?)])([0-9.]{1,12}) ?(?:[-+] ?0|[*/] ?1) ?= ?\?"
    r"|(?<![\w.,?)])([0-9.]{1,12}) ?= ?\?"
)
_SIZE_BEHIND = re.compile(
    r"\s*(?:[a-z]{1,3} )?(?:board|grid|array|matrix|table|layout|squares?|rectangle|block|room|field|sheet|tile)\b"
)
_SIGN_BEFORE = re.compile(r"(?:[=:]|\b(?:is|are|to|equals|makes|gives|leaving|giving))\s*$")


def nothing_left(text: str, want: Wanted) -> str | None:
    """Where all that is left open is to add 0 or to multiply by 1: `0 + 100 = ?`.

    A small number is let be: `7 - 0 = ?` has come to it by chance, often enough.
    """
    value = plain_number(want.truth.value)
    if not want.common or want.truth.value <= _SMALL:
        return None
    for m in _IDENTITY.finditer(text):
        if value in (m[1], m[2], m[3]):
            return m[0]
    return None


def stated_share(worked: str, want: Wanted) -> str | None:
    """Where a text in digits says the share that is asked for as `3 out of 5`."""
    if not (want.in_percent or 0 < want.truth.value < 1):
        return None
    said = (Mention(share, 0, 0, "") for share in shares(worked))
    return next((str(one.value) for one in said if want.is_said_by(one)), None)


def with_results(worked: str, want: Wanted) -> str | None:
    """A text in signs with each expression that comes to the number replaced by it; null where there is none."""
    parts: list[str] = []
    place = 0
    for one in sums(worked):
        if is_open_sum(worked, one, want):
            parts += worked[place : one.start], plain_number(one.value)
            place = one.end
    return "".join([*parts, worked[place:]]) if parts else None


def is_open_sum(worked: str, one: Sum, want: Wanted) -> bool:
    """Whether an expression comes to the number, and is neither of the question nor a size such as `8 * 8 board`."""
    unit = parse_unit(behind[1].strip()) if (behind := UNIT.match(worked, one.end)) else None
    if not want.is_said_by(Mention(one.value, one.start, one.end, unit or "")) or _SIZE_BEHIND.match(worked, one.end):
        return False
    if one.loose and (want.common or one.value.denominator > 1) and not _SIGN_BEFORE.search(worked[: one.start][-8:]):
        return False
    asked = re.sub(r"\s", "", in_signs(in_digits(want.asked.text)))
    return re.sub(r"[\s()]", "", worked[one.start : one.end]) not in re.sub(r"[()]", "", asked)
