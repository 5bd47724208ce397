"""Questions as tokens, so that a leak is found under another spelling: case, punctuation, numbers in words.

Numbers are one token whatever their spelling (`three`, `3`, `3.0`; `1,000` and `a thousand`). n-grams are hashed to 63
bits, as SQLite's integers hold them: with ten million of them a chance match of one lookup has odds of 1 in 10^12.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from anectl.core.grading.normalise import ascii_forms
from anectl.core.grading.numerals import plain_number
from anectl.core.grading.words import NUMBER_WORDS, leading_number

Tokens = tuple[str, ...]

# Letters, numbers (with grouped thousands and decimals), and the signs that make another question of the same words.
_TOKEN = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|[^\W\d_]+|[+*/=<>^%\u00b0-]")
_NUMBER = re.compile(r"[0-9][0-9,.]*")
_DASH_IN_WORD = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
# The commands of LaTeX that change how a formula looks and not what it says.
_LOOKS = re.compile(r"\\(?:left|right|displaystyle|mathrm|text|mathbf|quad|[,;:! ])(?![A-Za-z])")
_WORD = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
# No longer number is read, so that a text of nothing but number words takes linear time.
_NEXT = rf"(?:[\s-]{{1,3}}(?:{_WORD}|and|an?)(?![^\W_])){{0,11}}"
_WRITTEN_NUMBER = re.compile(rf"(?<![^\W_])(?:(?:a|an)\s+(?={_WORD}))?(?:{_WORD})(?![^\W_]){_NEXT}", re.I)
_LONGEST_NUMBER = 120  # characters of digits that are read as a number


def tokens(text: str) -> Tokens:
    """The words, numbers and signs of a text in lower case, numbers in one spelling; never raises."""
    text = _LOOKS.sub(" ", ascii_forms(text)).casefold()
    return tuple(_in_one_spelling(found) for found in _TOKEN.findall(_DASH_IN_WORD.sub(" ", _in_digits(text))))


def _in_one_spelling(token: str) -> str:
    if not token[0].isdecimal() or len(token) > _LONGEST_NUMBER:
        return token
    whole, _, decimals = token.replace(",", "").partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _in_digits(text: str) -> str:
    """The text with its numbers in words written in digits (`twenty-one` is 21, `two thirds` 2/3)."""
    parts, done = [], 0
    while found := _WRITTEN_NUMBER.search(text, done):
        digits, length = _read(found[0])
        if not length:
            # None is read here; the words behind the first one may still be a number.
            length = len(re.split(r"[\s-]", found[0], maxsplit=1)[0])
            digits = found[0][:length]
        parts += [text[done : found.start()], digits]
        done = found.start() + length
    return "".join([*parts, text[done:]])


@lru_cache(maxsize=4096)
def _read(words: str) -> tuple[str, int]:
    """The number that these words begin with, in digits, and how long it is; 0 where it is none."""
    read = leading_number(words)
    return ("", 0) if read is None else (f" {plain_number(read[0])} ", read[2])


def masked(words: Sequence[str]) -> Tokens:
    """Tokens with every number as `#` and every single letter as `?`: equal for the questions of one template."""
    return tuple(
        "#" if _NUMBER.fullmatch(word) else "?" if len(word) == 1 and word.isalpha() else word for word in words
    )


def gram_keys(words: Sequence[str], size: int) -> frozenset[int]:
    """The hashes of all runs of `size` tokens; none where the text is shorter."""
    return frozenset(text_key(words[start : start + size]) for start in range(len(words) - size + 1))


def text_key(words: Iterable[str]) -> int:
    """A 63-bit hash of a sequence of tokens."""
    raw = hashlib.blake2b("\0".join(words).encode("utf8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little") >> 1


def shared_share(one: Sequence[str], other: Sequence[str]) -> float:
    """Share of tokens that two texts have in common, repeats counted (Dice): 0 for none, 1 for the same words."""
    if not one or not other:
        return float(not one and not other)
    left: dict[str, int] = {}
    for word in one:
        left[word] = left.get(word, 0) + 1
    common = 0
    for word in other:
        if left.get(word, 0):
            left[word] -= 1
            common += 1
    return 2 * common / (len(one) + len(other))
