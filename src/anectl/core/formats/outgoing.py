"""What every exported row is made of: the bare turns of a record, its images and the carried column."""

from __future__ import annotations

from typing import Any, NamedTuple

from anectl.core.errors import RowError
from anectl.core.formats import ExportOptions, ImageSource
from anectl.core.formats.carried import COLUMN, carry
from anectl.core.formats.turns import Turn
from anectl.core.grading.extract import find_answer
from anectl.core.prompts import user_text
from anectl.core.records import Example, Message, Problem


class Outgoing(NamedTuple):
    """A record on its way out. `carried` is a column, or no column where the options leave it out."""

    record_id: str
    prompt: tuple[Turn, ...]
    completion: tuple[Turn, ...]
    images: list[str]
    carried: dict[str, Any]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Prompt and completion as one conversation; a prefix of the answer is one turn with the rest of it."""
        if self.prompt and self.completion and self.prompt[-1].role == self.completion[0].role == "assistant":
            joined = Turn("assistant", self.prompt[-1].text + self.completion[0].text)
            return (*self.prompt[:-1], joined, *self.completion[1:])
        return self.prompt + self.completion


def conversation_of(
    record: Problem | Example, source: ImageSource, options: ExportOptions, *, apart: bool = False
) -> Outgoing:
    """The whole conversation: a problem's answer is the assistant's turn.

    `apart` where the row keeps prompt and completion apart; else it is carried where a prefix joined to it ends.
    """
    turns = _prompt(record, options)
    if isinstance(record, Problem):
        completion: tuple[Turn, ...] = (Turn("assistant", target_text(record)),)
    else:
        completion = _turns(record.completion)
    joined = not apart and turns and completion and turns[-1].role == completion[0].role == "assistant"
    prefix = len(turns[-1].text) if joined else None
    column = carry(record, instruction=options.instruction, prefix=prefix) if options.carry else None
    return _outgoing(record, turns, completion, source, options, column)


def prompt_of(record: Problem | Example, source: ImageSource, options: ExportOptions) -> Outgoing:
    """The prompt alone, for tools that draw the completions; an example's completion is carried.

    Raises RowError for an example whose prompt opens the answer: those tools have no place for that.
    """
    turns = _prompt(record, options)
    if not turns or turns[-1].role != "user":
        raise RowError(
            "the prompt does not end with a user turn", hint="scaffold --carrier prompt makes examples without a prefix"
        )
    column = carry(record, instruction=options.instruction, with_completion=True) if options.carry else None
    return _outgoing(record, turns, (), source, options, column)


def boxed(answer: str) -> str:
    """The answer as a completion states it."""
    return f"\\boxed{{{answer}}}"


def target_text(problem: Problem) -> str:
    """What the assistant says to a problem: its solution or steps, with the answer in a box where they state none."""
    alone, with_box = targets_of(problem)
    return alone if find_answer(alone) is not None else with_box


def targets_of(problem: Problem) -> tuple[str, str]:
    """The solution or steps as they are, and with the answer in a box; the box alone where there are none.

    Another version of ours may have seen an answer where this one sees none, so import knows both.
    """
    solution = problem.solution or "\n".join(problem.steps or ())
    box = boxed(problem.answer)
    return (solution, f"{solution}\n{box}") if solution.strip() else (box, box)


def _prompt(record: Problem | Example, options: ExportOptions) -> tuple[Turn, ...]:
    if isinstance(record, Problem):
        return (Turn("user", user_text(record, options.instruction)),)
    return _turns(record.prompt)


def _turns(messages: tuple[Message, ...]) -> tuple[Turn, ...]:
    return tuple(Turn(message.role, message.content) for message in messages)


def _outgoing(
    record: Problem | Example,
    prompt: tuple[Turn, ...],
    completion: tuple[Turn, ...],
    source: ImageSource,
    options: ExportOptions,
    column: str | None,
) -> Outgoing:
    show = source.data_uri if options.inline else source.path
    record_id = record.id if isinstance(record, Problem) else record.problem_id
    carried = {} if column is None else {COLUMN: column}
    return Outgoing(record_id, prompt, completion, [show(ref) for ref in record.images], carried)
