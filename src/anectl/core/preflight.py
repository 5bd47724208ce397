"""What the prompts of a run will be in tokens, known before any weights are loaded."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Protocol

from anectl.core.errors import RowError
from anectl.core.protocols import PromptRequest


@dataclass(frozen=True, slots=True)
class PromptSize:
    """Tokens of one prompt in all, and those of them that stand for its images."""

    image_tokens: int
    prompt_tokens: int


class Preflight(Protocol):
    """Measures prompts as an engine will see them; `window` is the most tokens of a prompt and its completion."""

    window: int

    def measure(self, request: PromptRequest) -> PromptSize:
        """The size of a prompt. Raises RowError for one that the engine would refuse."""
        ...


@dataclass
class PromptSizes:
    """Running sizes of the prompts of a run, against the window of its model.

    `max_tokens` is the most tokens a completion may have; where a prompt leaves less room, it may be cut short.
    """

    preflight: Preflight
    max_tokens: int
    longest: int = 0
    longest_row: str | None = None
    num_cramped: int = 0
    first_cramped: str | None = None
    _image_tokens: list[int] = field(default_factory=list)

    def measure(self, row: str, request: PromptRequest) -> PromptSize:
        """Measure and count the prompt of one row; `row` is its id. Raises RowError, with the id, for one of no use."""
        try:
            size = self.preflight.measure(request)
        except RowError as error:
            raise RowError(f"{row!r}: {error.problem}", hint=error.hint) from None
        self._image_tokens.append(size.image_tokens)
        if size.prompt_tokens > self.longest:
            self.longest, self.longest_row = size.prompt_tokens, row
        if size.prompt_tokens + self.max_tokens > self.preflight.window:
            self.num_cramped += 1
            self.first_cramped = self.first_cramped or row
        return size

    def facts(self) -> dict[str, object]:
        """The sizes as plain data; those of image tokens are null without rows."""
        smallest, median, largest = self._spread() or (None, None, None)
        return {
            "rows": len(self._image_tokens),
            "image_tokens": {"min": smallest, "median": median, "max": largest},
            "longest_prompt": self.longest,
            "longest_row": self.longest_row,
            "window": self.preflight.window,
            "cut_short": self.num_cramped,
        }

    def summary(self) -> str:
        """One sentence: rows, image tokens, the longest prompt, and how many completions may lack room."""
        spread = self._spread()
        if spread is None:
            return "no prompts"
        rows = len(self._image_tokens)
        smallest, median, largest = spread
        said = (
            f"{rows} prompts with {smallest}/{median:g}/{largest} image tokens (min/median/max); the longest, of "
            f"{self.longest_row!r}, has {self.longest} tokens of a window of {self.preflight.window}"
        )
        if not self.num_cramped:
            return said
        return (
            f"{said}; {self.num_cramped} leave fewer than {self.max_tokens} tokens for a completion, "
            f"the first is {self.first_cramped!r}"
        )

    def _spread(self) -> tuple[int, float, int] | None:
        if not self._image_tokens:
            return None
        return min(self._image_tokens), statistics.median(self._image_tokens), max(self._image_tokens)
