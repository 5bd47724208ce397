"""What vLLM must be told to serve an adapter, and which adapters it would serve only in part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anectl.core.errors import AnectlError

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_VISION_MODULE = re.compile(
    r"(^|\.)(visual|vision_\w+|image_\w+|vit|connector|aligner|merger|embed_vision|\w*(mm|multi_?modal)_?projector|mlp1)\."
)


def adapter_arguments(folder: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM must know to serve an adapter. Raises AnectlError for one that it would serve only in part."""
    place = Path(folder).expanduser()
    settings = json.loads((place / "adapter_config.json").read_text("utf8"))
    names = _weight_names(place / "adapter_model.safetensors")
    vision = [name for name in names if _VISION_MODULE.search(name)]
    if vision and not given.get("enable_tower_connector_lora"):
        raise AnectlError(
            f"the adapter changes the vision tower ({vision[0]}), which vLLM would leave out without a word",
            path=folder,
            hint="merge it into its base model, use --engine transformers, or, where vLLM can do this for the family, "
            "--engine-arg enable_tower_connector_lora=true",
        )
    rank = max([int(settings.get("r", 8)), *map(int, (settings.get("rank_pattern") or {}).values())])
    rank = next((allowed for allowed in _RANKS if allowed >= rank), rank)
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank}


def _weight_names(file: Path) -> list[str]:
    """The names in a safetensors file: its header is the length of a JSON object, and that."""
    try:
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    except (OSError, ValueError, MemoryError) as error:
        raise AnectlError(f"adapter cannot be loaded: {error}", path=str(file)) from None
    return [name for name in header if name != "__metadata__"]
