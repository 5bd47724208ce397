"""Whether a text gives choices away without naming them: by their place, by what is beside, by ruling out others."""

from __future__ import annotations

import re
from functools import lru_cache

from anectl.core.giveaways.mentioned import Choice, mentions_of
from anectl.core.giveaways.picked_texts import DENIAL, TASK
from anectl.core.giveaways.question import Asked, stem
from anectl.core.giveaways.reading import clauses
from anectl.core.giveaways.spelling import ORDINALS

_LAST = ("last", "final", "bottom", "bottommost", "lowermost")
_FIRST = ("first", "top", "topmost", "uppermost")
_OPTION = r"(?:option|choice|answer|alternative|possibility|candidate|statement|entry|item|proposal|suggestion)"
_REMAINS = re.compile(
    r"\b(?:remaining|remains?|only one left|one left|is left|leaves|left over|leftover|the other|that settles|survivor"
    r"|sole|process of elimination|what is left|last one standing)\b",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"(?:\b(?:right|just|immediately|directly|straight|next) |\b(?:option|choice|one|answer|letter|line|entry)"
    r"(?: that| which)?(?: comes| stands| is| listed| follows)? )"
    r"(after|before|below|above|under|over|behind|following|preceding|beneath) ",
    re.IGNORECASE,
)
_BEFORE = frozenset(("before", "above", "over", "preceding"))
_INITIAL = re.compile(
    r"\b(?:starts?|begins?|starting|beginning) with (?:the letter |an? )?['\"]?([A-Za-z])['\"]?(?![\w'])", re.IGNORECASE
)
_GROUP = re.compile(
    r"\b(?:none|not any|neither|nothing) (?:of|among) the (first|last) (two|three|four|five)\b", re.IGNORECASE
)
_PLACE_WORDS = {word: place for place, word in enumerate(ORDINALS)}
_PLACE_WORDS |= {word: place for place, word in enumerate(("one", "two", "three", "four", "five", "six"))}
_PLACE_WORDS |= {word: place for place, word in enumerate(("1st", "2nd", "3rd", "4th", "5th", "6th"))}
_PLACE_WORD = re.compile(rf"\b(?:{'|'.join(_PLACE_WORDS)})\b", re.IGNORECASE)
_SEVERAL_PLACES = re.compile(
    rf"(?:\b{_OPTION}s(?: numbers?)? |\b(?:the )?)(?:{_PLACE_WORD.pattern})(?:,? (?:and )?(?:the "
    rf")?(?:{_PLACE_WORD.pattern}))+",
    re.IGNORECASE,
)
_OPTION_NAMED = re.compile(rf"\b{_OPTION}s?\b", re.IGNORECASE)
_SEVERAL = re.compile(rf"\b(first|top|last|final|bottom) (two|three|four|five) {_OPTION}s\b", re.IGNORECASE)
_SIZES = {"two": 2, "three": 3, "four": 4, "five": 5}


@lru_cache(maxsize=512)
def _placing(place: int, count: int) -> re.Pattern[str]:
    words = [ORDINALS[place]] if place < len(ORDINALS) else []
    words += _LAST if place == count - 1 else ()
    words += _FIRST if place == 0 else ()
    words += ("second to last", "penultimate", "last but one") if place == count - 2 and count > 2 else ()
    words += ("middle",) if count % 2 and place == count // 2 else ()
    ordinal = "|".join(sorted(words, key=len, reverse=True))
    return re.compile(
        rf"\b(?:{ordinal})\b(?: (?:and|or|,)[^.]{{0,20}})?(?: (?:of|among|in) (?:the|these"
        rf"|those) (?:\w+ )??(\w+s|list)\b"
        rf"| (?:\w+ )?(?:on|in|of) (?:the|your|this) list| (?:listed )?{_OPTION}s?\b)|\b{_OPTION} (?:in|at) the "
        rf"(?:{ordinal})\b|\b(?:listed|stands|comes|is|standing) (?:as )?(?:the )?(?:{ordinal})"
        rf"(?=\s*(?:[.,;!)]|$|in the list|on the list|among))",
        re.IGNORECASE,
    )


