"""mmstar: first character; micro and macro average.

The official rule (MMStar-Benchmark/MMStar, eval/vlmeval/evaluate/mmstar.py) looks at one character: the first, or the
one behind `(`, `option ` or `the answer is `. It is kept with its known faults: `Based on the picture ...` is counted
as B, and `The answer is: B` or `the answer is (b)` as nothing. Nothing is left open: what is not right is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile, official
from anectl.core.profiles.groups import GroupMeans
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_OPENINGS = ("(", "option ", "the answer is ")
_LETTERS = "abcd"
_LONGEST = len(_OPENINGS[-1]) + 1


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Right when a character that the rule looks at is the letter of the answer, wrong otherwise."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    truth = str(official(problem).get("answer") or problem.answer).lower().strip().replace("\n", " ")
    shown = text.lower().strip()[:_LONGEST].replace("\n", " ")
    looked_at = [shown[len(opening) :][:1] for opening in _OPENINGS if shown.startswith(opening)] + [shown[:1]]
    if truth and truth in looked_at:
        return Grade(truth.upper(), True, "first_letter")
    letter = next((char for char in looked_at if char and char in _LETTERS), None)
    return Grade(letter.upper(), False, "mismatch") if letter else Grade(None, False, "unparsed")


class CategoryMeans(GroupMeans):
    """Micro mean over the problems, macro means over the 6 categories and over the 18 finer ones, and each of them.

    The official script prints the micro mean, each category and each finer one; lmms-eval the macro mean over the
    finer ones. On the full set, with 250 problems per category, micro and macro over categories are equal.
    """

    def __init__(self) -> None:
        super().__init__(_categories)

    def results(self) -> Mapping[str, float]:
        """`micro`, the two `macro` figures, then the mean of each category and of each `category/l2_category`."""
        means = dict(super().results())
        if not means:
            return {}
        micro = means.pop("all")
        coarse = [mean for name, mean in means.items() if "/" not in name]
        fine = [mean for name, mean in means.items() if "/" in name]
        macro = {"macro category": coarse, "macro l2_category": fine}
        return {"micro": micro, **{name: sum(part) / len(part) for name, part in macro.items() if part}, **means}


def _categories(problem: Problem) -> list[str]:
    fields = official(problem)
    category, finer = fields.get("category"), fields.get("l2_category")
    return [str(category), f"{category}/{finer}"] if category and finer else []


PROFILE = Profile(
    name="mmstar",
    rule="MMStar-Benchmark/MMStar eval/vlmeval/evaluate/mmstar.py",
    score=score,
    metrics=CategoryMeans,
)
