"""Prompts as data files, for a model that writes scaffolds, reads them or judges. A linter finds all their faults."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from anectl.core.errors import AnectlError
from anectl.core.records import Message
from anectl.core.templates import TemplateFault

_KEYS = ("system", "user")
_PLACE = re.compile(r"\{(\w+)\}")
# What TeX puts in braces is an argument: \boxed{x}, \frac{a}{b}, x^{n}.
_TEX = re.compile(r"(?:\\[a-zA-Z]+|[\^_])(?:\{\w+\})+")


@dataclass(frozen=True, slots=True)
class PromptKind:
    """What the prompts of a kind may and must say. `name` is also that of the file that comes with anectl.

    `places` are the slots; `needed` are those that the user text must have, each with what its lack would mean;
    `words` must be asked for somewhere, for `replies` say how a reply is read.
    """

    name: str
    places: tuple[str, ...]
    needed: Mapping[str, str]
    words: tuple[str, ...]
    replies: str


@dataclass(frozen=True, slots=True)
class ModelPrompt:
    """The two patterns of a prompt."""

    system: str
    user: str

    @property
    def digest(self) -> str:
        """Eight hex digits that change with any word of the prompt."""
        return hashlib.blake2b(f"{self.system}\0{self.user}".encode(), digest_size=4).hexdigest()

    def conversation(self, parts: Mapping[str, str]) -> tuple[Message, Message]:
        """The messages with the slots filled, in one pass: a question that itself says `{answer}` stays as it is."""
        filled = [_PLACE.sub(lambda m: parts.get(m[1], m[0]), text).strip() for text in (self.system, self.user)]
        return Message(role="system", content=filled[0]), Message(role="user", content=filled[1])


def load_prompt(path: Path | None, kind: PromptKind) -> ModelPrompt:
    """The prompt of a YAML file, or the one that comes with anectl. Raises AnectlError with every fault."""
    place = f"{kind.name}.yaml" if path is None else str(path)
    try:
        text = path.read_text("utf8") if path else (resources.files("anectl") / f"templates/{place}").read_text("utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnectlError(f"not a {kind.name}'s prompt: {error}", path=place) from None
    prompt, faults = lint_prompt(text, kind)
    if prompt is None:
        first, *others = faults
        more = "".join(f"\n{place}:{fault.line}: {fault.problem} ({fault.hint})" for fault in others)
        raise AnectlError(first.problem + more, path=place, line=first.line, hint=first.hint)
    return prompt


def kind_of(path: Path, kinds: Sequence[PromptKind]) -> PromptKind | None:
    """Which of the kinds a file is meant for: the one that most of its slots and words are of.

    Null for a file without the keys of a prompt, and for one that cannot be read.
    """
    try:
        lines = path.read_text("utf8").split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    if re.search(rf"^({'|'.join(_KEYS)})[ ]*:", text, re.MULTILINE) is None:
        return None
    return max(kinds, key=lambda kind: sum(f"{{{name}}}" in text for name in kind.needed) + sum(_asked_for(kind, text)))


def _asked_for(kind: PromptKind, text: str) -> list[bool]:
    """Which of the words that must be asked for stand in a text."""
    return [re.search(rf"\b{word}\b", text) is not None for word in kind.words]


def lint_prompt(text: str, kind: PromptKind) -> tuple[ModelPrompt | None, list[TemplateFault]]:
    """The prompt of a file's text, null where it has faults; and the faults in order of lines."""
    import yaml  # 10 ms that only runs with such a model should pay

    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"not a {kind.name}'s prompt: {getattr(error, 'problem', error)}"
        return None, [TemplateFault(1 if mark is None else mark.line + 1, problem, "the file is no YAML")]
    if not isinstance(loaded, dict) or loaded.keys() != set(_KEYS):
        complaint = f"a {kind.name}'s prompt has exactly the keys system and user"
        return None, [TemplateFault(1, complaint, "add or remove keys")]
    faults = sorted(_faults(loaded, text.split("\n"), kind), key=lambda fault: fault.line)
    return (None, faults) if faults else (ModelPrompt(loaded["system"], loaded["user"]), [])


def _faults(loaded: Mapping[str, object], lines: list[str], kind: PromptKind) -> Iterator[TemplateFault]:
    def line_of(part: str) -> int:
        return next((number for number, line in enumerate(lines, 1) if part in line), 1)

    texts = [str(value) for value in loaded.values()]
    for key, value in loaded.items():
        if not isinstance(value, str) or not value.strip():
            yield TemplateFault(line_of(key), f"{key}: expected text", "put it in quotes")
    for name in dict.fromkeys(place for text in texts for place in _PLACE.findall(_TEX.sub("", text))):
        if name not in kind.places:
            places = ", ".join(kind.places)
            yield TemplateFault(line_of(f"{{{name}}}"), f"unknown slot {name!r}", f"slots are {places}")
    for name, lack in kind.needed.items():
        if f"{{{name}}}" not in str(loaded["user"]):
            yield TemplateFault(line_of("user"), f"the user text lacks {{{name}}}", lack)
    for word, is_there in zip(kind.words, _asked_for(kind, "\n".join(texts)), strict=True):
        if not is_there:
            yield TemplateFault(line_of("system"), f"asks for no {word}", kind.replies)
