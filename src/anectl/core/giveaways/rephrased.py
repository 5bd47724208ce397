"""A text in the words of its question: other ways to say a number, where such a question is asked."""

from __future__ import annotations

import re

from anectl.core.giveaways.labels import without_labels
from anectl.core.giveaways.spelling import with_corners, with_factors, with_right_angles
from anectl.core.giveaways.wanted import Wanted

_CORNERS = frozenset(("side", "corner", "angle"))
_FACTOR_WORDS, _ANGLE_WORDS = (
    frozenset(("factor", "time", "multiple", "magnification", "enlargement", "ratio")),
    frozenset(("angle", "degree")),
)
_TIMES_AS = re.compile(r"\s?(?:times|fold|-fold)(?= (?:as|more|larger|bigger|greater|the)\b)", re.IGNORECASE)
_TWICE = re.compile(r"\b(?:twice|thrice)(?= (?:as|the)\b)", re.IGNORECASE)
_NOTHING = re.compile(
    r"\b(is|are|leav(?:es?|ing)|equals?|to|by|gets?|gives?) (?:nothing|nil|naught"
    r"|null)\b",
    re.IGNORECASE,
)
_LOSS = re.compile(
    r"\b(?:a |an? )?(?:loss|deficit|shortfall|debt|drop|decrease|decline|fall) of (?=[0-9a-z])", re.IGNORECASE
)
_ASKS_MORE = re.compile(r"\b(?:more|add(?:ed)?|needs?|needed|additional|extra|another|missing)\b", re.IGNORECASE)
_MORE = re.compile(r"(?<=[0-9a-z]) (?:more|extra|additional) (?!than)", re.IGNORECASE)


def as_asked(text: str, want: Wanted) -> str:
    """The text without the names of other things, and with words for numbers that are some in such a question."""
    text = without_labels(text, want.truth.value, want.asked)
    if want.asked.target & _CORNERS:
        text = with_corners(text)
    if want.asked.words & _FACTOR_WORDS:
        text = _TIMES_AS.sub("", _TWICE.sub(lambda m: "2" if m[0][1].lower() == "w" else "3", with_factors(text)))
    if want.truth.value == 0:
        text = _NOTHING.sub(r"\1 0", text)
    if want.truth.value < 0:
        text = _LOSS.sub("-", text)
    if want.asked.words & _ANGLE_WORDS:
        text = with_right_angles(text)
    if _ASKS_MORE.search(want.asked.text):
        text = _MORE.sub(" ", text)
    return text
