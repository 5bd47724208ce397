"""Records from the rows of training tools: ours come back as they were, others' become problems as well as they allow.

A row of others has one question. Its answer is the row's answer field, else the final answer of the assistant's turn
(boxed, tagged, `Answer: ...`, or a short line); `read_question` tells its type and the choices. Its other columns go
into `source`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from anectl.core.errors import RowError
from anectl.core.formats import ImageSink, Row
from anectl.core.formats.answer_form import stated_answer
from anectl.core.formats.answers import read_question
from anectl.core.formats.carried import COLUMN, Carried, carried_in
from anectl.core.formats.options import letter_of, letters_in
from anectl.core.formats.outgoing import boxed, targets_of
from anectl.core.formats.placeholders import unescape
from anectl.core.formats.rows import image_values, make_problem
from anectl.core.formats.turns import Conversation, Turn, unescaped, unmarked
from anectl.core.prompts import DEFAULT_INSTRUCTION
from anectl.core.records import Example, Problem

# Fields that a problem has room for; the others are kept in its source.
_READ = {COLUMN, "id", "custom_id", "messages", "conversations", "prompt", "completion", "body", "problem"}
_READ |= {"images", "image", "answer"}


def field(row: Row, name: str) -> Any:
    """A field that must be there. Raises RowError when it is missing or null."""
    value = row.get(name)
    if value is None:
        raise RowError(f"the field {name!r} is missing", hint="another format may fit this file")
    return value


def record_of(
    name: str,
    row: Row,
    conversation: Conversation,
    sink: ImageSink,
    *,
    answer: str | None = None,
    may_lack: bool = False,
) -> Problem | Example:
    """The record of one row of the format `name`; `answer` is what the row's answer field says.

    With `may_lack`, images need no placeholder. Raises RowError for what no record can be made of.
    """
    images = list(conversation.images) or image_values(row, "images", "image")
    turns = unmarked(conversation.turns, len(images), may_lack=may_lack)
    carried = carried_in(row)
    if carried is None:
        return _made_elsewhere(name, row, turns, images, sink, answer)
    refs = tuple(map(sink.put, images))
    back = _example if carried.is_example else _problem
    return back(carried, unescaped(turns), refs, answer)


def _problem(carried: Carried, turns: Sequence[Turn], refs: tuple[str, ...], answer: str | None) -> Problem:
    user, assistant = _one_question(turns)[1:]
    problem = carried.problem(question=carried.question_in(user), images=refs)
    edits: dict[str, Any] = {}
    if assistant is not None and assistant not in targets_of(problem):
        edits = {"solution": assistant, "steps": None, "answer": stated_answer(assistant) or problem.answer}
    if _edited(answer, problem.answer):
        edits["answer"] = stated_answer(answer or "") or answer
    if not edits:
        return problem
    if problem.choices and letters_in(edits["answer"]) is None:
        edits["answer"] = letter_of(edits["answer"], problem.choices)
    return carried.problem(question=problem.question, images=refs, **edits)


def _example(carried: Carried, turns: Sequence[Turn], refs: tuple[str, ...], answer: str | None) -> Example:
    before = str(carried.fields.get("answer"))
    edits = {"answer": stated_answer(answer or "") or answer} if _edited(answer, before) else {}
    turns = list(turns)
    if carried.prefix is not None:
        at = next((i for i in range(len(turns) - 1, -1, -1) if turns[i].role == "assistant"), None)
        if at is None or len(turns[at].text) < carried.prefix:
            raise RowError("the assistant's turn is shorter than the part of it that belongs to the prompt")
        text = turns[at].text
        turns[at : at + 1] = [Turn("assistant", text[: carried.prefix]), Turn("assistant", text[carried.prefix :])]
    prompt, completion = carried.fields.get("prompt"), carried.fields.get("completion")
    if not isinstance(prompt, list) or not isinstance(completion, list):
        raise RowError(f"the column {COLUMN!r} is damaged", hint="drop the column to import the row without it")
    open_messages = [message for message in (*prompt, *completion) if "content" not in message]
    if len(open_messages) == len(turns):
        texts = iter(turns)
        filled = [
            message if "content" in message else message | {"role": (turn := next(texts)).role, "content": turn.text}
            for message in (*prompt, *completion)
        ]
        prompt, completion = filled[: len(prompt)], filled[len(prompt) :]
    else:
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        prompt, completion = messages[:-1], messages[-1:]
    return carried.example(prompt=prompt, completion=completion, images=refs, **edits)


def _edited(answer: str | None, before: str) -> bool:
    return answer is not None and answer not in (before, boxed(before))


def _one_question(turns: Sequence[Turn]) -> tuple[str | None, str, str | None]:
    """System text, user text and assistant text. Raises RowError unless there is one question, answered or not."""
    rest = list(turns)
    system = rest.pop(0).text if rest and rest[0].role == "system" else None
    roles = [turn.role for turn in rest]
    if roles == ["user"]:
        return system, rest[0].text, None
    if roles == ["user", "assistant"]:
        return system, rest[0].text, rest[1].text
    raise RowError(
        f"the turns are {', '.join(turn.role for turn in turns) or 'none'}; a problem has one question and one answer",
        hint="--on-error skip leaves such rows out",
    )


def _made_elsewhere(
    name: str, row: Row, turns: Sequence[Turn], images: Sequence[object], sink: ImageSink, answer: str | None
) -> Problem:
    system, user, assistant = _one_question(turns)
    stated = stated_answer(unescape(assistant or "")) if answer is None else stated_answer(answer) or answer.strip()
    if not stated:
        raise RowError("no final answer in the assistant's turn" if assistant else "the row has no answer")
    text = user.strip().removesuffix(DEFAULT_INSTRUCTION).rstrip()
    question, value, answer_type, choices = read_question(text, stated)
    said = unescape(assistant or "").strip()
    own_id = next((row[key] for key in ("id", "custom_id") if isinstance(row.get(key), (str, int))), None)
    problem = make_problem(
        name,
        {key: value for key, value in row.items() if key not in _READ} | ({"system": system} if system else {}),
        sink,
        own_id=None if own_id is None or not str(own_id).strip() else str(own_id),
        question=question,
        images=images,
        answer=value,
        answer_type=answer_type,
        choices=choices,
        solution=None if said in ("", stated, boxed(stated)) else said,
    )
    # Only now: a literal `<image>` would have been taken for a mark.
    bare = None if problem.choices is None else tuple(map(unescape, problem.choices))
    return msgspec.structs.replace(problem, question=unescape(problem.question), choices=bare)
