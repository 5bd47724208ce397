"""How VLMEvalKit reads the letter of a choice before it asks a judge (`can_infer`), with its faults.

Source: open-compass/VLMEvalKit, vlmeval/utils/matching_util.py since pull request 1175 (July 2025).
"""

from __future__ import annotations

from collections.abc import Mapping

REFUSED = "Z"
"""The letter of a reply that chooses nothing; it is compared with the truth like any other, so it is wrong."""

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_TAIL_WORDS = 4


def infer(text: str, choices: Mapping[str, str]) -> tuple[str, bool]:
    """The letter, by its own or by the text of its choice, and whether by the text; empty where a judge is asked."""
    letter = infer_letter(text, choices)
    return (letter, False) if letter else (infer_by_text(text, choices), True)


def infer_letter(text: str, choices: Mapping[str, str]) -> str:
    """The one letter of the choices among the words, if it first stands among the last four of them.

    There is no guard for negations (`It is not A` is A) nor for articles (`It is a picture of A cat` is A). A refusal
    in one of four known wordings is `Z`, as is a lone `Z`.
    """
    if "Failed to obtain answer via API" in text:
        return ""
    if any(refusal in text for refusal in _REFUSALS):
        return REFUSED
    words = text.translate(_SPACES).split()
    known = set(words)
    named = [letter for letter in choices if letter in known]
    if len(named) == 1:
        return named[0] if words.index(named[0]) >= len(words) - _TAIL_WORDS else ""
    return REFUSED if not named and REFUSED in known else ""


def infer_by_text(text: str, choices: Mapping[str, str]) -> str:
    """The one choice whose text stands anywhere in a reply of at most twice the length of all choices."""
    lowered = text.lower()
    if len(lowered) > 2 * sum(map(len, choices.values())):
        return ""
    named = [letter for letter, choice in choices.items() if choice.lower() in lowered]
    return named[0] if len(named) == 1 else ""
