"""Load a vision-language checkpoint: a full one or a PEFT adapter, from a folder or by its Hugging Face name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText

from anectl.core.errors import AnectlError
from anectl.engines.processors import ADAPTER_CONFIG as ADAPTER_CONFIG
from anectl.engines.processors import adapter_base, first_line, load_config, load_processor, local_folder
from anectl.engines.token_roles import stop_token_ids as stop_token_ids
from anectl.engines.token_roles import vision_token_ids as vision_token_ids

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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
    processor = load_processor(model)
    base = adapter_base(model)
    network = _load_network(base or model, dtype)
    if base is not None:
        network = _load_adapter(network, Path(model).expanduser(), trainable)
    network.to(device())
    return network.train(trainable), processor


def _load_network(model: str, dtype: str) -> Any:
    load_config(model)
    folder = local_folder(model)
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
        raise AnectlError(f"weights cannot be loaded: {first_line(error)}", path=model) from None
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise AnectlError(
            f"weights are incomplete: {len(missing)} missing, such as {missing[0]}",
            path=model,
            hint="the model would run on random numbers in their place; copy or save the checkpoint again",
        )
    return network


def _load_adapter(network: Any, folder: Path, trainable: bool) -> Any:
    if not (folder / "adapter_model.safetensors").is_file():
        raise AnectlError("has no adapter_model.safetensors", path=str(folder), hint="save the adapter again")
    try:
        adapted = PeftModel.from_pretrained(network, str(folder), is_trainable=trainable)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise AnectlError(f"adapter cannot be loaded: {first_line(error)}", path=str(folder)) from None
    return adapted if trainable else adapted.merge_and_unload()
