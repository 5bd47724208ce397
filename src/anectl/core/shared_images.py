"""Images of tables in which a row names another row by its index instead of repeating that row's image.

The TSV files of MMBench do so: rotations of one question have one image.
"""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import ImageSink

_LONGEST_INDEX = 64
"""Longer text is an image itself: the limit of VLMEvalKit, which writes such files."""


class SharedImages:
    """An `ImageSink` that knows images of earlier rows by index; memory grows with the rows, not with the images."""

    def __init__(self, sink: ImageSink) -> None:
        self._sink = sink
        self._references: dict[str, str] = {}

    def put(self, image: object) -> str:
        """The reference of an image, or of the image of the row that it names. Raises RowError as the sink does."""
        if not isinstance(image, str) or not image.strip().isdecimal() or len(image) > _LONGEST_INDEX:
            return self._sink.put(image)
        if image.strip() not in self._references:
            raise RowError(f"the image is that of row {image.strip()!r}, and no row before this one has that index")
        return self._references[image.strip()]

    def remember(self, index: object, reference: str) -> None:
        """Say which image the row of this index has."""
        self._references[str(index)] = reference
