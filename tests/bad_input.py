"""A corpus of broken artifacts: for each record kind, a good row and every way we know to spoil a file of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from PIL import Image

from anectl.core.jsonl import encode
from anectl.core.records import (
    Anchor,
    Anchored,
    Completion,
    Example,
    Frontier,
    Message,
    Posterior,
    Problem,
    Record,
    Rollout,
    Sampling,
    Scaffold,
    Score,
    Why,
)

IMAGE = "good.png"


@dataclass(frozen=True)
class Broken:
    """One artifact: its bytes (or a builder), and whether one row (and so a line number) is to blame."""

    name: str
    build: Callable[[Path, bytes, bytes], None]
    line: int | None


def good_rows(name: str) -> dict[str, Record]:
    """A valid row of every kind, about problem `name`."""
    problem = Problem(
        id=name,
        question=f"How many? ({name})",
        images=(IMAGE,),
        answer="3",
        answer_type="number",
        steps=("1 + 2 = 3.",),
    )
    completions = tuple(
        Completion(text="Answer: 3", finish_reason="stop", logprob=-1.0, correct=right, reason="exact")
        for right in (True, False)
    )
    group = {
        "key": name,
        "problem": problem,
        "policy": "p",
        "sampling": Sampling(n=2, instruction=""),
        "completions": completions,
    }
    zone = {
        "zone": "failing",
        "posterior": Posterior(a=1.0, b=1.0, low=0.0, high=1.0, confidence=0.9),
        "failures": (1,),
    }
    anchor = Anchor(
        id=f"{name}-a", rank=1, score=0.9, why=Why(text=0.9), problem=msgspec.structs.replace(problem, id=f"{name}-a")
    )
    return {
        "problem": problem,
        "rollout": Rollout(**group),
        "frontier": Frontier(**group, **zone),
        "anchored": Anchored(**group, **zone, anchors=(anchor,)),
        "example": Example(
            problem_id=name,
            prompt=(Message(role="user", content="How many?"),),
            completion=(Message(role="assistant", content="1 + 2 = 3. Answer: 3"),),
            images=(IMAGE,),
            answer="3",
            answer_type="number",
            scaffold=Scaffold(question="How many?"),
            origin="anchor/template",
        ),
        "score": Score(
            problem_id=name,
            benchmark="b",
            cluster=name,
            policy="p",
            sampling=Sampling(n=1),
            completions=completions[:1],
            problem=problem,
        ),
    }


def _file(make: Callable[[bytes, bytes], bytes]) -> Callable[[Path, bytes, bytes], None]:
    def build(path: Path, first: bytes, second: bytes) -> None:
        path.write_bytes(make(first, second))

    return build


def _edit(old: bytes, new: bytes) -> Callable[[Path, bytes, bytes], None]:
    def build(path: Path, first: bytes, second: bytes) -> None:
        assert old in second, (old, second)
        path.write_bytes(first + second.replace(old, new, 1))

    return build


_PRECISION = (b'"precision":null', b'"precision":1e999')
_TOP_P = (b'"top_p":1.0', b'"top_p":1e999')
OUT_OF_RANGE = {
    "problem": _PRECISION,
    "example": _PRECISION,
    "rollout": _TOP_P,
    "frontier": _TOP_P,
    "anchored": _TOP_P,
    "score": _TOP_P,
}
IDENTITY = {"score": b'"problem_id"', "example": b'"problem_id"'}


def file_faults(kind: str) -> list[Broken]:
    """Faults of the file or of one line that any kind of record can have; the second row is the bad one."""
    tag = f'"{kind}/1"'.encode()
    field = IDENTITY.get(kind, b'"policy"' if kind in ("rollout", "frontier", "anchored") else b'"id"')
    return [
        Broken("torn last line", _file(lambda a, b: a + b[: len(b) // 2]), 2),
        Broken("torn middle line", _file(lambda a, b: a[: len(a) // 2] + b"\n" + b), 1),
        Broken("NaN literal", _edit(b'{"schema"', b'{"x":NaN,"schema"'), 2),
        Broken("Infinity literal", _edit(b'{"schema"', b'{"x":-Infinity,"schema"'), 2),
        Broken("number out of range", _edit(*OUT_OF_RANGE[kind]), 2),
        Broken("unknown version", _edit(tag, tag[:-2] + b'99"'), 2),
        Broken("unknown schema", _edit(tag, b'"nonsense/1"'), 2),
        Broken("schema is a number", _edit(tag, b"1"), 2),
        Broken("missing field", _edit(field, b'"somewhere_else"'), 2),
        Broken("wrong type", _edit(field + b":", field + b":7," + b'"y":'), 2),
        Broken("null for a text", _edit(field + b":", field + b":null," + b'"y":'), 2),
        Broken("object for a text", _edit(field + b":", field + b":{}," + b'"y":'), 2),
        Broken("a list, not an object", _file(lambda a, b: a + b"[" + b.strip() + b"]\n"), 2),
        Broken("a string, not an object", _file(lambda a, b: a + b'"text"\n'), 2),
        Broken("two objects on a line", _file(lambda a, b: a + b.strip() + b.strip() + b"\n"), 2),
        Broken("invalid UTF-8", _file(lambda a, b: a + b.replace(b"two", b"tw\xff\xfe", 1)), 2),
        Broken("UTF-16", _file(lambda a, b: (a + b).decode().encode("utf-16")), 1),
        Broken("compressed", _file(lambda a, b: b"\x1f\x8b" + zlib.compress(a + b)), 1),
        Broken("nested too deeply", _file(lambda a, b: a + b"[" * 100_000 + b"]" * 100_000 + b"\n"), 2),
        Broken("pretty-printed JSON", _file(lambda a, b: msgspec.json.format(a, indent=2)), 1),
        Broken("empty file", _file(lambda a, b: b""), None),
        Broken("only blank lines", _file(lambda a, b: b"\n\n  \n"), None),
        Broken("a directory", lambda path, first, second: path.mkdir(), None),
        Broken("no such file", lambda path, first, second: None, None),
        Broken("a link to nowhere", lambda path, first, second: path.symlink_to("nowhere.jsonl"), None),
    ]


def duplicate() -> Broken:
    """The same row twice."""
    return Broken("duplicate id", _file(lambda a, b: a + a), 2)


def image_faults() -> list[Broken]:
    """Images that must not be opened, or cannot be."""
    named = {
        "missing image": "nowhere.png",
        "image outside the root": "../outside.png",
        "absolute path outside the root": "/etc/hostname",
        "link out of the root": "link.png",
        "directory as image": "folder",
        "empty image": "empty.png",
        "text as image": "text.png",
        "truncated image": "truncated.png",
        "bomb image": "bomb.png",
        "oversized file": "oversized.png",
        "remote image": "https://example.invalid/a.png",
        "data URI that is not base64": "data:image/png;base64,@@@",
        "data URI of a text": "data:text/html;base64,aGk=",
        "zip without the member": "zip://pictures.zip!nowhere.png",
        "zip that is none": "zip://text.png!a.png",
        "NUL in the name": "a\\u0000b.png",
        "empty name": "",
    }
    return [
        Broken(name, _edit(f'"{IMAGE}"'.encode(), f'"{reference}"'.encode()), 2) for name, reference in named.items()
    ]


def write_images(folder: Path) -> None:
    """The image files that `image_faults` names, good and bad."""
    import zipfile

    Image.new("RGB", (64, 64), "red").save(folder / IMAGE)
    whole = (folder / IMAGE).read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) - 30])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("this is no image")
    (folder / "folder").mkdir()
    (folder.parent / "outside.png").write_bytes(whole)
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "bomb.png").write_bytes(_png_header(30_000, 30_000))
    with open(folder / "oversized.png", "wb") as file:
        file.write(whole)
        file.truncate(65 * 1024 * 1024)
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        archive.writestr("a.png", whole)


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def encoded(kind: str) -> tuple[bytes, bytes]:
    """Two good lines of a kind."""
    return encode(good_rows("one")[kind]), encode(good_rows("two")[kind])
