"""What a training example teaches: completions made from the data, or written by the policy itself.

SFT on raw solutions drifts furthest from what the policy would write; a target of its own words, found with the help
of a scaffold and checked like any completion, drifts least (SDFT, arXiv 2402.13669; AnE, arXiv 2605.25571).

What is asked for falls back in this order: a rewrite under the row's own level, under each higher level, the worked
steps of the data, nothing. A raw solution takes no step's place: one without steps only asserts its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from anectl.core.drafts import Draft
from anectl.core.grading.extract import find_answer
from anectl.core.records import Problem, Writing
from anectl.core.scaffolds import steps_of

Kind: TypeAlias = Literal["raw", "template", "rewrite", "self"]
Judge: TypeAlias = Callable[[Problem, str], bool]
"""Whether a finished completion is graded correct."""


@dataclass(frozen=True, slots=True)
class Target:
    """A completion, and the kind of its making; `writing` says more of it."""

    text: str
    kind: Kind
    writing: Writing | None = None


def with_answer(text: str, answer_format: str, answer: str) -> str:
    """The text, then the answer in its format (`{answer}` stands for it)."""
    return f"{text} {answer_format.replace('{answer}', answer)}"


def raw_target(draft: Draft, judge: Judge) -> Target | None:
    """The solution as the data has it, with the answer behind it where it does not state it itself."""
    solution = (draft.problem.solution or "").strip()
    if not solution:
        return template_target(draft, judge)
    # A bare result such as `5-1=4` would be graded too, but a target must show how an answer is stated.
    if find_answer(solution) is not None and judge(draft.problem, solution):
        return Target(solution, "raw")
    stated = with_answer(solution, draft.answer_format, draft.problem.answer)
    return Target(stated, "raw") if judge(draft.problem, stated) else None


def template_target(draft: Draft, judge: Judge) -> Target | None:
    """The worked steps in a row, then the answer; None without steps, or when the grader does not accept it."""
    steps = steps_of(draft.problem)
    text = with_answer(" ".join(steps), draft.answer_format, draft.problem.answer)
    return Target(text, "template") if steps and judge(draft.problem, text) else None


def why_no_target(draft: Draft) -> str:
    """Why the data gives no target for a problem."""
    if not steps_of(draft.problem) and not draft.problem.solution:
        return "no solution and no steps"
    return "the grader does not accept the data's solution" if steps_of(draft.problem) else "a solution without steps"
