"""Small copies of the images of a report: each decoded within the bounds of `core.images`, made anew, and kept once."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from anectl.core.errors import RowError
from anectl.core.images import ImageRoot
from anectl.core.report.safe_text import short

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK = 40
"""Images that the page unpacks at a time."""
_QUALITY = 72
_SMALL = 96


class Thumbnails:
    """Makes thumbnails with `add`, and gives those that fill a block with `blocks`.

    What is held are at most BLOCK thumbnails and a digest of each before. Nothing of the original file goes into the
    page but its pixels: it is decoded, made smaller and encoded anew. After `budget` bytes no more are made.
    """

    def __init__(self, root: Path | None, size: int, budget: int) -> None:
        self.size = size
        self.left = budget
        self.num_missing = 0
        self.num_left_out = 0
        self._images = ImageRoot(root)
        self._by_location: dict[str, int | str] = {}
        self._by_content: dict[bytes, int] = {}
        self._waiting: list[str] = []
        self._num_blocks = 0

    @property
    def count(self) -> int:
        """How many different thumbnails there are."""
        return len(self._by_content)

    def add(self, ref: str, source: str | None) -> int | str:
        """The number of an image's thumbnail, or a note on why there is none; `source` is the file that names it."""
        try:
            image = self._images.resolve(ref, source)
        except RowError as error:
            self.num_missing += 1
            return short(error.problem)
        key = image.location if len(image.location) < 1000 else hashlib.sha256(image.location.encode()).hexdigest()
        if key not in self._by_location:
            if self.left <= 0:
                self.num_left_out += 1
                return "left out: the page has reached the size that is set for images"
            try:
                self._by_location[key] = self._numbered(_encoded(image.open(), self.size))
            except RowError as error:
                self.num_missing += 1
                self._by_location[key] = short(error.problem)
        return self._by_location[key]

    def _numbered(self, data: bytes) -> int:
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest not in self._by_content:
            self._by_content[digest] = len(self._by_content)
            text = base64.b64encode(data).decode()
            self._waiting.append(text)
            self.left -= len(text)
        return self._by_content[digest]

    def blocks(self, *, last: bool = False) -> Iterator[tuple[str, list[str]]]:
        """The name and the images of each block that is full; of a part of one, too, when it is the last."""
        while len(self._waiting) >= BLOCK or (last and self._waiting):
            block, self._waiting = self._waiting[:BLOCK], self._waiting[BLOCK:]
            yield f"images-{self._num_blocks}", block
            self._num_blocks += 1


def _encoded(image: Image, size: int) -> bytes:
    """The image as WebP, no side longer than `size`; small ones, which are drawings of pixels, without loss."""
    from PIL.Image import Resampling

    small = max(image.size) <= _SMALL
    image.thumbnail((size, size), Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    if small:
        image.save(file, "WEBP", lossless=True, method=4)
    else:
        image.save(file, "WEBP", quality=_QUALITY, method=4)
    return file.getvalue()
