"""Scaffold templates: data files with the words around the slots, and the linter that every one of them passes.

The linter finds all faults of a file at once, each with its line and what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from anectl.core.errors import AnectlError

if TYPE_CHECKING:
    from yaml import Node

SLOTS = ("knowledge", "plan", "facts", "partial", "worked")
"""What a level can show, least first."""
SLOT = re.compile(rf"\{{({'|'.join(SLOTS)})\}}")
"""Where a level shows something, wherever it stands; other braces are words of the template, such as LaTeX."""
NUM_LEVELS = 6

_KEYS = ("name", "frame", "levels")
_FRAME_SLOTS = ("question", "scaffold")
# The braces of `\boxed{}` are no slot.
_SLOT = re.compile(r"(?<![A-Za-z\\])\{([^{}\n]*)\}|\\?[A-Za-z]*\{[^{}\n]*\}")
_ANSWER_SLOT = re.compile(r"(?:final_?)?(?:answers?|result|gold|truth|solution|target)", re.IGNORECASE)
_SAYS_ANSWER = re.compile(
    r"\b(?:answer|result|solution)\s+(?:is|equals|will be|=)(?![A-Za-z])|\b(?:the|final|correct|right)\s+answer\s*[:=]"
    r"|\\boxed\s*\{\s*[^\s}]",
    re.IGNORECASE,
)
_REPEATS = re.compile(
    r"\b(?:repeat|restate|quote|copy|cite|mention|recite|paraphrase|summari[sz]e|refer to|write (?:down|out)"
    r"|(?:begin|start) (?:with|by))\b[^.;\n]{0,60}\b(?:hints?|notes?|scaffold|help|above|\{scaffold\})",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|n't|never|without|avoid|nor|neither|no need to)\b[^.;\n]{0,40}$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Template:
    """The words around the slots; `levels[i]` is the pattern of level i + 1."""

    name: str
    frame: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """What is wrong with a template, in which line (from 1), and what to do about it."""

    line: int
    problem: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of a template with the line of its key."""

    key: str
    value: str
    line: int
    lines: tuple[str, ...]

    def line_of(self, part: str) -> int:
        """The line in which a part of the text stands; that of its key where the file writes it in another way."""
        return next((self.line + place for place, line in enumerate(self.lines) if part in line), self.line)


def load_template(path: Path | None) -> Template:
    """Read a template file, or the packaged default.

    Raises AnectlError with every fault that the linter finds, each with its line and a hint.
    """
    place = str(path or "default.yaml")
    try:
        text = path.read_text("utf8") if path else (resources.files("anectl") / "templates/default.yaml").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AnectlError(f"not a scaffold template: {error}", path=place) from None
    template, faults = lint_template(text)
    if template is None:
        first, *others = faults
        problem = "".join(f"\n{place}:{fault.line}: {fault.problem} ({fault.hint})" for fault in others)
        own = f"{first.problem} ({first.hint})" if others else first.problem
        raise AnectlError(own + problem, path=place, line=first.line, hint=None if others else first.hint)
    return template


def lint_template(text: str) -> tuple[Template | None, list[TemplateFault]]:
    """The template of a file's text, null where it has faults; and the faults in order of lines."""
    import yaml  # 20 ms that `anectl --help` should not pay

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        return None, [TemplateFault(line, f"not a scaffold template: {_said(error)}", "the file is no YAML")]
    reader = _Reader(text.split("\n"))
    parts = reader.mapping(root, _KEYS, "a scaffold template has exactly the keys name, frame and levels")
    levels = reader.levels(parts.get("levels"))
    name, frame = reader.text("name", parts.get("name")), reader.text("frame", parts.get("frame"))
    faults = [*reader.faults, *(_frame_faults(frame) if frame else ()), *_level_faults(levels)]
    faults.sort(key=lambda fault: fault.line)
    if faults or name is None or frame is None:
        return None, faults
    return Template(name.value, frame.value, tuple(levels[level].value for level in range(1, NUM_LEVELS))), []


def _said(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).split("\n")[0]


