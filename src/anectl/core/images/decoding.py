"""From undecoded bytes to an upright RGB image, within bounds of memory and time whatever the bytes are.

Size and kind are read from the header before a pixel is decoded. Colour profiles are not applied, and of several
frames or pages the first is taken.
"""

from __future__ import annotations

import functools
import io
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anectl.core.images.limits import MAX_PIXELS, Refusal, refuse_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

# The kinds that `anectl import` stores; a JPEG that holds several pictures is found to be MPO once it is open.
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO")
_EXPECTED = "expected PNG, JPEG, WebP, GIF, BMP or TIFF"
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image with a damaged header"),
    (b"\xff\xd8\xff", "a JPEG image with a damaged header"),
    (b"GIF8", "a GIF image with a damaged header"),
    (b"II*\0", "a TIFF image with a damaged header"),
    (b"MM\0*", "a TIFF image with a damaged header"),
    (b"RIFF", "a WebP image with a damaged header, or sound or film"),
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"%PDF-", "a PDF document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_MARKS = (
    (b"ftypavif", "an AVIF image"),
    (b"ftyphei", "a HEIC image"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
)
# Its decoder holds each pixel four times; more than this and a large file would take over a gibibyte.
_MOST_WEBP_PIXELS = 40_000_000
_TIFF_STARTS = (b"II", b"MM")
# A TIFF states where each strip is, and each place costs a hundred times its four bytes.
_MOST_TIFF_HEADER = 4 * 1024 * 1024
_MOST_HEADER_READS = 50_000
_MOST_READS = 1_000_000
# Each scan of a progressive JPEG goes over all its pixels, and may take only a few bytes. Encoders write about ten.
_MOST_SCANS = 100
_START_OF_SCAN = b"\xff\xda"
_MOST_EXIF = 1 << 20
_ORIENTATION = 0x0112
_TILE_WIDTH, _TILE_HEIGHT = 322, 323


class _Metered(io.BytesIO):
    """A file in memory that may be read only so often and so much: decoders go round in circles on some."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.bytes_left = self.reads_left = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_left -= len(data)
        self.reads_left -= 1
        if self.bytes_left < 0 or self.reads_left < 0:
            raise Refusal("cannot be decoded: its header is too long")
        return data


@functools.cache
def _quiet_pillow() -> None:
    """Pillow warns of oddities in metadata; what matters to us is an error, and stderr is not for thousands of them."""
    from PIL import Image as pillow

    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("error", category=pillow.DecompressionBombWarning)
    logging.getLogger("PIL").addHandler(logging.NullHandler())


def decode(data: bytes) -> Image:
    """The image in RGB, upright, on white where it was transparent.

    Raises Refusal: no image of KINDS, truncated, or more than MAX_PIXELS pixels.
    """
    with _refusing(data):
        image = _opened(data)
        image.load()
        # The header of an ICO may state another size than the image inside.
        refuse_pixels(*image.size)
        orientation = _orientation(image)
        # Each step lets go of what it began with: an image of the largest size takes 200 MB in every form.
        image = _eight_bits(image)
        image = _on_white(image)
        image = _turned(image, orientation)
    # Profiles and texts can be larger than the pixels, and would live as long as they do.
    image.info = {}
    return image


def refuse_unknown(data: bytes) -> None:
    """Raises Refusal for bytes that do not begin like an image of KINDS, or state more than MAX_PIXELS pixels."""
    with _refusing(data):
        _opened(data)


@contextmanager
def _refusing(data: bytes) -> Iterator[None]:
    """Turn all that Pillow says of these bytes into a Refusal."""
    # Pillow costs 20 ms to import, which `anectl --help` should not pay.
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    _quiet_pillow()
    try:
        yield
    except Refusal:
        raise
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError):
        raise Refusal(f"has more than {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        raise Refusal(f"cannot be decoded: {_guess(data)}", hint=_EXPECTED) from None
    except Exception as error:  # Pillow's decoders raise many kinds on hostile files, SyntaxError among them
        raise Refusal(f"cannot be decoded: {error or type(error).__name__}") from None


def _opened(data: bytes) -> Image:
    """The image with its header read and checked, its pixels not yet decoded."""
    from PIL import Image as pillow
    from PIL.TiffImagePlugin import TiffImageFile

    if data.count(_START_OF_SCAN) > _MOST_SCANS and data.startswith(b"\xff\xd8"):
        raise Refusal("cannot be decoded: it has too many scans")
    file = _Metered(data)
    file.bytes_left = _MOST_TIFF_HEADER if data.startswith(_TIFF_STARTS) else 2 * len(data) + 1024
    file.reads_left = _MOST_HEADER_READS
    image: Image = pillow.open(file, formats=KINDS)
    refuse_pixels(*image.size, _MOST_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS)
    if isinstance(image, TiffImageFile):
        # A tile is unpacked whole, however little of it lies inside the image.
        refuse_pixels(int(image.tag_v2.get(_TILE_WIDTH, 0)), int(image.tag_v2.get(_TILE_HEIGHT, 0)))
    file.bytes_left = 4 * len(data) + 1024
    file.reads_left = _MOST_READS
    return image


def _guess(data: bytes) -> str:
    """What a file that is no image of KINDS seems to be."""
    if not data:
        return "it is empty"
    head = data[:1024].lower()
    seems = [name for mark, name in _STARTS if data.startswith(mark)] + [name for mark, name in _MARKS if mark in head]
    return f"it is {seems[0]}" if seems else "it is no image of a kind that is read"


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where metadata is missing or unreadable, which spoils no pixel."""
    if len(image.info.get("exif", b"")) > _MOST_EXIF:
        raise Refusal("cannot be decoded: its header is too long")
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, LookupError, EOFError, OSError, struct.error):
        return 1


def _turned(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    methods = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(methods[orientation]) if orientation in methods else image


def _eight_bits(image: Image) -> Image:
    """The image with 8 bits a sample: of 16 the upper ones, as Pillow has it for colours. Raises Refusal for 32."""
    if image.mode.startswith("I;16"):
        grey = image.point(lambda sample: sample / 256 + 0.0).convert("L")
        key = image.info.get("transparency")
        if isinstance(key, int) and 0 <= key < 1 << 16:
            grey.putalpha(image.convert("I").point([255] * key + [0] + [255] * ((1 << 16) - 1 - key), "L"))
        return grey
    if image.mode == "I" and image.format == "PPM":
        return image.point(lambda sample: sample / 256 + 0.0).convert("L")
    if image.mode in ("I", "F"):
        raise Refusal("cannot be decoded: it has 32 bits a sample, of a range that is not known", hint=_EXPECTED)
    return image


def _on_white(image: Image) -> Image:
    from PIL import Image as pillow

    if not image.has_transparency_data:
        return image.convert("RGB")
    # Pasted, not composited, which would take a copy more.
    alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    white = pillow.new("RGB", image.size, "white")
    white.paste(alpha, mask=alpha)
    return white
