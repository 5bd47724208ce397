"""Files opened so that nothing but a regular file inside the root is read, and nothing ever waits."""

from __future__ import annotations

import os
import stat

from anectl.core.images.limits import MAX_BYTES, TOO_LARGE, Refusal

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def refuse_kind(mode: int) -> None:
    """Raises Refusal for what is no regular file. `mode` is that of `os.stat`."""
    if not stat.S_ISREG(mode):
        raise Refusal(f"is not a file but {_KINDS.get(stat.S_IFMT(mode), 'something else')}")


def open_regular(path: str, root: str | None) -> tuple[int, os.stat_result]:
    """A descriptor of the file, which the caller closes, and its facts. `root` is a real path, None for no root.

    A link may have been turned to elsewhere since the path was checked, so what was opened is compared with what the
    path leads to now, and that must be inside the root. Who can swap hard links in the root can read what they
    could link to anyway. Raises Refusal: missing, not a regular file, or outside the root.
    """
    try:
        # Without O_NONBLOCK a FIFO would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal(f"cannot be read: {error.strerror}") from None
    try:
        facts = os.fstat(descriptor)
        refuse_kind(facts.st_mode)
        if root is not None and not _is_inside(path, root, facts):
            raise Refusal(f"is outside the image root {root}", hint="--image-root names another")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, facts


def _is_inside(path: str, root: str, opened: os.stat_result) -> bool:
    real = os.path.realpath(path)
    try:
        return os.path.commonpath((real, root)) == root and os.path.samestat(os.stat(real), opened)
    except OSError:
        return False


def read_file(path: str, root: str | None) -> bytes:
    """All bytes of a file. Raises Refusal: as `open_regular`, or more than MAX_BYTES."""
    descriptor, facts = open_regular(path, root)
    try:
        if facts.st_size > MAX_BYTES:
            raise Refusal(TOO_LARGE)
        # Only as much as it had: a file of /proc has no size, and no end either; others may be growing.
        return os.pread(descriptor, facts.st_size, 0)
    except OSError as error:
        raise Refusal(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
