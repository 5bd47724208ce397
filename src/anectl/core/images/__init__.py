"""Images by reference: resolved inside a root, checked, hashed and decoded late.

An image path is relative to `--image-root`; without one, to the folder of the file that names it, or else to the
working folder. Nothing outside the root that applies is ever opened, also not through a symbolic link.
`zip://archive.zip!member` is a member of a zip archive, `data:image/...;base64,...` the image itself; URLs are for
those who allow them.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from anectl.core.errors import RowError
from anectl.core.images.archives import read_member, refuse_name, split_member
from anectl.core.images.decoding import decode
from anectl.core.images.files import read_file, refuse_kind
from anectl.core.images.limits import MAX_BYTES, MAX_PIXELS, TOO_LARGE, Refusal

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageRef", "ImageRoot"]

_ZIP = "zip://"
_REMOTE = ("http://", "https://")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that exists: `ref` as records carry it, `location` where its bytes are.

    `root` is the real folder that a file must still be in when it is read; None for none.
    """

    ref: str
    location: str
    root: str | None = field(default=None, compare=False, repr=False)

    def read(self) -> bytes:
        """The undecoded bytes, read anew each time. Raises RowError when they cannot be read or are too many."""
        try:
            if self.location.startswith("data:"):
                return _data_uri(self.location)
            if self.location.startswith(_REMOTE):
                # The modules of the web cost 30 ms to import, which few runs need.
                from anectl.core.images.remote import fetch

                return fetch(self.location)
            if self.location.startswith(_ZIP):
                return read_member(*split_member(self.location.removeprefix(_ZIP)), self.root)
            return read_file(self.location, self.root)
        except Refusal as refusal:
            raise _row_error(self.ref, refusal) from None

    def open(self, data: bytes | None = None) -> Image:
        """The decoded image in RGB, upright, on white where it was transparent.

        `data` are the bytes where `read` has given them already. Raises RowError: as `read`, not an image, truncated,
        or more than MAX_PIXELS pixels.
        """
        try:
            return decode(self.read() if data is None else data)
        except Refusal as refusal:
            raise _row_error(self.ref, refusal) from None


def _row_error(ref: str, refusal: Refusal) -> RowError:
    return RowError(f"image {_shown(ref)} {refusal.reason}", hint=refusal.hint)


def _shown(ref: str) -> str:
    """The reference for a message; a data URI can be longer than all messages of a run."""
    return repr(ref if len(ref) <= _SHOWN else f"{ref[:_SHOWN]}...")


def _data_uri(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    if not head.endswith(";base64") or not head.startswith("data:image/"):
        raise Refusal("is a data URI of another kind: it must be data:image/...;base64,...")
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise Refusal(TOO_LARGE)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(f"is not base64: {error}") from None


@lru_cache(maxsize=64)
def _real_folder(folder: str) -> str:
    """The real path of an absolute one; every row of a file asks for the same."""
    return os.path.realpath(folder)


def _inside(path: str, base: str) -> bool:
    """Whether it is in that real folder when all links are followed."""
    return os.path.commonpath((os.path.realpath(path), base)) == base


@dataclass(frozen=True, slots=True)
class ImageRoot:
    """Where image paths lead: `root` if the user named one, else the folder of the row's file, else the cwd.

    `allow_remote` is whether http and https URLs may be opened.
    """

    root: Path | None = None
    allow_remote: bool = False

    def resolve(self, ref: str, source: str | None = None) -> ImageRef:
        """Find one image; `source` is the file whose row names it (None for stdin).

        The reference that comes back is relative to the working folder where possible, so that a row can travel
        through a pipe or into a file elsewhere and still be found from the same working folder.
        Raises RowError: remote and not allowed, missing, not a file, or outside the root.
        """
        if ref.startswith("data:"):
            return ImageRef(ref, ref)
        if ref.startswith(_REMOTE):
            if not self.allow_remote:
                raise RowError(f"image {_shown(ref)} is remote", hint="download it; URLs are not opened unless allowed")
            return ImageRef(ref, ref)
        try:
            return self._resolve_file(ref, source)
        except Refusal as refusal:
            raise _row_error(ref, refusal) from None
        except OSError as error:  # a folder we may not enter, too long a name, links in a circle
            raise RowError(f"image {_shown(ref)} cannot be read: {error.strerror}") from None
        except UnicodeError:
            raise RowError(f"image {_shown(ref)} is not a path") from None

    def _resolve_file(self, ref: str, source: str | None) -> ImageRef:
        in_zip = ref.startswith(_ZIP)
        name, member = split_member(ref.removeprefix(_ZIP)) if in_zip else (ref, "")
        if not name or "\0" in name or (in_zip and not member):
            raise Refusal("is not a path")
        refuse_name(member)
        path, base = self._find(name, source)
        shown = os.path.relpath(path)
        if shown.startswith(".." + os.sep):
            shown = path
        if in_zip:
            return ImageRef(f"{_ZIP}{shown}!{member}", f"{_ZIP}{path}!{member}", base)
        return ImageRef(shown, path, base)

    def _find(self, name: str, source: str | None) -> tuple[str, str]:
        """The file's path and the real folder that it is in."""
        roots = [self.root] if self.root else [Path(source).parent if source else Path(), Path()]
        tried = []
        for root in roots:
            base = _real_folder(os.path.abspath(root))
            # `..` goes up the path as it is written, so that what is checked is what is opened.
            path = os.path.abspath(os.path.join(base, name))
            tried.append((path, base))
            try:
                kind = os.stat(path).st_mode
            except (FileNotFoundError, NotADirectoryError):
                continue
            if _inside(path, base):
                refuse_kind(kind)
                return path, base
        outside = [base for path, base in tried if not _inside(path, base)]
        if outside:
            raise Refusal(f"is outside the image root {outside[-1]}", hint="--image-root names another")
        raise Refusal(f"not found under {roots[0] or '.'}", hint="--image-root says where images are")

    def resolve_all(self, refs: tuple[str, ...], source: str | None = None) -> tuple[ImageRef, ...]:
        """All images of a row, in order."""
        return tuple(self.resolve(ref, source) for ref in refs)
