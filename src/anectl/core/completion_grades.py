"""The grade of a completion put into its record, by any rule, with a verifier that is loaded when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from anectl.core.grading.formula import decide
from anectl.core.profiles import Score as ScoreRule
from anectl.core.protocols import Verdict, Verifier
from anectl.core.records import Completion, Problem


def regraded(problem: Problem, completion: Completion, score: ScoreRule, verifier: Verifier | None) -> Completion:
    """The completion with its grade by this rule instead of any it had."""
    verdict = score(completion.text, completion.finish_reason, problem, verifier)
    return msgspec.structs.replace(
        completion,
        extracted=verdict.extracted,
        correct=verdict.correct,
        reason=verdict.reason,
        chance=verdict.chance,
        judge=None,
    )


class LazyVerifier:
    """A `Verifier` that is loaded for the first pair it is asked about: few problems need one."""

    def __init__(self, load: Callable[[], Verifier]) -> None:
        self._load = load
        self._loaded: Verifier | None = None
        self._lock = threading.Lock()

    def equal(self, truth: str, given: str) -> bool | None:
        """As the verifier it loads."""
        return self._verifier().equal(truth, given)

    def decide(self, truth: str, given: str) -> Verdict:
        """As the verifier it loads."""
        return decide(self._verifier(), truth, given)

    def _verifier(self) -> Verifier:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
        return self._loaded
