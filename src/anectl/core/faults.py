"""What a failing problem goes wrong in: the form of the answer, what is seen in the image, or the reasoning on it.

format: most failures have no answer that reads as one. perception and reasoning are told apart by the worked steps of
the problem. Its leading steps that state values without computing them are its perception, as scaffolds take the first
of them for its facts. A wrong completion that states such a step with other values went wrong in perception, one that
states all of them with the same values in reasoning. Where a completion has no such statement it cannot be told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from anectl.core.records import Completion, Fault, Problem
from anectl.core.scaffolds import steps_of

FORMLESS = frozenset(("unparsed", "several_answers", "truncated"))
"""Reasons of null that are the completion's own."""

_VALUE = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]{2,}")
_COMPUTES = re.compile(r"[\d)]\s*[-+*/×÷·^]\s*[\d(]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_ALIKE = 0.6
# A fault is looked for in the beginning of a completion: perception comes first.
_MOST_SENTENCES = 200


class Statement(NamedTuple):
    """A sentence as its words (two letters and more) and its values, in order."""

    words: frozenset[str]
    values: tuple[str, ...]


def fault_of(problem: Problem, completions: Iterable[Completion]) -> Fault | None:
    """What more than half of the failures of a problem went wrong in; None where it cannot be told of as many."""
    wrong: list[str] = []
    num_formless = 0
    for completion in completions:
        if completion.correct is False:
            wrong.append(completion.text)
        elif completion.correct is None and completion.reason in FORMLESS:
            num_formless += 1
    total = len(wrong) + num_formless
    if 2 * num_formless > total:
        return "format"
    facts = perception_of(problem)
    if not facts:
        return None
    # Completions of one problem are often the same text.
    found: Counter[Fault | None] = Counter()
    for text, number in Counter(wrong).items():
        found[fault_in(text, facts)] += number
    return next((fault for fault, number in found.items() if fault is not None and 2 * number > total), None)


def perception_of(problem: Problem) -> tuple[Statement, ...]:
    """The leading worked steps that state values which no step before has, or in the words of one before."""
    facts: list[Statement] = []
    known = set(_values(problem.question))
    for step in steps_of(problem):
        fact = _statement(step)
        is_new = not facts or set(fact.values) - known or any(fact.words == other.words for other in facts)
        if not fact.values or not fact.words or not is_new or _COMPUTES.search(step):
            break
        facts.append(fact)
        known |= set(fact.values)
    return tuple(facts)


def fault_in(text: str, facts: Sequence[Statement]) -> Literal["perception", "reasoning"] | None:
    """What a wrong completion went wrong in, by the facts that its problem's image shows."""
    stated = [_statement(sentence) for sentence in _SENTENCE.split(text)[:_MOST_SENTENCES]]
    taken: set[int] = set()
    is_whole = True
    for fact in facts:
        place = _counterpart(fact, stated, taken)
        if place is None:
            is_whole = False
        elif stated[place].values != fact.values:
            return "perception"
        else:
            taken.add(place)
    return "reasoning" if is_whole else None


def _counterpart(fact: Statement, stated: Sequence[Statement], taken: set[int]) -> int | None:
    """The first sentence in about the words of the fact that no fact before has taken; None where there is none."""
    for place, other in enumerate(stated):
        union = fact.words | other.words
        if place not in taken and other.values and len(fact.words & other.words) >= _ALIKE * len(union):
            return place
    return None


def _statement(sentence: str) -> Statement:
    return Statement(frozenset(word.lower() for word in _WORD.findall(sentence)), tuple(_values(sentence)))


def _values(text: str) -> list[str]:
    """The numbers of a text in one spelling each."""
    return [_plain(value.replace(",", "")) for value in _VALUE.findall(text)]


def _plain(value: str) -> str:
    return (value.rstrip("0").rstrip(".") if "." in value else value).lstrip("0") or "0"
