"""Whether a sentence is the question, said as a statement with the number that is to be kept."""

from __future__ import annotations

import re

from anectl.core.giveaways.others import is_other
from anectl.core.giveaways.question import stems
from anectl.core.giveaways.restated import restates, says_only
from anectl.core.giveaways.standing import EACH, HYPOTHESIS
from anectl.core.giveaways.wanted import Mention, Wanted, mentions
from anectl.core.grading.words import NUMBER_WORDS

OPERAND_BEHIND = re.compile(r"\s*[-+*/^=]\s*[\w?(\\]|\s*\^|\s+times\b")
"""What follows a number that something is calculated with."""

_RANGE_BEHIND = re.compile(r"\s*(?:[-–]|to|and|or)\s*[0-9]")
_RANGE_BEFORE = re.compile(r"\b(?:from|between) [0-9.,]+ (?:to|and|up to) $")
_BEGINS = re.compile(r"\b(?:begin|start)\w* .{0,20}\b(?:with|at|from) $", re.IGNORECASE)
_NOUN_END = re.compile(
    r"[,.;:()]|\b(?:of|in|on|at|is|are|was|were|and|or|for|from|to|with|that|which|have|has|get|by)\b"
)
_COMPARED = re.compile(r"\b(?:than|more|fewer|less|difference|by)\b", re.IGNORECASE)
_OF_SEVERAL = frozenset(
    ("difference", "sum", "ratio", "product", "range", "average", "mean", "total", "area", "perimeter")
)
_LONGEST_TAIL = 60


def is_restated(part: str, want: Wanted) -> bool:
    """Whether a sentence answers the question with the number, and with no other quantity."""
    if HYPOTHESIS.search(part) or (want.asked.compares and not _COMPARED.search(part)):
        return False
    said = [mention for mention in mentions(part) if want.is_said_by(mention)]
    if len(said) <= want.given or is_other(part, want.asked):
        return False
    alone = len(list(mentions(part))) == 1 and not want.asked.words & _OF_SEVERAL
    if not restates(part, want.asked) and not (alone and says_only(part, want.asked)):
        return False
    return any(_fits(part, mention, want) for mention in said)


def _fits(part: str, mention: Mention, want: Wanted) -> bool:
    """Whether a number is no end of a range, and where the question counts, no number of other things."""
    if OPERAND_BEHIND.match(part, mention.end) or _BEGINS.search(part[max(0, mention.start - 30) : mention.start]):
        return False
    if _RANGE_BEHIND.match(part, mention.end) or _RANGE_BEFORE.search(part[max(0, mention.start - 20) : mention.start]):
        return False
    clause = part[: mention.start].rpartition(", ")[2] + part[mention.start :].partition(", ")[0]
    if EACH.search(clause) and not EACH.search(want.asked.text):
        return False
    behind = stems(_NOUN_END.split(part[mention.start : mention.start + _LONGEST_TAIL])[0])
    things = {word for word in behind if not word.isdigit() and word not in NUMBER_WORDS}
    return not want.asked.counts or not things or bool(things & want.asked.words)
