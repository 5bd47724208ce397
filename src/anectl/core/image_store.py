"""Images of imported rows: each put once, under the digest of its bytes, which stay as they are.

An image of a table goes to `FOLDER/<first two digits>/<digest>.<ending>`. One that lies as a file or in a zip archive
where the output can name it already stays there. References are relative to the output's folder, or to the
working folder, the two places where `ImageRoot` looks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import MAX_BYTES, MAX_PIXELS, ImageRef, ImageRoot

_ENDINGS = {
    "PNG": "png",
    "JPEG": "jpg",
    "MPO": "jpg",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "PPM": "ppm",
    "ICO": "ico",
}
# A JPEG that holds several pictures is found to be MPO once it is open.
_OPENED = tuple(form for form in _ENDINGS if form != "MPO")
_DIGEST_BYTES = 20
_LONGEST_PATH = 1024


class ImageStore:
    """The `ImageSink` of the import command; a context manager, for it holds archives open.

    `folder` is where images go (None: nowhere, an image without a file of its own is then an error), `output` the
    problems file (None for stdout). `roots` are the folders that paths of images are relative to, tried in turn;
    the command sets them per source file. `folders` may be outside them: a path that is relative to one of these is
    found too where it leads into a root.
    """

    def __init__(self, folder: Path | None, output: Path | None, roots: Iterable[Path] = ()) -> None:
        """Raises UsageError when problems could not name images in `folder`."""
        self.roots = tuple(roots)
        self.folders: tuple[Path, ...] = ()
        self.num_stored = 0
        self._bases = [Path(os.path.realpath(base)) for base in (output.parent if output else Path(), Path())]
        self._folder = None if folder is None else Path(os.path.realpath(folder))
        self._named: dict[Path, dict[str, Path]] = {}
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self._closing = ExitStack()
        if self._folder is not None and self._reference(self._folder) is None:
            raise UsageError(
                f"--images {folder} is outside the output's folder and the working folder",
                hint="problems name their images relative to one of these",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def put(self, image: object) -> str:
        """The reference of an image: bytes, `{"bytes", "path"}`, a path, a data URI or base64 text.

        Raises RowError: not found, outside the roots, no image that can be opened, too large. Raises UsageError when
        the image needs a folder and there is none.
        """
        if isinstance(image, Mapping):
            image = image.get("bytes") or image.get("path")
        if isinstance(image, (bytes, bytearray, memoryview)):
            return self._store(bytes(image), "")
        if not isinstance(image, str) or not image.strip():
            raise RowError(f"expected an image, found {type(image).__name__}")
        if image.startswith("data:"):
            return self._store(ImageRef("data URI", image).read(), "")
        encoded = _from_base64(image)
        if encoded is not None:
            return self._store(encoded, "")
        if len(image) > _LONGEST_PATH:
            raise RowError(f"expected an image, found a text of {len(image)} characters")
        return self._put_file(image.removeprefix("file://"))

    def _put_file(self, name: str) -> str:
        found = self._find(name)
        if isinstance(found, ImageRef):
            data = found.read()
            if found.ref.startswith("zip://"):
                return self._store(data, name)
            path, member = Path(os.path.realpath(found.location)), ""
        else:
            path, member = found, name.removeprefix("./")
            data = self._read_member(path, member)
        placed = self._reference(path)
        if placed is None:
            return self._store(data, name)
        _ending_of(data, name)
        return f"zip://{placed}!{member}" if member else placed

    def _find(self, name: str) -> ImageRef | Path:
        """The image as a file, or the archive that it is a member of."""
        failure = RowError(f"image {name!r} not found", hint="--image-root says where images are")
        for root in self.roots or (Path(),):
            for path in (name, *(os.path.realpath(folder / name) for folder in self.folders)):
                try:
                    return ImageRoot(root).resolve(path)
                except RowError as error:
                    failure = failure if path != name else error
            archive = self._members(root).get(name.removeprefix("./"))
            if archive is not None:
                return archive
        raise failure

    def _members(self, root: Path) -> dict[str, Path]:
        """The names in the zip archives of a folder, each with its archive."""
        if root not in self._named:
            self._named[root] = {}
            for path in sorted(map(Path, map(os.path.realpath, root.glob("*.zip"))), reverse=True):
                try:
                    # Left open: its table of contents would be read anew for each of thousands of images.
                    self._archives[path] = self._closing.enter_context(zipfile.ZipFile(path))
                except (OSError, zipfile.BadZipFile) as error:
                    raise AnectlError(f"is no zip archive: {error}", path=str(path)) from None
                self._named[root] |= dict.fromkeys(self._archives[path].namelist(), path)
        return self._named[root]

    def _read_member(self, path: Path, member: str) -> bytes:
        archive = self._archives[path]
        try:
            if archive.getinfo(member).file_size > MAX_BYTES:
                raise RowError(f"image {member!r} is larger than {MAX_BYTES >> 20} MiB")
            return archive.read(member)
        except (OSError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
            raise RowError(f"image {member!r} cannot be read: {error}") from None

    def _store(self, data: bytes, name: str) -> str:
        ending = _ending_of(data, name)
        if self._folder is None:
            raise UsageError("the images of these rows need a folder", hint="-o FILE, or --images DIR")
        digest = hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
        path = self._folder / digest[:2] / f"{digest}.{ending}"
        reference = self._reference(path)
        assert reference is not None  # the folder can be named, so what lies in it can
        # The size tells a file that a power cut left empty.
        if not path.exists() or path.stat().st_size != len(data):
            _write(path, data)
            self.num_stored += 1
        return reference

    def _reference(self, path: Path) -> str | None:
        for base in self._bases:
            if path.is_relative_to(base):
                return path.relative_to(base).as_posix()
        return None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise AnectlError(f"cannot write: {error.strerror}", path=str(path)) from None


def _from_base64(text: str) -> bytes | None:
    """The bytes of base64 text; None for what may be a path, which base64 has no dot for."""
    if "." in text or len(text) % 4 or len(text) > MAX_BYTES * 4 // 3 + 4:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _ending_of(data: bytes, name: str) -> str:
    """The file ending of an image by its own header. Raises RowError when it has none that Pillow reads, or is huge."""
    # Pillow costs 20 ms to import, which a start should not pay.
    from PIL import Image as pillow

    shown = f"image {name!r}" if name else "image"
    if len(data) > MAX_BYTES:
        raise RowError(f"{shown} is larger than {MAX_BYTES >> 20} MiB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(io.BytesIO(data), formats=_OPENED) as opened:
                form, (width, height) = str(opened.format), opened.size
    except pillow.DecompressionBombError:
        raise RowError(f"{shown} has more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # Pillow's readers raise many kinds on hostile files, SyntaxError among them
        raise RowError(f"{shown} cannot be opened: {type(error).__name__}") from None
    if width * height > MAX_PIXELS:
        raise RowError(f"{shown} has {width}x{height} pixels, over {MAX_PIXELS}")
    return _ENDINGS[form]
