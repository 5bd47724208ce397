"""What guessing would do: the chance that a blind guess hits one given answer, and how often many guesses agree."""

from __future__ import annotations

from anectl.core.posterior import beta_cdf
from anectl.core.records import Problem

LEVEL = 0.05
"""Agreement counts as more than chance when guesses would bring as much less often than this."""

_OPEN = 0.1
_MOST_DIGITS = 3
# More sets of choices than a float can count are as good as so many.
_MOST_CHOICES = 64


def guess_rate(problem: Problem) -> float:
    """The chance that a blind guess is one given answer.

    One over the number of choices, of sets of choices, or of yes and no. For a free answer it is our convention: one
    in ten for each digit of a number (at least one in 1000), one in ten for a text, one in 100 for a list or formula.
    """
    if problem.answer_type == "boolean":
        return 0.5
    if problem.answer_type == "choice":
        return 1 / len(problem.choices or "?")
    if problem.answer_type == "choices":
        return 1 / float(2 ** min(len(problem.choices or "?"), _MOST_CHOICES) - 1)
    if problem.answer_type == "number":
        digits = sum(sign.isdigit() for sign in problem.answer)
        return float(_OPEN ** max(1, min(digits, _MOST_DIGITS)))
    return _OPEN if problem.answer_type == "text" else _OPEN**2


def is_beyond_chance(count: int, judged: int, rate: float, targets: int = 1) -> bool:
    """Whether `count` of `judged` guesses would hit any one of `targets` answers less often than LEVEL.

    By the upper tail of the binomial distribution, P(X >= k) = I_p(k, n - k + 1), times the number of targets.
    """
    if count <= 0 or rate >= 1:
        return False
    return targets * beta_cdf(rate, count, judged - count + 1) < LEVEL


def num_wrong_answers(problem: Problem) -> int:
    """How many wrong answers a blind guess may come upon, at that rate."""
    return max(1, round(1 / guess_rate(problem)) - 1)
