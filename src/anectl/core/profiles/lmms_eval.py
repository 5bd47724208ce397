"""lmms-eval: the rule that lmms-eval 0.7 applies to the problem's benchmark, faults included.

Source: EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks/<task>/utils.py and tasks/_task_utils/. Finished `<think>` blocks
are taken out first, as its post-processing does. MMStar, MATH-Vision, ChartQA and the open questions of MMMU are scored
by copies of their official scripts, so their own profiles are used. Where its rule asks math-verify, exact
algebra and the verifier stand in. Its optional judge of the reasoning tasks is off by default, and off here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import TypeAlias

from anectl.core.grading.spec import Grade
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.profiles import Profile, load_profile, official
from anectl.core.profiles.harness_rules import (
    benchmark_of,
    lettered,
    needs_judge,
    symbolically,
    verdict,
)
from anectl.core.profiles.lmms_mcq import (
    LETTERS,
    read_letter,
    read_mmbench_letter,
    read_mmmu_letter,
    read_reasoning_letter,
)
from anectl.core.profiles.official_rows import field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

Rule: TypeAlias = Callable[[str, Problem, Verifier | None], Grade]

_SAME_AS_OFFICIAL = frozenset({"chartqa", "mathvision", "mmstar"})
_PORTION = 0.9
_BRACE = re.compile(r"\\boxed\{|[{}]")
_LAST_NUMBER = re.compile(r"\b(\d+(?:\.\d+)?)\s*\.?\s*$")
_LINE_END = 400  # characters in which a number at the end of a line is looked for
_EXTRACTABLE = re.compile(r"[0-9\\$]")
_LEADING_LETTER = re.compile(r"\s*([A-Z])\.")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion as lmms-eval would; never raises for any text.

    A benchmark without a task there: the shared letter extractor for choices, else the exact text. Completions cut by
    `length` are judged as they stand, as the harness does.
    """
    if finish_reason == "error":
        return Grade(None, None, "error")
    benchmark = benchmark_of(problem)
    shown = without_thoughts(text) if "</think>" in text else text
    if benchmark in _SAME_AS_OFFICIAL:
        return load_profile(benchmark).score(shown, finish_reason, problem, verifier)
    return _RULES.get(benchmark, _generic)(shown, problem, verifier)


