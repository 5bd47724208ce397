"""What a question asks for: by it a statement of the answer is told from one of another quantity of the same size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from anectl.core.giveaways.reading import folded

_WORD = re.compile(r"[^\W\d_]+(?:'s)?|[0-9]+(?:\.[0-9]+)?")
_END = (
    r"(?= (?:of|in|on|at|between|for|from|that|which|who|if|when|to|with|is|are|was|were|do|does|did|through|across|by|"
    r"after|under|over|than|per|can|could|will|would|have|has|had|must|should)\b|[?,.:;(]|$)"
)
_THE = r"(?:(?:the|its|their|his|her|a|an)\s+)?"
_MANY = re.compile(rf"\bhow (?:many|much)\s+(.+?){_END}", re.IGNORECASE)
_WHAT_IS = re.compile(
    rf"\b(?:what(?:'s| is| are| was| were| will be)|find|calculate|determine|compute|state|work out|evaluate)\s+{_THE}"
    rf"(.+?){_END}",
    re.IGNORECASE,
)
_NUMBER_OF = re.compile(rf"\b(?:number|amount|count) of (?:the )?(.+?){_END}", re.IGNORECASE)
_WHICH = re.compile(r"\b(?:what|which)\s+(?!is\b|are\b|was\b|were\b)([^\W\d_]+)", re.IGNORECASE)
_WHICH_THING = re.compile(
    rf"\b(?:what|which)\s+((?!is\b|are\b|was\b"
    rf"|were\b)(?:[^\W\d_]+\s){{0,2}}?[^\W\d_]+){_END}",
    re.IGNORECASE,
)
_VARIABLE = re.compile(
    r"\b(?:[Vv]alue of|[Ff]ind|[Ss]olve for|[Mm]easure of|is) ([A-Za-z])(?![\w'])(?! (?!in |for |that |such |if "
    r"|when |so )[a-z])"
    r"|\b([xyz])-(?:coordinate|value)|\b(?:side|angle|edge|segment|unknown|marked|labelled) ([a-z])(?![\w'])"
)
_MEASURES = {
    "long": "length long", "far": "distance far", "tall": "height tall", "high": "height high", "old": "age old",
    "heavy": "weight mass heavy", "fast": "speed fast", "wide": "width wide", "deep": "depth deep",
    "hot": "temperature hot", "big": "size big", "large": "size large",
}  # fmt: skip
_HOW = re.compile(rf"\bhow ({'|'.join(_MEASURES)})\b", re.IGNORECASE)
_PLURAL = re.compile(r"\w+s|people|children|sheep|fish|men|women|mice|feet|teeth|deer|money|time|water", re.IGNORECASE)
_OF_WHAT = re.compile(rf"\bhow [a-z]+ (?:is|are|was) (?:the |a )?(.+?){_END}", re.IGNORECASE)
_WHICH_IS = re.compile(rf"\b(?:which|what) [a-z]+ is (?:the |a )(.+?){_END}", re.IGNORECASE)
_DEGREES = frozenset(("more", "fewer", "less"))
_SIZES = frozenset(("size", "measure", "measurement", "magnitude"))
_OF = re.compile(rf"\b(?:size|measure|measurement|magnitude) of (?:the |an? )?(.+?){_END}", re.IGNORECASE)
_QUALIFIER = re.compile(r"\b(?:different|distinct|possible|whole|total)\b", re.IGNORECASE)
_EMPTY_LIST = (
    "a an the of in on at is are was were be do does did what which how many much who when where to for from by and or "
    "with that this there it its as than has have had can will would"
)
_SAME = dict.fromkeys(("vertices", "vertex", "corner", "corners"), "corner")
_EMPTY = frozenset(_EMPTY_LIST.split())


_PAST_LIST = (
    "made:make rose:rise risen:rise fell:fall fallen:fall grew:grow grown:grow went:go gone:go shrank:shrink "
    "held:hold sank:sink "
    "won:win lost:lose met:meet ran:run began:begin lies:lie lay:lie stood:stand"
)
_PAST = dict(pair.split(":") for pair in _PAST_LIST.split())


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of a question as stems, those of the quantity asked for, and its letter where it has one.

    `thing`: what has the quantity, in `how long is the side`; `counts`: it asks how many; `compares`: how many more or
    fewer.
    """

    text: str = ""
    words: frozenset[str] = frozenset()
    target: frozenset[str] = frozenset()
    variable: str | None = None
    counts: bool = False
    compares: bool = False
    thing: frozenset[str] = frozenset()


def stem(word: str) -> str:
    """A word without case and the endings of plurals."""
    word = word.lower().removesuffix("'s")
    if word in _SAME:
        return _SAME[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def root(word: str) -> str:
    """A word without its endings, also of verbs: `cross` of crosses and crossed."""
    word = _PAST.get(word, stem(word))
    return word if len(word) < 5 else re.sub(r"(?:ing|ed|es|e)$", "", word)


def stems(text: str) -> frozenset[str]:
    """The stems of the words and numbers of a text that say something."""
    return frozenset(stem(word) for word in _WORD.findall(text) if word.lower() not in _EMPTY)


@lru_cache(maxsize=256)
def read_question(question: str) -> Asked:
    """What is asked; an empty target where the question is in no form that is known."""
    text = folded(question)[-4000:]
    words = stems(text)
    if m := _MANY.search(text) or _NUMBER_OF.search(text):
        counted = _QUALIFIER.sub("", _noun(m[1]))
        compares = re.search(r"\b(?:more|fewer|less)\b", m[1], re.IGNORECASE) is not None
        return Asked(text, words, stems(counted) - _DEGREES, None, True, compares)
    variable = (m[1] or m[2] or m[3]) if (m := _VARIABLE.search(text)) else None
    if m := _HOW.search(text):
        owner = stems(of[1]) if (of := _OF_WHAT.search(text)) else frozenset[str]()
        return Asked(text, words, frozenset(_MEASURES[m[1].lower()].split()), variable, thing=owner)
    found = _WHAT_IS.search(text)
    which = _WHICH_THING.search(text) or _WHICH.search(text)
    target = stems(found[1]) if found else stems(which[1].split()[-1]) if which else frozenset[str]()
    if target <= _SIZES and target and (of := _OF.search(text)):
        target = stems(of[1]) - {"angle"} or stems(of[1])
    owner = stems(of[1]) if (of := _WHICH_IS.search(text)) else frozenset[str]()
    return Asked(text, words, target - {variable.lower()} if variable else target, variable, thing=owner)


def _noun(phrase: str) -> str:
    """The words up to the first plural: `red cubes` of `red cubes stand`."""
    words = phrase.split()
    for number, word in enumerate(words, 1):
        if _PLURAL.fullmatch(word):
            return " ".join(words[:number])
    return words[0] if words else ""
