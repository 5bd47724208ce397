"""Whether a text answers a question of yes or no: by the word, by calling the claim true, by stating or denying it."""

from __future__ import annotations

import re
from functools import lru_cache

from anectl.core.giveaways.others import is_other
from anectl.core.giveaways.question import Asked, root, stem
from anectl.core.giveaways.reading import clauses, sentences, without_mark
from anectl.core.grading.booleans import boolean_value

_FIRST_WORD = re.compile(r"([^\W\d_]+)\s*(?:[.,;!:)(]|$|\bit\b)")
_CLAIM = re.compile(
    r"(?<!if )(?<!whether )\b(?:it|that|this|(?:the|this|that) (?:statement|claim|assertion|sentence"
    r"|guess))(?:'s| is| was| would be)"
    r"\s+(not\s+)?(true|correct|right|false|wrong|incorrect|untrue)\b(?!\s+(?:if|when|unless|only|that))",
    re.IGNORECASE,
)
_STANDS = re.compile(
    r"(?<!if )(?<!whether )\b(?:the|this|that) (?:\w+ )?(?:statement|claim|assertion|sentence|guess|rule|hypothesis)"
    r" (?:(does not|doesn't|fails? to|is not|isn't|cannot|can't) )?"
    r"(holds?|hold up|stands?|(?:is )?(?:supported|borne out|confirmed|refuted|contradicted)|fails|breaks|falls "
    r"apart)\b"
    r"(?!\s+(?:if|when|unless|only|that))",
    re.IGNORECASE,
)
_TEST = re.compile(
    r"\b(pass|fail)(?:es|s|ed)? (?:the|this|that) (?:\w+ )?(?:test|check|condition"
    r"|criterion)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"\b(?:get|gets|is|be|say|says|reads?|write(?: down)?|answer|with|to)[:,]? ['\"](yes|no|true"
    r"|false)['\"]",
    re.IGNORECASE,
)
_IF = re.compile(r"\b(?:if|whether|unless|when|provided)\b", re.IGNORECASE)
_TRUE = frozenset(("true", "correct", "right"))
_DENIED_VALUE = re.compile(
    r"\b(yes|no)['\"]? (?:is|would be|was) (?:wrong|false|incorrect|untrue)\b"
    r"|\b(?:not|n't|wrong to (?:say|answer)|(?:cannot|can't) (?:be|say|answer))\s+['\"]?(yes|no|true|false)\b"
    r"(?=['\"]?\s*(?:[.,;!]|$))",
    re.IGNORECASE,
)
_STATED_VALUE = re.compile(
    r"(?:[=:→|]|\b(?:is|be|are|say|answer|so|thus|hence|therefore),?)\s*['\"]?([^\W\d_]+)['\"]?\s*(?=[.,;!|)]|$)",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"(?:so |and |indeed,? |well,? )?(?:it|they|he|she|that|this|we|you) (?:is|are|does|do|did|was|were|can|has|have"
    r"|will|would)"
    r"(n't| not)?(?: (?:so|indeed|too))?[.!]?",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:not|never|no|neither|cannot)\b|n't\b", re.IGNORECASE)
_CONDITION = re.compile(
    r"\b(?:if|whether|when|unless|compare|check|find|see|imagine|test|try|suppose|look|decide|prove|consider"
    r"|ask|determine|is it|does it)\b",
    re.IGNORECASE,
)
_ORDER_BEHIND = re.compile(r"^[A-Z][^,;]*[,;] (?:have a look|take a look|look|check|see for yourself)\b")
_POLAR = re.compile(
    r"(?:^|[.!?,]\s+)(is|are|was|were|does|do|did|can|could|has|have|will|would|should|must)\s+([^?]{3,300})\?",
    re.IGNORECASE,
)
_AUXILIARY_LIST = "is are was were does do did can could has have will would should must not be cannot never"
_AUXILIARY = frozenset(_AUXILIARY_LIST.split())
_WORD = re.compile(r"[^\W_]+(?:'t)?")
_PREFACE = re.compile(
    r"^(?:(?:so|then|and|thus|hence|therefore|indeed|now|here|in fact),? )*(?:(?:you|we)(?:'ll| will| can|'d"
    r"| must| should)?"
    r" (?:see|find|note|notice|conclude)"
    r"|it (?:follows|turns out|is clear)|this (?:means|shows)|note) that ",
    re.IGNORECASE,
)
_PRONOUNS = frozenset(("it", "they", "that", "thi", "these", "those", "he", "she", "them"))
_EMPTY_LIST = (
    "a an the of at to as by for in on so thus hence therefore then and but since because lie stand stay now "
    "there its their figure number value point shown given picture diagram "
    "statement exactly really indeed two both"
)
_EMPTY = frozenset(_EMPTY_LIST.split())
_OPPOSITE_LIST = (
    "prime composite, even odd, inside outside, within outside, hold fail, rational irrational, higher "
    "lower, greater less, greater smaller, "
    "larger smaller, bigger smaller, longer shorter, taller shorter, more fewer, more less, parallel perpendicular, "
    "parallel intersect, equal different, equal unequal, same different, possible impossible, convex concave, positive "
    "negative, true false, open closed, open shut, increasing decreasing, above below, before after, older "
    "younger, heavier lighter, "
    "faster slower, early late, cheaper dearer, left right, empty full, present absent, visible hidden, convergent "
    "divergent, converge diverge, linear nonlinear, acute obtuse, fair biased, dependent independent, float "
    "sink, hot cold, "
    "symmetric asymmetric, release absorb, symmetrical asymmetrical, regular irregular, correct incorrect, "
    "valid invalid, continuous discontinuous, increase decrease, rise fall, exceed below, pas fail, congruent "
    "incongruent"
)


def gives_boolean(text: str, answer: str, asked: Asked) -> str | None:
    """The part of a folded text that says yes or no as the answer does."""
    truth = boolean_value(answer)
    if truth is None:
        return None
    question = _POLAR.search(asked.text)
    for part in map(without_mark, sentences(text)):
        if truth in _said(part) or (question and _asserts(part, question[2], asked) == truth):
            return part[:200]
    return None


def _said(part: str) -> set[str | None]:
    """The values that a sentence states by a word for them, by calling the claim true, or in short (`It is.`)."""
    said: set[str | None] = set()
    if first := _FIRST_WORD.match(part):
        said.add(boolean_value(first[1]))
    said |= {boolean_value(m[1]) for m in _STATED_VALUE.finditer(part) if not _CONDITION.search(part[: m.start()])}
    if (claim := _CLAIM.search(part)) and not _IF.search(part[: claim.start()]):
        said.add("yes" if (claim[2].lower() in _TRUE) != bool(claim[1]) else "no")
    if (stands := _STANDS.search(part)) and not _CONDITION.search(part[: stands.start()]):
        fails = re.match(r"(?:is )?(?:fail|break|fall|refut|contra)", stands[2], re.IGNORECASE) is not None
        said.add("no" if bool(stands[1]) != fails else "yes")
    if (test := _TEST.search(part)) and not _CONDITION.search(part[: test.start()]):
        said.add("yes" if test[1].lower().startswith("pass") else "no")
    if (quoted := _QUOTED.search(part)) and not _CONDITION.search(part[: quoted.start()]):
        said.add(boolean_value(quoted[1]))
    if denied := _DENIED_VALUE.search(part):
        said.add("no" if boolean_value(denied[1] or denied[2]) == "yes" else "yes")
    if short := _SHORT.fullmatch(part):
        said.add("no" if short[1] else "yes")
    return said


def _asserts(part: str, claim: str, asked: Asked) -> str | None:
    """Yes where a sentence, or a clause of it, repeats the question as a statement, no where it denies it."""
    part = _PREFACE.sub("", part)
    words = _content(claim)
    if not words:
        return None
    if _is_general(part, words[0]):
        return None
    free = [clause for clause in (part, *clauses(part)) if not _CONDITION.search(clause)]
    if _CONDITION.search(part) and not _ORDER_BEHIND.search(part):
        return None
    whole = [said for clause in free if (said := _of_clause(clause, words, asked)) is not None]
    return whole[0] if len(set(whole)) == 1 else None


def _is_general(part: str, noun: str) -> bool:
    """Whether a sentence is about a kind of the thing asked about: `exothermic reactions`, for `the reaction`."""
    return (
        re.search(rf"(?:^|,\s)(?!the |these |those |both |all |two )[a-z]+ {re.escape(noun)}s\b", part, re.I)
        is not None
    )


def _of_clause(clause: str, words: list[str], asked: Asked) -> str | None:
    kept = _content(clause)
    denied = _NEGATION.search(clause) is not None
    if kept[:1] and kept[0] in _PRONOUNS:  # `It does not boil`: a pronoun for the subject
        rest = [word for word in kept[1:] if word not in _PRONOUNS]
        kept = [*words[: len(words) - len(rest)], *rest] if len(rest) < len(words) else kept
        if rest and denied and _in_order(rest, words):
            return "no"
        if not rest or (rest[-1] != words[-1] and not _opposites().keys() & set(rest)):
            return None
    if _share_in_order(words, kept) and not is_other(clause, asked, extremes=False):
        return "no" if denied else "yes"
    if any(_share_in_order(form, kept) for form in _forms(words)) and not is_other(clause, asked, extremes=False):
        return "yes" if denied else "no"
    if "than" in words and not denied and _is_swapped(words, kept):
        return "no"
    return None


@lru_cache(maxsize=1)
def _opposites() -> dict[str, tuple[str, ...]]:
    """The opposites of a word, all without endings."""
    opposites: dict[str, tuple[str, ...]] = {}
    for pair in _OPPOSITE_LIST.split(","):
        left, right = map(root, pair.split())
        opposites[left] = (*opposites.get(left, ()), right)
        opposites[right] = (*opposites.get(right, ()), left)
    return opposites


def _forms(words: list[str]) -> list[list[str]]:
    """The claim with one of its words turned into its opposite, for each that has one."""
    return [
        [*words[:place], opposite, *words[place + 1 :]]
        for place, word in enumerate(words)
        for opposite in _opposites().get(word, ())
    ]


def _is_swapped(words: list[str], kept: list[str]) -> bool:
    """Whether a comparison is made the other way round: `B is larger than A`."""
    place = words.index("than")
    if len(words) < 4 or "than" not in kept or kept.count("than") > 1:
        return False
    degrees = {word for word in words[:place] if word in ("more", "less", "fewer") or word.endswith("er")}
    left, right = set(words[:place]) - degrees, set(words[place + 1 :])
    own_left, own_right = left - right, right - left
    there = kept.index("than")
    before, behind = set(kept[:there]), set(kept[there + 1 :])
    return bool(own_left and own_right) and bool(degrees & before) and own_right <= before and own_left <= behind


def _content(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    found = [word for word in words if word not in _AUXILIARY and not word.endswith("n't")]
    return [root(word) for word in found if stem(word) not in _EMPTY] or [root(word) for word in found]


def _in_order(words: list[str], among: list[str]) -> bool:
    left = iter(among)
    return bool(words) and all(word in left for word in words)


def _share_in_order(words: list[str], among: list[str]) -> bool:
    """Whether the words stand there but for one in four, never the last; in order where two things are compared."""
    if "than" not in words and set(words) <= set(among):
        return True
    if 2 <= len(among) < len(words) and set(among) <= set(words) and words[0] in among and not {"than"} & set(words):
        return True
    found, place = [], 0
    for word in words:
        if word in among[place:]:
            place = among.index(word, place) + 1
            found.append(word)
    missing = len(words) - len(found)
    return bool(found) and found[-1] == words[-1] and missing <= len(words) // 4
