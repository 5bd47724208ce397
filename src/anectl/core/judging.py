"""What a judge model is asked about a completion that no rule could judge, and how its reply is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.model_prompts import ModelPrompt, PromptKind
from anectl.core.protocols import Judge, JudgeReply
from anectl.core.records import Completion, Message, Problem

MAX_RESPONSE_CHARS = 4_000
"""The end of a response is shown, where its final answer stands; a megabyte would cost what it says."""

# A failed engine and a cut completion have no answer to judge, and a random pick is the benchmark's own rule.
NOT_ASKED = frozenset({"error", "truncated", "random_pick"})

JUDGE = PromptKind(
    name="judge",
    places=("question", "choices", "answer", "response", "fence"),
    needed={
        "question": "the judge would not know what was asked",
        "answer": "the judge would have to solve the question itself",
        "response": "the judge would have nothing to judge",
        "fence": "a response could give the judge orders",
    },
    words=("VERDICT",),
    replies="a reply without a line `VERDICT: CORRECT`, `WRONG` or `UNCLEAR` has judged nothing",
)

_VERDICT = re.compile(r"^[\s*_#>-]*VERDICT[\s*_]*:[\s*_]*(CORRECT|WRONG|UNCLEAR)\b", re.IGNORECASE | re.MULTILINE)
_MEANINGS = {"CORRECT": True, "WRONG": False, "UNCLEAR": None}

Row = TypeVar("Row")


def judge_conversation(prompt: ModelPrompt, problem: Problem, completion: Completion) -> tuple[Message, Message]:
    """What the judge is told about one completion."""
    response = without_thoughts(completion.text).strip()[-MAX_RESPONSE_CHARS:]
    # The mark depends on the response, which therefore cannot hold it and step out of its fence.
    fence = f"<<<{hashlib.blake2b(response.encode(), digest_size=8).hexdigest()}>>>"
    choices = [f"({chr(ord('A') + i)}) {choice}" for i, choice in enumerate(problem.choices or ())]
    return prompt.conversation(
        {
            "question": problem.question,
            "choices": "\n".join(choices),
            "answer": _reference(problem),
            "response": response,
            "fence": fence,
        }
    )


def _reference(problem: Problem) -> str:
    letters = problem.answer.replace(",", " ").split() if problem.choices else []
    texts = [(problem.choices or ())[ord(letter) - ord("A")] for letter in letters if len(letter) == 1]
    shown = f"{problem.answer} ({'; '.join(texts)})" if texts and problem.answer_type != "text" else problem.answer
    return f"{shown} {problem.unit}" if problem.unit else shown


def read_verdict(reply: str) -> bool | None:
    """True or false, or null for UNCLEAR. Raises ValueError when the reply holds no verdict, or two different ones."""
    found = {word.upper() for word in _VERDICT.findall(without_thoughts(reply))}
    if len(found) != 1:
        raise ValueError("no verdict" if not found else "several verdicts")
    return _MEANINGS[found.pop()]


def is_asked(completion: Completion) -> bool:
    """Whether a judge is asked about it: no rule could judge it, and there is something to judge."""
    return completion.correct is None and completion.reason not in NOT_ASKED and bool(completion.text.strip())


class Judging:
    """Puts the null completions of a stream of rows before a judge; counts what came of it.

    `stop_on_error`: a judge that fails, or gives no verdict, ends the run; else the completion stays null with reason
    `judge_failed`. It is never judged in some other way instead.
    """

    def __init__(self, judge: Judge, prompt: ModelPrompt, *, window: int = 64, stop_on_error: bool = True) -> None:
        self.num_asked = self.num_decided = self.num_unclear = self.num_failed = 0
        self._judge, self._prompt = judge, prompt
        self._window, self._stop = window, stop_on_error
        self._name = f"{judge.name} prompt {prompt.digest}"

    def __call__(
        self, rows: Iterable[tuple[Row, Problem, tuple[Completion, ...]]]
    ) -> Iterator[tuple[Row, tuple[Completion, ...]]]:
        """The rows in their order, `window` of them asked about together."""
        iterator = iter(rows)
        while block := list(islice(iterator, self._window)):
            open_ones = [(problem, one) for _, problem, completions in block for one in completions if is_asked(one)]
            replies = iter(self._ask(open_ones))
            for row, _, completions in block:
                yield row, tuple(self._judged(one, next(replies)) if is_asked(one) else one for one in completions)

    def _ask(self, open_ones: Sequence[tuple[Problem, Completion]]) -> list[JudgeReply]:
        self.num_asked += len(open_ones)
        return self._judge.ask([judge_conversation(self._prompt, *one) for one in open_ones]) if open_ones else []

    def _judged(self, completion: Completion, reply: JudgeReply) -> Completion:
        error = reply.error
        verdict = None
        if reply.text is not None:
            try:
                verdict = read_verdict(reply.text)
            except ValueError as failure:
                error = f"{failure} in {reply.text[:80]!r}"
        if error is not None:
            self.num_failed += 1
            if self._stop:
                raise AnectlError(
                    f"the judge {self._judge.name} failed: {error}",
                    hint="--on-judge-error label goes on and leaves such completions null, reason judge_failed",
                )
            return msgspec.structs.replace(completion, reason="judge_failed", judge=self._name)
        self.num_decided += verdict is not None
        self.num_unclear += verdict is None
        reason = completion.reason if verdict is None else "judged"
        return msgspec.structs.replace(completion, correct=verdict, reason=reason, judge=self._name)

    def facts(self) -> dict[str, object]:
        """The judge, its prompt in full and the counts, for the manifest."""
        return {
            "judge": self._name,
            "prompt": {"system": self._prompt.system, "user": self._prompt.user},
            "asked": self.num_asked,
            "decided": self.num_decided,
            "unclear": self.num_unclear,
            "failed": self.num_failed,
        }

    def summary(self) -> str:
        """One sentence for the end of the run."""
        failed = f", {self.num_failed} failed" if self.num_failed else ""
        return f"judge {self._name}: {self.num_asked} asked, {self.num_decided} decided{failed}"