def _generic(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    if problem.answer_type != "choice":
        return verdict(text.strip(), text.strip() == problem.answer.strip())
    letter = read_letter(text, tuple(lettered(problem)) or LETTERS)
    return verdict(letter or None, letter == problem.answer)


def _mathvista(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """Only a bare reply is read without a judge: the text of a choice, an integer, a float.

    An empty reply is matched with the nearest choice by edit distance: the shortest one gets credit by chance. Numbers
    are compared as strings, floats after rounding to the published precision. Where that is a float, as in the
    published table (`1.0`), rounding fails in the harness and the answer is wrong.
    """
    fields, reply = official(problem), text.strip()
    if fields.get("question_type", "multi_choice" if problem.choices else "free_form") == "multi_choice":
        choices = list(lettered(problem).values())
        if reply and reply not in choices:
            return needs_judge()
        nearest = reply or min(choices, key=len, default="")
        truth = fields.get("answer", lettered(problem).get(problem.answer))
        return verdict(nearest, nearest.strip() == str(truth).strip(), "exact" if reply else "nearest_choice")
    if not reply:
        return verdict(None, False)
    kind = fields.get("answer_type", "integer" if problem.precision == 0 else "float")
    number = _number(reply, kind)
    if number is None:
        return needs_judge()
    if isinstance(number, float):
        precision = fields.get("precision", problem.precision or 0)
        given = str(round(number, precision)) if isinstance(precision, int) else None
    else:
        given = str(number)
    return verdict(given, given == field_text(problem, "answer", problem.answer).strip())


def _number(reply: str, kind: object) -> int | float | None:
    try:
        return int(reply) if kind == "integer" else float(reply) if kind == "float" else None
    except ValueError:
        return None


def _judged(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """MathVerse and Geometry3K: one question to a judge about the whole reply, no rule comes before it."""
    return needs_judge()


def _reasoning(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """The rule of the reasoning tasks (`compute_score`, the part without the format reward).

    What is inside the first `<answer>` tag, else the last box, else a number at the end of a line. When the truth
    reads as a letter it is taken for multiple choice, and any capital A to H at its start makes it read as one: truth
    `Cube` accepts `Cone`, `A, C` accepts `A` and refuses `C`. Else one text must hold the other with 90% of its
    length, or math-verify must find numbers or LaTeX in both and call them equal. DynaMath's tolerance is not applied.
    """
    published = field_text(problem, "answer", problem.answer)
    truth = _unstopped(field_text(problem, "ground_truth", published))
    given = _unstopped(_extracted(text).strip())
    if letter := read_reasoning_letter(truth):
        if read_reasoning_letter(given) == letter:
            return verdict(given, True, "exact" if given == truth else "first_letter")
    elif (given in truth and len(given) >= _PORTION * len(truth)) or (
        truth in given and len(truth) >= _PORTION * len(given)
    ):
        return verdict(given, True, "exact" if given == truth else "substring")
    if not (_EXTRACTABLE.search(given) and _EXTRACTABLE.search(truth)):
        return verdict(given or None, False)
    return symbolically(given, truth, verifier)


def _extracted(text: str) -> str:
    _, tag, inner = text.partition("<answer>")
    if tag and "</answer>" in inner:
        return inner.partition("</answer>")[0]
    if boxed := _last_box(text):
        return boxed
    for line in reversed(text.strip().split("\n")):
        if number := _LAST_NUMBER.search(line.rstrip()[-_LINE_END:]):
            return number[1]
    return ""


def _last_box(text: str) -> str:
    """What is inside the last box that closes."""
    if "\\boxed{" not in text:
        return ""
    depths: list[int] = []
    begin = end = -1
    for token in _BRACE.finditer(text):
        if token[0] != "}":
            depths.append(token.end() if len(token[0]) > 1 else -1)
        elif depths and (inner := depths.pop()) > begin:
            begin, end = inner, token.start()
    return text[begin:end] if begin >= 0 else ""


def _unstopped(text: str) -> str:
    return text.removesuffix(".").strip()


def _mmmu(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """A looser search for letters than the official one; where it finds none it draws one, too.

    This is lmms-eval up to 0.7. Later it takes the last `Answer: X` first, and what it cannot read is wrong.
    """
    if problem.answer_type != "choice":
        return load_profile("mmmu").score(text, "stop", problem, verifier)
    choices = lettered(problem)
    letter = read_mmmu_letter(text, choices)
    if not letter:
        return Grade(None, None, "random_pick", chance=1 / len(choices))
    return verdict(letter, letter == problem.answer)


def _mmbench(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    letter = read_mmbench_letter(text, lettered(problem))
    return verdict(letter, letter == problem.answer) if letter else needs_judge()


def _ai2d(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """A letter with a full stop at the start, else the whole reply; case and punctuation are ignored, spaces not."""
    leading = _LEADING_LETTER.match(text)
    given = (leading[1] if leading else text).lower().translate(_PUNCTUATION)
    return verdict(given, given == problem.answer.lower())


def _scienceqa(text: str, problem: Problem, verifier: Verifier | None) -> Grade:
    """The letter alone, or a reply that begins with a capital and a full stop; nothing is stripped."""
    letter = text[0] if len(text) > 1 and text[0].isupper() and text[1] == "." else text
    return verdict(letter, letter == problem.answer)


_RULES: dict[str, Rule] = {
    "mathvista": _mathvista,
    "mathverse": _judged,
    "wemath": _reasoning,
    "logicvista": _reasoning,
    "dynamath": _reasoning,
    "mmmu": _mmmu,
    "mmmu-pro": _mmmu,
    "mmbench": _mmbench,
    "ai2d": _ai2d,
    "scienceqa": _scienceqa,
    "geometry3k": _judged,
}

PROFILE = Profile(name="lmms-eval", rule="EvolvingLMMs-Lab/lmms-eval: lmms_eval/tasks", score=score)
