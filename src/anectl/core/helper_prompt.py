"""What a helper model is asked for, and how its reply becomes a source of scaffolds.

A reply is untrusted: it is cut at its headings, and every level that is made of it passes the same leak check as any
other.
"""

from __future__ import annotations

import re

import msgspec

from anectl.core.grading.thoughts import without_thoughts
from anectl.core.model_prompts import ModelPrompt, PromptKind
from anectl.core.prompts import lettered
from anectl.core.records import Message, Problem
from anectl.core.scaffolds import MASK, Help, gold_help

HEADINGS = ("KNOWLEDGE", "PLAN", "PERCEPTION", "STEPS")
"""The parts of a reply, in the order in which they are asked for."""

# `**PLAN:**`, `## Plan`, `Plan:`; a heading stands at the beginning of a line, and what follows it may be on that line.
_HEADING = re.compile(rf"^[ \t#*_]*({'|'.join(HEADINGS)})[ \t*_]*(?::[ \t*_]*|$)", re.IGNORECASE | re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*(?:[-*\u2022]|\(?\d{1,3}[.)])[ \t]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
LONGEST_REPLY = 20_000
"""Characters of a reply that are read."""


HELPER = PromptKind(
    name="helper",
    places=("question", "choices", "solution", "answer"),
    needed=dict.fromkeys(("question", "solution"), "the helper would not see it"),
    words=HEADINGS,
    replies="replies are read by their headings",
)


def helper_conversation(prompt: ModelPrompt, problem: Problem) -> tuple[Message, ...]:
    """What the helper is told about one problem."""
    return prompt.conversation(
        {
            "question": problem.question,
            "choices": lettered(problem),
            "solution": problem.solution or " ".join(problem.steps or ()) or "(none is known)",
            "answer": problem.answer,
        }
    )


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
