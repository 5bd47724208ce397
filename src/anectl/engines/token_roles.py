"""Which tokens of a checkpoint stand for images, and which end a completion.

`model` is anything that has the checkpoint's `config` and `generation_config`; no weights are asked for.
"""

from __future__ import annotations

import re
from typing import Any

_VISION_WORD = re.compile(r"image|img|vision|video|row_\d+_col_\d+", re.IGNORECASE)


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
