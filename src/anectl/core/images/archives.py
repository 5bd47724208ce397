"""Members of zip archives: an archive is opened once, and read without moving a file position.

So threads and forked processes share an open archive freely, and a member costs one look-up and two reads. What the
archive says of a member (its name, its size, its checksum) must be true, and no member is unpacked beyond MAX_BYTES.
The format is that of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import threading
import weakref
import zlib
from collections import OrderedDict
from typing import NamedTuple

from anectl.core.images.files import open_regular
from anectl.core.images.limits import MAX_BYTES, TOO_LARGE, Refusal

_MOST_ARCHIVES = 8
# A table of contents takes four times its bytes in memory; this much holds half a million usual members.
_MOST_TABLE_BYTES = 64 * 1024 * 1024

_END = struct.Struct("<4s8xLLH")  # signature, bytes and offset of the table, length of the comment
_END_64 = struct.Struct("<4s36xQQ")
_LOCATOR_BYTES = 20
_MEMBER = struct.Struct("<4s4xHH4xLLLHHH4xLL")
_LOCAL = struct.Struct("<4s22xHH")
_LARGE = 0xFFFFFFFF
_ENCRYPTED, _UTF8 = 0x1 | 0x40, 0x800
_STORED, _DEFLATED = 0, 8
_TORN = "cannot be read: its archive is torn or damaged"


class _Member(NamedTuple):
    flags: int
    method: int
    checksum: int
    packed_size: int
    size: int
    mode: int
    offset: int


def split_member(name: str) -> tuple[str, str]:
    """`archive!member` as its two parts; folders may have a `!` in their names when the archive ends in `.zip`."""
    found = re.search(r"\.zip!", name, re.IGNORECASE)
    place = found.end() - 1 if found else name.find("!")
    return (name, "") if place < 0 else (name[:place], name[place + 1 :])


def refuse_name(member: str) -> None:
    """Raises Refusal for the name of a member that leads out of its archive or into another one."""
    if re.match(r"[/\\]|[A-Za-z]:", member) or ".." in re.split(r"[/\\]", member) or "\0" in member:
        raise Refusal("has a name that leads out of its archive")
    if re.search(r"\.zip!", member, re.IGNORECASE):
        raise Refusal("is in an archive inside an archive", hint="unpack the outer one")


def read_member(path: str, member: str, root: str | None) -> bytes:
    """The bytes of one member. Raises Refusal: no such archive or member, or one that is not read."""
    return _shelf.archive(path, root).read(member)


class _Shelf:
    """The archives that this process read last; one that is put away closes when its last reader is done."""

    def __init__(self) -> None:
        self._archives: OrderedDict[tuple[str, str | None], Archive] = OrderedDict()
        self.free_lock()

    def free_lock(self) -> None:
        """For a forked child, in which no thread is left that could."""
        self._lock = threading.Lock()

    def archive(self, path: str, root: str | None) -> Archive:
        with self._lock:
            archive = self._archives.pop((path, root), None)
            if archive is None or archive.is_replaced():
                archive = Archive(path, root)
            self._archives[path, root] = archive
            while len(self._archives) > _MOST_ARCHIVES or self._num_bytes() > max(_MOST_TABLE_BYTES, archive.num_bytes):
                self._archives.popitem(last=False)
            return archive

    def _num_bytes(self) -> int:
        return sum(archive.num_bytes for archive in self._archives.values())


_shelf = _Shelf()
os.register_at_fork(after_in_child=_shelf.free_lock)


class Archive:
    """An open archive with its table of contents."""

    def __init__(self, path: str, root: str | None) -> None:
        """Raises Refusal: no file inside the root, no zip archive, or one with too many members."""
        self._path = path
        self._descriptor, facts = open_regular(path, root)
        weakref.finalize(self, os.close, self._descriptor)
        self._identity = _identity(facts)
        try:
            self._table, self._shift = self._read_table(facts.st_size)
            self._places = self._read_places()
        except (struct.error, OSError):
            raise Refusal(_TORN) from None
        self.num_bytes = len(self._table)

    def is_replaced(self) -> bool:
        """Whether another file now has this one's path, or it was written to."""
        try:
            return _identity(os.stat(self._path)) != self._identity
        except OSError:
            return True

    def read(self, name: str) -> bytes:
        """The bytes of a member. Raises Refusal: none of this name, not a plain file, too large, or not as stated."""
        member = self._member(name)
        if member.flags & _ENCRYPTED:
            raise Refusal("cannot be read: it is encrypted")
        if name.endswith("/") or stat.S_IFMT(member.mode) not in (0, stat.S_IFREG):
            raise Refusal("is not a file but a folder or a link in its archive")
        if max(member.size, member.packed_size) > MAX_BYTES:
            raise Refusal(TOO_LARGE)
        data = self._unpack(member, self._packed(name, member))
        if len(data) != member.size or zlib.crc32(data) != member.checksum:
            raise Refusal("cannot be read: it is not what its archive says (size or checksum differ)")
        return data

    def _unpack(self, member: _Member, packed: bytes) -> bytes:
        if member.method == _STORED:
            return packed
        if member.method != _DEFLATED:
            raise Refusal(f"cannot be read: it is packed by method {member.method}", hint="pack it again by deflate")
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # A byte more than stated shows a false statement, and no bomb goes off.
            return unpacker.decompress(packed, member.size + 1)
        except zlib.error:
            raise Refusal(_TORN) from None

    def _packed(self, name: str, member: _Member) -> bytes:
        start = member.offset + self._shift
        try:
            header = os.pread(self._descriptor, _LOCAL.size, start)
            signature, name_size, extra_size = _LOCAL.unpack(header)
            stated = os.pread(self._descriptor, name_size, start + _LOCAL.size)
            packed = os.pread(self._descriptor, member.packed_size, start + _LOCAL.size + name_size + extra_size)
        except (struct.error, OSError):
            raise Refusal(_TORN) from None
        if signature != b"PK\3\4" or _decode(stated, member.flags) != name:
            raise Refusal("cannot be read: its archive has another file in its place")
        if len(packed) != member.packed_size:
            raise Refusal(_TORN)
        return packed

    def _member(self, name: str) -> _Member:
        place = self._places.get(name)
        if place is None:
            raise Refusal("is not in the archive")
        record = _MEMBER.unpack_from(self._table, place)
        _, flags, method, checksum, packed, size, name_size, extra_size, _, external, offset = record
        if _LARGE in (packed, size, offset):
            extra_at = place + _MEMBER.size + name_size
            size, packed, offset = _large(self._table[extra_at : extra_at + extra_size], size, packed, offset)
        return _Member(flags, method, checksum, packed, size, external >> 16, offset)

    def _read_table(self, file_size: int) -> tuple[bytes, int]:
        """The table of contents, and how much later than stated everything begins (another file may be in front)."""
        tail_size = min(file_size, (1 << 16) + _END.size + _LOCATOR_BYTES + 56)
        tail = os.pread(self._descriptor, tail_size, file_size - tail_size)
        place = tail.rfind(b"PK\5\6")
        if place < 0:
            raise Refusal("cannot be read: its archive is no zip archive, or torn")
        _, size, offset, _ = _END.unpack_from(tail, place)
        if place >= _LOCATOR_BYTES + 56 and tail[place - _LOCATOR_BYTES :].startswith(b"PK\6\7"):
            place -= _LOCATOR_BYTES + 56
            signature, size, offset = _END_64.unpack_from(tail, place)
            if signature != b"PK\6\6":
                raise Refusal(_TORN)
        start = file_size - tail_size + place - size
        if start < 0 or start < offset:
            raise Refusal(_TORN)
        if size > _MOST_TABLE_BYTES:
            raise Refusal("cannot be read: its archive has too many members", hint="unpack it into a folder")
        return os.pread(self._descriptor, size, start), start - offset

    def _read_places(self) -> dict[str, int]:
        """Where in the table each member is; of two with one name the last, as Python's zipfile has it."""
        places, place = {}, 0
        while place < len(self._table):
            signature, flags, *_, name_size, extra_size, comment_size, _, _ = _MEMBER.unpack_from(self._table, place)
            if signature != b"PK\1\2":
                raise Refusal(_TORN)
            start = place + _MEMBER.size
            places[_decode(self._table[start : start + name_size], flags)] = place
            place = start + name_size + extra_size + comment_size
        return places


def _decode(name: bytes, flags: int) -> str:
    return name.decode("utf-8" if flags & _UTF8 else "cp437", "replace")


def _large(extra: bytes, *values: int) -> list[int]:
    """The values with those that did not fit taken from the 64-bit field of the member's extra data."""
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        if kind == 1 and size >= 8 * values.count(_LARGE):
            wide = iter(struct.unpack_from(f"<{values.count(_LARGE)}Q", extra, place + 4))
            return [next(wide) if value == _LARGE else value for value in values]
        place += 4 + size
    return list(values)


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
