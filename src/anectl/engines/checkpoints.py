"""Load a vision-language checkpoint: a full one or a PEFT adapter, from a folder or by its Hugging Face name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, ProcessorMixin

from anectl.core.errors import AnectlError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ADAPTER_CONFIG = "adapter_config.json"

_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_VISION_WORD = re.compile(r"image|img|vision|video|row_\d+_col_\d+", re.IGNORECASE)


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_vlm(model: str, dtype: str, *, trainable: bool = False) -> tuple[Any, Any]:
    """The model on its device and its processor, which pads on the left.

    `dtype` is `float32`, `bfloat16` or `auto`: the checkpoint's own on a GPU, float32 on a CPU. An adapter folder is
    put onto its base model, and merged into it unless `trainable`; a model that is not trainable is in eval mode.
    Raises AnectlError: nothing of that name, no vision-language model, weights torn or missing, no processor.
    """
    if dtype not in ("auto", *DTYPES):
        raise AnectlError(f"unknown dtype {dtype!r}", hint="auto, float32 or bfloat16")
    folder = _local_folder(model)
    if folder is not None and (folder / ADAPTER_CONFIG).is_file():
        base_name = _base_of(folder)
        has_processor = any((folder / name).is_file() for name in _PROCESSOR_FILES)
        processor = _load_processor(model if has_processor else base_name)
        network = _load_adapter(_load_network(base_name, dtype), folder, trainable)
    else:
        network, processor = _load_network(model, dtype), _load_processor(model)
    network.to(device())
    return network.train(trainable), processor


def vision_token_ids(model: Any, processor: Any) -> list[int]:
    """Ids of all tokens that stand for a part of an image or a video, sorted: those never to be sampled.

    From the configuration (`image_token_id`, `video_token_index`, `vision_start_token_id`, ...) and from the added
    tokens whose text says so (`<|image_pad|>`, `<fake_token_around_image>`, `<row_1_col_2>`, `[IMG_END]`).
    """
    found = {
        value
        for name, value in model.config.to_dict().items()
        if isinstance(value, int) and name.endswith(("_token_id", "_token_index")) and _VISION_WORD.search(name)
    }
    for token_id, token in processor.tokenizer.added_tokens_decoder.items():
        if token.special and _VISION_WORD.search(token.content):
            found.add(token_id)
    return sorted(found - set(stop_token_ids(model, processor)))


def stop_token_ids(model: Any, processor: Any) -> list[int]:
    """The ids that end a completion; the tokenizer's end of a turn first where it is one of them."""
    configured = model.generation_config.eos_token_id
    ids = [configured] if isinstance(configured, int) else list(configured or [])
    own = processor.tokenizer.eos_token_id
    if own is not None and (own in ids or not ids):
        ids = [own, *(token for token in ids if token != own)]
    return ids


def _local_folder(model: str) -> Path | None:
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists() or model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise AnectlError(f"no checkpoint folder {model!r}", hint="--model takes a folder or a Hugging Face name")
    return None


def _base_of(folder: Path) -> str:
    """The base model of an adapter: as named there, or relative to the adapter's own folder."""
    place = folder / ADAPTER_CONFIG
    try:
        name = json.loads(place.read_text("utf8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnectlError(f"not an adapter configuration: {error}", path=str(place)) from None
    if not isinstance(name, str) or not name:
        raise AnectlError("names no base model", path=str(place), hint="set base_model_name_or_path")
    beside = folder / name
    return str(beside) if beside.is_dir() and not Path(name).is_dir() else name


def _load_network(model: str, dtype: str) -> Any:
    _check_vision_language(model)
    folder = _local_folder(model)
    if folder is not None and not any(folder.glob("*.safetensors")):
        raise AnectlError("has no weights (*.safetensors)", path=model, hint="other weight formats are not opened")
    wanted = torch.float32 if dtype == "auto" and device().type == "cpu" else DTYPES.get(dtype, "auto")
    try:
        network, report = AutoModelForImageTextToText.from_pretrained(
            model, dtype=wanted, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except SafetensorError as error:
        raise AnectlError(f"weights are torn: {error}", path=model, hint="copy or save the checkpoint again") from None
    except (OSError, RuntimeError) as error:
        raise AnectlError(f"weights cannot be loaded: {_first_line(error)}", path=model) from None
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise AnectlError(
            f"weights are incomplete: {len(missing)} missing, such as {missing[0]}",
            path=model,
            hint="the model would run on random numbers in their place; copy or save the checkpoint again",
        )
    return network


def _check_vision_language(model: str) -> None:
    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise AnectlError(
            f"no checkpoint that can be loaded: {_first_line(error)}",
            path=model,
            hint="--model takes a checkpoint folder or a Hugging Face name",
        ) from None
    if type(config) not in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise AnectlError(
            f"is a {config.model_type} checkpoint, not a vision-language model",
            path=model,
            hint="a text model cannot see the images of the problems",
        )


def _load_processor(model: str) -> Any:
    try:
        processor = AutoProcessor.from_pretrained(model, padding_side="left", trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise AnectlError(
            f"processor cannot be loaded: {_first_line(error)}",
            path=model,
            hint="a checkpoint needs its processor and tokenizer files; copy them from the base model",
        ) from None
    if not isinstance(processor, ProcessorMixin):
        raise AnectlError("has a tokenizer but no image processor", path=model, hint="copy it from the base model")
    if processor.chat_template is None:
        raise AnectlError("has no chat template", path=model, hint="use the instruction-tuned checkpoint")
    return processor


def _load_adapter(network: Any, folder: Path, trainable: bool) -> Any:
    if not (folder / "adapter_model.safetensors").is_file():
        raise AnectlError("has no adapter_model.safetensors", path=str(folder), hint="save the adapter again")
    try:
        adapted = PeftModel.from_pretrained(network, str(folder), is_trainable=trainable)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise AnectlError(f"adapter cannot be loaded: {_first_line(error)}", path=str(folder)) from None
    return adapted if trainable else adapted.merge_and_unload()


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
