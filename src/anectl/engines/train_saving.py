"""The end of a training run: the model goes into its folder, and what can go wrong there is told clearly."""

from __future__ import annotations

import errno
import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from peft import PeftConfig
from safetensors import SafetensorError
from transformers import AutoConfig, Trainer

from anectl.core.errors import AnectlError
from anectl.core.protocols import TrainOutcome
from anectl.core.training import TrainSettings
from anectl.engines.processors import ADAPTER_CONFIG
from anectl.engines.sharding import is_sharded

P = ParamSpec("P")

# How gloo and NCCL tell of a peer that is gone.
_LOST = re.compile(
    r"closed by peer|connection reset|remote process exited|broken pipe|timed out waiting", re.IGNORECASE
)


def save_final(trainer: Trainer, settings: TrainSettings) -> None:
    """Save model, processor and generation config; adapters are merged when asked, weights keep the base's dtype.

    With `save_dtype` float32 they are merged and saved in that: bfloat16 has 8 bits, and a small change of a weight on
    its grid is rounded back to where it was.

    Weights that are spread over the processes are gathered by all of them; the first one writes.
    """
    state = trainer.accelerator.get_state_dict(trainer.model) if is_sharded(trainer) else None
    if not trainer.is_world_process_zero():
        return
    model, folder = trainer.accelerator.unwrap_model(trainer.model), Path(trainer.args.output_dir)
    (folder / "README.md").unlink(missing_ok=True)  # TRL's model card describes the unfinished folder
    model.config.use_cache = True  # the Trainer turns it off for its own passes
    trainer.processing_class.save_pretrained(folder)
    _refuse_not_finite(model.named_parameters() if state is None else state.items())
    if settings.lora and not settings.merge:
        model.save_pretrained(folder, state_dict=state)
        (folder / "README.md").unlink(missing_ok=True)
        return
    in_full = settings.save_dtype == "float32"
    if settings.lora:
        model = (model.float() if in_full else model).merge_and_unload()
    dtype = torch.float32 if in_full else base_dtype(settings.model)
    if state is None:
        model.to(dtype).save_pretrained(folder)
        return
    model.config.dtype = dtype
    model.save_pretrained(folder, state_dict={name: value.to(dtype) for name, value in state.items()})


def _refuse_not_finite(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    for name, weight in weights:
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise AnectlError(
                f"{name} is not finite after the last step: the training has diverged",
                hint="lower the learning rate or add --warmup-steps",
            )


def base_dtype(model: str) -> torch.dtype:
    """The dtype of a checkpoint's weights, or of the base's where it is an adapter."""
    if (Path(model) / ADAPTER_CONFIG).is_file():
        return base_dtype(PeftConfig.from_pretrained(model).base_model_name_or_path)
    return AutoConfig.from_pretrained(model).dtype or torch.float32


def leaves_others(train: Callable[P, TrainOutcome]) -> Callable[P, TrainOutcome]:
    """A training after which this process has nothing to do with the others of its run, and ends when it is done.

    Gloo has threads that free what was sent. One that asks for Python's lock to do so while Python ends aborts a
    process whose work was done, and torchrun says that the whole run failed (torch issue 190489). The group's end alone
    does not end them: the trainer, a ring of references, still holds the group. Where FSDP2 spreads the weights the
    threads stay all the same. An error leaves all as it is, since others may wait for this process; the launcher ends
    them.
    """

    @wraps(train)
    def trained(*arguments: P.args, **options: P.kwargs) -> TrainOutcome:
        outcome = train(*arguments, **options)
        if PartialState().num_processes > 1:
            PartialState().destroy_process_group()
            gc.collect()
        return outcome

    return trained


@contextmanager
def lost_processes() -> Iterator[None]:
    """Turn what the others say when one process of a run has died into one clear error."""
    try:
        yield
    except RuntimeError as error:
        if PartialState().num_processes > 1 and _LOST.search(str(error)):
            raise AnectlError(
                "another process of this run has died", hint="see its own message; run again with --resume"
            ) from None
        raise


def diverged(what: str, folder: str) -> AnectlError:
    """The error of a run whose numbers are no numbers any more."""
    return AnectlError(
        f"{what}: the training has diverged",
        path=folder,
        hint="remove the folder and start anew with a lower learning rate or more --warmup-steps",
    )


@contextmanager
def sampling_errors(folder: str) -> Iterator[None]:
    """Turn what torch says of a policy that gives tokens no probability into a clear error."""
    try:
        yield
    except RuntimeError as error:
        if "probability tensor contains" in str(error):
            raise diverged("the policy's probabilities are not finite", folder) from None
        raise


@contextmanager
def storage_errors(folder: str) -> Iterator[None]:
    """Turn the many ways in which a full disk shows into one clear error."""
    hint = "free some space and run again with --resume"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise AnectlError(f"cannot write: {error.strerror}", path=folder, hint=hint) from None
        raise
    except SafetensorError as error:
        raise AnectlError(f"cannot write the model: {error}", path=folder, hint=hint) from None
    except RuntimeError as error:
        if "inline_container" in str(error) or "PytorchStreamWriter" in str(error):
            raise AnectlError("cannot write the optimizer state", path=folder, hint=hint) from None
        raise
