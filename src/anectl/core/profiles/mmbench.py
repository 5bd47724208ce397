"""MMBench: option by letter or text; a question counts only if all rotations of its choices are right.

The rule part is that of open-compass/VLMEvalKit (`vlm_matching`), which the authors try before they ask a language
model. What it leaves open is read from the final answer of the completion, else it is null with reason `needs_judge`:
the script asks a model three times and then picks at random, which is not done here. Circular evaluation (arXiv
2307.06281; VLMEvalKit `vlmeval/dataset/utils/multiple_choice.py`): rows `index + k * 1,000,000` are one question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from anectl.core.grading.choice import parse_choice
from anectl.core.grading.extract import find_answer
from anectl.core.grading.spec import Grade
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.profiles import Profile, official
from anectl.core.profiles.official_rows import Shares, field_text
from anectl.core.profiles.vlm_matching import REFUSED, infer
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

ROTATION = 1_000_000
"""The distance of the `index` of a rotated row from that of the row before."""

_MISSING = {"", "nan"}
_MAX_STATED_LENGTH = 1000


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion against the published letter."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    choices = choices_of(problem)
    letter, by_text = infer(text, choices)
    if letter == REFUSED:
        return Grade(None, False, "unparsed")
    if not letter:
        letter, by_text = _stated(text, choices)
    if not letter:
        return Grade(None, None, "needs_judge")
    is_right = letter == field_text(problem, "answer", problem.answer)
    return Grade(letter, is_right, "mismatch" if not is_right else "choice_text" if by_text else "exact")


def choices_of(problem: Problem) -> dict[str, str]:
    """Letter and text of each option of the published row; the problem's own choices where it has none."""
    fields = official(problem)
    published = {letter: str(fields[letter]) for letter in ascii_uppercase if fields.get(letter) is not None}
    # The tables have `nan` where a question has fewer than four options.
    published = {letter: choice for letter, choice in published.items() if choice not in _MISSING}
    return published or dict(zip(ascii_uppercase, problem.choices or (), strict=False))


def _stated(text: str, choices: Mapping[str, str]) -> tuple[str, bool]:
    """The one option that the final answer of the completion names, and whether by its text; empty where none."""
    found = find_answer(without_thoughts(text))
    if found is None or not choices:
        return "", False
    # Letters are told by place, so that an option missing in between keeps its place.
    texts = tuple(choices.get(letter, "") for letter in ascii_uppercase[: ascii_uppercase.index(max(choices)) + 1])
    stated = [*found.texts, found.later] if found.later else found.texts
    named = [parse_choice(one[:_MAX_STATED_LENGTH], texts) for one in stated]
    letters = frozenset[str]().union(*(one for one, _ in named)) & choices.keys()
    if len(letters) != 1:
        return "", False
    return min(letters), named[0][1]


@dataclass(slots=True)
class _Question:
    num_choices: int
    category: str
    num_rows: int = 0
    worst: float = 1.0
    unrotated: float | None = None

    @property
    def is_complete(self) -> bool:
        return self.unrotated is not None and self.num_rows >= self.num_choices


class Circular:
    """Accuracy on the rows as they are, and over all rotations; a few numbers a question are kept.

    With several completions a question counts with the share of its worst rotation.
    """

    def __init__(self) -> None:
        self._questions: dict[int, _Question] = {}
        self._num_outside = 0

    def add(self, problem: Problem, share: float) -> None:
        """Count one row of the question that the published `index` names."""
        index = _whole_number(official(problem).get("index"))
        if index is None:
            self._num_outside += 1
            return
        question = self._questions.get(index % ROTATION)
        if question is None:
            category = field_text(problem, "l2-category", field_text(problem, "L2-category", ""))
            question = self._questions[index % ROTATION] = _Question(len(choices_of(problem)), category)
        question.num_rows += 1
        question.worst = min(question.worst, share)
        if index < ROTATION:
            question.unrotated = share

    def results(self) -> Mapping[str, float]:
        """Vanilla accuracy over unrotated rows, circular accuracy over questions, and that by L2 category.

        A question with fewer rows than choices is incomplete: it is counted apart and not in the circular accuracy.
        `rows outside groups` have no published `index`.
        """
        plain, circular = Shares(), Shares()
        for question in self._questions.values():
            if question.unrotated is not None:
                plain.add("vanilla accuracy", question.unrotated)
        complete = [question for question in self._questions.values() if question.is_complete]
        for question in complete:
            circular.add("circular accuracy", question.worst)
            if question.category:
                circular.add(f"circular accuracy/{question.category}", question.worst)
        return {
            **plain.means(),
            **circular.means(),
            "questions": float(len(self._questions)),
            "incomplete questions": float(len(self._questions) - len(complete)),
            "rows outside groups": float(self._num_outside),
        }


def _whole_number(value: Any) -> int | None:
    """The `index` of a row: a whole number, or the digits of one where a table was read as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value) and value >= 0:
        return int(value)
    return None


PROFILE = Profile(
    name="mmbench",
    rule="open-compass/VLMEvalKit vlmeval/utils/matching_util.py, vlmeval/dataset/utils/multiple_choice.py",
    score=score,
    metrics=Circular,
)
