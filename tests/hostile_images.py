"""Image files as an enemy, a bad disk or a careless crawl would make them: from a fixed seed, with what must happen.

`write_hostile` fills a folder and says of each reference whether it is certainly good, certainly bad (and which words
the reason must have), or either: a flipped bit may leave an image that decodes.
"""

from __future__ import annotations

import base64
import io
import os
import random
import socket
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

Verdict = Literal["good", "bad", "either"]
# 6320 x 6320 pixels: just below the limit, and of all kinds the one that takes most memory to decode.
LARGEST_WEBP = bytes.fromhex("524946461e000000574542505650384c110000002fafd82b160750e42ad4a34d8188e87f0000")
# 7070 x 7070 pixels, which other kinds may have.
TOO_LARGE_WEBP = bytes.fromhex(
    "524946465200000057454250565038580a000000180000009d1b009d1b005650384c110000002f9d5be7160750"
    "e42ad4a34d8188e87f0000455849461a0000004d4d002a00000008000101120003000000010006000000000000"
)
SIDE = 48


class Case(NamedTuple):
    """A reference for a row, and what a sound reader makes of it; `says` is a part of the reason."""

    ref: str
    verdict: Verdict
    says: str = ""


class Folder:
    """The image root that is being filled; what lies beside it is outside."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.root = path / "root"
        self.outside = path / "outside"
        for folder in (self.root, self.outside):
            folder.mkdir()
        self.rng = rng
        self._count = 0

    def file(self, data: bytes, verdict: Verdict, says: str = "", ending: str = "png") -> Case:
        self._count += 1
        name = f"{self._count:04d}.{ending}"
        (self.root / name).write_bytes(data)
        return Case(name, verdict, says)


def write_hostile(path: Path, count: int, seed: int = 0) -> list[Case]:
    """`count` cases under `path`/root: all the hand-made ones, and mutations up to the count."""
    rng = random.Random(seed)
    folder = Folder(path, rng)
    sound = dict(sound_images(rng))
    cases = [folder.file(data, "good", ending=name.partition("-")[0]) for name, data in sound.items()]
    for make in (_impostors, _bombs, _headers, _paths, _archives, _uris):
        cases.extend(make(folder, sound))
    cases += [_mutated(folder, sound) for _ in range(count - len(cases))]
    rng.shuffle(cases)
    return cases


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(rng: random.Random, mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Pixels that do not compress, so that a cut always takes some away."""
    image = Image.frombytes("RGBA", size, rng.randbytes(size[0] * size[1] * 4))
    if mode == "I;16":
        return Image.frombytes(mode, size, rng.randbytes(size[0] * size[1] * 2))
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def sound_images(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Every kind and mode that is read, by name; the part before the dash is the file ending."""
    sideways = Image.Exif()
    sideways[0x0112] = 6
    frames = [noise(rng) for _ in range(3)]
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield f"png-{mode}", encode(noise(rng, mode), "PNG", exif=sideways)
    yield "png-key", encode(noise(rng, "P"), "PNG", transparency=7)
    yield "png-key16", encode(noise(rng, "I;16"), "PNG", transparency=700)
    yield "png-animated", encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    for mode in ("L", "RGB", "CMYK"):
        yield f"jpg-{mode}", encode(noise(rng, mode), "JPEG", quality=90, exif=sideways)
    yield "jpg-progressive", encode(noise(rng), "JPEG", progressive=True)
    yield "jpg-pair", encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    yield "gif-P", encode(noise(rng, "P"), "GIF")
    yield "gif-key", encode(noise(rng, "P"), "GIF", transparency=3)
    yield "gif-animated", encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for mode in ("RGB", "RGBA"):
        yield f"webp-{mode}", encode(noise(rng, mode), "WEBP", lossless=True, exif=sideways)
    yield "webp-lossy", encode(noise(rng), "WEBP", quality=95)
    yield "webp-animated", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    for mode in ("L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        yield f"tif-{mode}", encode(noise(rng, mode), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield f"tif-{compression}", encode(noise(rng), "TIFF", compression=compression)
    yield "tif-fax", encode(noise(rng, "1"), "TIFF", compression="group4")
    for mode in ("1", "L", "P", "RGB"):
        yield f"bmp-{mode}", encode(noise(rng, mode), "BMP")
    yield "ppm-RGB", encode(noise(rng), "PPM")
    yield "ico-RGBA", encode(noise(rng, "RGBA"), "ICO")
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        for size in ((1, 1), (1, 3000), (3000, 1)):
            yield f"png-{kind}{size}", encode(noise(rng, size=size), kind)


def _mutated(folder: Folder, sound: dict[str, bytes]) -> Case:
    """A sound image cut short (certainly bad), or with bits flipped, a stretch overwritten, or two joined."""
    rng = folder.rng
    kinds = ("png", "jpg", "gif", "webp", "tif")
    names = [name for name in sound if name.startswith(kinds) and "(" not in name]
    name = rng.choice(names)
    data = bytearray(sound[name])
    way = rng.randrange(5)
    if way == 0 and not name.endswith(("animated", "pair")):
        return folder.file(bytes(data[: rng.randrange(len(data) * 6 // 10)]), "bad", "", name.partition("-")[0])
    if way == 1:
        start = rng.randrange(len(data))
        data[start : start + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(1, 64))
    elif way == 2:
        other = sound[rng.choice(names)]
        data = data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    elif way == 3:
        # Headers are where one wrong number does most.
        data[rng.randrange(min(len(data), 64))] ^= 1 << rng.randrange(8)
    else:
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return folder.file(bytes(data), "either", "", name.partition("-")[0])


def _impostors(folder: Folder, sound: dict[str, bytes]) -> Iterator[Case]:
    """Files that are no image, and images under the ending of another kind."""
    rng = folder.rng
    for ending in ("png", "jpg", "gif", "webp", "tif", "bmp"):
        yield folder.file(b"", "bad", "empty", ending)
        yield folder.file(b"<!DOCTYPE html><html><body>404</body></html>", "bad", "an HTML page", ending)
        yield folder.file(b'<?xml version="1.0"?><svg width="9"/>', "bad", "an SVG drawing", ending)
        yield folder.file(b"%PDF-1.7\n" + rng.randbytes(99), "bad", "a PDF document", ending)
        yield folder.file(b"version https://git-lfs.github.com/spec/v1\n", "bad", "Git LFS", ending)
        yield folder.file(b"\0" * 500, "bad", "no image", ending)
        yield folder.file(b"no image " * 9, "bad", "no image", ending)
        for size in (1, 7, 100, 5000):
            yield folder.file(b"\x01" + rng.randbytes(size), "bad", "cannot be decoded", ending)
        yield folder.file(sound["png-RGB"], "good", ending=ending)
        yield folder.file(sound["jpg-RGB"], "good", ending=ending)
    for start in (
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x99\0\0\0WEBP",
        b"II*\0",
        b"MM\0*",
        b"BM",
    ):
        for size in (0, 20, 900):
            yield folder.file(start + rng.randbytes(size), "bad", "image")


def png(width: int, height: int, rows: bytes, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG made by hand; `rows` are the packed pixels, `chunks` go before them."""
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def tiff(entries: dict[int, tuple[int, int, int]], tail: bytes = b"") -> bytes:
    """A TIFF made by hand: tag -> (type, count, value or offset); `tail` begins at offset 8 + 6 + 12 * entries."""
    body = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + body + struct.pack("<L", 0) + tail


def _grey_tiff(width: int, height: int, **more: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    plain = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1, 278: height, 273: 8, 279: width * height}
    tags = {tag: (4, 1, value & 0xFFFFFFFF) for tag, value in plain.items()}
    return tags | {int(tag[1:]): entry for tag, entry in more.items()}


def _bombs(folder: Folder, sound: dict[str, bytes]) -> Iterator[Case]:
    """Few bytes that unpack to many; and the largest images that are still to be read."""
    zeros = zlib.compress(bytes(1 << 22))
    for side in (7072, 30_000, 65_535, 1_000_000, 2**31 - 1):
        for depth, colour in ((1, 0), (8, 2), (16, 6)):
            yield folder.file(png(side, side, zeros, depth=depth, colour=colour), "bad", "pixels")
    for width, height in ((2**31 - 1, 1), (60_000_000, 1), (1, 60_000_000)):
        yield folder.file(png(width, height, zeros), "bad", "pixels")
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 7064 // 8)) for _ in range(7064)) + packer.flush()
    yield folder.file(png(7064, 7064, rows, depth=1), "good")
    yield folder.file(png(SIDE, SIDE, zlib.compress(bytes(1 << 28))), "good")  # what goes beyond the rows is left alone
    yield folder.file(LARGEST_WEBP, "good", ending="webp")
    yield folder.file(TOO_LARGE_WEBP, "bad", "pixels", ending="webp")
    jpeg = sound["jpg-RGB"]
    frame = jpeg.index(b"\xff\xc0") + 5
    for height, width in ((65_500, 65_500), (30_000, 30_000), (1, 0), (65_000, 48)):
        # libjpeg makes up rows that are missing in front of a proper end.
        verdict, says = ("bad", "pixels") if width * height > 50_000_000 else ("either", "")
        yield folder.file(jpeg[:frame] + struct.pack(">HH", height, width) + jpeg[frame + 4 :], verdict, says, "jpg")
    scan = jpeg.index(b"\xff\xda")
    yield folder.file(jpeg[:scan] + jpeg[scan : scan + 14] * 5000 + jpeg[scan:], "bad", "too many scans", "jpg")
    gif = sound["gif-P"]
    screen = gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:]
    yield folder.file(screen, "bad", "pixels", "gif")
    descriptor = gif.rindex(b"\x2c\0\0\0\0" + struct.pack("<HH", SIDE, SIDE))
    yield folder.file(gif[: descriptor + 5] + b"\xff" * 4 + gif[descriptor + 9 :], "bad", "pixels", "gif")
    for side in (16_384, 1 << 24):
        canvas = b"\x10\0\0\0" + (side - 1).to_bytes(3, "little") * 2
        webp = b"WEBPVP8X" + struct.pack("<L", 10) + canvas + sound["webp-RGB"][12:]
        yield folder.file(b"RIFF" + struct.pack("<L", len(webp)) + webp, "bad", "", "webp")
    bmp = sound["bmp-RGB"]
    for width, height in ((30_000, 30_000), (2**31 - 1, 2**31 - 1), (30_000, -30_000)):
        yield folder.file(bmp[:18] + struct.pack("<ll", width, height) + bmp[26:], "bad", "pixels", "bmp")
    for number in ("99999 99999", "9" * 5000 + " 1"):
        yield folder.file(f"P6 {number} 255\n".encode(), "bad", "", "ppm")
    for side in (30_000, 2**31 - 1, 2**32 - 1):
        yield folder.file(tiff(_grey_tiff(side, side)), "bad", "pixels", "tif")


