"""Where a text mentions the choices of a question: by letter, by text, as a formula, by what one has of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from anectl.core.giveaways.reading import folded

ARTICLE_OR_LETTER = r"A(?=\s*[.,;:?)\]/|*]|\s*$|\s+(?:and|or|nor|is|are|was|fits|holds|has|can|cannot|drops?|fails?)\b)"
_FORMULA = re.compile(r"[=<>+*/^|→]|(?<=\w)\s?-\s?(?=\w)")
_WORDY = re.compile(r"[^\W\d_]{4,}")
_SPACED_SIGN = re.compile(r"\s*([=<>+*/^|→,-])\s*")
_AT_LEAST = re.compile(r"\\g(?:e|eq|eqslant)(?![A-Za-z])|≥")
_AT_MOST = re.compile(r"\\l(?:e|eq|eqslant)(?![A-Za-z])|≤")
_TRUTHS = ("yes", "no", "true", "false")


@dataclass(frozen=True, slots=True)
class Choice:
    """How one choice is mentioned; a pattern is null where it cannot be told from other words."""

    letter: str
    text: str
    by_letter: re.Pattern[str]
    by_text: re.Pattern[str] | None
    by_formula: re.Pattern[str] | None
    by_own_words: re.Pattern[str] | None
    head: str

    def text_in(self, part: str) -> re.Match[str] | None:
        """Where a sentence has the text of the choice."""
        if self.by_formula is not None:
            return self.by_formula.search(in_formulas(part))
        if self.by_text is not None and (m := self.by_text.search(part)):
            return m
        if self.by_own_words is not None and self.head in part.lower():
            return self.by_own_words.search(part)
        return None

    def is_in(self, part: str) -> bool:
        """Whether a sentence mentions the choice in any way."""
        return self.by_letter.search(part) is not None or self.text_in(part) is not None


def in_formulas(text: str) -> str:
    """A folded text with one notation of inequalities and no spaces around signs."""
    return _SPACED_SIGN.sub(r"\1", _AT_MOST.sub("<=", _AT_LEAST.sub(">=", text)))


@lru_cache(maxsize=256)
def letter_pattern(letter: str) -> re.Pattern[str]:
    """A letter as the name of a choice, which `A` and `I` often are not."""
    bare = ARTICLE_OR_LETTER if letter == "A" else "I(?=[.,;:)/|]|$)" if letter == "I" else letter
    return re.compile(rf"(?<![\w'\\])(?:{bare})(?![\w'])|[(\[]\s*{letter}\s*[)\]]")


@lru_cache(maxsize=256)
def mentions_of(choices: tuple[str, ...]) -> tuple[Choice, ...]:
    """How each of the choices is mentioned."""
    head, tails = _common_head(choices)
    made = []
    for place, (choice, tail) in enumerate(zip(map(folded, choices), tails, strict=True)):
        formula = _formula_pattern(choice)
        own = re.compile(rf"(?<![\w'.]){re.escape(tail)}(?![\w'])") if tail else None
        letter = chr(ord("A") + place)
        made.append(Choice(letter, choice, letter_pattern(letter), choice_text(choice), formula, own, head))
    return tuple(made)


def choice_text(text: str) -> re.Pattern[str] | None:
    """Where the text of a choice stands, in any spacing, also as a plural; null for one too short to search for."""
    words = re.findall(r"\w+", text)
    if words and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    if text.lower() in _TRUTHS or not words:
        return None
    if sum(map(len, words)) < 3:
        return re.compile(rf"(?<![\w.,\\']){re.escape(text.strip())}(?![\w']|[.,][0-9])") if text.strip() else None
    spaced = r"[\W_]{1,3}".join(map(re.escape, words))
    return re.compile(rf"(?<!\w){spaced}(?:e?s)?(?!\w)", re.IGNORECASE)


def is_short(text: str) -> bool:
    """Whether a choice is so short that its text stands in texts for other reasons: a letter, a digit."""
    return sum(map(len, re.findall(r"\w+", text))) < 3 and len(text.strip()) < 4


def _formula_pattern(choice: str) -> re.Pattern[str] | None:
    plain = in_formulas(folded(choice).strip())
    if not _FORMULA.search(plain) or _WORDY.search(plain):
        return None
    return re.compile(rf"(?<![\w+*/^.=<>-]){re.escape(plain)}(?![\w+*/^=<>-]|\.[0-9])")


def _common_head(choices: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The word that all choices begin with, and what each has behind it: `line` and p, q, r."""
    words = [choice.split() for choice in choices]
    first = {one[0].lower() if one else "" for one in words}
    if len(choices) < 2 or len(first) != 1 or any(len(one) != 2 for one in words):
        return "", ("",) * len(choices)
    return first.pop(), tuple(one[1] for one in words)
