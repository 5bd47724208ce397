"""What the trainers share: the model to train, and TRL's configuration."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import LoraConfig
from transformers import (
    TrainingArguments,
)

from anectl.core.errors import AnectlError, RowError
from anectl.core.records import Message
from anectl.core.trackers import trackers
from anectl.core.training import TrainingRow, TrainSettings
from anectl.engines.checkpoints import ADAPTER_CONFIG, load_vlm, vision_token_ids
from anectl.engines.decoder_parts import adapter_targets
from anectl.engines.decoder_parts import in_decoder as in_decoder

C = TypeVar("C", bound=TrainingArguments)

_FIXED = frozenset(
    {"output_dir", "resume_from_checkpoint", "save_only_model", "save_strategy", "remove_unused_columns", "push_to_hub"}
)
_UNASKED = "kubeflow"
IMAGE_MARK = "<image>"


def wants_bfloat16(settings: TrainSettings) -> bool:
    """Whether the arithmetic is in bfloat16: as asked, else where a GPU can do it."""
    if settings.dtype == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return settings.dtype == "bfloat16"


def load_trainable(settings: TrainSettings, checkpoint: Path | None) -> tuple[Any, Any]:
    """The model to train and its processor; a model that is an adapter is merged into its base first.

    Full parameters come from the checkpoint itself on resume: the Trainer restores weights non-strictly by hub names,
    which Qwen2.5-VL, LLaVA and others do not carry in memory, and so would silently train on from the base.
    They are kept in float32, since bfloat16 would round small updates away; a frozen base under LoRA need not be, and
    may have its decoder in 4 bits.
    """
    full = not settings.lora
    if settings.lora and not settings.merge and (Path(settings.model) / ADAPTER_CONFIG).is_file():
        raise AnectlError("is an adapter itself", path=settings.model, hint="--merge saves a full model instead")
    source = str(checkpoint) if checkpoint is not None and full else settings.model
    dtype = "bfloat16" if wants_bfloat16(settings) and not full else "float32"
    model, processor = load_vlm(source, dtype, in_4bit=settings.load_in_4bit)
    # Adapters and the reference model of a KL term are found by this name: the base, also when resumed.
    local = Path(settings.model).is_dir()
    model.config._name_or_path = os.path.abspath(settings.model) if local else settings.model
    if full:
        freeze(model, train_vision=settings.train_vision)
    return model, processor


def freeze(model: torch.nn.Module, *, train_vision: bool) -> None:
    """Let the gradient reach the text decoder, and the vision tower and the connector only where asked.

    Raises AnectlError when the text decoder cannot be told apart.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(train_vision or in_decoder(name))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise AnectlError("cannot find the text decoder of this model", hint="--train-vision trains all of it")


def structured(messages: Sequence[Message], num_images: int) -> list[dict[str, Any]]:
    """Messages in parts, each image where the text says `<image>`, else all of them before the first user text."""
    marked = sum(message.content.count(IMAGE_MARK) for message in messages)
    unplaced = 0 if marked else num_images
    shaped = []
    for message in messages:
        parts: list[dict[str, str]] = []
        if message.role == "user":
            parts += [{"type": "image"}] * unplaced
            unplaced = 0
        pieces = re.split(f"({IMAGE_MARK})", message.content) if marked else [message.content]
        parts += [{"type": "image"} if piece == IMAGE_MARK else {"type": "text", "text": piece} for piece in pieces]
        shaped.append({"role": message.role, "content": parts})
    return shaped


def image_token_texts(model: Any, processor: Any) -> frozenset[str]:
    """The tokens that stand for images, as texts; `model` is anything with its configurations."""
    return frozenset(processor.tokenizer.convert_ids_to_tokens(vision_token_ids(model, processor))) - {IMAGE_MARK}


def refuse_image_tokens(rows: Iterable[TrainingRow], tokens: frozenset[str]) -> None:
    """Raise RowError for a text that spells an image token: it would shift every image after it."""
    for row in rows:
        texts = [message.content for message in (*row.example.prompt, *row.example.completion)]
        name = row.example.problem_id
        for token in tokens:
            if any(token in text for text in texts):
                raise RowError(f"the text of {name!r} contains the image token {token!r}")
        marks = [text.count(IMAGE_MARK) for text in texts]
        if sum(marks) not in (0, len(row.images)) or any(marks[len(row.example.prompt) :]):
            raise RowError(f"{name!r}: the prompt says {IMAGE_MARK} {sum(marks)} times for {len(row.images)} images")


def lora_config(settings: TrainSettings) -> LoraConfig | None:
    """Adapters, where nothing else is said on all linear layers of the text decoder; null for full training."""
    if not settings.lora:
        return None
    targets = adapter_targets(settings.lora_targets)
    return LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=targets, task_type="CAUSAL_LM"
    )


def configure(kind: type[C], settings: TrainSettings, folder: Path, values: Mapping[str, Any]) -> C:
    """TRL's config: what both trainers set, then `values`, then the user's `trl` section.

    Raises AnectlError: an unknown key, a key that anectl sets itself, or a value that TRL refuses.
    """
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    for key in settings.trl:
        if key in _FIXED:
            raise AnectlError(f"trl: {key} is set by anectl itself")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are the fields of TRL's {kind.__name__}"
            raise AnectlError(f"trl: unknown key {key!r}", hint=hint)
    if settings.load_in_4bit and find_spec("bitsandbytes") is None:
        raise AnectlError("--load-in-4bit needs bitsandbytes", hint="pip install bitsandbytes")
    asked = trackers(settings.trl.get("report_to") or settings.report_to)
    cuda = torch.cuda.is_available()
    common = {
        "output_dir": str(folder),
        "learning_rate": settings.learning_rate,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "max_steps": settings.max_steps or -1,
        "num_train_epochs": settings.epochs,
        "warmup_steps": settings.warmup_steps,
        # Transformers' `constant` knows no warm-up.
        "lr_scheduler_type": "constant_with_warmup"
        if settings.scheduler == "constant" and settings.warmup_steps
        else settings.scheduler,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": 2,  # the older one is needed until the newer one is marked complete
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would log a loss of 0 where there is none
        "report_to": asked,
        "run_name": folder.name.removesuffix(".partial"),
        "use_cpu": not cuda,
        "bf16": wants_bfloat16(settings),
        "gradient_checkpointing": cuda,
        "dataloader_pin_memory": cuda,
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    with refusals():
        config: C = kind(**{**common, **values, **settings.trl, "report_to": asked})
    # Transformers adds that of a cluster on which it finds itself; nothing is told to anyone unasked.
    config.report_to = [name for name in config.report_to if name != _UNASKED or name in asked]
    use_one_gpu(config)
    return config


def use_one_gpu(config: TrainingArguments) -> None:
    """Keep a process to one GPU where it sees several, and warn that the others are idle.

    Transformers would cut all inputs along their first axis (DataParallel) and multiply the batch. Many processors put
    the patches of all images along that axis, so images would come apart (transformers issue 33666).
    """
    if config.n_gpu > 1:
        warnings.warn(
            f"one process trains on one GPU, and {config.n_gpu} are here; on all of them: "
            f"torchrun --nproc-per-node {config.n_gpu} -m anectl ...",
            stacklevel=2,
        )
        config._n_gpu = 1


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what TRL says about impossible settings into the user's error; wrap its constructors only."""
    try:
        yield
    except (TypeError, ValueError, ImportError) as error:
        raise AnectlError(f"TRL refuses the settings: {error}") from None
