"""What a page of the docs holds that can be wrong: code blocks, the commands in them, headings and links."""

from __future__ import annotations

import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks)[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_LOOP = re.compile(r"\bfor (\w+) in ([^\s;]+)[^;]*; do\b")
_SHELL_WORDS = frozenset({"do", "then", "else", "if", "while", "!", "{", "time"})
_ENDS = frozenset({"|", "||", "|&", "&", "&&", ";", "(", ")", "\n"})


class Block(NamedTuple):
    """A fenced code block: its language, the words behind that, its text, and the line it begins at."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """The code blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(page):
        language, *words = match["info"].split() or [""]
        text = textwrap.dedent(match["text"])
        found.append(Block(language, tuple(words), text, page.count("\n", 0, match.start()) + 1))
    return found


def commands(script: str) -> Iterator[list[str]]:
    """Every simple command of a shell script as its words; a loop is read with the first value of its variable."""
    script = script.replace("\\\n", " ")
    for name, value in _LOOP.findall(script):
        script = re.sub(rf"\$\{{?{name}\b\}}?", value, script)
    script = _LOOP.sub("", script)
    for line in script.splitlines():
        words: list[str] = []
        for token in [*_tokens(line), "\n"]:
            if token in _ENDS:
                if command := _bare(words):
                    yield command
                words = []
            else:
                words.append(token)


def _tokens(line: str) -> list[str]:
    line = re.sub(r"(?<=\s)2(?=>)", "", line)
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    reader.whitespace_split = True
    reader.commenters = "#"
    return list(reader)


def _bare(words: list[str]) -> list[str]:
    """A command without redirections, words of the shell's own language, and assignments before it."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if set(word) <= set("<>&") and word:
            next(rest, None)
        else:
            kept.append(word)
    while kept and (kept[0] in _SHELL_WORDS or re.match(r"\w+=", kept[0])):
        kept.pop(0)
    return [] if kept in (["done"], ["fi"], ["}"]) else kept


def without_blocks(page: str) -> str:
    """The prose of a page: no code blocks, no code in a line."""
    return re.sub(r"(`+)[^`\n](?:.*?[^`])??\1(?!`)", "``", _FENCE.sub("", page))


def spans(page: str) -> list[str]:
    """The code within lines of prose and tables, on one line each."""
    return [" ".join(code.split()) for _, code in re.findall(r"(`+)([^`]+?)\1(?!`)", _FENCE.sub("", page))]


def links(page: str) -> list[str]:
    """Where the links and pictures of a page lead."""
    return _LINK.findall(without_blocks(page))


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, made as GitHub and GitLab make them."""
    found: dict[str, int] = {}
    names = set()
    for heading in _HEADING.findall(_FENCE.sub("", page)):
        slug = slug_of(heading)
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def slug_of(heading: str) -> str:
    """Lower case, spaces as hyphens, no punctuation; of a link its text."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    kept = (char for char in text if char in " -_" or unicodedata.category(char)[0] in "LN")
    return "".join(kept).strip().replace(" ", "-")
