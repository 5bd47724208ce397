"""Scaffold levels from a worked solution: L0 bare, L1 knowledge, L2 plan, L3 facts, L4 partial, L5 worked.

The AnE paper's abstract names scaffold-augmented targets but not their form; these levels are our choice, after the
tiered hints of Scaf-GRPO. A plan is the worked steps with every value masked, so that the plan of one problem fits
another of the same kind. The final answer stands in no level.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import Any

from anectl.core.errors import AnectlError
from anectl.core.records import Example, Problem

MASK = "?"
NUM_LEVELS = 6
SLOTS = ("knowledge", "plan", "facts", "partial", "worked")

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_ANSWER_STATEMENT = re.compile(r"\\boxed|\banswer\b", re.IGNORECASE)
_RESULT = re.compile(r"(=|:|\b(?:is|are)\b)(?!.*(?:=|:|\b(?:is|are)\b))\s*(.+?)([.!;]?)$", re.DOTALL)
# A choice named by its letter: `option C`, `(C)`.
_CHOSEN = r"(?:(?<=[oO]ption )|(?<=[cC]hoice ))\(?{0}\b\)?|(?<=\(){0}(?=\))"


@dataclass(frozen=True, slots=True)
class Template:
    """The words around the slots; `levels[i]` is the pattern of level i + 1."""

    name: str
    frame: str
    levels: tuple[str, ...]


def load_template(path: Path | None) -> Template:
    """Read a template file, or the packaged default.

    Raises AnectlError: not YAML, a missing or unknown key, a level without a text, or an unknown slot.
    """
    import yaml  # 20 ms that `anectl --help` should not pay

    place = str(path or "default.yaml")
    try:
        text = path.read_text("utf8") if path else (resources.files("anectl") / "templates/default.yaml").read_text()
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AnectlError(f"not a scaffold template: {error}", path=place) from None
    return _template(data, place)


def _template(data: Any, place: str) -> Template:
    if not isinstance(data, dict) or set(data) != {"name", "frame", "levels"}:
        raise AnectlError("a scaffold template has exactly the keys name, frame and levels", path=place)
    levels = data["levels"]
    if not isinstance(levels, dict) or set(levels) != {1, 2, 3, 4, 5}:
        raise AnectlError("levels must be 1 to 5", path=place, hint="level 0 is always the bare question")
    for text in (data["name"], data["frame"], *levels.values()):
        if not isinstance(text, str) or not text:
            raise AnectlError(f"expected text, found {text!r}", path=place)
    if "{question}" not in data["frame"] or "{scaffold}" not in data["frame"]:
        raise AnectlError("frame must hold {question} and {scaffold}", path=place)
    for level, pattern in levels.items():
        unknown = set(re.findall(r"\{(\w+)\}", pattern)) - set(SLOTS)
        if unknown:
            raise AnectlError(f"level {level} uses unknown slot {unknown.pop()!r}", path=place, hint=", ".join(SLOTS))
    return Template(data["name"], data["frame"], tuple(levels[level] for level in range(1, NUM_LEVELS)))


def steps_of(problem: Problem) -> tuple[str, ...]:
    """The worked steps without answer statements: `steps` where the row has them, else the sentences of `solution`."""
    steps = problem.steps or tuple(_SENTENCE.split(problem.solution or ""))
    return tuple(step.strip() for step in steps if step.strip() and not _ANSWER_STATEMENT.search(step))


def mask(step: str, problem: Problem) -> str:
    """A step without its values: numbers, the answer's own words and the texts of all choices become `?`."""
    for word in sorted({*answer_words(problem), *(problem.choices or ())}, key=len, reverse=True):
        step = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", MASK, step, flags=re.IGNORECASE)
    for letter in _letters(problem):
        step = re.sub(_CHOSEN.format(letter), MASK, step)
    return _NUMBER.sub(MASK, _without_subject(step, problem))


def mask_result(step: str, problem: Problem) -> str:
    """A step without what it concludes: all that follows its last `=`, `:` or `is`."""
    masked = _RESULT.sub(rf"\1 {MASK}\3", step)
    return _without_subject(masked, problem) if masked != step else mask(step, problem)


def _without_subject(step: str, problem: Problem) -> str:
    """A step that says "B is larger" names the choice by its subject; all letters go, or the one left would tell."""
    letters = "".join(chr(ord("A") + place) for place in range(len(problem.choices or ())))
    return re.sub(rf"(?<!\w)[{letters}](?= (?:is|are|has|was)\b)", MASK, step) if letters else step


