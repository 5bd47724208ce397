"""Weights that are spread over the processes of a run (FSDP, DeepSpeed): what must be done together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.distributed.fsdp import FSDPModule
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from anectl.core.errors import AnectlError
from anectl.core.training import TrainingRow


def is_sharded(trainer: Trainer) -> bool:
    """Whether the weights are spread over the processes."""
    return bool(trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)


def refuse_mixed_rows(rows: Sequence[TrainingRow], trainer: Trainer) -> None:
    """Raise AnectlError for rows with and without images where the weights are spread over processes.

    The parts of the vision tower come together in a forward pass of all processes; one whose rows have no image would
    not take part, and the others would wait for it for ever.
    """
    with_images = sum(bool(row.images) for row in rows)
    if is_sharded(trainer) and with_images not in (0, len(rows)):
        raise AnectlError(
            f"{with_images} rows have images and {len(rows) - with_images} have none, while the weights are spread",
            hint="train on the two kinds one after the other, or without sharding",
        )


class WholeHead(TrainerCallback):  # type: ignore[misc]
    """Gathers a head that FSDP2 spreads before each forward pass, so that its gradient is summed over the processes.

    TRL multiplies by the head's weight and never calls the head, which would gather it. It then gathers the weight
    itself by `full_tensor`, whose gradient each process cuts for its own part from its own rows alone. Accelerate makes
    the head a unit of its own where it finds no final norm beside it, as in vision-language models, unless the head is
    tied to the embeddings.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **rest: Any
    ) -> None:
        """Hook the model, which is spread by now."""
        by_fsdp2 = isinstance(model, FSDPModule)
        head = model.get_output_embeddings() if by_fsdp2 else None
        if not isinstance(head, FSDPModule):
            return

        def gather(module: Any, inputs: Any) -> None:
            head.unshard()

        model.register_forward_pre_hook(gather)
