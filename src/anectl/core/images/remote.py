"""Images by URL, for runs that allow them: fetched once a run, within limits, and kept in a temporary folder.

Only http and https, also behind redirects. Whatever comes back must be an image. A URL in a row can name any host that
this machine can reach, so allow them only for rows you trust.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import shutil
import string
import tempfile
import threading
import time
import urllib.error
import urllib.request
import weakref
from pathlib import Path
from urllib.parse import quote, urlsplit

from anectl.core.images.decoding import refuse_unknown
from anectl.core.images.limits import MAX_BYTES, TOO_LARGE, Refusal

MOST_REDIRECTS = 5
_WAIT_S = 20.0
_TOTAL_S = 60.0
_CHUNK_BYTES = 1 << 16
_MOST_CACHE_BYTES = 8 << 30
_HEADERS = {"User-Agent": "anectl", "Accept": "image/*"}


def fetch(url: str, *, total_s: float = _TOTAL_S) -> bytes:
    """The bytes at `url`, from the folder of this run where they were fetched before.

    Raises Refusal: not reached in `total_s` seconds, an HTTP error, too many redirects, too large, or no image.
    """
    folder = _run_folder()
    kept = folder.path / hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        data = _Download(url, total_s).result()
    refuse_unknown(data)
    folder.keep(kept, data)
    return data


class _Download(threading.Thread):
    """One request on a thread of its own: a server that sends its headers byte by byte outlasts every other limit."""

    def __init__(self, url: str, total_s: float) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._total_s = total_s
        self._deadline = time.monotonic() + total_s
        self._outcome: bytes | Refusal = Refusal(f"cannot be fetched: no answer in {total_s:.0f} s")

    def result(self) -> bytes:
        """The bytes, or the Refusal, as soon as there are any."""
        self.start()
        self.join(self._total_s)
        outcome = self._outcome
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    def run(self) -> None:
        try:
            self._outcome = self._read()
        except Refusal as refusal:
            self._outcome = refusal
        except urllib.error.HTTPError as error:
            circular = "too many redirects, or one to another kind of URL" if error.code // 100 == 3 else ""
            self._outcome = Refusal(f"cannot be fetched: {circular or f'HTTP status {error.code}'}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            self._outcome = Refusal(f"cannot be fetched: {reason or type(error).__name__}")

    def _read(self) -> bytes:
        # Letters beyond ASCII are common in URLs of data sets, and not allowed on the wire.
        request = urllib.request.Request(quote(self._url, safe=string.punctuation), headers=_HEADERS)
        with _opener().open(request, timeout=min(_WAIT_S, self._total_s)) as answer:
            stated = answer.headers.get("Content-Length", "")
            if stated.isdecimal() and int(stated) > MAX_BYTES:
                raise Refusal(TOO_LARGE)
            chunks, size = [], 0
            while chunk := answer.read1(_CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BYTES:
                    raise Refusal(TOO_LARGE)
                if time.monotonic() > self._deadline:
                    raise Refusal(f"cannot be fetched: not done in {self._total_s:.0f} s")
            if stated.isdecimal() and size != int(stated):
                raise Refusal("cannot be fetched: the connection broke")
            return b"".join(chunks)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MOST_REDIRECTS
    max_repeats = 2

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        """The next request. Raises Refusal for a place that is not on the web."""
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise Refusal("cannot be fetched: too many redirects, or one to another kind of URL")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    # Not `build_opener`, which also opens file: and ftp: URLs.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _Folder:
    """The temporary folder of this process; it goes when the process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="anectl-images-"))
        self._num_bytes = 0
        weakref.finalize(self, _remove, self.path, os.getpid())

    def keep(self, path: Path, data: bytes) -> None:
        """Write a file whole or not at all; nothing when the folder is full."""
        if self._num_bytes + len(data) > _MOST_CACHE_BYTES:
            return
        descriptor, partial = tempfile.mkstemp(dir=self.path)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(partial, path)
        except OSError:
            # No room: the image is here all the same, and will be fetched again.
            Path(partial).unlink(missing_ok=True)
            return
        self._num_bytes += len(data)


def _remove(folder: Path, owner: int) -> None:
    # A forked child ends too, and must leave its parent's folder alone.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _run_folder() -> _Folder:
    return _Folder()
