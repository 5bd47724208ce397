"""Zero-variance refill: groups that came out all right or all wrong are drawn again from other problems.

DAPO's dynamic sampling (arXiv 2503.14476, section 3.2). TRL 1.16 has none. Here the completions of a step are drawn
before TRL asks for them; TRL's own `_generate` then gets what was drawn, and everything after it is TRL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelerate.utils import gather_object  # type: ignore[import-untyped]
from trl.data_utils import prepare_multimodal_messages

from anectl.engines.prefix_turns import OpenTurnTrainer

Row = dict[str, Any]


class RefillTrainer(OpenTurnTrainer):
    """GRPO that draws a group again, up to `refill` times, while its completions are all right or all wrong."""

    refill = 0
    num_refilled = 0
    _drawn: tuple[Any, ...] | None = None

    def is_dull(self, rows: list[Row], completions: list[Any], completion_ids: list[Any]) -> bool:
        """Whether a group teaches nothing; it is then drawn again."""
        raise NotImplementedError

    def rows_instead(self, num_groups: int, bare: Sequence[bool], attempt: int) -> list[Row]:
        """Rows of other groups; those to replace a bare group are bare."""
        raise NotImplementedError

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        if self.refill and self.model.training:
            inputs = self._refilled(inputs)
        return super()._generate_and_score_completions(inputs)  # type: ignore[no-any-return]

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        drawn, self._drawn = self._drawn, None
        return super()._generate(prompts) if drawn is None else drawn

    def _refilled(self, rows: list[Row]) -> list[Row]:
        size, rows, drawn = self.args.num_generations, list(rows), self._draw(rows)
        self.num_refilled, fresh = 0, list(range(len(rows) // size))
        for attempt in range(1, self.refill + 1):
            spans = {group: slice(group * size, (group + 1) * size) for group in fresh}
            dull = [one for one, span in spans.items() if self.is_dull(rows[span], drawn[3][span], drawn[1][span])]
            # All processes draw equally many, since TRL gathers their lengths; what is left over is dropped.
            most = max(gather_object([len(dull)]))
            if most == 0:
                break
            bare = [rows[group * size]["level"] == 0 for group in dull] + [False] * (most - len(dull))
            spare = self.rows_instead(most, bare, attempt)
            again = self._draw(spare)
            for place, group in enumerate(dull):
                new = slice(place * size, (place + 1) * size)
                for column, other in zip((rows, *drawn), (spare, *again), strict=True):
                    if isinstance(column, list) and column:
                        column[spans[group]] = other[new]
            self.num_refilled += len(dull)
            fresh = dull
        self._drawn = drawn
        return rows

    def _draw(self, rows: list[Row]) -> tuple[Any, ...]:
        """What TRL's `_generate` gives: lists of one entry per row, and things that this trainer does not use."""
        prompts = [prepare_multimodal_messages(row["prompt"], images=row.get("images")) for row in rows]
        return super()._generate(prompts)  # type: ignore[no-any-return]
