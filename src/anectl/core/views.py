"""What an embedder is shown of a problem for each signal."""

from __future__ import annotations

from anectl.core.protocols import EmbedItem
from anectl.core.records import Signal


def shown(item: EmbedItem, signal: Signal) -> EmbedItem | None:
    """The part of a problem that a signal is about.

    `text` is its words alone, `image` its images alone (None when it has none), `joint` both.
    """
    if signal == "text":
        return EmbedItem(item.text)
    if signal == "image":
        return EmbedItem("", item.images) if item.images else None
    return item
