"""DynaMath: the `short answer` of a JSON reply, by answer type; average and worst case over the variants of a question.

The rule is DynaMath/DynaMath `evaluation/opensource_json_eval.py`; the worst case is from the paper (arXiv 2411.00836):
a question counts only if all of its variants are right. A reply that is no JSON object is treated as the script does
it: its last line without the last character, or wrong where the whole reply is another JSON value (a bare `42`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile
from anectl.core.profiles.official_rows import field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

TOLERANCE = 0.001
"""The largest difference of two numbers, absolute."""

FLOAT, CHOICE, TEXT = "float", "multiple choice", "text"
_TYPES = {"number": FLOAT, "choice": CHOICE, "choices": CHOICE}
_LETTER_WITHIN = 3


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion by the published `ground_truth` and `answer_type`."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    truth = field_text(problem, "ground_truth", field_text(problem, "answer", problem.answer))
    answer = short_answer(text)
    if answer is None:
        return Grade(None, False, "unparsed")
    match field_text(problem, "answer_type", _TYPES.get(problem.answer_type, TEXT)):
        case "float":
            return _grade_number(answer, truth)
        case "multiple choice" if len(answer) == 1:
            return Grade(answer, True, "exact") if answer == truth else Grade(answer, False, "mismatch")
        case "multiple choice":
            answer = answer[:_LETTER_WITHIN]
    if truth in answer:
        return Grade(answer, True, "exact" if truth == answer else "substring")
    return Grade(answer, False, "mismatch") if answer else Grade(None, False, "unparsed")


def short_answer(text: str) -> str | None:
    """The short answer of a reply as text; null where the reply is JSON but no object, which the script fails.

    Everything outside the outermost braces is dropped, and so are all backslashes inside: `\\n` becomes `n`, and an
    escaped quote ends its string and with it the JSON.
    """
    start, end = text.find("{"), text.rfind("}")
    shown = text[start : end + 1].replace("\\", "") if 0 <= start < end else text
    try:
        reply = json.loads(shown, strict=False)
    except (ValueError, RecursionError):
        return shown.rpartition("\n")[2][:-1]
    try:
        return str(reply.get("short answer")) if isinstance(reply, dict) else None
    except RecursionError:
        return None


def _grade_number(answer: str, truth: str) -> Grade:
    given = answer.split(" ")[0]
    try:
        # `2π/3` is read as 2π: the script keeps what stands before the sign and drops the rest.
        factor, pi, _ = given.partition("\u03c0")
        difference = abs((float(factor) * math.pi if pi else float(factor)) - float(truth))
    except ValueError:
        return Grade(None, False, "unparsed")
    if difference <= TOLERANCE:
        return Grade(given, True, "exact" if given == truth else "relaxed")
    return Grade(given, False, "mismatch")


class Variants:
    """Accuracy on average and in the worst case; three numbers a question are kept.

    With several completions the worst case of a question is the share of its worst variant.
    """

    def __init__(self) -> None:
        self._questions: dict[str, tuple[int, float, float]] = {}

    def add(self, problem: Problem, share: float) -> None:
        """Count one variant of the question that the published `id` (VLMEvalKit's table: `qid`) names."""
        question = field_text(problem, "qid", field_text(problem, "id", problem.id))
        count, total, worst = self._questions.get(question, (0, 0.0, 1.0))
        self._questions[question] = count + 1, total + share, min(worst, share)

    def results(self) -> Mapping[str, float]:
        """`reasoning robustness` is worst case over average.

        A question with fewer variants than the fullest one (10 in the published set) is incomplete: its worst case is
        not known, so it is counted apart and left out of all but the average.
        """
        if not self._questions:
            return {}
        counts, totals, _ = zip(*self._questions.values(), strict=True)
        fullest = max(counts)
        complete = [one for one in self._questions.values() if one[0] == fullest]
        worst = sum(share for _, _, share in complete) / len(complete)
        average = sum(total for _, total, _ in complete) / (len(complete) * fullest)
        figures = {"average accuracy": sum(totals) / sum(counts), "worst-case accuracy": worst}
        if average:
            figures["reasoning robustness"] = worst / average
        return figures | {
            "questions": float(len(self._questions)),
            "incomplete questions": float(len(self._questions) - len(complete)),
        }


PROFILE = Profile(
    name="dynamath",
    rule="DynaMath/DynaMath evaluation/opensource_json_eval.py",
    score=score,
    metrics=Variants,
)
