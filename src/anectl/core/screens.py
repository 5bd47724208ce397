"""Whether a text that was written with help can stand without it.

Traces written under privileged context mention it often, and a policy that learns from such text learns to speak of
help it does not have (SDFT, arXiv 2402.13669, screens phrases in the same way). A text may also assert an answer that
only the help told. The probe for that is EvoCoT's (kept if the question and the reasoning lead to the answer): its
work is cut off before the answer is stated, and the policy goes on from there without help.
"""

from __future__ import annotations

import re

from anectl.core.grading.extract import find_answer

# A completion that speaks of the help it had would make no sense without it.
_OWNING_UP = re.compile(
    r"\b(?:hints?|scaffold\w*|(?:the|this|that|your|given) notes?|notes? (?:above|says?|given)"
    r"|(?:reference|given|provided|known) answer|answer (?:given|provided|we were told)"
    r"|(?:reference|given|provided|worked|example) solution|solution (?:above|given|provided))\b",
    re.IGNORECASE,
)
_MASK = re.compile(r"(?<![\w)\]}\"'*?!])\?")
_WORD = re.compile(r"\w+")
_SLOT = re.compile(r"\{\w+\}")
_RUN = 4
"""So many words in a row that stand in the wrapping of a scaffold are no chance."""
_MOST_STATEMENTS = 20


def owns_up(text: str, question: str) -> bool:
    """Whether a completion mentions the help it was given, or copies a masked value, and the question does not."""
    said = {match.lower() for match in _OWNING_UP.findall(text)} - {
        match.lower() for match in _OWNING_UP.findall(question)
    }
    return bool(said) or (_MASK.search(text) is not None and _MASK.search(question) is None)


def quotes(text: str, wrapping: tuple[str, ...], question: str) -> bool:
    """Whether a completion repeats the words that a template puts around a scaffold, four or more in a row.

    `wrapping` are the patterns of the template. Copied steps are no quote: they are what the text is to learn, and one
    that copies too closely is unlikely under the bare prompt.
    """
    told = {run for pattern in wrapping for part in _SLOT.split(pattern) for run in _runs(part)}
    return bool((told & _runs(text)) - _runs(question))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = [word.lower() for word in _WORD.findall(text)]
    return {tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1)}


def work_before_answer(text: str) -> str:
    """The part of a completion before it first states its answer; empty where it begins with it, or is only it."""
    found, work = find_answer(text), text
    if found is None:
        return ""
    for _ in range(_MOST_STATEMENTS):
        work = work[: found.start]
        found = find_answer(work)
        if found is None:
            return work.rstrip()
    return ""
