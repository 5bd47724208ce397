"""The reward of one completion in strip-rl.

R = (1 - w) accuracy + w format + overlong + repetition + tax, with w = 0.1 (the weight of EasyR1 and OpenMMReasoner).
  format      1 when a final answer could be read
  overlong    DAPO's soft punishment (arXiv 2503.14476, eq. 13): 0 up to `max_tokens - buffer` tokens, then linear down
              to -1 at `max_tokens`
  repetition  -W (1 - different 3-grams / all 3-grams), of tokens, so that it is the same for scripts without spaces; W
              is 0 unless asked for (the penalty of arXiv 2502.03373, there of words)
  tax         -kappa level / top level, for the help that the prompt gave; kappa is 0 unless asked for (FFR: 0.3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anectl.core.grading import Grade

FORMAT_WEIGHT = 0.1
BUFFER_SHARE = 0.2  # of the token budget; our choice, DAPO uses 4096 of 20480
NGRAM = 3
# Grades that say nothing about the completion: the checker or the truth failed, not the policy.
_NOT_THE_POLICY = frozenset({"error", "no_verifier", "undecided", "timeout", "truth_unparsed"})


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a completion is charged for: its length, its repetitions, its scaffold. Lengths in tokens."""

    max_tokens: int
    buffer: int
    repetition: float = 0.0
    tax: float = 0.0
    top_level: int = 0


def is_graded(grade: Grade) -> bool:
    """Whether the grade judges the completion; one that could not be checked is left out of its group."""
    return grade.correct is not None or grade.reason not in _NOT_THE_POLICY


def judged(grades: Sequence[Grade]) -> list[bool | None]:
    """Whether each completion is right; null for one that could not be checked."""
    return [one.correct is True if is_graded(one) else None for one in grades]


def overlong_penalty(num_tokens: int, max_tokens: int, buffer: int) -> float:
    """0 down to -1 over the last `buffer` tokens of the budget; `buffer` 0 turns it off."""
    if buffer == 0:
        return 0.0
    return max(-1.0, min(0.0, (max_tokens - buffer - num_tokens) / buffer))


def repetition(tokens: Sequence[int]) -> float:
    """The share of 3-grams that stood there before, in 0..1; 0 for fewer than three tokens."""
    grams = len(tokens) - NGRAM + 1
    if grams < 1:
        return 0.0
    return 1 - len(set(zip(*(tokens[start:] for start in range(NGRAM)), strict=False))) / grams


def reward_parts(grade: Grade, tokens: Sequence[int], level: int, pricing: Pricing) -> dict[str, float] | None:
    """The summands of the reward by name; null when the completion could not be graded.

    No readable answer earns nothing for its format, and neither do several side by side. The tax on hints is taken off
    right answers alone: off wrong ones it would make the bare wrong answer of a group that fails throughout its best.
    """
    if not is_graded(grade):
        return None
    readable = grade.extracted is not None and grade.reason != "several_answers"
    return {
        "accuracy": (1 - FORMAT_WEIGHT) * float(grade.correct is True),
        "format": FORMAT_WEIGHT * float(readable),
        "overlong": overlong_penalty(len(tokens), pricing.max_tokens, pricing.buffer),
        "repetition": -pricing.repetition * repetition(tokens) if pricing.repetition else 0.0,
        "tax": -pricing.tax * level / pricing.top_level if pricing.top_level and grade.correct else 0.0,
    }
