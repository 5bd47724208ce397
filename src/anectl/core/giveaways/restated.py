"""Whether a sentence is the question, said as a statement: it has all that the question asks about."""

from __future__ import annotations

import re
from functools import lru_cache

from anectl.core.giveaways.question import Asked, root, stem, stems
from anectl.core.grading.words import NUMBER_WORDS

_SENTENCE = re.compile(r"[^.?!]{4,600}\?|[^.?!]{4,600}[.!]?$")
_SCENERY_LIST = (
    "picture figure diagram chart graph image photo table plot drawing map text shown given seen visible "
    "following above "
    "below value number amount exact many much there one find calculate determine compute evaluate state "
    "work read long "
    "far tall high old heavy fast wide deep hot big large according percent percentage decimal simplest form total "
    "altogether all now we you i he she they his her their your our"
)
_SCENERY = frozenset(_SCENERY_LIST.split())
_SOURCE = re.compile(
    r",? in [\w/^{}°%. ]{1,30}\?$|, in [\w/^{}°%]{1,12},|\baccording to (?:the|this) [\w -]{1,40}?(?=,|\?|$| how| "
    r"which| what)",
    re.IGNORECASE,
)
_DEGREES = frozenset(("more", "fewer", "less"))
_LIGHT_LIST = (
    "hold show read contain stand come give get make measure cost weigh take use used turn lie sit fall go need total "
    "altogether exactly just only so therefore thus hence then indeed result final in all out for at up down as here"
)
_LIGHT = frozenset(_LIGHT_LIST.split())
GENERIC_WORDS = frozenset(("number", "value", "amount", "count", "correct", "right", "answer"))
_WHICH_OF = re.compile(r"\b(?:which|what) \w+(?: of (?:the |these |this |a )?\w+)?", re.IGNORECASE)
_NO_STATEMENT = re.compile(
    r"\?\s*$|=|^\W*(?:say|imagine|pretend|assume|for example|for instance)\b|\b(?:if|whether|unless|suppose|when"
    r"|until|not|never|no|cannot|before|after|instead|rather)\b|n't\b"
    r"|^(?:please |then |now |first |next |so |and )*(?:count|look|find|read|go|list|see|sort|follow|start"
    r"|begin|use|draw"
    r"|mark|do|match|work out|determine|calculate|compute|identify|measure|locate|apply|consider|check|compare|divide"
    r"|add|subtract|multiply|take|write|recall|remember|think|note|test|try|let|call|set)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def _asked_about(question: str) -> frozenset[str]:
    """The content words of the sentence that asks, without those for where to look."""
    asking = [m[0] for m in _SENTENCE.finditer(question) if m[0].rstrip().endswith("?")]
    words = stems(_SOURCE.sub(" ", asking[-1] if asking else question[-300:])) - _DEGREES
    return frozenset(word for word in words if word not in _SCENERY and word not in ("do", "did", "doe"))


def _is_in(word: str, said: frozenset[str]) -> bool:
    """Whether a word is said in some form: `bought` is not found for `buy`, `chose` not for `chosen`."""
    if word in said:
        return True
    head = word[: max(4, len(word) - 3)]
    return len(word) > 3 and any(other.startswith(head) for other in said)


def restates(part: str, asked: Asked, but: frozenset[str] = frozenset()) -> bool:
    """Whether a sentence states something of all that the question asks about: two words of it or more.

    `but` are words that it may leave out.
    """
    if _NO_STATEMENT.search(part):
        return False
    wanted, said = _asked_about(asked.text) - but, stems(part)
    if len(wanted) < 2:
        return False
    return all(_is_in(word, said) for word in wanted)


def says_only(part: str, asked: Asked) -> bool:
    """Whether a sentence has no words but those of the question: `the star stands for 4`, `Ben waits 15 minutes`."""
    if _NO_STATEMENT.search(part):
        return False
    said = {word for word in stems(part) if not word[0].isdigit() and word not in NUMBER_WORDS and word not in _LIGHT}
    known = asked.words | GENERIC_WORDS
    return len(said & asked.words) > 1 and all(_is_in(word, known) for word in said)


def answers_which(clause: str, asked: Asked) -> bool:
    """Whether a clause says all that a question with `which` or `what` asks of the thing that it asks for."""
    named = _WHICH_OF.search(asked.text)
    if named is None or _NO_STATEMENT.search(clause):
        return False
    wanted = _asked_about(asked.text) - stems(named[0])
    said = {root(word) for word in re.findall(r"[^\W_]+", clause.lower())}
    return len(wanted) > 1 and all(root(word) in said for word in wanted)


def asks_about(phrase: str, asked: Asked) -> bool:
    """Whether a phrase names what the question is about: all of its words are words of it."""
    words = frozenset(map(stem, re.findall(r"[^\W\d_]{3,}", phrase))) - {"the"}
    return bool(words) and words <= asked.words
