"""The text of a prompt that a trainer is given, the same for sft, strip-rl and the measuring of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def prompt_text(messages: Sequence[Mapping[str, Any]], processor: Any, **variables: Any) -> str:
    """A prompt as the chat template writes it, ready to be continued; a last turn of the assistant stays open.

    `messages` have their content in parts, `variables` are those of the template. Raises ValueError where the template
    does not show the open turn.
    """
    is_open = messages[-1]["role"] == "assistant"
    given = [dict(message) for message in messages]
    how = {"continue_final_message": is_open, "add_generation_prompt": not is_open}
    return str(processor.apply_chat_template(given, tokenize=False, **how, **variables))
