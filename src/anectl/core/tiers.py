"""How near a ground-truth problem is to a failing one, and the sentence that says so.

item      the same images and the same words of the question, whatever the answer says
template  the same question once its numbers, names and letters are masked, or nearly (see `is_near`)
skill     a tag in common
fact      none of these
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from anectl.core.content_words import content_words
from anectl.core.records import Problem, Tier

TIERS: Final[tuple[Tier, ...]] = ("item", "template", "skill", "fact")
"""From the nearest to the farthest."""

_NEAR = 0.85
_PART = re.compile(r"\\[A-Za-z]+|[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]|_")
_SENTENCE_START = frozenset(".!?:")
_MAX_SHARED = 3


def question_words(problem: Problem) -> tuple[str, ...]:
    """The words of the question, without regard to case and spacing: those of the same item are equal."""
    return tuple(problem.question.casefold().split())


@functools.lru_cache(maxsize=8192)
def template(question: str) -> tuple[str, ...]:
    """The question's words and signs, with `0` for a number, `x` for a letter and `N` for a name.

    A letter is a word of one letter, or several capitals (the points of triangle ABC); the article `a` is a word. A
    name is a capitalised word inside a sentence. Choices play no part.
    """
    masked: list[str] = []
    for part in _PART.findall(question):
        at_start = not masked or masked[-1] in _SENTENCE_START
        masked.append(_masked(part, at_start))
    return tuple(masked)


def _masked(part: str, at_start: bool) -> str:
    if part[0].isdigit():
        return "0"
    if not part[0].isalpha() or part.casefold() == "a":
        return part.casefold()
    if len(part) == 1 or (part.isupper() and len(part) <= 4):
        return "x"
    return "N" if part[0].isupper() and not at_start else part.casefold()


def is_near(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two templates are the same, or share 0.85 of their parts (Jaccard, each part counted as often as it
    stands there): one word in twelve may differ, and in a short question none."""
    if one == other:
        return True
    if min(len(one), len(other)) < _NEAR * max(len(one), len(other)):
        return False
    left, right = Counter(one), Counter(other)
    return (left & right).total() >= _NEAR * (left | right).total()


def tier_of(query: Problem, same_images: bool, other: Problem) -> Tier:
    """The nearest tier that holds; `same_images` says that both show the same pictures, or none."""
    if same_images and question_words(query) == question_words(other):
        return "item"
    if is_near(template(query.question), template(other.question)):
        return "template"
    return "skill" if _shared_tags(query, other) else "fact"


def note(tier: Tier, ranks: Mapping[str, int], query: Problem, step: str, other: Problem) -> str:
    """One sentence on why `other` was chosen: the tier, its place by each signal, and what it shares."""
    said = [f"same {tier}" if tier != "fact" else "a fact: neither template nor skill in common"]
    if ranks:
        said.append("ranks: " + ", ".join(f"{signal} {place}" for signal, place in ranks.items()))
    if shared := _quoted(_shared_tags(query, other)):
        said.append(f"shares {shared}")
    worked = set(content_words(" ".join([other.solution or "", *(other.steps or ())])))
    if met := _quoted(word for word in content_words(step) if word in worked and not word.isdigit()):
        said.append(f"its solution has {met} of the failing step")
    return "; ".join(said)


def _shared_tags(query: Problem, other: Problem) -> list[str]:
    return [tag for tag in query.tags if tag in other.tags and tag.strip()]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in list(names)[:_MAX_SHARED])
