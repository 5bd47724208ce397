"""Cut a completion into steps, so that joining them gives the completion back byte for byte.

Formulas, code, decimals, abbreviations and list numbers stay whole. A step keeps the line breaks behind it, and the
spaces before it: a tokenizer joins a space to the word that follows and a line break to what stands before it, so a
text cut there is continued as it would have been written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from anectl.core.errors import UsageError

Splitter = Callable[[str], tuple[str, ...]]
"""The steps of a text; they join to the text."""

RULES = ("sentences", "lines", "regex:PATTERN")

# How text opens that no step may end in, and how it closes.
_OPENER = re.compile(r"```|`|\$\$|\$(?=\S)|\\\(|\\\[|\\begin\{[a-zA-Z*]{1,32}\}")
_CLOSERS = {"```": "```", "`": "`", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
# As in Pandoc: what closes `$` has text before it and no digit behind it, so that prices stay prices.
_DOLLAR = re.compile(r"(?<=[^\s$\\])\$(?!\d)")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_WITHIN_PARAGRAPH = frozenset(("`", "$", "\\("))

_LINE_END = re.compile(r"\n\s*\n|\n")
# Possessive, and only from the start of a run: a megabyte of dots is read once.
_SENTENCE_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’)\]*_]*+(?=\s)|[。！？]++[”’」』）]*+|\n\s*\n|\n""")
_MOST_LOOKED_BACK = 40

_ABBREVIATIONS = frozenset(
    (
        *("e.g", "i.e", "cf", "vs", "approx", "ca", "resp", "viz", "al", "incl", "max", "min", "avg"),
        *("dr", "mr", "mrs", "ms", "prof", "st", "fig", "figs", "eq", "eqs", "eqn", "sec", "ref", "refs"),
        *("thm", "lem", "prop", "def", "cor"),
    )
)
# Words that are abbreviations before a number only: `No. 5`, but `No. The line ...`.
_BEFORE_NUMBERS = frozenset(("no", "nos", "p", "pp", "ch", "vol", "ex", "art"))
# Before a small letter a sentence goes on behind these.
_BEFORE_SMALL = frozenset(("etc", "a.m", "p.m", "u.s"))
_ENUMERATOR = re.compile(r"[\s>*_#-]*(?:(?:step|case|part)\s+)?\(?(?:\d{1,3}|[a-zA-Z])[.)]*[*_]*\.?[*_]*\s*", re.I)
_HEADING = re.compile(r"\s*#{1,6}\s[^\n]*\n\s*|[^\n]*:[*_]*[ \t\r]*\n\s*")
_HAS_WORD = re.compile(r"[^\W_]")


def splitter(rule: str) -> Splitter:
    """The splitter of `sentences`, `lines` or `regex:PATTERN`. Raises UsageError for any other rule.

    `sentences` cuts at the ends of sentences and at line breaks, `lines` at line breaks only; both leave what has no
    word in it with the step before, and a heading or a line that ends in a colon with the step behind.
    `regex:PATTERN` cuts behind every match, whatever it cuts through.
    """
    if rule == "sentences":
        return split_sentences
    if rule == "lines":
        return split_lines
    kind, _, pattern = rule.partition(":")
    if kind != "regex" or not pattern:
        raise UsageError(f"unknown rule {rule!r} for steps", hint="rules: " + ", ".join(RULES))
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{rule!r} is not a regular expression: {error}") from None
    return lambda text: _cut(text, (match.end() for match in compiled.finditer(text)))


def split_lines(text: str) -> tuple[str, ...]:
    """One step a line; formulas and code that go over several lines are one step with the line they begin in."""
    spans = _Spans(text)
    return _joined(_cut(text, (match.end() for match in _LINE_END.finditer(text) if not spans.hold(match.start()))))


def split_sentences(text: str) -> tuple[str, ...]:
    """One step a sentence; a line break ends a sentence too."""
    return _joined(_cut(text, _sentence_ends(text)))


