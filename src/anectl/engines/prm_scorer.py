"""Score steps with a process reward model that `train-prm` has made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from anectl.core.errors import AnectlError
from anectl.core.prm import read_labels
from anectl.core.protocols import PromptRequest
from anectl.engines.checkpoints import load_vlm
from anectl.engines.step_reading import StepReader


class PrmScorer:
    """`StepScorer` over the checkpoint of a process reward model; a block of completions runs as one batch."""

    def __init__(self, model: str, *, dtype: str = "auto") -> None:
        """Raises AnectlError when the folder is none of `train-prm`, or cannot be loaded."""
        self.name = model
        labels = read_labels(Path(model))
        self._model, processor = load_vlm(model, dtype)
        self._reader = StepReader(self._model, processor, labels)

    @torch.inference_mode()
    def score(self, rows: Sequence[tuple[PromptRequest, tuple[str, ...]]]) -> list[tuple[float, ...] | str]:
        """For each row the chance of every step to be good, 0..1, or the reason why it could not be scored."""
        found: dict[int, tuple[float, ...] | str] = {}
        for with_images in (True, False):
            places = [place for place, (request, _) in enumerate(rows) if bool(request.images) == with_images]
            if not places:
                continue
            batch = self._reader.batch(self._model, [rows[place] for place in places])
            found |= {places[row]: error for row, error in batch.errors.items()}
            if not batch.rows:
                continue
            chances = self._reader.read(self._model, batch).double().sigmoid().tolist()
            for row, values in zip(batch.rows, chances, strict=True):
                found[places[row]] = tuple(values[: len(rows[places[row]][1])])
        if not all(torch.isfinite(torch.tensor(value)).all() for value in found.values() if not isinstance(value, str)):
            raise AnectlError("a step score is not finite", path=self.name, hint="are the weights torn? train it again")
        return [found[place] for place in range(len(rows))]

    def close(self) -> None:
        """The model is given back with the object."""
