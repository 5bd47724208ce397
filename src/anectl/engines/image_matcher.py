"""Which benchmark images an image is a copy of, whatever was done to it (numpy).

About 500 bytes of memory an image, most of them for its hashes, and 8 KiB of temporary disk (in TMPDIR) for its maps.
A search goes over all hashes, and so misses none within reach: 8 ms among 100,000 images.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from anectl.core.errors import AnectlError
from anectl.core.leaks import ImageMatch, Limits
from anectl.engines.image_sketch import (
    CHANNELS,
    SIZE,
    VIEWS,
    Array,
    Hashes,
    Sketch,
    fit,
    likeness,
    seen_through,
    sketch,
    unit,
)

_MAP_BYTES = len(CHANNELS) * SIZE * SIZE
_SHARED = 16  # pictures of a group from which on it can be told what they have in common
_WHOLE = ((0.0, 0.0), (0.0, 0.0))
_MOST_CANDIDATES = 64
_CHUNK = 1 << 16
_PROBES = 32  # pictures of a group that are compared with the others of it
_MOST_RAISED = 1.0
_EQUAL = 0.9995
_UNLIKE = -1.0


class ImageMatcher:
    """Benchmark images in groups (one for each file), numbered from 0 as they are added."""

    def __init__(self, limits: Limits) -> None:
        """`limits` has the Hamming distance up to which images are candidates, and what makes them the same."""
        self.count = 0
        self._limits = limits
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self._hashes: Hashes = np.zeros((len(CHANNELS), len(VIEWS), 1024), np.uint64)
        self._blank = np.zeros(1024, bool)
        self._groups: list[int] = []
        self._by_pixels: dict[bytes, list[int]] = {}
        self._sums: dict[int, tuple[int, Array]] = {}
        self._raised: dict[int, float] | None = None

    def add(self, image: Image, group: int) -> bool:
        """Remember one RGB image; whether it is blank. Raises AnectlError when the disk is full."""
        seen = sketch(image)
        if self.count == self._hashes.shape[2]:
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)], axis=2)
            self._blank = np.concatenate([self._blank, np.zeros_like(self._blank)])
        self._hashes[:, :, self.count] = seen.hashes
        self._blank[self.count] = seen.blank
        self._groups.append(group)
        copies = self._by_pixels.setdefault(seen.digest, [])
        # The latest first: thousands of rows may show one picture, and those of this group were added last.
        if not any(self._groups[number] == group for number in reversed(copies)) and not seen.blank:
            size, total = self._sums.get(group, (0, np.zeros((len(CHANNELS), SIZE, SIZE), np.float32)))
            self._sums[group] = size + 1, total + unit(seen.maps.astype(np.float32))
        copies.append(self.count)
        try:
            self._file.write(seen.maps.tobytes())
        except OSError as error:
            raise AnectlError(
                f"no room for temporary data: {error.strerror}", hint="TMPDIR says where it goes"
            ) from None
        self.count += 1
        return seen.blank

    def search(self, image: Image) -> tuple[list[ImageMatch], bool]:
        """The images that an RGB image may be a copy of, the best first; and whether it is blank, and so has none."""
        seen = sketch(image)
        if seen.blank or not self.count:
            return [], seen.blank
        if self._raised is None:
            self._raised = {}
            self._raised = self._calibrated()
        same = frozenset(self._by_pixels.get(seen.digest, ()))
        found = {number: ImageMatch(number, 1.0, 1.0, 0) for number in same}
        for match in self._alike(seen):
            if match.number not in same and (match.number not in found or _rank(match) < _rank(found[match.number])):
                found[match.number] = match
        return sorted(found.values(), key=_rank), False

    def _alike(self, seen: Sketch) -> Iterator[ImageMatch]:
        for candidate in self._candidates(seen):
            yield self._compared(seen, *candidate)

    def _calibrated(self) -> dict[int, float]:
        """How much more each group asks for: as much as its own different pictures are alike, at their 90% quantile.

        Twice the way from their median to it, since a search is to be wrong less often than one time in ten; and no
        more than _MOST_RAISED, should a benchmark hold its pictures twice.
        """
        members: dict[int, list[int]] = {}
        for number, group in enumerate(self._groups):
            if not self._blank[number]:
                members.setdefault(group, []).append(number)
        raised = {}
        for group, numbers in members.items():
            if len(numbers) < _SHARED:
                continue
            step = max(1, len(numbers) // _PROBES)
            best = [self._nearest_other(number, group) for number in numbers[::step][:_PROBES]]
            middle, high = np.quantile(best, [0.5, 0.9])
            raised[group] = float(min(max(middle + 2 * (high - middle), 0.0), _MOST_RAISED))
        return raised

    def _nearest_other(self, number: int, group: int) -> float:
        """The excess of the picture of its group that is most like this one, and not the same."""
        seen = Sketch(self._maps(number).astype(np.uint8), self._hashes[:, :, number], b"", False)
        others = [
            match.excess(self._limits)
            for match in self._alike(seen)
            if self._groups[match.number] == group and min(match.brightness, match.structure) < _EQUAL
        ]
        return max(others, default=_UNLIKE)

    def _candidates(self, seen: Sketch) -> list[tuple[int, int, int, bool, int]]:
        """Image, channel, view, whether the view is of the image sought, and distance; the nearest first."""
        found = []
        for channel in range(len(CHANNELS)):
            theirs, ours = self._hashes[channel], seen.hashes[channel]
            for start in range(0, self.count, _CHUNK):
                end = min(start + _CHUNK, self.count)
                by_theirs = _distances(theirs[:, start:end], ours[:1, None])
                by_ours = _distances(theirs[:1, start:end], ours[1:, None])
                distances = np.concatenate([by_theirs, by_ours])
                nearest = distances.min(0)
                for place in np.flatnonzero((nearest <= self._limits.reach) & ~self._blank[start:end]):
                    view = int(distances[:, place].argmin())
                    is_ours = view >= len(VIEWS)
                    view = view - len(VIEWS) + 1 if is_ours else view
                    found.append((start + int(place), channel, view, is_ours, int(nearest[place])))
        return sorted(found, key=lambda one: (one[4], one[0]))[:_MOST_CANDIDATES]

    def _compared(self, seen: Sketch, number: int, channel: int, view: int, is_ours: bool, distance: int) -> ImageMatch:
        ours, theirs = seen.maps.astype(np.float32), self._maps(number)
        cut, whole = (ours, theirs) if is_ours else (theirs, ours)
        window = fit(seen_through(whole[channel], *_WHOLE), cut[channel], view)
        common = self._common(number, theirs)
        brightness, structure = (
            likeness(
                seen_through(whole[place], *_WHOLE),
                seen_through(cut[place], *window),
                None if common is None else seen_through(common[place], *(_WHOLE if is_ours else window)),
            )
            for place in range(len(CHANNELS))
        )
        raised = 0.0 if self._raised is None else self._raised.get(self._groups[number], 0.0)
        return ImageMatch(number, brightness, structure, distance, raised)

    def _maps(self, number: int) -> Array:
        self._file.flush()
        data = os.pread(self._file.fileno(), _MAP_BYTES, number * _MAP_BYTES)
        return np.frombuffer(data, np.uint8).astype(np.float32).reshape(len(CHANNELS), SIZE, SIZE)

    def _common(self, number: int, maps: Array) -> Array | None:
        """The mean maps of the other images of its group; none where they are too few to have anything in common."""
        size, total = self._sums[self._groups[number]]
        return None if size < _SHARED else total - unit(maps)

    def close(self) -> None:
        """Give the temporary disk back."""
        self._file.close()


def _rank(match: ImageMatch) -> tuple[float, int]:
    return -max(match.brightness, match.structure), match.number


def _distances(some: Hashes, others: Hashes) -> npt.NDArray[np.uint8]:
    """Hamming distances of 64-bit hashes, by broadcasting."""
    counts: npt.NDArray[np.uint8] = np.bitwise_count(some ^ others)
    return counts
