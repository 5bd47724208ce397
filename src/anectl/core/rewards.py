"""The reward of one completion in strip-rl.

R = (1 - w) accuracy + w format + overlong, with w = 0.1 (the weight of EasyR1 and OpenMMReasoner); format is 1 when a
final answer could be read. Overlong is DAPO's soft punishment (arXiv 2503.14476, eq. 13): 0 up to `max_tokens - buffer`
tokens, then linear down to -1 at `max_tokens`.
"""

from __future__ import annotations

from anectl.core.grading import Grade

FORMAT_WEIGHT = 0.1
BUFFER_SHARE = 0.2  # of the token budget; our choice, DAPO uses 4096 of 20480
# Grades that say nothing about the completion: the checker or the truth failed, not the policy.
_NOT_THE_POLICY = frozenset({"error", "no_verifier", "undecided", "timeout", "truth_unparsed"})


def is_graded(grade: Grade) -> bool:
    """Whether the grade judges the completion; one that could not be checked is left out of its group."""
    return grade.correct is not None or grade.reason not in _NOT_THE_POLICY


def answer_reward(grade: Grade, format_weight: float = FORMAT_WEIGHT) -> float:
    """Accuracy and format, in 0..1; no readable answer earns nothing, and neither do several side by side."""
    accuracy = float(grade.correct is True)
    readable = float(grade.extracted is not None and grade.reason != "several_answers")
    return (1 - format_weight) * accuracy + format_weight * readable


def overlong_penalty(num_tokens: int, max_tokens: int, buffer: int) -> float:
    """0 down to -1 over the last `buffer` tokens of the budget; `buffer` 0 turns it off."""
    if buffer == 0:
        return 0.0
    return max(-1.0, min(0.0, (max_tokens - buffer - num_tokens) / buffer))


def reward(grade: Grade, num_tokens: int, max_tokens: int, buffer: int) -> float | None:
    """The reward of a completion, in -1..1; null when it could not be graded."""
    if not is_graded(grade):
        return None
    return answer_reward(grade) + overlong_penalty(num_tokens, max_tokens, buffer)
