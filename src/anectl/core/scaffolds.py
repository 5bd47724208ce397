"""Scaffold levels from a worked solution: L0 bare, L1 knowledge, L2 plan, L3 facts, L4 partial, L5 worked.

The AnE paper's abstract names scaffold-augmented targets but not their form; these levels are our choice, after the
tiered hints of Scaf-GRPO. A plan is the worked steps with every value masked, so that the plan of one problem fits
another of the same kind. A level that is seen to tell the final answer is not used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from anectl.core.giveaways import giveaway, leaks
from anectl.core.records import Example, Problem
from anectl.core.templates import NUM_LEVELS, SLOT, Template, load_template

__all__ = [
    "NUM_LEVELS",
    "Help",
    "Ladder",
    "Template",
    "anchor_help",
    "answer_words",
    "build_ladder",
    "concludes",
    "gold_help",
    "ladder",
    "leaks",
    "load_template",
    "mask",
    "steps_of",
]

MASK = "?"

_WITHOUT_VALUES = ("knowledge", "plan")

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_ANSWER_STATEMENT = re.compile(r"\\boxed|\banswer\b", re.IGNORECASE)
_RESULT = re.compile(r"(=|:|\b(?:is|are)\b)(?!.*(?:=|:|\b(?:is|are)\b))\s*(.+?)([.!;]?)$", re.DOTALL)
# A choice named by its letter: `option C`, `(C)`.
_CHOSEN = r"(?:(?<=[oO]ption )|(?<=[cC]hoice ))\(?{0}\b\)?|(?<=\(){0}(?=\))"


def steps_of(problem: Problem) -> tuple[str, ...]:
    """The worked steps without answer statements: `steps` where the row has them, else the sentences of `solution`."""
    steps = problem.steps or tuple(_SENTENCE.split(problem.solution or ""))
    return tuple(step.strip() for step in steps if step.strip() and not _ANSWER_STATEMENT.search(step))


def mask(step: str, problem: Problem) -> str:
    """A step without its values: numbers, the answer's own words and the texts of all choices become `?`."""
    words = {word for word in (*answer_words(problem), *(problem.choices or ())) if word.strip()}
    # By length, and then by themselves: of two that overlap always the same one is masked.
    for word in sorted(words, key=lambda word: (-len(word), word)):
        step = _word(word).sub(MASK, step)
    for letter in _letters(problem):
        step = re.sub(_CHOSEN.format(letter), MASK, step)
    return _NUMBER.sub(MASK, _without_subject(step, problem))


@lru_cache(maxsize=1024)
def _word(word: str) -> re.Pattern[str]:
    """A word wherever it stands by itself; one letter (choices drawn in the picture) is no article before a word."""
    if len(word) == 1 and word.isalpha():
        return re.compile(rf"(?<!\w){word}(?!\w)" + ("(?! [a-z])" if word in "AI" else ""))
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


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


@dataclass(frozen=True, slots=True)
class Help:
    """What one source has for the slots of a template; a slot that it has nothing for is missing or empty.

    `name` is how records call the source: gold, model, or `anchor ID`. `notes` tell what of it could not be used.
    """

    name: str
    slots: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The scaffold text of each level (shape: 6; the first is empty), and where each comes from.

    `sources` is empty for a level that repeats the one below it; `notes` tell why a source was passed over.
    """

    texts: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def build_ladder(
    problem: Problem, helps: Sequence[Help], template: Template, read: Collection[str] = frozenset()
) -> Ladder:
    """Each level from the first source that has all its slots and does not give the answer away.

    A level that no source can fill repeats the one below it. `read` are texts that a model read the answer from.
    """
    texts, sources, notes = [""], [""], [note for help in helps for note in help.notes]
    for level, pattern in enumerate(template.levels, 1):
        text, source = texts[-1], ""
        for help in helps:
            if not all(help.slots.get(slot) for slot in SLOT.findall(pattern)):
                continue
            filled = SLOT.sub(lambda match, slots=help.slots: slots[match[1]], pattern)  # type: ignore[misc]
            told = giveaway(filled, problem)
            if told is None and filled not in read:
                text, source = filled, help.name
                break
            notes.append(f"level {level} of {help.name} gives the answer away ({told.kind if told else 'read'})")
        texts.append(text)
        sources.append(source)
    return Ladder(tuple(texts), tuple(sources), tuple(notes))


def gold_help(problem: Problem) -> Help:
    """What the problem's own tags and worked steps say."""
    return Help("gold", _slots(problem))


def anchor_help(anchor_id: str, problem: Problem, *, same_item: bool) -> Help:
    """What a similar problem says: its knowledge and its plan. Its values would mislead, unless it is the same item."""
    slots = _slots(problem)
    return Help(f"anchor {anchor_id}", slots if same_item else {name: slots[name] for name in _WITHOUT_VALUES})


def ladder(problem: Problem, template: Template) -> tuple[str, ...]:
    """The scaffold text of each level, from the problem's own worked steps."""
    return build_ladder(problem, [gold_help(problem)], template).texts


def scaffold_text(problem: Problem, level: int, template: Template) -> str:
    """The scaffold text of one level, from the problem's own worked steps; levels above it are not made."""
    if level == 0:
        return ""
    return ladder(problem, replace(template, levels=template.levels[:level]))[level]


def _slots(problem: Problem) -> dict[str, str]:
    """The slots as the problem's own tags and steps fill them; empty where it has none."""
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
