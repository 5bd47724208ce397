"""mathverse: the rule part, exact match of the extracted answer.

The official scripts (ZrrSkywalker/MathVerse, evaluation/extract_answer_s1.py and score_answer_s2.py) have a language
model extract the answer and judge it with 0 or 1. Here a marked or bare answer stands in for the extraction; equal to
the truth as a string it is right, as in the script's quick match. Everything else is null with reason `needs_judge`:
the judge also takes the text of the right choice, or 50cm for 0.5m.
"""

from __future__ import annotations

from functools import partial

from anectl.core.grading.choice import parse_choice
from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile, official
from anectl.core.profiles.groups import GroupMeans, by_fields
from anectl.core.profiles.stated import bare_answer, marked_answer
from anectl.core.protocols import Verifier
from anectl.core.records import Problem


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """True for an exact match, null for everything that the judge of the script would decide; never false."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    truth = str(official(problem).get("answer") or problem.answer)
    marked = marked_answer(text)
    stated = bare_answer(text) if marked is None else marked
    if stated is None:
        return Grade(None, None, "needs_judge")
    letters, by_text = parse_choice(stated, problem.choices or ())
    # The text of a choice is left to the judge, who is told to take it; a letter before its text is that letter.
    letter = next(iter(letters)) if len(letters) == 1 and not by_text else ""
    extraction = letter if letter and letter in stated else stated
    right = extraction == truth or text.strip() == truth
    return Grade(extraction, True, "exact") if right else Grade(extraction, None, "needs_judge")


PROFILE = Profile(
    name="mathverse",
    rule="ZrrSkywalker/MathVerse evaluation/score_answer_s2.py",
    score=score,
    metrics=partial(GroupMeans, by_fields("problem_version", "subject", "subfield")),
)
