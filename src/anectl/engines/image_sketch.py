"""What is left of an image when its size, its compression, its margins and its colours may have changed (numpy).

A perceptual hash of brightness alone (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions:
the signs of 8x8 low frequencies of a cosine transform) fails twice here. Pictures of one kind, such as grids of tiles
or plots of one style, share their low frequencies: among two million pairs of different 4x4 grids some are within 6
bits. And a margin cut off or other colours move 14 to 40 of the 64 bits. So a hash only finds candidates:

- one hash of brightness, and one of structure: the root of the length of the colour gradient, which swapped channels,
  inverted colours and hues turned about the grey axis leave as it is, since they keep all distances between colours;
- each of 16 views: every side whole, or 5% of it cut.

Then the pictures are laid over one another, the window that fits best is found, and they are compared block by block:
the lower quartile of the blocks' correlations must be high, so that an equal background is not enough. What all
pictures of a benchmark have in common (the mean of their maps) is taken out of both first; and where its pictures are
still alike, as bar charts of one style are, a copy must be more alike than these are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as pillow
from PIL import ImageFilter
from PIL.Image import Image

Array: TypeAlias = npt.NDArray[np.float32]
Hashes: TypeAlias = npt.NDArray[np.uint64]
Window: TypeAlias = tuple[float, float]
"""The shares of a side that are cut off at its beginning and its end."""

SIZE = 64  # a map is SIZE x SIZE
CHANNELS = ("brightness", "structure")
CUTS: tuple[Window, ...] = ((0.0, 0.0), (0.0, 0.05), (0.05, 0.0), (0.05, 0.05))
VIEWS: tuple[tuple[Window, Window], ...] = tuple((rows, columns) for rows in CUTS for columns in CUTS)
"""The windows that are hashed, of rows and of columns; the first is the whole image."""

_VIEW = 32  # windows are compared at _VIEW x _VIEW
_BLOCK = 8  # in blocks of _BLOCK x _BLOCK
_MOST_CUT = 0.1
_BLANK_CONTRAST = 2.0  # standard deviation of brightness, of 255, under which there is nothing to compare
_STRUCTURE_SCALE = 12.0  # the root of the longest colour gradient is 25
# A block with less than this share of the strongest block's contrast is background: its correlation is noise.
_FAINT = 0.15


@dataclass(frozen=True, slots=True)
class Sketch:
    """An image for comparison: `maps` (2, SIZE, SIZE) of CHANNELS, `hashes` (2, len(VIEWS)), `digest` of its pixels.

    `blank` is an image of one colour, or nearly so, which looks like any other.
    """

    maps: npt.NDArray[np.uint8]
    hashes: Hashes
    digest: bytes
    blank: bool


def sketch(image: Image) -> Sketch:
    """The sketch of an RGB image of any size."""
    pixels = hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
    small = image.resize((SIZE, SIZE), pillow.Resampling.BILINEAR, reducing_gap=4.0)
    brightness = np.asarray(small.convert("L"), np.float32)
    # A slight blur, or the blocks of a JPEG would have edges of their own.
    structure = _structure(small.filter(ImageFilter.GaussianBlur(0.6)))
    coarse = _structure(small.resize((_VIEW, _VIEW), pillow.Resampling.BOX))
    maps = np.stack([brightness, np.minimum(structure * _STRUCTURE_SCALE, 255)]).astype(np.uint8)
    return Sketch(
        maps=maps,
        hashes=np.stack([_hashes(brightness, 0), _hashes(coarse, 1)]),
        digest=pixels,
        blank=bool(brightness.std() < _BLANK_CONTRAST),
    )


def _structure(image: Image) -> Array:
    """The root of the length of the colour gradient at each pixel (after Di Zenzo 1986)."""
    rgb = np.asarray(image, np.float32)
    squares = np.zeros(rgb.shape[:2], np.float32)
    squares[:, :-1] += np.square(rgb[:, 1:] - rgb[:, :-1]).sum(2)
    squares[:-1] += np.square(rgb[1:] - rgb[:-1]).sum(2)
    return np.asarray(squares**0.25, np.float32)


def _hashes(values: Array, first: int) -> Hashes:
    """The 64-bit hash of each view: the signs about their median of 8x8 frequencies, from `first` on."""
    size = len(values)
    waves = np.stack([_waves(first) @ resampling(size, cut) for cut in CUTS])
    spectra = np.einsum("ify,yx,jgx->ijfg", waves, values, waves, optimize=True).reshape(len(VIEWS), 64)
    bits = spectra > np.median(spectra[:, 1 - first :], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()


@lru_cache
def _waves(first: int) -> Array:
    """Eight rows of the cosine transform (DCT-II) of _VIEW samples."""
    frequencies, places = np.arange(first, first + 8)[:, None], np.arange(_VIEW)[None]
    return np.cos(np.pi * frequencies * (2 * places + 1) / (2 * _VIEW)).astype(np.float32)


@lru_cache(maxsize=1024)
def resampling(size: int, window: Window) -> Array:
    """Matrix (_VIEW, size) that shrinks a window of `size` samples to _VIEW of them, by a triangle filter."""
    begin, end = window[0] * size, (1 - window[1]) * size
    step = (end - begin) / _VIEW
    centres = begin + (np.arange(_VIEW) + 0.5) * step
    distances = np.abs(np.arange(size)[None] + 0.5 - centres[:, None])
    weights = np.maximum(0, 1 - distances / max(step, 1.0))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def unit(maps: Array) -> Array:
    """Maps without their mean, and of length 1 over the last two axes; zeros stay zeros."""
    centred = maps - maps.mean((-2, -1), keepdims=True)
    lengths = np.sqrt(np.square(centred).sum((-2, -1), keepdims=True))
    return np.asarray(centred / np.maximum(lengths, 1e-6), np.float32)


def seen_through(values: Array, rows: Window, columns: Window) -> Array:
    """A window of a map, at _VIEW x _VIEW."""
    return np.asarray(resampling(len(values), rows) @ values @ resampling(len(values), columns).T, np.float32)


def fit(whole: Array, values: Array, view: int) -> tuple[Window, Window]:
    """The window of `values` most like `whole` (_VIEW x _VIEW): each side of a view moved in ever smaller steps."""
    rows, columns = VIEWS[view]
    target = unit(whole)
    for step in (0.025, 0.0125, 0.00625):
        rows = _best(target, values @ resampling(SIZE, columns).T, rows, step)
        columns = _best(target.T, (resampling(SIZE, rows) @ values).T, columns, step)
    return rows, columns


def _best(target: Array, values: Array, window: Window, step: float) -> Window:
    moves = (0.0, -step, step)
    windows = [(_cut(window[0] + begin), _cut(window[1] + end)) for begin in moves for end in moves]
    views = np.stack([resampling(SIZE, one) for one in windows]) @ values
    return windows[int((unit(views) * target).sum((1, 2)).argmax())]


def _cut(share: float) -> float:
    return round(min(max(share, 0.0), _MOST_CUT), 4)


def likeness(one: Array, other: Array, common: Array | None) -> float:
    """Lower quartile of the correlations of the blocks of two views, `common` taken out of both: -1 to 1.

    No more than the correlation of the whole views: a block of one colour in a frame is like any other such block,
    however bright it is. Blocks in which neither view has any contrast to speak of do not count; 0 where none has.
    """
    one, other = unit(one), unit(other)
    if common is not None:
        shared = unit(common)
        one, other = one - (one * shared).sum() * shared, other - (other * shared).sum() * shared
    blocks, others = _blocks(one), _blocks(other)
    lengths, other_lengths = np.sqrt(np.square(blocks).sum(1)), np.sqrt(np.square(others).sum(1))
    contrast = np.maximum(lengths, other_lengths)
    counted = contrast > max(float(contrast.max()) * _FAINT, 1e-6)
    if not counted.any():
        return 0.0
    correlations = (blocks * others).sum(1) / np.maximum(lengths * other_lengths, 1e-9)
    ranked = np.sort(correlations[counted])
    whole = float((one * other).sum() / max(np.sqrt(np.square(one).sum() * np.square(other).sum()), 1e-9))
    return min(float(ranked[len(ranked) // 4]), whole)


def _blocks(view: Array) -> Array:
    per_side = _VIEW // _BLOCK
    blocks = view.reshape(per_side, _BLOCK, per_side, _BLOCK).swapaxes(1, 2).reshape(per_side**2, _BLOCK**2)
    return np.asarray(blocks - blocks.mean(1, keepdims=True), np.float32)