def concludes(text: str, word: str) -> bool:
    """Whether any sentence of the text ends in the word as its result: after its last `=`, `:` or `is`."""
    results = (_RESULT.search(sentence) for sentence in _SENTENCE.split(text))
    return any(result is not None and _same(result.group(2), word) for result in results)


def _same(result: str, word: str) -> bool:
    """Equal but for case, punctuation around them, and the spaces and commas inside."""
    bare = [re.sub(r"[\s,]+", "", part).strip(".;:!()[]$*").lower() for part in (result, word)]
    return bare[0] == bare[1]


def answer_words(problem: Problem | Example) -> set[str]:
    """The answer as it may be worded: itself, and for a choice the text of the choice."""
    if problem.answer_type in ("choice", "choices"):
        choices = problem.choices or ()
        return {choices[place] for letter in _letters(problem) if (place := ord(letter) - ord("A")) < len(choices)}
    return {problem.answer}


def _letters(problem: Problem | Example) -> list[str]:
    return re.findall(r"[A-Z]", problem.answer) if problem.answer_type in ("choice", "choices") else []


def ladder(problem: Problem, anchor: Problem | None, template: Template) -> tuple[str, ...]:
    """The scaffold text of each level (shape: 6; the first is empty).

    From the problem's own worked steps. Without any, from the anchor's, and then only up to the plan: another
    problem's values would mislead. A level that cannot be built, or would leak, repeats the one below it.
    """
    own = steps_of(problem)
    source = problem if own or anchor is None else anchor
    values = _slots(source)
    texts = [""]
    for level, pattern in enumerate(template.levels, 1):
        usable = (own or level <= 2) and all(values[slot] for slot in re.findall(r"\{(\w+)\}", pattern))
        text = re.sub(r"\{(\w+)\}", lambda match: values[match.group(1)], pattern) if usable else texts[-1]
        texts.append(texts[-1] if leaks(text, problem) else text)
    return tuple(texts)


def _slots(problem: Problem) -> dict[str, str]:
    steps = steps_of(problem)
    words = {*answer_words(problem), *_letters(problem)}
    masked = [mask(step, problem) for step in steps]
    # A solution may state its result more than once; each statement is masked, not the last alone.
    told = [
        number == len(steps) or any(concludes(step, word) for word in words) for number, step in enumerate(steps, 1)
    ]
    worked = [mask_result(step, problem) if tells else step for step, tells in zip(steps, told, strict=True)]
    shown = max(1, len(steps) * 2 // 3)
    return {
        "knowledge": ", ".join(problem.tags),
        "plan": " ".join(masked),
        "facts": " ".join([*worked[:1], *masked[1:]]),
        "partial": " ".join([*worked[:shown], *masked[shown:]]),
        "worked": " ".join(worked),
    }


def leaks(text: str, problem: Problem | Example) -> bool:
    """Whether a scaffold gives the final answer away.

    Long answers (two digits or three letters and more) may not occur at all, however their numbers and lists are
    written; short ones, which any step can mention by chance, may not stand where a conclusion stands: after the
    last `=`, `:` or `is` of a sentence, or after "answer".
    """
    letters = _letters(problem)
    return (
        any(_leaks_word(text, word) for word in answer_words(problem))
        or any(re.search(_CHOSEN.format(letter), text) or concludes(text, letter) for letter in letters)
        or (len(letters) > 1 and concludes(text, problem.answer))
    )


def _leaks_word(text: str, word: str) -> bool:
    stated = rf"(?:\banswer\b\W*(?:is\W+)?|\\boxed\{{\s*){re.escape(word)}(?!\w)"
    if concludes(text, word) or re.search(stated, text, re.IGNORECASE):
        return True
    if len(word) <= (1 if word.isdigit() else 2) or word.lower() in ("yes", "no", "true", "false"):
        return False
    # `1, 3, 4` may be written `1 3 4`, and 1200 as 1,200.
    spaced = r"[\s,]+".join(re.escape(part) for part in re.split(r"[\s,]+", word) if part)
    if re.search(rf"(?<![\w.,])(?:{spaced})(?![\w]|[.,]\d)", text, re.IGNORECASE):
        return True
    value = _number(word)
    return value is not None and any(_number(match) == value for match in _NUMBER.findall(text))


def _number(text: str) -> Decimal | None:
    """The value of a plain number; signs are left out, commas taken for thousands."""
    try:
        return abs(Decimal(text.replace(",", "").strip()))
    except InvalidOperation:
        return None
