"""ChartQA: relaxed accuracy. A number may be 5% off, anything else has to be the same text.

The rule is `relaxed_correctness` of google-research/pix2struct `pix2struct/metrics.py` (section 5.1 of arXiv
2203.10244), on the completion as a whole: nothing is extracted and no white space is stripped around text.
"""

from __future__ import annotations

from collections.abc import Mapping

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile, official
from anectl.core.profiles.official_rows import Shares, field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

MAX_CHANGE = 0.05
"""The largest |given - truth| / |truth| that is still right, in binary floating point as in the script."""

_SHOWN_LENGTH = 300
SPLITS = ("human_test", "augmented_test")


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion: right when it is within the tolerance of one of the published answers."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    published = official(problem).get("answer", problem.answer)
    truths = [str(one) for one in published] if isinstance(published, list) else [str(published)]
    if not text.strip():
        return Grade(None, False, "unparsed")
    shown = text if len(text) <= _SHOWN_LENGTH else None
    if not any(relaxed_correct(truth, text) for truth in truths):
        return Grade(shown, False, "mismatch")
    return Grade(shown, True, "exact" if text.lower() in map(str.lower, truths) else "relaxed")


def relaxed_correct(truth: str, given: str) -> bool:
    """Whether `given` is the number `truth` within 5%, or, unless both are numbers, the same text but for case.

    A truth of zero has no relative error, so it too is compared as text: `0.0` is not `0`.
    """
    number, true_number = _number(given), _number(truth)
    if number is not None and true_number:
        return abs(number - true_number) / abs(true_number) <= MAX_CHANGE
    return given.lower() == truth.lower()


def _number(text: str) -> float | None:
    """What Python reads as a float; a percentage is divided by 100. Thousands commas and units are not read."""
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


class Splits:
    """Accuracy on the questions written by people, on the generated ones, and the mean of the two."""

    def __init__(self) -> None:
        self._shares = Shares()

    def add(self, problem: Problem, share: float) -> None:
        """Count one problem under its published `type`."""
        self._shares.add(field_text(problem, "type", "without a type"), share)

    def results(self) -> Mapping[str, float]:
        """Accuracy by type; `mean of both` where the two published types were seen."""
        means = self._shares.means()
        if all(split in means for split in SPLITS):
            means["mean of both"] = sum(means[split] for split in SPLITS) / len(SPLITS)
        return means


PROFILE = Profile(name="chartqa", rule="google-research/pix2struct pix2struct/metrics.py", score=score, metrics=Splits)
