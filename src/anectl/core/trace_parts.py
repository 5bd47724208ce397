"""What a trace says of problems and completions: labelled texts, for whoever shows them.

Texts are as they stand in the rows; making them harmless for a terminal is for the one who prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from anectl.core.metrics import wilson
from anectl.core.records import Completion, Problem
from anectl.core.terminal_text import cut

Tone: TypeAlias = Literal["plain", "good", "bad", "faint"]
ImageFacts: TypeAlias = Callable[[str, str], str]
"""What there is to say of an image, from its reference and the file whose row names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled text of a part."""

    label: str
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Part:
    """What one row says: a title, its place, and its entries."""

    title: str
    place: str
    entries: tuple[Entry, ...]


VERDICTS = {True: "right", False: "wrong", None: "not judged"}
TONES: dict[bool | None, Tone] = {True: "good", False: "bad", None: "faint"}
_MAX_ANSWERS = 12
_ANSWER_LIMIT = 60


def of_problem(problem: Problem, path: str, image_facts: ImageFacts) -> Iterator[Entry]:
    """The problem itself: question, images, choices, answer, solution."""
    yield Entry("question", problem.question)
    for ref in problem.images:
        yield Entry("image", image_facts(ref, path))
    for number, choice in enumerate(problem.choices or ()):
        yield Entry(f"choice {chr(ord('A') + number)}", choice)
    unit = f" {problem.unit}" if problem.unit else ""
    precision = "" if problem.precision is None else f", to {problem.precision} decimals"
    yield Entry("answer", f"{problem.answer}{unit} ({problem.answer_type}{precision})", "good")
    if problem.steps:
        yield Entry("solution", "\n".join(problem.steps))
    elif problem.solution:
        yield Entry("solution", problem.solution)
    if problem.tags:
        yield Entry("tags", ", ".join(problem.tags), "faint")


def of_completions(completions: Sequence[Completion]) -> Iterator[Entry]:
    """Pass rate, answers, and the best and the worst of several completions."""
    right = sum(one.correct is True for one in completions)
    judged = sum(one.correct is not None for one in completions)
    if judged:
        low, high = wilson(right, judged)
        words = f"{right / judged:.2f} [{low:.2f}, {high:.2f}]: {right} of {judged} right"
        unjudged = len(completions) - judged
        yield Entry("pass rate", words + (f", {unjudged} not judged" if unjudged else ""))
    else:
        yield Entry("pass rate", "unknown: none could be judged")
    yield Entry("answers", _answers(completions))
    ranked = sorted(completions, key=_worth)
    yield of_completion("best" if right else "none right", ranked[-1], completions)
    if len(completions) > 1:
        yield of_completion("worst", ranked[0], completions)


def _worth(completion: Completion) -> tuple[int, float, float]:
    """Right before not judged before wrong; then by the least step score, then by the log-probability."""
    verdict = {True: 2, None: 1, False: 0}[completion.correct]
    score = min(completion.step_scores) if completion.step_scores else 0.0
    return verdict, score, completion.logprob if completion.logprob is not None else float("-inf")


def of_completion(label: str, completion: Completion, among: Sequence[Completion]) -> Entry:
    """One completion, with its number among the others, its grade, and its text."""
    number = next(number for number, one in enumerate(among) if one is completion)
    likely = "" if completion.logprob is None else f", log-probability {completion.logprob:.2f}"
    head = (
        f"[{number}] {_graded(completion)}{likely}, {completion.num_tokens} tokens, ended by {completion.finish_reason}"
    )
    failed = f"\nerror: {completion.error}" if completion.error else ""
    return Entry(label, f"{head}{failed}\n{completion.text}", TONES[completion.correct])


def _graded(completion: Completion) -> str:
    reason = f" ({completion.reason})" if completion.reason else ""
    return f"{VERDICTS[completion.correct]}{reason}, answer {quoted(completion.extracted)}"


def _answers(completions: Sequence[Completion]) -> str:
    """`2 distinct: '5' x6 right, none x2 not judged`."""
    counts = Counter((one.extracted, one.correct) for one in completions)
    listed = [f"{quoted(text)} x{count} {VERDICTS[right]}" for (text, right), count in counts.most_common(_MAX_ANSWERS)]
    return f"{len(counts)} distinct: " + ", ".join([*listed, *(["..."] if len(counts) > _MAX_ANSWERS else [])])


def quoted(answer: str | None) -> str:
    """An answer in quotes, cut short; `none` for null."""
    return "none" if answer is None else "".join(cut(repr(answer), _ANSWER_LIMIT))
