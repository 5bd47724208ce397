"""What a helper model is asked for, and how its reply becomes a source of scaffolds.

The prompt is a data file; its linter finds all faults at once. A reply is untrusted: it is cut at its headings, and
every level that is made of it passes the same leak check as any other, so that an answer in it reaches no scaffold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.prompts import lettered
from anectl.core.records import Message, Problem
from anectl.core.scaffolds import MASK, Help, gold_help
from anectl.core.templates import TemplateFault

HEADINGS = ("KNOWLEDGE", "PLAN", "PERCEPTION", "STEPS")
"""The parts of a reply, in the order in which they are asked for."""

_KEYS = ("system", "user")
_PLACES = ("question", "choices", "solution", "answer")
_NEEDED = ("question", "solution")
_PLACE = re.compile(r"\{(\w+)\}")
# `**PLAN:**`, `## Plan`, `Plan:`; a heading stands at the beginning of a line, and what follows it may be on that line.
_HEADING = re.compile(rf"^[ \t#*_]*({'|'.join(HEADINGS)})[ \t*_]*(?::[ \t*_]*|$)", re.IGNORECASE | re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*(?:[-*\u2022]|\(?\d{1,3}[.)])[ \t]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
LONGEST_REPLY = 20_000
"""Characters of a reply that are read."""


@dataclass(frozen=True, slots=True)
class HelperPrompt:
    """The two patterns of a helper's prompt."""

    system: str
    user: str

    def conversation(self, problem: Problem) -> tuple[Message, ...]:
        """What the helper is told about one problem."""
        parts = {
            "question": problem.question,
            "choices": lettered(problem),
            "solution": problem.solution or " ".join(problem.steps or ()) or "(none is known)",
            "answer": problem.answer,
        }
        filled = [_PLACE.sub(lambda m: parts.get(m[1], m[0]), text).strip() for text in (self.system, self.user)]
        return Message(role="system", content=filled[0]), Message(role="user", content=filled[1])


def load_helper_prompt(path: Path | None) -> HelperPrompt:
    """The prompt of a YAML file, or the one that comes with anectl. Raises AnectlError with every fault."""
    place = "helper.yaml" if path is None else str(path)
    try:
        text = path.read_text("utf8") if path else (resources.files("anectl") / "templates/helper.yaml").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AnectlError(f"not a helper's prompt: {error}", path=place) from None
    prompt, faults = lint_helper_prompt(text)
    if prompt is None:
        first, *others = faults
        more = "".join(f"\n{place}:{fault.line}: {fault.problem} ({fault.hint})" for fault in others)
        raise AnectlError(first.problem + more, path=place, line=first.line, hint=first.hint)
    return prompt


def is_helper_prompt(path: Path) -> bool:
    """Whether a template file is meant for a helper, by its keys; false for one that cannot be read."""
    try:
        return any(re.match(rf"({'|'.join(_KEYS)})[ ]*:", line) for line in path.read_text("utf8").split("\n"))
    except (OSError, UnicodeDecodeError):
        return False


def lint_helper_prompt(text: str) -> tuple[HelperPrompt | None, list[TemplateFault]]:
    """The prompt of a file's text, null where it has faults; and the faults in order of lines."""
    import yaml  # 10 ms that only runs with a helper should pay

    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"not a helper's prompt: {getattr(error, 'problem', error)}"
        return None, [TemplateFault(1 if mark is None else mark.line + 1, problem, "the file is no YAML")]
    if not isinstance(loaded, dict) or loaded.keys() != set(_KEYS):
        return None, [TemplateFault(1, "a helper's prompt has exactly the keys system and user", "add or remove keys")]
    faults = sorted(_faults(loaded, text.split("\n")), key=lambda fault: fault.line)
    return (None, faults) if faults else (HelperPrompt(loaded["system"], loaded["user"]), [])


def _faults(loaded: Mapping[str, object], lines: list[str]) -> Iterator[TemplateFault]:
    def line_of(part: str) -> int:
        return next((number for number, line in enumerate(lines, 1) if part in line), 1)

    texts = [str(value) for value in loaded.values()]
    for key, value in loaded.items():
        if not isinstance(value, str) or not value.strip():
            yield TemplateFault(line_of(key), f"{key}: expected text", "put it in quotes")
    for name in dict.fromkeys(place for text in texts for place in _PLACE.findall(text)):
        if name not in _PLACES:
            yield TemplateFault(line_of(f"{{{name}}}"), f"unknown slot {name!r}", f"slots are {', '.join(_PLACES)}")
    for name in _NEEDED:
        if f"{{{name}}}" not in str(loaded["user"]):
            yield TemplateFault(line_of("user"), f"the user text lacks {{{name}}}", "the helper would not see it")
    for heading in HEADINGS:
        if not any(re.search(rf"\b{heading}\b", text) for text in texts):
            yield TemplateFault(line_of("system"), f"asks for no {heading}", "replies are read by their headings")


def read_reply(reply: str) -> dict[str, tuple[str, ...]]:
    """The lines under each heading, without bullets and numbers; of a heading that comes twice, the first.

    A heading that is not there has no lines. Never raises.
    """
    text = without_thoughts(reply[:LONGEST_REPLY])
    found = list(_HEADING.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)][: len(found)]
    parts: dict[str, tuple[str, ...]] = {}
    for match, end in zip(found, ends, strict=True):
        lines = (_BULLET.sub("", line).strip() for line in text[match.end() : end].split("\n"))
        parts.setdefault(match[1].upper(), tuple(line for line in lines if line.strip("*_-`# ")))
    return {heading: parts.get(heading, ()) for heading in HEADINGS}


def help_of_reply(reply: str | None, problem: Problem, why: str = "") -> Help:
    """What a helper's reply offers for each slot; `reply` is null where there is none, and `why` says the reason.

    Numbers that a plan names and the question does not are masked: a plan says what to do, not what comes out. Of the
    steps the last one's result is masked, and every other that states the answer.
    """
    if reply is None:
        return Help("model", {}, (f"the helper gave nothing: {why}",))
    parts = read_reply(reply)
    missing = [heading.lower() for heading, lines in parts.items() if not lines]
    notes = (f"the helper wrote no {', '.join(missing)}",) if missing else ()
    plan = _without_values(_joined(parts["PLAN"]), problem.question)
    perception = _joined(parts["PERCEPTION"])
    worked = gold_help(msgspec.structs.replace(problem, steps=parts["STEPS"], solution=None)).slots
    slots = {
        "knowledge": " ".join(parts["KNOWLEDGE"]).rstrip("."),
        "plan": plan or worked["plan"],
        "facts": f"{perception} {plan or worked['plan']}".strip() if perception else worked["facts"],
        "partial": worked["partial"],
        "worked": worked["worked"],
    }
    return Help("model", slots, notes)


def _joined(lines: tuple[str, ...]) -> str:
    return " ".join(line if line[-1] in ".!?;:" else f"{line}." for line in lines)


def _without_values(plan: str, question: str) -> str:
    given = set(_NUMBER.findall(question))
    return _NUMBER.sub(lambda match: match[0] if match[0] in given else MASK, plan)
