"""Load a vision-language checkpoint: a full one or a PEFT adapter, from a folder or by its Hugging Face name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from anectl.core.errors import AnectlError
from anectl.engines.decoder_parts import linear_outside_decoder
from anectl.engines.processors import ADAPTER_CONFIG as ADAPTER_CONFIG
from anectl.engines.processors import adapter_base, first_line, load_config, load_processor, local_folder
from anectl.engines.token_roles import stop_token_ids as stop_token_ids
from anectl.engines.token_roles import vision_token_ids as vision_token_ids

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_vlm(model: str, dtype: str, *, trainable: bool = False, in_4bit: bool = False) -> tuple[Any, Any]:
    """The model on its device and its processor, which pads on the left.

    `dtype` is `float32`, `bfloat16` or `auto`: the checkpoint's own on a GPU, float32 on a CPU. An adapter folder is
    put onto its base model, and merged into it unless `trainable`; a model that is not trainable is in eval mode.
    `in_4bit` keeps the linear layers of the text decoder in 4 bits, by bitsandbytes, and computes in `dtype`.
    Raises AnectlError: nothing of that name, no vision-language model, weights torn or missing, no processor.
    """
    if dtype not in ("auto", *DTYPES):
        raise AnectlError(f"unknown dtype {dtype!r}", hint="auto, float32 or bfloat16")
    processor = load_processor(model)
    base = adapter_base(model)
    network = _load_network(base or model, dtype, in_4bit)
    if base is not None:
        network = _load_adapter(network, Path(model).expanduser(), trainable)
    if not in_4bit:  # those lie where they were loaded to
        network.to(device())
    return network.train(trainable), processor


def _load_network(model: str, dtype: str, in_4bit: bool) -> Any:
    config = load_config(model)
    folder = local_folder(model)
    if folder is not None and not any(folder.glob("*.safetensors")):
        raise AnectlError("has no weights (*.safetensors)", path=model, hint="other weight formats are not opened")
    wanted = torch.float32 if dtype == "auto" and device().type == "cpu" else DTYPES.get(dtype, "auto")
    try:
        network, report = AutoModelForImageTextToText.from_pretrained(
            model,
            dtype=wanted,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            quantization_config=_in_4bit(config, wanted) if in_4bit else None,
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


def _in_4bit(config: Any, dtype: Any) -> BitsAndBytesConfig:
    """As QLoRA has it (Dettmers et al. 2023): NF4 with its scales quantised again.

    Vision tower, connector and head stay as they are. They are named one by one, because a short name such as
    `vision_model` is compared with the beginning of a full one and so would spare nothing.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=linear_outside_decoder(config),
    )


def _load_adapter(network: Any, folder: Path, trainable: bool) -> Any:
    if not (folder / "adapter_model.safetensors").is_file():
        raise AnectlError("has no adapter_model.safetensors", path=str(folder), hint="save the adapter again")
    try:
        adapted = PeftModel.from_pretrained(network, str(folder), is_trainable=trainable)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise AnectlError(f"adapter cannot be loaded: {first_line(error)}", path=str(folder)) from None
    return adapted if trainable else adapted.merge_and_unload()
