"""Questions that a guess answers half of the time: frontier terms asked for yes or no.

As with multiple choice, steps that mistake the term often end in the right answer: in 42% of grids for `span`, in 32%
for `champion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from families import ORDINALS, Task, Work, read_line
from mixture import ALL_PROCEDURES, MISTAKES
from tiles import Line

SPAN_BOUND = 5
FIRST_HALF = ORDINALS[:2]


def humble(line: Line) -> Work | None:
    """Where the smallest digit stands: what the champion is mistaken for."""
    low = min(line.digits)
    place = ORDINALS[line.digits.index(low)]
    steps = (read_line(line), f"The smallest is {low}.", f"It stands {place}.")
    return Work(place, "text", steps, "", ("term", "smallest", "place")) if line.digits.count(low) == 1 else None


@dataclass(frozen=True)
class Closed:
    """How a term is asked for yes or no, and what it is mistaken for, with weights."""

    question: str
    mistakes: Mapping[Callable[[Line], Work | None], int]
    is_yes: Callable[[str], bool]

    def answer(self, work: Work) -> str:
        return "yes" if self.is_yes(work.answer) else "no"

    def asked(self, task: Task) -> Task:
        """The open task, asked for yes or no."""
        work = replace(task.work, answer=self.answer(task.work), answer_type="boolean")
        return Task(task.family, self.question.format(task.line), work, task.line)


CLOSED = {
    "span": Closed(
        f"Is the span of {{}} over {SPAN_BOUND}?",
        {ALL_PROCEDURES[name]: weight for name, weight in MISTAKES["span"].items()},
        lambda value: int(value) > SPAN_BOUND,
    ),
    "champion": Closed("Is the champion of {} in the first half?", {humble: 1}, lambda place: place in FIRST_HALF),
}
