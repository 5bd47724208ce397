"""Where the completions of an evaluation come from: a model that is asked, or files with what was drawn before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from anectl.core import drawing
from anectl.core.errors import AnectlError
from anectl.core.predictions import PredictionStore
from anectl.core.preflight import Preflight, PromptSizes
from anectl.core.problem_rows import Row
from anectl.core.prompts import framed, user_text
from anectl.core.protocols import Sampler
from anectl.core.records import Completion, Problem, Sampling, Score
from anectl.core.run import Run
from anectl.core.scaffolds import Template, scaffold_text


@dataclass(frozen=True, slots=True)
class Answered:
    """A row with its completions, which are not graded yet; None where an interrupted run has finished the row."""

    row: Row
    completions: tuple[Completion, ...] | None
    policy: str
    sampling: Sampling | None
    scaffold_level: int


class Answers(Protocol):
    """Gives every problem of an evaluation its completions.

    `policy` and `sampling` are those of the whole evaluation (null where each row has its own). `live` answers are
    drawn while we wait, by a model that must be able to decode the images.
    """

    policy: str
    sampling: Sampling | None
    level: int
    live: bool

    def prompt(self, problem: Problem) -> str | None:
        """The user turn, where it is known."""
        ...

    def check(self, row: Row) -> None:
        """Raises RowError for a row that cannot be answered."""
        ...

    def answers(self, rows: Iterable[Row]) -> Iterator[Answered]:
        """Every row with its completions, in order."""
        ...

    def refuse_other(self, done: Score, path: str) -> None:
        """Raises AnectlError for a finished line that was drawn in another way."""
        ...

    def dry_run(self, run: Run, rows: Iterable[Row]) -> list[str]:
        """Read, and so check, every row; say what would be done, a sentence a line."""
        ...

    def note(self) -> str | None:
        """What a reader of the numbers should know, at the end."""
        ...


class ModelAnswers:
    """Completions from a model, shown the scaffold of one level or the bare prompt."""

    live = True

    def __init__(
        self,
        policy: str,
        sampling: Sampling,
        *,
        instruction: str,
        level: int,
        template: Template,
        batch_size: int,
        load_sampler: Callable[[], Sampler],
        load_preflight: Callable[[], Preflight | None] = lambda: None,
        unordered: bool = False,
    ) -> None:
        self.policy = policy
        self.sampling: Sampling | None = sampling
        self.level = level
        self._drawn_by, self._instruction, self._template = sampling, instruction, template
        self._batch_size, self._load_sampler, self._unordered = batch_size, load_sampler, unordered
        self._load_preflight = load_preflight
        self._sizes: PromptSizes | None = None
        self._num_bare = 0

    def prompt(self, problem: Problem) -> str:
        """The user turn of a problem with its scaffold; the bare one where it has none."""
        question = user_text(problem, self._instruction)
        return framed(question, self._template.frame, self._scaffold(problem))

    def _scaffold(self, problem: Problem) -> str:
        return scaffold_text(problem, self.level, self._template)

    def check(self, row: Row) -> None:
        """Raises RowError, in a dry run, for a prompt that the model would refuse."""
        if self._sizes is not None:
            self._sizes.measure(row.problem.id, drawing.request_of(row, self._drawn_by, self.prompt(row.problem)))

    def answers(self, rows: Iterable[Row]) -> Iterator[Answered]:
        """Every row with its completions, in order, block by block."""
        drawn = drawing.draw_completions(
            rows,
            self._drawn_by,
            batch_size=self._batch_size,
            load_sampler=self._load_sampler,
            prompt_of=self.prompt,
            unordered=self._unordered,
        )
        for row, completions in drawn:
            self._num_bare += bool(self.level and completions is not None and not self._scaffold(row.problem))
            yield Answered(row, completions, self.policy, self.sampling, self.level)

    def refuse_other(self, done: Score, path: str) -> None:
        """Raises AnectlError for a line of another policy, sampling or scaffold level."""
        drawing.refuse_other_settings(self.policy, self._drawn_by, done, path)
        if done.scaffold_level != self.level:
            raise AnectlError(f"holds rows of scaffold level {done.scaffold_level}", path=path)

    def dry_run(self, run: Run, rows: Iterable[Row]) -> list[str]:
        """Read, and so check, every row; say what would be drawn, and how long the prompts are."""
        preflight = self._load_preflight()
        self._sizes = None if preflight is None else PromptSizes(preflight, self._drawn_by.max_tokens)
        counted = drawing.count_only(run, rows, self.policy, self._drawn_by)
        return [counted] if self._sizes is None else [counted, self._sizes.summary()]

    def note(self) -> str | None:
        """How many problems had no scaffold to show."""
        if not self._num_bare:
            return None
        return f"{self._num_bare} problems have no scaffold of level {self.level} and were asked bare"


class SavedAnswers:
    """Completions from files; each problem finds its own by benchmark and id.

    `policy` null: as the rows say, or else `fallback`.
    """

    live = False
    level = 0

    def __init__(self, store: PredictionStore, *, policy: str | None, fallback: str) -> None:
        self.policy = policy or fallback
        self.sampling: Sampling | None = None
        self._forced, self._store = policy, store

    def prompt(self, problem: Problem) -> None:
        """Nothing is known of the prompt."""

    def check(self, row: Row) -> None:
        """Raises RowError for a problem without a prediction."""
        self._store.find(row.benchmark, row.problem)

    def answers(self, rows: Iterable[Row]) -> Iterator[Answered]:
        """Every row with its completions, in order."""
        for row in rows:
            found = self._store.find(row.benchmark, row.problem)
            policy = self._forced or found.policy or self.policy
            completions = None if row.is_finished else found.completions
            yield Answered(row, completions, policy, found.sampling, found.scaffold_level)

    def refuse_other(self, done: Score, path: str) -> None:
        """The manifest holds the settings of such a run, and is compared before."""

    def dry_run(self, run: Run, rows: Iterable[Row]) -> list[str]:
        """Read, and so check, every row."""
        count = sum(1 for _ in rows)
        run.keep(count)
        return [f"all is well with {count} problems and their predictions"]

    def note(self) -> str | None:
        """How many predictions no problem asked for."""
        unused = self._store.num_unused()
        return f"{unused} predictions belong to none of the problems" if unused else None
