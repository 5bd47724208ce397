"""scienceqa: the letter of the option, else the exact text, else the odds of a random pick.

Sources: models/run_gpt3.py of lupantech/ScienceQA reads the letter of `The answer is X.` if there is one such sentence,
and draws among the choices where it read none, or one beyond them. llava/eval/eval_science_qa.py of haotian-liu/LLaVA
reads a reply that is the letter, or begins with it (`B. ...`), before that. The text of a choice is read here too.
"""

from __future__ import annotations

import re

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile
from anectl.core.profiles.harness_rules import lettered, verdict
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_SENTENCE = re.compile(r"The answer is ([A-Z]).")


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion; null with the odds of one in the number of choices where the script draws."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    reply, choices = text.strip(), lettered(problem)
    if not choices:
        return verdict(reply, reply == problem.answer.strip())
    letter = _letter(reply, choices)
    if letter in choices:
        return verdict(letter, letter == problem.answer)
    named = [one for one, choice in choices.items() if choice.strip() == reply]
    if named:
        return verdict(named[0], problem.answer in named, "choice_text")
    return Grade(None, None, "random_pick", chance=1 / len(choices))


def _letter(reply: str, choices: dict[str, str]) -> str:
    if reply in choices:
        return reply
    if reply[:1] in choices and reply[1:3] == ". ":
        return reply[0]
    stated = _SENTENCE.findall(reply)
    return stated[0] if len(stated) == 1 else ""


PROFILE = Profile(name="scienceqa", rule="lupantech/ScienceQA: models/run_gpt3.py", score=score)
