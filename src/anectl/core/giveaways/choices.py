"""Whether a text gives the right choices away: by letter, by place, by their text, or by ruling out all others."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from anectl.core.giveaways.conclusions import GENERIC
from anectl.core.giveaways.question import Asked, stem, stems
from anectl.core.giveaways.reading import rows, sentences, without_mark

_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_ARTICLE_OR_LETTER = r"A(?=\s*[.,;:?)\]/|*]|\s*$|\s+(?:and|or|nor|is|are|was|fits|holds|has|can|cannot|drops?)\b)"
_DENIAL = re.compile(
    r"\b(?:not|cannot|neither|nor|never|wrong|incorrect|false|impossible|rul(?:e|es|ed|ing) out|ruled|eliminat\w+"
    r"|cross(?:es|ed|ing)? out|drops? out|exclud\w+|discard\w*|reject\w*|remove\w*|none|out of the question"
    r"|too (?:small|large|big|long|short|high|low|many|few))\b|n't\b"
    r"|\b(?:rule|cross|strike)\b.{1,80}\bout\b",
    re.IGNORECASE,
)
_YES = re.compile(r"(?:yes|true|right|correct|best|holds?|✓|✔|x|1)[.!]?", re.IGNORECASE)
_NO = re.compile(r"(?:no|false|wrong|incorrect|✗|✘|-|0)[.!]?", re.IGNORECASE)
_COMPARATIVE = r"(?:the )?(?:\w+er|\w+est|more|most|less|least|best|right|correct|true|one|answer|only|fewer|fewest)\b"
_DEGREE = re.compile(r"\b(?:\w{2,}er|\w{2,}est|more|most|less|least|best|fewest)\b", re.IGNORECASE)
_AND = re.compile(r"\s*(?:,|/|\||;|&|\bor\b|\band\b|\bvs\.?|\bagainst\b)\s*(?:(?:and|or|the|an?)\s+)*", re.IGNORECASE)
_LONGEST = 400


@lru_cache(maxsize=256)
def _letter(letter: str) -> re.Pattern[str]:
    bare = _ARTICLE_OR_LETTER if letter == "A" else "I(?=[.,;:)/|]|$)" if letter == "I" else letter
    return re.compile(rf"(?<![\w'\\])(?:{bare})(?![\w'])|[(\[]\s*{letter}\s*[)\]]")


@lru_cache(maxsize=256)
def _picked(letter: str, place: int, last: bool) -> re.Pattern[str]:
    """What says that a letter is the one, wherever it stands in a text."""
    ordinals = "|".join([_ORDINALS[place]] if place < len(_ORDINALS) else []) + ("|last" if last else "")
    own = rf"[(\[*]{{0,3}}{letter}[)\]*]{{0,3}}(?![\w'])"
    return re.compile(
        rf"(?i:(?<!without its )(?<!without the )\b(?:options?|choices?|letters?|answers?|pick|choose|select|take"
        rf"|go for|选|選|答案是?:?|ответ:?))"
        rf"\s*:?\s*{own}"
        rf"|(?i:\b(?:is|are|be|therefore|thus|hence|so|remains|leaves))[:,]?\s+(?i:(?:option|choice|letter)\s+)?{own}"
        rf"(?=\s*(?:[.,;!)]|$|\bas\b|\bbecause\b))|[=:→]\s*{own}(?=\s*(?:[.,;!]|$))|(?<=[选選]){own}"
        rf"|^{own}[.!:]?\s*$|^{own}\s*:\s*(?i:yes|true|right|correct|✓|✔)"
        rf"|(?<![\w']){own}\s+(?i:fits|holds|works|wins|is\s+{_COMPARATIVE})"
        rf"|(?i:\b(?:is|pick|choose|take|select)\s+the\s+(?:{ordinals}))(?=\s*(?:[.,;!]|$|one\b|option|choice|answer))"
        rf"|(?i:\b(?:{ordinals})\s+(?:option|choice|answer|letter|one (?:is|fits|holds))\b)"
        rf"|(?i:\b(?:go|going|stick|settle|leaves (?:you|us)) (?:with|for|on)|\b(?:mark|tick|circle|only))\s+{own}"
        rf"|(?i:\b(?:all|every\w*|any\w*|nothing|none) (?:but|except|other than|besides))\s+{own}"
        rf"|(?<![\w']){own}\s+(?i:is it\b|(?:can|must|has to|should) be (?:right|correct|it)|remains|stays"
        rf"|survives|is left)"
    )


@lru_cache(maxsize=512)
def choice_text(text: str) -> re.Pattern[str] | None:
    """Where the text of a choice stands, in any spacing, also as a plural; null for one too short to search for."""
    words = re.findall(r"\w+", text)
    if words and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    if sum(map(len, words)) < 3 or text.lower() in ("yes", "no", "true", "false"):
        return None
    spaced = r"[\W_]{1,3}".join(map(re.escape, words))
    return re.compile(rf"(?<!\w){spaced}(?:e?s)?(?!\w)", re.IGNORECASE)


def names(part: str, letter: str, text: str) -> bool:
    """Whether a sentence mentions a choice, by its letter or by its text."""
    pattern = choice_text(text)
    if pattern is None:
        pattern = re.compile(rf"(?<![\w.,]){re.escape(text.strip())}(?![\w]|[.,][0-9])")
    return _letter(letter).search(part) is not None or pattern.search(part) is not None


def gives_letter(text: str, right: frozenset[str], choices: tuple[str, ...], asked: Asked) -> str | None:
    """The part of a folded text that names the right letters, by themselves or as those that remain."""
    letters = {chr(ord("A") + place): choice for place, choice in enumerate(choices)}
    parts = _answered([without_mark(part) for part in sentences(text)])
    tables = [cells for cells in rows(text) if len(cells) > 1]
    if found := _by_tables(tables, right, letters, asked):
        return found
    if found := _by_elimination(parts, right, letters):
        return found
    if len(right) > 1:
        return _together(parts, right, letters)
    (letter,) = right
    place = ord(letter) - ord("A")
    picked = _picked(letter, place, place == len(choices) - 1)
    for part in parts:
        if (m := picked.search(part)) and not _among_others(part, m, letters, letter):
            return m[0]
        if _has_what_is_asked(part, letter, asked):
            return part[:_LONGEST]
    return None


def _answered(parts: list[str]) -> list[str]:
    """The sentences; a question that the next one answers with no (`A? No.`) becomes a denial."""
    following = [*parts, ""][1:]
    return [
        f"not {part}" if part.endswith("?") and _NO.fullmatch(answer) else part
        for part, answer in zip(parts, following, strict=True)
    ]


def _has_what_is_asked(part: str, letter: str, asked: Asked) -> bool:
    """`B has the larger digit`, where the question asks which has."""
    m = re.match(rf"(?:\w+,?\s+)?[(\[]?{letter}[)\]]?\s+(?:is|has|was|are)\s+(.{{1,80}})", part)
    if m is None or _DENIAL.search(part):
        return False
    return bool(re.match(_COMPARATIVE, m[1], re.IGNORECASE)) and stems(m[1]) <= asked.words


def _among_others(part: str, picked: re.Match[str], letters: dict[str, str], letter: str) -> bool:
    """Whether a letter is denied there, or named beside all others: `compare (A), (B) and (C)`."""
    if _DENIAL.search(part[max(0, picked.start() - 40) : picked.start()]):
        return True
    return all(_letter(other).search(part) for other in letters if other != letter) and not _DENIAL.search(part)


def _by_elimination(parts: list[str], right: frozenset[str], letters: dict[str, str]) -> str | None:
    others = set(letters) - right
    denied: set[str] = set()
    for part in parts:
        if not _DENIAL.search(part) or any(names(part, letter, letters[letter]) for letter in right):
            continue
        denied |= {other for other in others - denied if names(part, other, letters[other])}
        if others and denied == others:
            return part[:_LONGEST]
    return None


def _by_tables(tables: list[list[str]], right: frozenset[str], letters: dict[str, str], asked: Asked) -> str | None:
    """Rows of choices with a verdict each, `A | true`: those that are affirmed are the right ones."""
    affirmed, rejected = set(), set()
    for cells in tables:
        owners = {letter for letter, choice in letters.items() if cells[0] in (letter, f"({letter})", choice)}
        verdict = cells[-1]
        if _NO.fullmatch(verdict):
            rejected |= owners
        elif _YES.fullmatch(verdict) or (verdict and stems(verdict) and stems(verdict) <= asked.words):
            affirmed |= owners
        elif (
            len(cells) == 2
            and verdict in right
            and stems(cells[0]) & (GENERIC | asked.words | {"letter", "option", "choice"})
        ):
            affirmed.add(verdict)
    if affirmed == right or (rejected and rejected == set(letters) - right):
        return " | ".join(sorted(affirmed or rejected))
    return None


def _together(parts: list[str], right: frozenset[str], letters: dict[str, str]) -> str | None:
    """Where the choices that a text mentions, and does not deny, are exactly the right ones."""
    run = "".join(sorted(right))
    mentioned: set[str] = set()
    for part in parts:
        if re.search(rf"(?<!\w){run}(?!\w)", part):
            return part[:_LONGEST]
        if not _DENIAL.search(part):
            mentioned |= {letter for letter, choice in letters.items() if names(part, letter, choice)}
    return ", ".join(sorted(mentioned)) if mentioned == right else None


def gives_choice_text(text: str, choice: str, choices: tuple[str, ...], asked: Asked) -> str | None:
    """Where the text of the right choice stands, unless among all others or in the question itself."""
    pattern = choice_text(choice)
    if pattern is None or pattern.search(asked.text):
        return None
    for part in sentences(text):
        m = pattern.search(part)
        if m is not None and not _is_enumeration(part, choices):
            return m[0]
    return next((part for part in sentences(text) if _stands_out(part, choice, choices, asked)), None)


def _stands_out(part: str, choice: str, choices: tuple[str, ...], asked: Asked) -> bool:
    """Whether the words that only this choice has stand beside what is asked: `the blue one has most`."""
    own = stems(choice).difference(*(stems(other) for other in choices if other != choice))
    others = frozenset[str]().union(*(stems(other) - stems(choice) for other in choices))
    said = stems(part)
    degrees = {stem(word) for word in _DEGREE.findall(part)}
    return bool(own) and own <= said and not others & said and bool(degrees & asked.words) and not _DENIAL.search(part)


def _is_enumeration(part: str, choices: tuple[str, ...]) -> bool:
    """Whether a sentence lists all choices one after the other: `red, green or blue`."""
    patterns = [choice_text(choice) for choice in choices]
    spans = sorted(m.span() for pattern in patterns if pattern and (m := pattern.search(part)))
    if len(spans) < len(choices) or len(choices) < 2:
        return False
    return all(_AND.fullmatch(part[left[1] : right[0]]) for left, right in pairwise(spans))
