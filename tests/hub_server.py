"""A Hugging Face hub in miniature: it answers the calls of an upload, and keeps what it was sent."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_test"


@dataclass
class Hub:
    """The state of the hub: repositories (whether private) and the files of each."""

    repos: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refuses_commits: bool = False
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON of one call."""
        self.calls.append(f"{method} {path}")
        parts = path.strip("/").split("/")
        if path == "/api/whoami-v2":
            return 200, {"name": "me", "type": "user"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.repos[name] = asked.get("private") is True or asked.get("visibility") == "private"
            return 200, {"url": f"{self.url}/{name}"}
        repo, rest = "/".join(parts[2:4]), parts[4:]
        if repo not in self.repos:
            return 404, {"error": "Repository not found"}
        if rest[:1] == ["preupload"]:
            names = [one["path"] for one in json.loads(body)["files"]]
            return 200, {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        if rest[:1] == ["commit"]:
            return self._commit(repo, body)
        if rest[:1] in ([], ["revision"]):
            return 200, {"id": repo, "private": self.repos[repo], "sha": "0" * 40, "siblings": []}
        return 200, []

    def _commit(self, repo: str, body: bytes) -> tuple[int, Any]:
        if self.refuses_commits:
            return 403, {"error": "this token may not write"}
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        sent = [line["value"] for line in lines if line["key"] == "file"]
        self.files.setdefault(repo, {}).update({one["path"]: base64.b64decode(one["content"]) for one in sent})
        return 200, {"commitUrl": f"{self.url}/{repo}/commit/1", "commitOid": "1" * 40, "success": True}


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port of this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, answer = 401, {"error": "Invalid user token."}
            else:
                status, answer = hub.answer(self.command, self.path.partition("?")[0], body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _serve

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