class _Reader:
    """Takes a YAML tree apart, and notes what is missing or of the wrong kind."""

    def __init__(self, lines: list[str]) -> None:
        self.faults: list[TemplateFault] = []
        self._lines = lines

    def mapping(self, node: Node | None, keys: tuple[str, ...], rule: str) -> dict[str, tuple[Node, Node]]:
        """The entries of a mapping by key, each as (key, value); the wrong keys are faults."""
        entries: dict[str, tuple[Node, Node]] = {}
        if node is None or node.tag != "tag:yaml.org,2002:map":
            self.faults.append(TemplateFault(1 if node is None else _line(node), rule, "a mapping is wanted here"))
            return entries
        for key, value in node.value:
            if str(key.value) in entries:
                self.faults.append(TemplateFault(_line(key), f"{key.value!r} stands twice", "keep one of them"))
            elif str(key.value) not in keys:
                self.faults.append(TemplateFault(_line(key), f"{rule}, not {key.value!r}", _nearest(key.value, keys)))
            entries[str(key.value)] = (key, value)
        missing = [key for key in keys if key not in entries]
        if missing:
            self.faults.append(TemplateFault(_line(node), f"{rule}: {', '.join(missing)} missing", "add it"))
        return entries

    def text(self, key: str, entry: tuple[Node, Node] | None) -> _Text | None:
        """The text of an entry; null and a fault where it is none."""
        if entry is None:
            return None
        value = entry[1]
        if value.tag != "tag:yaml.org,2002:str" or not value.value:
            shown = repr(value.value) if isinstance(value.value, str) else "a list or mapping"
            self.faults.append(TemplateFault(_line(value), f"{key}: expected text, found {shown}", "put it in quotes"))
            return None
        first = _line(entry[0])
        return _Text(key, value.value, first, tuple(self._lines[first - 1 : value.end_mark.line + 1]))

    def levels(self, entry: tuple[Node, Node] | None) -> dict[int, _Text]:
        """The texts of the levels."""
        if entry is None:
            return {}
        rule = "levels must be 1 to 5 (level 0 is always the bare question)"
        numbers = tuple(map(str, range(1, NUM_LEVELS)))
        found = self.mapping(entry[1], numbers, rule)
        texts = {number: self.text(f"level {number}", found.get(number)) for number in numbers}
        return {int(number): text for number, text in texts.items() if text is not None}


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _nearest(name: object, names: tuple[str, ...]) -> str:
    near = get_close_matches(str(name).strip().lower(), names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else ", ".join(names)


def _slots(text: str) -> list[str]:
    return [name for name in _SLOT.findall(text) if name]


def _frame_faults(frame: _Text) -> Iterator[TemplateFault]:
    slots = _slots(frame.value)
    missing = [f"{{{slot}}}" for slot in _FRAME_SLOTS if slot not in slots]
    if missing:
        yield TemplateFault(frame.line, "frame must hold {question} and {scaffold}", f"add {' and '.join(missing)}")
    yield from _unknown_slots(frame, _FRAME_SLOTS)
    yield from _wording_faults(frame)


def _level_faults(levels: dict[int, _Text]) -> Iterator[TemplateFault]:
    shown = {}
    for level, text in levels.items():
        yield from _unknown_slots(text, SLOTS)
        yield from _wording_faults(text)
        if all(slot in SLOTS for slot in _slots(text.value)):
            shown[level] = max(map(SLOTS.index, SLOT.findall(text.value)), default=-1)
    for level, most in shown.items():
        higher = next((other for other in shown if other > level and shown[other] < most), None)
        if higher is not None:
            less = f"{{{SLOTS[shown[higher]]}}}" if shown[higher] >= 0 else "no slot"
            problem = f"level {level} shows more ({{{SLOTS[most]}}}) than level {higher} ({less})"
            yield TemplateFault(levels[level].line_of(f"{{{SLOTS[most]}}}"), problem, "order levels weakest first")


def _unknown_slots(text: _Text, known: tuple[str, ...]) -> Iterator[TemplateFault]:
    for slot in dict.fromkeys(_slots(text.value)):
        if slot in known:
            continue
        line = text.line_of(f"{{{slot}}}")
        if _ANSWER_SLOT.fullmatch(slot.strip()):
            problem = f"{text.key} uses unknown slot {slot!r}: the final answer stands in no scaffold"
            yield TemplateFault(line, problem, f"take it out; slots are {', '.join(known)}")
        else:
            yield TemplateFault(line, f"{text.key} uses unknown slot {slot!r}", _nearest(slot, known))


def _wording_faults(text: _Text) -> Iterator[TemplateFault]:
    """Words that promise the answer, or make the policy speak of its help: then it cannot do without."""
    for m in _SAYS_ANSWER.finditer(text.value):
        if not _DENIED.search(text.value[: m.start()]):
            problem = f"{text.key} says {m[0]!r}, but a scaffold has no answer to tell"
            yield TemplateFault(text.line_of(m[0]), problem, "leave the answer to the policy")
    for m in _REPEATS.finditer(text.value):
        if not _DENIED.search(text.value[: m.start()]):
            problem = f"{text.key} asks to repeat the scaffold: {m[0]!r}"
            yield TemplateFault(text.line_of(m[0]), problem, "targets that mention their help are thrown away")
