"""Whether a worked solution leads to the answer beside it: only then is a problem fit to be an anchor.

A final answer that is marked (`\\boxed{}`, `Answer:`, `####`) is graded like a completion's. Worked solutions often
mark none; then the end of the last sentence is read, where they put their result: `6 - 1 = 5.`, `That makes 1.`. Such
an end can bear the answer out. It contradicts it only where the type leaves no doubt of what it states: another
number, another letter, yes for no.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from anectl.core.grading import GradeSpec
from anectl.core.grading.compare import compare
from anectl.core.grading.extract import find_answer
from anectl.core.grading.verdict import follow
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

Truth: TypeAlias = Literal["verified", "refuted", "unknown"]

_TAIL = 400  # characters at the end of a solution in which its last sentence is looked for
_MAX_WORDS = 12  # words of the longest answer that is looked for at the end of a sentence
_SENTENCE_END = re.compile(r"(?:(?<=[.!?])\s+|\n+)(?=\S)")
_CLOSING = " \t\n.!$"
_RESULT = re.compile(r"=|:|\bis\b|\bare\b|≈|\\approx|\\Rightarrow|→")
_NUMBER = re.compile(r"(?<![\w.,])[-+]?\d+(?:[.,]\d+)*(?:/\d+)?(?!\w)")
# `A line` has an article, `A is larger` a letter.
_LETTER = re.compile(r"(?<![\w'’])\(?([B-Z]|A(?!\s+(?!(?:and|or|is|are|has|was|with|fits|gives)\b)[a-z]))\)?(?![\w'’])")


def verify(problem: Problem, verifier: Verifier | None = None) -> Truth:
    """Whether `solution` or `steps` lead to `answer` by the grader; what contradicts it in either refutes it.

    Null grades count as unknown: nothing is guessed. The verifier is asked about expressions only.
    """
    spec = GradeSpec.of(problem)
    texts = [text for text in (problem.solution, "\n".join(problem.steps or ())) if text and text.strip()]
    found = {_verdict(text, spec, verifier) for text in texts}
    if False in found:
        return "refuted"
    return "verified" if True in found else "unknown"


def _verdict(text: str, spec: GradeSpec, verifier: Verifier | None) -> bool | None:
    if find_answer(text) is not None:
        return follow(text, "stop", spec, verifier).grade.correct
    sentence = _last_sentence(text)
    if any(compare(spec, end).correct for end in _ends(sentence, spec)):
        return True
    if spec.answer_type == "expression" and verifier is not None:
        result = _RESULT.split(sentence)[-1].strip(_CLOSING)
        return True if result and compare(spec, result, verifier).correct else None
    return _contradiction(sentence, spec)


def _last_sentence(text: str) -> str:
    tail = text[-_TAIL:].rstrip()
    return _SENTENCE_END.split(tail)[-1].strip(_CLOSING)


def _ends(sentence: str, spec: GradeSpec) -> Iterator[str]:
    """What the sentence may end in as its answer: behind its signs of a result, and its last words."""
    signs = [match.end() for match in _RESULT.finditer(sentence)]
    words = [match.start() for match in re.finditer(r"\S+", sentence)][-_MAX_WORDS:]
    if len(set(_LETTER.findall(sentence))) > 1 and spec.answer_type in ("choice", "choices"):
        words = []  # several letters are weighed against each other, or belong together
    for start in dict.fromkeys([*reversed(signs), *reversed(words)]):
        end = sentence[start:].strip(_CLOSING)
        if end:
            yield end
            if spec.answer_type == "list" and "," not in end:
                yield ", ".join(end.split())
    if spec.answer_type in ("choice", "choices"):
        yield from _only(_LETTER.findall(sentence))
    if spec.answer_type == "number":
        yield from _NUMBER.findall(sentence)[-1:]


def _only(letters: list[str]) -> list[str]:
    return letters if len(set(letters)) == 1 else []


def _contradiction(sentence: str, spec: GradeSpec) -> bool | None:
    """False where the sentence states another answer, and the right one nowhere; else null."""
    if spec.answer_type == "number":
        stated = _NUMBER.findall(sentence)
    elif spec.answer_type == "choice":
        stated = [letter for letter in _LETTER.findall(sentence) if ord(letter) - ord("A") < len(spec.choices)]
    elif spec.answer_type == "boolean":
        stated = sentence.split()[-1:]
    else:
        return None
    grades = [compare(spec, given).correct for given in stated]
    return False if grades and all(correct is False for correct in grades) else None
