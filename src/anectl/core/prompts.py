"""Prompt text from a problem, with or without a scaffold."""

from __future__ import annotations

import re

from anectl.core.records import Message, Problem

DEFAULT_INSTRUCTION = "Think step by step, then give the final answer in \\boxed{}."


def user_text(problem: Problem, instruction: str) -> str:
    """The bare user turn: question, lettered choices, instruction; images stand apart from it."""
    parts = [problem.question]
    if problem.choices:
        parts.append(lettered(problem))
    if instruction:
        parts.append(instruction)
    return "\n".join(parts)


def lettered(problem: Problem) -> str:
    """The choices behind their letters; empty where there are none."""
    return " ".join(f"({chr(ord('A') + i)}) {choice}" for i, choice in enumerate(problem.choices or ()))


def revealing_text(problem: Problem, instruction: str, reveal: str | None) -> str:
    """The bare user turn, and behind it `reveal` with the problem's answer in the place of `{answer}`."""
    bare = user_text(problem, instruction)
    return bare if reveal is None else f"{bare}\n{reveal.replace('{answer}', problem.answer)}"


def conversation(text: str) -> tuple[Message, ...]:
    """A conversation of one user turn."""
    return (Message(role="user", content=text),)


def framed(question: str, frame: str, scaffold: str) -> str:
    """The user text with a scaffold in its frame (`{question}` and `{scaffold}`); bare when the scaffold is empty."""
    if not scaffold:
        return question
    # One pass, so that a question which itself says {scaffold} stays as it is.
    parts = {"{question}": question, "{scaffold}": scaffold}
    return re.sub(r"\{question\}|\{scaffold\}", lambda match: parts[match.group()], frame)
