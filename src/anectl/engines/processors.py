"""What a checkpoint says of itself without its weights: configuration, processor, where its base model is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import transformers
from transformers import PROCESSOR_MAPPING, AutoConfig, AutoProcessor, ProcessorMixin
from transformers.utils import is_torchvision_available

from anectl.core.errors import AnectlError

ADAPTER_CONFIG = "adapter_config.json"

_VIDEO = "video_processor"
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


def local_folder(model: str) -> Path | None:
    """The folder of a checkpoint; None for a Hugging Face name. Raises AnectlError for a folder that is not there."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists() or model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise AnectlError(f"no checkpoint folder {model!r}", hint="--model takes a folder or a Hugging Face name")
    return None


def adapter_base(model: str) -> str | None:
    """The base model of an adapter: as named there, or relative to the adapter's own folder; None for a full model.

    Raises AnectlError: no such folder, or an adapter that names no base.
    """
    folder = local_folder(model)
    place = folder / ADAPTER_CONFIG if folder is not None else None
    if folder is None or place is None or not place.is_file():
        return None
    try:
        name = json.loads(place.read_text("utf8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnectlError(f"not an adapter configuration: {error}", path=str(place)) from None
    if not isinstance(name, str) or not name:
        raise AnectlError("names no base model", path=str(place), hint="set base_model_name_or_path")
    beside = folder / name
    return str(beside) if beside.is_dir() and not Path(name).is_dir() else name


def load_config(model: str) -> Any:
    """The configuration of a vision-language checkpoint, of an adapter that of its base.

    Raises AnectlError: no such checkpoint, or one of another kind.
    """
    source = adapter_base(model) or model
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise AnectlError(
            f"no checkpoint that can be loaded: {first_line(error)}",
            path=source,
            hint="--model takes a checkpoint folder or a Hugging Face name",
        ) from None
    if type(config) not in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise AnectlError(
            f"is a {config.model_type} checkpoint, not a vision-language model",
            path=source,
            hint="a text model cannot see the images of the problems",
        )
    return config


def load_processor(model: str) -> Any:
    """The processor of a checkpoint, padding on the left; an adapter without its own has that of its base.

    Raises AnectlError: no such checkpoint, no image processor, no chat template.
    """
    source = _processor_place(model)
    try:
        processor = _processor_from(source, model)
    except (OSError, ValueError, ImportError) as error:
        raise AnectlError(
            f"processor cannot be loaded: {first_line(error)}",
            path=source,
            hint="a checkpoint needs its processor and tokenizer files; copy them from the base model",
        ) from None
    if not isinstance(processor, ProcessorMixin):
        raise AnectlError("has a tokenizer but no image processor", path=source, hint="copy it from the base model")
    if processor.chat_template is None:
        raise AnectlError("has no chat template", path=source, hint="use the instruction-tuned checkpoint")
    return processor


def _processor_place(model: str) -> str:
    base = adapter_base(model)
    if base is None or any((Path(model).expanduser() / name).is_file() for name in _PROCESSOR_FILES):
        return model
    return base


def _processor_from(source: str, model: str) -> Any:
    kind = PROCESSOR_MAPPING.get(type(load_config(model)), None)
    loader = AutoProcessor
    if kind is not None and not is_torchvision_available() and _VIDEO in kind.get_attributes():
        loader = _without_video(kind)
    return loader.from_pretrained(source, padding_side="left", trust_remote_code=False)


def _without_video(kind: Any) -> Any:
    """The processor class for images alone: the part for videos exists only with torchvision, and is never used."""
    parts = kind.get_attributes()

    class ImagesOnly(kind):  # type: ignore[misc]
        # SmolVLM hands these two on even where there is no video.
        video_processor = SimpleNamespace(num_frames=None, fps=None)

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in parts if name != _VIDEO]

        @classmethod
        def from_args_and_dict(cls, args: list[Any], *settings: Any, **more: Any) -> Any:
            place = parts.index(_VIDEO)
            return super().from_args_and_dict([*args[:place], None, *args[place:]], *settings, **more)

    # A processor saves the name of its class, by which it is found again.
    ImagesOnly.__name__ = kind.__name__
    return ImagesOnly


def first_line(error: Exception) -> str:
    """What an error says first; its kind where it says nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