def places(part: str, choices: tuple[str, ...], asked: Asked) -> frozenset[int]:
    """The places of the choices that a sentence names by an ordinal: `the third option`, `the last of the four`."""
    if not re.search(
        r"\b(?:\w+st|second|2nd|third|3rd|\w+th|final|bottom|top|middle|penultimate|lowermost|one"
        r"|two)\b",
        part,
        re.IGNORECASE,
    ):
        return frozenset()
    found = set()
    for place in range(len(choices)):
        for m in _placing(place, len(choices)).finditer(part):
            kind = stem(m[1]) if m[1] else None
            if (
                kind is None
                or kind in asked.words
                or re.fullmatch(
                    rf"{_OPTION}|list|four|five|three|line|value"
                    rf"|figure|possibility|given",
                    kind,
                )
            ):
                found.add(place)
    for m in _SEVERAL_PLACES.finditer(part) if _OPTION_NAMED.search(part) else ():
        found.update(_PLACE_WORDS[word.lower()] for word in _PLACE_WORD.findall(m[0]))
    for m in _SEVERAL.finditer(part):
        size = _SIZES[m[2].lower()]
        if size < len(choices):
            found.update(range(size) if m[1].lower() in _FIRST else range(len(choices) - size, len(choices)))
    return frozenset(found)


def gives_by_place(parts: list[str], right: frozenset[str], choices: tuple[str, ...], asked: Asked) -> str | None:
    """Where sentences name just the right choices by their places, or by what stands beside them in the list."""
    wanted = frozenset(ord(letter) - ord("A") for letter in right)
    for part in parts:
        if TASK.search(part) or part.endswith("?"):
            continue
        denied = DENIAL.search(part) is not None
        if any(places(one, choices, asked) == wanted for one in (part, *clauses(part)) if not DENIAL.search(one)):
            return part[:400]
        if denied and places(part, choices, asked) == frozenset(range(len(choices))) - wanted:
            return part[:400]
        if len(wanted) == 1 and _beside(part, choices) in wanted:
            return part[:400]
        if len(wanted) == 1 and (m := _INITIAL.search(part)):
            starting = [place for place, choice in enumerate(choices) if choice.lower().startswith(m[1].lower())]
            if starting == list(wanted):
                return part[:400]
        if (group := _GROUP.search(part)) and _SIZES[group[2].lower()] == len(choices) - 1:
            left = 0 if group[1].lower() == "last" else len(choices) - 1
            if wanted == {left}:
                return part[:400]
    return None


def _beside(part: str, choices: tuple[str, ...]) -> int | None:
    m = _BESIDE.search(part)
    if m is None:
        return None
    rest = part[m.end() : m.end() + 80]
    for place, choice in enumerate(mentions_of(choices)):
        found = choice.text_in(rest) or choice.by_letter.search(rest)
        if found is not None and found.start() <= 12:
            return place - 1 if m[1].lower() in _BEFORE else place + 1
    return None


def gives_by_elimination(parts: list[str], right: frozenset[str], choices: tuple[str, ...]) -> str | None:
    """Where all other choices are denied, or all others and only they are spoken of."""
    known = mentions_of(choices)
    others = frozenset(choice.letter for choice in known) - right
    if not others:
        return None
    denied: set[str] = set()
    spoken: set[str] = set()
    remains, alone, right_named = False, False, False
    for part in parts:
        named = _named(part, known)
        right_named = right_named or bool(named & right)
        denies = DENIAL.search(part) is not None
        if denies and not named & right:
            denied |= named
            if denied >= others:
                return part[:400]
        if not TASK.search(part) and not part.endswith("?"):
            spoken |= named
            remains = remains or denies or _REMAINS.search(part) is not None
            alone = alone or named == others
    if right_named or spoken != others:
        return None
    return parts[-1][:400] if remains or (alone and len(others) > 1) else None


def _named(part: str, known: tuple[Choice, ...]) -> frozenset[str]:
    return frozenset(choice.letter for choice in known if choice.is_in(part))
