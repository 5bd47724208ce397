"""Images by reference: resolved inside a root, checked, hashed and decoded late.

An image path is relative to `--image-root`; without one, to the folder of the file that names it, or else to the
working folder. Nothing outside the root that applies is ever opened, also not through a symbolic link.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anectl.core.errors import RowError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that exists: `ref` as records carry it, `location` where its bytes are."""

    ref: str
    location: str

    def read(self) -> bytes:
        """The undecoded bytes. Raises RowError when they cannot be read or are too many."""
        if self.location.startswith("data:"):
            return _data_uri(self.location)
        archive, separator, member = self.location.partition("!")
        try:
            if separator:
                with zipfile.ZipFile(archive) as opened:
                    if opened.getinfo(member).file_size > MAX_BYTES:
                        raise RowError(f"image {self.ref!r} is larger than {MAX_BYTES >> 20} MiB")
                    return opened.read(member)
            if os.path.getsize(archive) > MAX_BYTES:
                raise RowError(f"image {self.ref!r} is larger than {MAX_BYTES >> 20} MiB")
            return Path(archive).read_bytes()
        except KeyError:
            raise RowError(f"image {self.ref!r}: no such member in the archive") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise RowError(f"image {self.ref!r} cannot be read: {error}") from None

    def open(self) -> Image:
        """The decoded image in RGB, upright, on white where it was transparent.

        Raises RowError: not an image, truncated, or more than MAX_PIXELS pixels.
        """
        # Pillow costs 20 ms to import, which `anectl --help` should not pay.
        from PIL import Image as pillow
        from PIL import ImageOps

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pillow.DecompressionBombWarning)
                image: Image = pillow.open(io.BytesIO(self.read()))
                if image.width * image.height > MAX_PIXELS:
                    raise RowError(f"image {self.ref!r} has {image.width}x{image.height} pixels, over {MAX_PIXELS}")
                image = ImageOps.exif_transpose(image)
                if image.has_transparency_data:
                    image = image.convert("RGBA")
                    white = pillow.new("RGBA", image.size, "white")
                    image = pillow.alpha_composite(white, image)
                return image.convert("RGB")
        except RowError:
            raise
        except (pillow.DecompressionBombWarning, pillow.DecompressionBombError):
            raise RowError(f"image {self.ref!r} has more than {MAX_PIXELS} pixels") from None
        except Exception as error:  # Pillow's decoders raise many kinds on hostile files, SyntaxError among them
            raise RowError(f"image {self.ref!r} cannot be decoded: {error}") from None


def _data_uri(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    if not head.endswith(";base64") or not head.startswith("data:image/"):
        raise RowError("image data URI must be data:image/...;base64,...")
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise RowError(f"image data URI is larger than {MAX_BYTES >> 20} MiB")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowError(f"image data URI is not base64: {error}") from None


@dataclass(frozen=True, slots=True)
class ImageRoot:
    """Where image paths lead: `root` if the user named one, else the folder of the row's file, else the cwd."""

    root: Path | None = None

    def resolve(self, ref: str, source: str | None = None) -> ImageRef:
        """Find one image; `source` is the file whose row names it (None for stdin).

        The reference that comes back is relative to the working folder where possible, so that a row can travel
        through a pipe or into a file elsewhere and still be found from the same working folder.
        Raises RowError: remote, missing, not a file, or outside the root.
        """
        if ref.startswith("data:"):
            return ImageRef(ref, ref)
        if ref.startswith(("http://", "https://")):
            raise RowError(f"image {ref!r} is remote", hint="download it first; remote images are not opened")
        in_zip = ref.startswith("zip://")
        name, _, member = ref.removeprefix("zip://").partition("!") if in_zip else (ref, "", "")
        if not name or "\0" in name or (in_zip and not member):
            raise RowError(f"image {ref!r} is not a path")
        path = self._find(name, ref, source)
        shown = os.path.relpath(path)
        if shown.startswith(".." + os.sep):
            shown = str(path)
        tail = f"!{member}" if in_zip else ""
        return ImageRef((f"zip://{shown}{tail}" if in_zip else shown), f"{path}{tail}")

    def _find(self, name: str, ref: str, source: str | None) -> Path:
        roots = [self.root] if self.root else [Path(source).parent if source else Path(), Path()]
        outside = None
        for root in roots:
            base = Path(os.path.realpath(root))
            path = Path(os.path.realpath(base / name))
            if not path.is_relative_to(base):
                outside = base
            elif path.is_file():
                return Path(os.path.abspath(base / name))
            elif path.exists():
                raise RowError(f"image {ref!r} is not a file")
        if outside is not None:
            raise RowError(f"image {ref!r} is outside the image root {outside}", hint="--image-root names another")
        raise RowError(f"image {ref!r} not found under {roots[0] or '.'}", hint="--image-root says where images are")

    def resolve_all(self, refs: tuple[str, ...], source: str | None = None) -> tuple[ImageRef, ...]:
        """All images of a row, in order."""
        return tuple(self.resolve(ref, source) for ref in refs)
