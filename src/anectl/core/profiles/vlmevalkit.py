"""vlmevalkit: the rule that VLMEvalKit applies to the problem's benchmark before any judge, faults included.

Source: open-compass/VLMEvalKit, vlmeval/dataset/ and vlmeval/dataset/utils/ of 2025. Where its rule is at its end it
asks a judge, so such a completion is null with `needs_judge`; a judge it cannot reach makes it draw a letter at random.
Where it evaluates formulas with `eval`, `latex_values` reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile, load_profile, official
from anectl.core.profiles.harness_rules import (
    benchmark_of,
    lettered,
    needs_judge,
    verdict,
)
from anectl.core.profiles.latex_values import latex_value
from anectl.core.profiles.official_rows import field_text
from anectl.core.profiles.vlm_matching import infer
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

Rule: TypeAlias = Callable[[str, Problem, Verifier | None], Grade]

TOLERANCE = 0.001
"""Of DynaMath's numbers, absolute."""

MAX_DIFFERENCE = 1e-6
"""Of MATH-Vision's values, absolute."""

_BOX = "\\boxed{"


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion as VLMEvalKit would before it asks a judge; never raises for any text.

    A benchmark without a rule there: the prefetch of multiple choice for choices, else the exact text without case.
    Completions cut by `length` are judged as they stand, as the harness does.
    """
    if finish_reason == "error":
        return Grade(None, None, "error")
    return _RULES.get(benchmark_of(problem), _generic)(text, problem, verifier)


def _generic(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    if problem.answer_type == "choice":
        return _choice(text, problem, verifier)
    given = text.strip()
    return verdict(given, given.lower() == problem.answer.strip().lower())


def _choice(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """MMStar, MMBench, AI2D, ScienceQA, We-Math and the choices of MMMU: a letter, or the text of a choice."""
    return _inferred(text.strip(), lettered(problem), problem.answer)


def _inferred(text: str, choices: dict[str, str], truth: str) -> Grade:
    letter, by_text = infer(text, choices)
    return verdict(letter, letter == truth, "choice_text" if by_text else "exact") if letter else needs_judge()


def _mmmu(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """Choices as everywhere. An open question becomes one of two: A is the truth, B is `Other Answers`.

    So the reply `A` is right for every open question, and so is any short reply in which the truth stands.
    """
    if problem.answer_type == "choice":
        return _choice(text, problem, verifier)
    return _inferred(text.strip(), {"A": field_text(problem, "answer", problem.answer), "B": "Other Answers"}, "A")


def _mathvista(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """Choices by prefetch, whose letter is final. A bare number counts when it equals the truth, else a judge is asked.

    Numbers are not rounded to the published precision (1.23 is not 1.2), a right 0 passes for no answer, and lists and
    texts never match.
    """
    fields = official(problem)
    if fields.get("question_type", "multi_choice" if problem.choices else "free_form") == "multi_choice":
        return _inferred(text, lettered(problem), problem.answer)
    kind, truth = fields.get("answer_type", "float"), field_text(problem, "answer", problem.answer)
    parse: Callable[[str], float] | None = {"integer": int, "float": float}.get(str(kind))
    try:
        equal = parse is not None and (number := parse(text)) == parse(truth) and number != 0
    except ValueError:
        equal = False
    return verdict(text.strip(), True, "numeric") if equal else needs_judge()


def _mathvision(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """What is inside the first box up to its first brace, else the whole reply; choices by prefetch.

    Without choices it must be equal to the truth, without case or within 1e-6; otherwise a judge is asked.
    """
    _, box, inner = text.partition(_BOX)
    given = inner.partition("}")[0] if box and "}" in inner else text
    if problem.choices:
        return _inferred(given, lettered(problem), problem.answer)
    truth = field_text(problem, "answer", problem.answer).strip()
    if given.strip().lower() == truth.lower():
        return verdict(given.strip(), True)
    number, wanted = latex_value(given.strip()), latex_value(truth)
    if number is None or wanted is None or abs(number - wanted) >= MAX_DIFFERENCE:
        return needs_judge()
    return verdict(given.strip(), True, "numeric")


def _judged(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """MathVerse and LogicVista: a judge extracts the answer of every reply, no rule comes before it."""
    return needs_judge()


def _dynamath(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """The `short answer` of the JSON between the first and the last brace, else the whole reply; by its type.

    A float may be 0.001 off; a choice is the only letter or the only one of A to E, also inside a word; a text counts
    when it stands in the truth (the official script has it the other way round), so an empty one counts.
    """
    fields = official(problem)
    kind = fields.get("answer_type", {"choice": "multiple choice", "text": "text"}.get(problem.answer_type, "float"))
    truth = field_text(problem, "ground_truth", field_text(problem, "answer", problem.answer))
    reply = _between_braces(text).replace("\\", "")
    given = _short_answer(reply, kind)
    if given is None:
        given = _typed(reply, kind)
    if given is None:
        return needs_judge()
    if isinstance(given, float):
        wanted = _decimal(truth)
        if wanted is None:
            return Grade(str(given), None, "truth_unparsed")
        return verdict(str(given), abs(given - wanted) <= TOLERANCE, "numeric" if given == wanted else "relaxed")
    if kind == "multiple choice":
        return verdict(given, given == truth)
    return verdict(given, given.lower() in truth.lower(), "exact" if given.lower() == truth.lower() else "substring")


def _between_braces(text: str) -> str:
    first, last = text.find("{"), text.rfind("}")
    return text[first : last + 1] if 0 <= first < last else text


def _short_answer(reply: str, kind: object) -> str | float | None:
    try:
        answer: Any = json.loads(reply, strict=False)
    except (ValueError, RecursionError):
        return None
    answer = answer.get("short answer") if isinstance(answer, dict) else None
    return _typed(answer, kind) if isinstance(answer, str) else None


def _typed(answer: str, kind: object) -> str | float | None:
    """The answer as a float, a letter or a text by its published type; null when it cannot be read as one."""
    if kind == "float":
        first, pi, _ = answer.split(" ", 1)[0].partition("\u03c0")
        number = _decimal(first)
        return number * math.pi if pi and number is not None else number
    if kind != "multiple choice":
        return answer
    if len(answer) == 1:
        return answer.upper()
    named = [letter for letter in "ABCDE" if letter in answer.upper()]
    return named[0] if len(named) == 1 else None


def _decimal(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _chartqa(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """The official rule on the stripped reply: a line end behind a text makes no difference."""
    return load_profile("chartqa").score(text.strip(), "stop", problem, verifier)


_RULES: dict[str, Rule] = {
    "mathvista": _mathvista,
    "mathverse": _judged,
    "mathvision": _mathvision,
    "logicvista": _judged,
    "dynamath": _dynamath,
    "mmmu": _mmmu,
    "mmmu-pro": _mmmu,
    "chartqa": _chartqa,
}

PROFILE = Profile(name="vlmevalkit", rule="open-compass/VLMEvalKit: vlmeval/dataset", score=score)