def _sentence_ends(text: str) -> Iterator[int]:
    spans = _Spans(text)
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        if spans.hold(match.start()):
            continue
        if match.group().startswith(".") and _goes_on(text, begin, match):
            continue
        begin = match.end()
        yield begin


def _goes_on(text: str, begin: int, end: re.Match[str]) -> bool:
    """Whether a full stop ends an abbreviation or a list number, not the sentence that began at `begin`."""
    before = text[max(begin, end.start() - _MOST_LOOKED_BACK) : end.start()].strip()
    word = before.rsplit(maxsplit=1)[-1].lstrip("([{\"'*_").lower() if before else ""
    # The blanks behind the stop are few in any text that is worth a look.
    behind = text[end.end() : end.end() + 8].lstrip()[:1]
    if word in _ABBREVIATIONS:
        return True
    if word in _BEFORE_NUMBERS:
        return behind.isdigit()
    if word in _BEFORE_SMALL:
        return behind.islower() or behind in (",", ")")
    is_whole = end.start() - begin <= _MOST_LOOKED_BACK
    return is_whole and _ENUMERATOR.fullmatch(text, begin, end.end()) is not None and behind != ""


def _cut(text: str, ends: Iterable[int]) -> tuple[str, ...]:
    """The pieces between the ends; none is empty."""
    pieces = []
    begin = 0
    for end in ends:
        if end > begin:
            pieces.append(text[begin:end])
            begin = end
    if begin < len(text):
        pieces.append(text[begin:])
    return tuple(pieces)


def _joined(pieces: tuple[str, ...]) -> tuple[str, ...]:
    """The pieces, those that say nothing by themselves joined to a neighbour."""
    steps: list[str] = []
    waiting: list[str] = []
    for piece in pieces:
        if not _HAS_WORD.search(piece) and steps and not waiting:
            steps[-1] += piece
        elif not _HAS_WORD.search(piece) or _HEADING.fullmatch(piece):
            waiting.append(piece)
        else:
            steps.append("".join((*waiting, piece)))
            waiting.clear()
    if waiting:
        rest = "".join(waiting)
        # A heading without anything below it is a step; a tail without words belongs to the last one.
        if steps and not _HAS_WORD.search(rest):
            steps[-1] += rest
        else:
            steps.append(rest)
    return tuple(steps)


class _Spans:
    """The parts of a text that stay whole; found in one pass, in time linear in its length."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._next: dict[str, int] = {}
        place = 0
        while opener := _OPENER.search(text, place):
            end = self._end(opener)
            place = opener.end() if end is None else end
            if end is not None:
                self._begins.append(opener.start())
                self._ends.append(end)

    def hold(self, place: int) -> bool:
        """Whether the character at `place` is within a part that stays whole."""
        number = bisect_right(self._begins, place) - 1
        return number >= 0 and place < self._ends[number]

    def _end(self, opener: re.Match[str]) -> int | None:
        """Where the part that begins here ends; null when nothing closes it."""
        mark = "$" if opener.group() == "$" else opener.group()
        closer = _CLOSERS.get(mark, mark.replace("\\begin", "\\end"))
        found = self._find(closer, opener.end())
        if found < 0:
            return None
        if mark in _WITHIN_PARAGRAPH and 0 <= self._find("\n\n", opener.end()) < found:
            return None
        return found + len(closer)

    def _find(self, mark: str, begin: int) -> int:
        """The next place of a mark from `begin` on, -1 for none. `begin` only grows, so no text is searched twice."""
        known = self._next.get(mark)
        if known is not None and (known < 0 or known >= begin):
            return known
        if mark == "$" or mark == "\n\n":
            match = (_DOLLAR if mark == "$" else _BLANK_LINE).search(self._text, begin)
            found = match.start() if match else -1
        else:
            found = self._text.find(mark, begin)
        self._next[mark] = found
        return found
