"""ai2d: the letter of the option, else the exact text.

The benchmark came without a script; this is the common rule, that of lmms-eval (tasks/ai2d/utils.py and ai2d.yaml of
EvolvingLMMs-Lab/lmms-eval): a capital with a full stop at the start is the letter, else the whole reply is the answer,
without case and punctuation. It asks some models for the letter and others for the text; here either counts.
"""

from __future__ import annotations

import re
import string

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile
from anectl.core.profiles.harness_rules import lettered, verdict
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_LEADING_LETTER = re.compile(r"([A-Z])\.")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion by letter, else by exact text; anything longer (`The answer is B`) is wrong."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    reply = text.strip()
    if leading := _LEADING_LETTER.match(reply):
        return verdict(leading[1], leading[1] == problem.answer)
    given = _folded(reply)
    if given == _folded(problem.answer):
        return verdict(problem.answer, True)
    named = [letter for letter, choice in lettered(problem).items() if given and _folded(choice) == given]
    return verdict(named[0] if named else reply, problem.answer in named, "choice_text")


def _folded(text: str) -> str:
    return text.lower().translate(_PUNCTUATION).strip()


PROFILE = Profile(name="ai2d", rule="EvolvingLMMs-Lab/lmms-eval: tasks/ai2d", score=score)
