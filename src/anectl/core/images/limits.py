"""How large an image may be, and why one is refused."""

from __future__ import annotations

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 50_000_000

TOO_LARGE = f"is larger than {MAX_BYTES >> 20} MiB"


class Refusal(Exception):
    """Why an image is not read, to follow the words `image 'x.png'`; becomes a RowError where the image has a name."""

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def refuse_pixels(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raises Refusal for more than `most` pixels."""
    if width * height > most:
        raise Refusal(f"has {width}x{height} pixels, over {most}")