def _headers(folder: Folder, sound: dict[str, bytes]) -> Iterator[Case]:
    """Metadata that is huge, packed, repeated or circular around few pixels."""
    rows = zlib.compress(bytes(SIDE * (SIDE + 1)))
    packed = zlib.compress(bytes(1 << 27))
    for kind, start in ((b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0"), (b"iCCP", b"icc\0\0")):
        yield folder.file(png(SIDE, SIDE, rows, chunk(kind, start + packed)), "bad", "too large")
    yield folder.file(png(SIDE, SIDE, rows, chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000)), "good")
    yield folder.file(png(SIDE, SIDE, rows, *[chunk(b"tEXt", b"a\0b")] * 60_000), "bad", "header is too long")
    yield folder.file(
        png(SIDE, SIDE, rows, chunk(b"eXIf", b"II*\0" + b"\xff" * 3_000_000)), "bad", "header is too long"
    )
    yield folder.file(png(SIDE, SIDE, rows, chunk(b"eXIf", b"no exif")), "good")
    jpeg = sound["jpg-RGB"]
    for count in (1, 40):
        block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000)
        block += b"".join(struct.pack("<HHLL", tag, 7, 30_000, 8) for tag in range(5000))
        segment = b"\xff\xe1" + struct.pack(">H", 65_535) + block.ljust(65_533, b"\0")[:65_533]
        yield folder.file(jpeg[:2] + segment * count + jpeg[2:], "either", "", "jpg")
    profile = b"\xff\xe2" + struct.pack(">H", 65_535) + b"ICC_PROFILE\0\1\1".ljust(65_533, b"\xee")
    yield folder.file(jpeg[:2] + profile * 80 + jpeg[2:], "good", "", "jpg")
    yield folder.file(jpeg[:2] + b"\0" * 2_000_000 + jpeg[2:], "bad", "cannot be decoded", "jpg")
    gif = sound["gif-P"]
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * 40_000 + b"\0"
    frame = gif.rindex(b"\x2c\0\0\0\0" + struct.pack("<HH", SIDE, SIDE))
    yield folder.file(gif[:frame] + comment + gif[frame:], "bad", "header is too long", "gif")
    places = 1_500_000
    strips = tiff(_grey_tiff(SIDE, SIDE, _273=(4, places, 122), _279=(4, places, 122)), bytes(4 * places))
    yield folder.file(strips, "bad", "header is too long", "tif")
    tile = _grey_tiff(SIDE, SIDE, _322=(4, 1, 30_000), _323=(4, 1, 30_000), _324=(4, 1, 8), _325=(4, 1, 99))
    for compression in (1, 5, 8, 50_000):
        yield folder.file(tiff(tile | {259: (3, 1, compression)}, zlib.compress(bytes(9999))), "bad", "pixels", "tif")
    many = dict.fromkeys(range(1000, 61000), (7, 900000, 8))
    yield folder.file(tiff(many | _grey_tiff(SIDE, SIDE), bytes(300_000)), "either", "", "tif")
    samples = tiff(_grey_tiff(SIDE, SIDE, _258=(3, 500_000, 122), _277=(3, 1, 65_535)), bytes(1_000_000))
    yield folder.file(samples, "bad", "", "tif")
    with (folder.root / "sparse.png").open("wb") as file:
        file.write(sound["png-RGB"])
        file.truncate((64 << 20) + 1)
    yield Case("sparse.png", "bad", "larger than 64 MiB")


