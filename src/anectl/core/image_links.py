"""How a row that leaves us refers to an image: by a path from the output's folder, by a full path, or as the image."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from anectl.core.errors import RowError
from anectl.core.images import ImageRef, ImageRoot

_MIMES = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"BM", "bmp"), (b"II*\0", "tiff"))


class ImageLinks:
    """The image source of an export. `source` is the file whose rows are read, None for stdin."""

    def __init__(self, root: ImageRoot, folder: Path | None, source: str | None = None) -> None:
        """`folder` is what paths are relative to; None for full paths."""
        self.source = source
        self._root = root
        self._folder = None if folder is None else os.path.realpath(folder)

    def path(self, reference: str) -> str:
        """A path that the other tool can open. Raises RowError: no such image, or not a file of its own."""
        image = self._root.resolve(reference, self.source)
        if image.location.startswith("data:") or image.ref.startswith("zip://"):
            raise RowError(
                f"image {reference[:80]!r} is not a file of its own", hint="--inline-images puts images into the rows"
            )
        return image.location if self._folder is None else os.path.relpath(image.location, self._folder)

    def data_uri(self, reference: str) -> str:
        """The image as a data URI; what kind it is, its bytes say. Raises RowError: no such image, or unreadable."""
        image = self._root.resolve(reference, self.source)
        data = image.read()
        return f"data:image/{_kind(data, image)};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes, image: ImageRef) -> str:
    """The subtype of the MIME type, by the first bytes. Raises RowError for a file that is no image we know."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for start, kind in _MIMES:
        if data.startswith(start):
            return kind
    raise RowError(f"image {image.ref!r} is of no kind that other tools read", hint="PNG, JPEG, WebP, GIF, BMP or TIFF")
