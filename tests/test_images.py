"""Images: what is found, what is refused, what the pixels become; and no file, however hostile, takes a run down."""

from __future__ import annotations

import base64
import http.server
import json
import os
import random
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from anectl.core.errors import RowError
from anectl.core.images import MAX_BYTES, ImageRef, ImageRoot
from anectl.core.images.remote import fetch
from tests.conftest import write_rows
from tests.hostile_images import Case, encode, noise, pack, write_hostile

GIB = 1 << 30
# A process counts the memory of the one that started it, so a small one must be between it and the tests.
LAUNCHER = """
import json, os, subprocess, sys, time
started = time.monotonic()
with open(sys.argv[1], "wb") as out, open(sys.argv[2], "wb") as err:
    child = subprocess.Popen(sys.argv[3:], stdout=out, stderr=err)
    _, status, usage = os.wait4(child.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, time.monotonic() - started]))
"""


def opened(data: bytes) -> Image.Image:
    return ImageRef("x", "nowhere").open(data)


def pixel(data: bytes) -> tuple[int, ...]:
    image = opened(data)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))  # type: ignore[return-value]


def image_of(mode: str, colour: object, size: tuple[int, int] = (2, 2)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode(image_of("1", 1), "PNG"), (255, 255, 255)),
        (encode(image_of("L", 77), "PNG"), (77, 77, 77)),
        (encode(image_of("LA", (0, 0)), "PNG"), (255, 255, 255)),
        (encode(image_of("LA", (100, 255)), "TIFF"), (100, 100, 100)),
        (encode(image_of("P", 0), "PNG", transparency=0), (255, 255, 255)),
        (encode(image_of("L", 9), "PNG", transparency=9), (255, 255, 255)),
        (encode(image_of("L", 9), "PNG", transparency=8), (9, 9, 9)),
        (encode(image_of("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3)), (255, 255, 255)),
        (encode(image_of("RGBA", (200, 0, 0, 0)), "PNG"), (255, 255, 255)),
        (encode(image_of("RGBA", (200, 0, 100, 128)), "PNG"), (227, 127, 177)),
        (encode(image_of("RGBA", (200, 0, 100, 255)), "WEBP", lossless=True), (200, 0, 100)),
        (encode(image_of("I;16", 0x4F00), "PNG"), (0x4F, 0x4F, 0x4F)),
        (encode(image_of("I;16", 0xFFFF), "TIFF"), (255, 255, 255)),
        (encode(image_of("I;16", 0x4F01), "PNG", transparency=0x4F01), (255, 255, 255)),
        (encode(image_of("I;16", 0x4F01), "PNG", transparency=0x4F00), (0x4F, 0x4F, 0x4F)),
        (encode(image_of("CMYK", (0, 255, 0, 0)), "TIFF"), (255, 0, 255)),
        (encode(image_of("CMYK", (0, 0, 0, 255), (16, 16)), "JPEG", quality=100), (0, 0, 0)),
        (b"P5 1 1 65535\n\x4f\x01", (0x4F, 0x4F, 0x4F)),
    ],
)
def test_every_mode_becomes_the_rgb_it_looks_like(data: bytes, expected: tuple[int, ...]) -> None:
    assert pixel(data) == expected


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_of_unknown_range_are_refused_not_clipped(mode: str) -> None:
    with pytest.raises(RowError, match="32 bits a sample"):
        opened(encode(image_of(mode, 1), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(kind: str, orientation: int) -> None:
    upright = Image.new("RGB", (32, 48), "white")
    upright.paste((200, 0, 0), (0, 0, 16, 16))
    upright.paste((0, 0, 200), (16, 32, 32, 48))
    T = Image.Transpose
    # How a camera held that way sees it: the inverse of what a viewer must do.
    seen = {2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90}
    seen |= {7: T.TRANSVERSE, 8: T.ROTATE_270}
    stored = upright.transpose(seen[orientation]) if orientation in seen else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = opened(encode(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})))
    assert image.size == upright.size
    corners = [image.getpixel(place) for place in ((8, 8), (24, 40), (24, 8))]
    for found, expected in zip(corners, [(200, 0, 0), (0, 0, 200), (255, 255, 255)], strict=True):
        assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind: str) -> None:
    frames = [image_of("RGB", colour, (8, 8)) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert pixel(encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)) == (255, 0, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_tiny_and_thin_images_are_images(size: tuple[int, int]) -> None:
    assert opened(encode(image_of("RGB", "red", size), "PNG")).size == size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_cut_image_is_an_error_wherever_it_is_cut(kind: str) -> None:
    data = encode(noise(random.Random(1)), kind)
    for share in range(10):
        with pytest.raises(RowError, match="cannot be decoded"):
            opened(data[: len(data) * share // 12])


def test_reading_an_image_warns_of_nothing_and_keeps_no_metadata() -> None:
    data = encode(image_of("RGB", "red"), "PNG", icc_profile=b"x" * 10_000, exif=b"no exif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opened(data).info == {}


def test_messages_do_not_repeat_a_long_reference() -> None:
    uri = "data:image/png;base64," + base64.b64encode(b"x" * 100_000).decode()
    with pytest.raises(RowError) as error:
        ImageRoot().resolve(uri).open()
    assert len(str(error.value)) < 400
    with pytest.raises(RowError, match="larger than"):
        ImageRoot().resolve("data:image/png;base64," + "A" * (MAX_BYTES * 4 // 3 + 8)).read()


def test_a_link_turned_after_the_check_leads_nowhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "good.png").write_bytes(encode(image_of("RGB", "red"), "PNG"))
    (tmp_path / "secret.png").write_bytes(b"secret")
    pack(root / "good.zip", {"a.png": b"good"})
    pack(tmp_path / "secret.zip", {"a.png": b"secret"})
    for ending, ref in (("png", "link.png"), ("zip", "zip://link.zip!a.png")):
        link = root / f"link.{ending}"
        link.symlink_to(f"good.{ending}")
        image = ImageRoot(root).resolve(ref)
        assert b"secret" not in image.read()
        link.unlink()
        link.symlink_to(f"../secret.{ending}")
        with pytest.raises(RowError, match="outside the image root"):
            image.read()


def test_up_is_up_the_path_as_written_also_past_a_link(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "a" / "x.png").write_bytes(b"behind the link")
    (tmp_path / "x.png").write_bytes(b"as written")
    assert ImageRoot(tmp_path).resolve("link/../x.png").read() == b"as written"


def archive_of(path: Path, count: int, mark: bytes = b"") -> list[ImageRef]:
    pack(path, {f"{number}.png": mark + str(number).encode() * 40 for number in range(count)})
    return [ImageRoot(path.parent).resolve(f"zip://{path.name}!{number}.png") for number in range(count)]


def test_members_read_as_zipfile_reads_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a!b.zip", "w") as archive:
        for number, name in enumerate(("plain.png", "ä/ö ü.png", "a!b.png", "empty.png")):
            archive.writestr(name, b"x" * 1000 * (number % 3), compress_type=8 * (number % 2))
        with archive.open("wide.png", "w", force_zip64=True) as member:
            member.write(b"y" * 5000)
    with zipfile.ZipFile(tmp_path / "a!b.zip") as archive:
        for name in archive.namelist():
            assert ImageRoot(tmp_path).resolve(f"zip://a!b.zip!{name}").read() == archive.read(name)


def test_archives_of_more_members_than_a_short_header_can_count(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(66_000):
            archive.writestr(str(number), b"%d" % number)
    for number in (0, 65_535, 65_999):
        assert ImageRoot(tmp_path).resolve(f"zip://many.zip!{number}").read() == b"%d" % number


def test_a_replaced_archive_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    image = archive_of(path, 3)[2]
    assert image.read() == b"2" * 40
    archive_of(tmp_path / "new.zip", 3, b"new")
    os.replace(tmp_path / "new.zip", path)
    assert image.read() == b"new" + b"2" * 40
    path.unlink()
    with pytest.raises(RowError, match="cannot be read"):
        image.read()


def test_many_archives_leave_few_files_open(tmp_path: Path) -> None:
    images = [archive_of(tmp_path / f"{number}.zip", 1)[0] for number in range(60)]
    before = len(os.listdir("/proc/self/fd"))
    for image in images * 2:
        assert image.read() == b"0" * 40
    assert len(os.listdir("/proc/self/fd")) - before <= 8


def test_threads_and_forked_processes_share_archives(tmp_path: Path) -> None:
    images = [image for number in range(12) for image in archive_of(tmp_path / f"{number}.zip", 20)]
    expected = [image.read() for image in images]

    def read_all(seed: int) -> bool:
        order = random.Random(seed).sample(range(len(images)), len(images))
        return all(images[number].read() == expected[number] for number in order)

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(read_all, seed) for seed in range(8)]
        children = []
        for seed in range(4):
            child = os.fork()
            if child == 0:
                os._exit(0 if read_all(100 + seed) else 1)
            children.append(child)
        assert all(future.result() for future in waiting)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


class Server(http.server.ThreadingHTTPServer):
    """A web server on loopback that answers by the path it is asked for, and counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hits: list[str] = []
        self.image = encode(image_of("RGB", "red"), "PNG")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.hits.append(self.path)
        kind, image = self.path.split("?")[0], self.server.image
        if kind == "/drip":
            for _ in range(40):
                self.wfile.write(b"H")
                time.sleep(0.05)
            return
        place = {"/once": "/image", "/loop": "/loop?", "/file": "file:///etc/hostname", "/ftp": "ftp://127.0.0.1/x"}
        if kind in place:
            self.send_response(302)
            self.send_header("Location", place[kind] + ("x" if kind == "/loop" else "") + str(len(self.server.hits)))
            self.end_headers()
            return
        self.send_response(404 if kind == "/missing" else 200)
        if kind in ("/short", "/declared"):
            self.send_header("Content-Length", str(len(image) + 9 if kind == "/short" else MAX_BYTES + 1))
        self.end_headers()
        if kind == "/endless":
            for _ in range((MAX_BYTES >> 20) + 8):
                self.wfile.write(bytes(1 << 20))
        self.wfile.write(b"<html>" if kind == "/html" else image)

    def log_message(self, format: str, *values: object) -> None:
        """Tests print nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the reader had enough


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_urls_are_fetched_once_and_only_where_allowed(server: Server) -> None:
    url = server.url("/image?ü")
    with pytest.raises(RowError, match="is remote"):
        ImageRoot().resolve(url)
    assert server.hits == []
    for _ in range(3):
        image = ImageRoot(allow_remote=True).resolve(url)
        assert (image.ref, image.read()) == (url, server.image)
        assert image.open().size == (2, 2)
    assert server.hits == ["/image?%C3%BC"]
    assert ImageRoot(allow_remote=True).resolve(server.url("/once")).read() == server.image


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/missing", "HTTP status 404"),
        ("/html", "an HTML page"),
        ("/declared", "larger than 64 MiB"),
        ("/endless", "larger than 64 MiB"),
        ("/short", "cannot be fetched"),
        ("/loop", "too many redirects"),
        ("/file", "another kind of URL"),
        ("/ftp", "another kind of URL"),
    ],
)
def test_what_a_server_may_not_answer(path: str, says: str, server: Server) -> None:
    image = ImageRoot(allow_remote=True).resolve(server.url(path))
    with pytest.raises(RowError, match=says):
        image.read()
    assert len(server.hits) <= 7


def test_a_server_that_never_ends_its_headers_is_left(server: Server) -> None:
    started = time.monotonic()
    with pytest.raises(Exception, match="no answer"):
        fetch(server.url("/drip"), total_s=0.3)
    assert time.monotonic() - started < 1.5


def test_a_server_that_is_not_there_is_an_error_of_the_row() -> None:
    with pytest.raises(RowError, match="cannot be fetched"):
        ImageRoot(allow_remote=True).resolve("http://127.0.0.1:9/x.png").read()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    folder = tmp_path_factory.mktemp("hostile")
    cases = write_hostile(folder, 1000)
    rows = [
        {"id": str(number), "question": "?", "images": [case.ref], "answer": "1", "answer_type": "number"}
        for number, case in enumerate(cases)
    ]
    write_rows(folder / "problems.jsonl", rows)
    return folder, cases


@pytest.mark.slow
@pytest.mark.parametrize("command", ["rollout --engine fake --model none --dry-run --on-error skip", "check"])
def test_a_thousand_hostile_images_are_named_one_by_one_within_a_gibibyte(
    command: str, hostile: tuple[Path, list[Case]]
) -> None:
    folder, cases = hostile
    program = [sys.executable, "-m", "anectl", *command.split(), "problems.jsonl", "--image-root", "root"]
    launcher = [sys.executable, "-c", LAUNCHER, "rejects.jsonl", "stderr.txt", *program]
    done = subprocess.run(launcher, cwd=folder, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    code, peak, seconds = json.loads(done.stdout)
    said = (folder / "stderr.txt").read_text(errors="replace")
    print(f"{command}: peak {peak >> 20} MiB, {seconds:.1f} s")
    assert code == (1 if command == "check" else 0), said[-2000:]
    assert "Traceback" not in said
    assert peak < GIB
    assert seconds < 60
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    named = {reject["line"]: reject for reject in rejects}
    assert len(named) == len(rejects)
    assert len(cases) == 1000
    for line, case in enumerate(cases, 1):
        if case.verdict != "either":
            assert (line in named) is (case.verdict == "bad"), (case, named.get(line))
        if line in named:
            problem = named[line]["problem"]
            assert problem.startswith("image "), case
            assert case.says in problem, (case, problem)
            assert json.loads(named[line]["row"])["images"] == [case.ref]
    assert "1000 rows in" in said