def _paths(folder: Folder, sound: dict[str, bytes]) -> Iterator[Case]:
    """Ways out of the root, and what is no file."""
    root, outside = folder.root, folder.outside
    (outside / "secret.png").write_bytes(sound["png-RGB"])
    (root / "inner").mkdir()
    (root / "inner" / "deep!.png").write_bytes(sound["png-RGB"])
    (root / "inside.png").symlink_to("inner/deep!.png")
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "relative.png").symlink_to("../outside/secret.png")
    (root / "twice.png").symlink_to("link.png")
    (root / "away").symlink_to(outside)
    (root / "loop.png").symlink_to("loop.png")
    (root / "dangling.png").symlink_to("nothing.png")
    for good in ("inside.png", "inner/deep!.png", "inner/../inside.png", "./inner//deep!.png"):
        yield Case(good, "good")
    leading_out = ("link.png", "relative.png", "twice.png", "away/secret.png", "../outside/secret.png")
    for ref in (
        *leading_out,
        str(outside / "secret.png"),
        "inner/../../outside/secret.png",
        "/etc/hostname",
        "/proc/self/mem",
    ):
        yield Case(ref, "bad", "outside the image root")
    for number, device in enumerate(
        ("/dev/zero", "/dev/random", "/dev/tty", "/proc/kmsg", "/proc/self/environ", "/dev/stdin")
    ):
        (root / f"device{number}.png").symlink_to(device)
        yield Case(f"device{number}.png", "bad", "outside the image root")
    os.mkfifo(root / "fifo.png")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(root)  # the path of a socket may have 108 bytes only
        try:
            listening.bind("socket.png")
        finally:
            os.chdir(here)
    for ref, says in (("fifo.png", "a FIFO"), ("socket.png", "a socket"), ("inner", "a folder"), (".", "a folder")):
        yield Case(ref, "bad", says)
    yield Case("/", "bad", "outside the image root")
    for ref in (
        "loop.png",
        "dangling.png",
        "nowhere.png",
        "inside.png/x.png",
        "x" * 300,
        "x" * 5000,
        "a/" * 3000 + "b",
    ):
        yield Case(ref, "bad", "image")
    for ref in ("", "a\0b.png", "\0", "file:///etc/hostname", "http://127.0.0.1:9/a.png", "ftp://h/a.png"):
        yield Case(ref, "bad", "image")


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    """A zip archive; names are stored as they are."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)


def altered(path: Path, data: bytes, *, central: dict[int, bytes], local: dict[int, bytes] | None = None) -> None:
    """An archive of one member `a.png`, with bytes of its two headers put otherwise."""
    pack(path, {"a.png": data})
    whole = bytearray(path.read_bytes())
    table = whole.rindex(b"PK\1\2")
    for start, values in ((table, central), (0, local or {})):
        for at, value in values.items():
            whole[start + at : start + at + len(value)] = value
    path.write_bytes(whole)


def _archives(folder: Folder, sound: dict[str, bytes]) -> Iterator[Case]:
    """Members of archives: good ones, names that lead out, lies about sizes, bombs, and what is no archive."""
    root, image = folder.root, sound["png-RGB"]
    plain = {"a.png": image, "b/ü.png": image, "bad.png": image[:60], "empty.png": b"", "b/": b""}
    pack(root / "deflated.zip", plain)
    pack(root / "stored.zip", plain, zipfile.ZIP_STORED)
    (root / "prefixed.zip").write_bytes(b"#!/bin/sh\n" * 9 + (root / "deflated.zip").read_bytes())
    (root / "linked.zip").symlink_to("stored.zip")
    for archive in ("deflated.zip", "stored.zip", "prefixed.zip", "linked.zip"):
        yield Case(f"zip://{archive}!a.png", "good")
        yield Case(f"zip://{archive}!b/ü.png", "good")
        members = {
            "bad.png": "cannot be decoded",
            "empty.png": "empty",
            "b/": "a folder",
            "none.png": "not in the archive",
        }
        for member, says in members.items():
            yield Case(f"zip://{archive}!{member}", "bad", says)
    escapes = ("../a.png", "/a.png", "b/../../a.png", "\\a.png", "..\\a.png", "C:\\a.png", "c:/a.png", "b/..")
    pack(root / "escapes.zip", dict.fromkeys(escapes, image))
    for member in escapes:
        yield Case(f"zip://escapes.zip!{member}", "bad", "leads out of its archive")
    pack(root / "outer.zip", {"deflated.zip": (root / "deflated.zip").read_bytes()})
    yield Case("zip://outer.zip!deflated.zip!a.png", "bad", "inside an archive")
    yield Case("zip://outer.zip!deflated.zip", "bad", "a zip archive")
    pack(folder.outside / "out.zip", plain)
    (root / "out.zip").symlink_to(folder.outside / "out.zip")
    for archive in ("out.zip", "../outside/out.zip", str(folder.outside / "out.zip"), "away/out.zip"):
        yield Case(f"zip://{archive}!a.png", "bad", "outside the image root")
    yield from _liars(folder, image)
    (root / "torn.zip").write_bytes((root / "deflated.zip").read_bytes()[:-200])
    (root / "text.zip").write_text("no archive")
    (root / "empty.zip").write_bytes(b"")
    (root / "picture.zip").write_bytes(image)
    (root / "ends.zip").write_bytes(b"PK\5\6" + b"\xff" * 18)
    for archive in ("torn.zip", "text.zip", "empty.zip", "picture.zip", "ends.zip"):
        yield Case(f"zip://{archive}!a.png", "bad", "torn")
    for ref, says in (("inner!a.png", "a folder"), ("fifo.png!a.png", "a FIFO"), ("none.zip!a.png", "not found")):
        yield Case(f"zip://{ref}", "bad", says)
    for ref in ("zip://", "zip://!", "zip://stored.zip", "zip://stored.zip!", "zip://!a.png"):
        yield Case(ref, "bad", "not a path")


def _liars(folder: Folder, image: bytes) -> Iterator[Case]:
    root, zeros = folder.root, bytes(80 << 20)
    pack(root / "bomb.zip", {"a.png": zeros})
    yield Case("zip://bomb.zip!a.png", "bad", "larger than 64 MiB")
    small = struct.pack("<L", 1000)
    whole = struct.pack("<L", zlib.crc32(zeros))
    start = struct.pack("<L", zlib.crc32(bytes(1000)))
    lies: dict[str, tuple[bytes, dict[int, bytes], str]] = {
        "small": (zeros, {24: small, 16: whole}, "not what its archive says"),
        "small-sum": (zeros, {24: small, 16: start}, "not what its archive says"),
        "large": (image, {24: struct.pack("<L", len(image) + 1)}, "not what its archive says"),
        "huge": (image, {24: struct.pack("<L", 2**31)}, "larger than 64 MiB"),
        "packed": (image, {20: struct.pack("<L", 2**31)}, "larger than 64 MiB"),
        "beyond": (image, {20: struct.pack("<L", 1 << 20)}, "torn or damaged"),
        "zip64": (image, {20: b"\xff" * 8}, "larger than 64 MiB"),
        "checksum": (image, {16: b"\0\1\2\3"}, "not what its archive says"),
        "encrypted": (image, {8: b"\1\0"}, "encrypted"),
        "method": (image, {10: b"\x63\0"}, "packed by method 99"),
        "place": (image, {42: struct.pack("<L", 7)}, "another file in its place"),
        "far": (image, {42: struct.pack("<L", 2**31)}, "torn or damaged"),
        "link": (image, {38: struct.pack("<L", 0o120777 << 16)}, "a link"),
        "device": (image, {38: struct.pack("<L", 0o020777 << 16)}, "a link"),
    }
    for name, (data, central, says) in lies.items():
        altered(root / f"{name}.zip", data, central=central)
        yield Case(f"zip://{name}.zip!a.png", "bad", says)
    altered(root / "other.zip", image, central={}, local={30: b"b.png"})
    yield Case("zip://other.zip!a.png", "bad", "another file in its place")


def _uris(folder: Folder, sound: dict[str, bytes]) -> Iterator[Case]:
    """Images in the row itself."""

    def uri(data: bytes, kind: str = "image/png") -> str:
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"

    for name in ("png-RGB", "jpg-CMYK", "gif-key", "webp-RGBA", "tif-I;16"):
        yield Case(uri(sound[name]), "good")
        yield Case(uri(sound[name][:40]), "bad", "cannot be decoded")
    for ref, says in (
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64,@@@@", "not base64"),
        ("data:image/png;base64,QUJ", "not base64"),
        ("data:image/png,QUJD", "another kind"),
        ("data:", "another kind"),
        (uri(b"<svg/>", "image/svg+xml"), "an SVG drawing"),
        (uri(sound["png-RGB"], "text/html"), "another kind"),
        (uri(b"x" * 1_000_000), "no image"),
    ):
        yield Case(ref, "bad", says)
