"""A chat completions server on loopback whose answers follow a script: for tests of what a real one does seldom."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the server sends: `body` as it is, or as JSON where it is no bytes, after `delay_s`.

    `drip_s` is the pause after each byte; `reset` breaks the connection instead.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    reset: bool = False


def prompt_of(body: Body) -> str:
    """The text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def completion(body: Body, *texts: str, finish_reason: str = "stop", **fields: Any) -> Body:
    """A chat completion; by default each choice says the prompt, the seed and its number, four tokens long."""
    texts = texts or tuple(f"{prompt_of(body)} {body.get('seed')} {i}" for i in range(body.get("n", 1)))
    choices = []
    for number, text in enumerate(texts):
        choice = {"index": number, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": "t", "logprob": -0.5, "top_logprobs": []}] * 4}
        choices.append(choice)
    return {"id": "1", "object": "chat.completion", "choices": choices} | fields


def failure(status: int, message: str, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
    """An error as servers word it."""
    return Answer({"error": {"message": message, "type": "error", "code": status} | fields}, status, headers or {})


class ChatServer:
    """Answers with `script(body, number)`, where `number` counts the chat requests from 0.

    `owner` is what it says its model is owned by (null: it has no list of models). It remembers the requests and the
    keys they came with, and how many were under way at once.
    """

    def __init__(
        self, script: Callable[[Body, int], Answer | Body] | None = None, *, owner: str | None = "vllm"
    ) -> None:
        self.script = script or (lambda body, number: completion(body))
        self.owner = owner
        self.requests: list[Body] = []
        self.times: list[float] = []
        self.keys: set[str | None] = set()
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._port = 0
        self._httpd: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> ChatServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Listen, on the port of the last time."""
        self._httpd = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler(), bind_and_activate=False)
        self._httpd.daemon_threads, self._httpd.request_queue_size = True, 256
        self._httpd.server_bind()
        self._httpd.server_activate()
        self._port = self._httpd.server_port
        threading.Thread(target=self._httpd.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        """Go away as a killed process does: every connection is reset."""
        if self._httpd is None:
            return
        self._httpd.shutdown()
        self._httpd.server_close()
        self._httpd = None
        for connection in tuple(self._sockets):
            reset(connection)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                server._sockets.add(self.connection)

            def finish(self) -> None:
                server._sockets.discard(self.connection)
                with suppress(OSError):
                    super().finish()

            def handle(self) -> None:
                with suppress(OSError, ValueError):
                    super().handle()

            def do_GET(self) -> None:
                models = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": server.owner}]}
                server.send(self, Answer(models) if server.owner else failure(404, "Not Found"))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path == "/tokenize":
                    server.send(self, failure(404, "Not Found"))
                else:
                    server.keys.add(self.headers["authorization"])
                    server.chat(self, body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler

    def chat(self, handler: BaseHTTPRequestHandler, body: Body) -> None:
        """Answer one chat request."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.script(body, number)
            answer = answer if isinstance(answer, Answer) else Answer(answer)
            time.sleep(answer.delay_s)
        finally:
            with self._lock:
                self._at_once -= 1
        self.send(handler, answer)

    def send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        """Write an answer."""
        if answer.reset:
            reset(handler.connection)
            return
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        if not answer.drip_s:
            handler.wfile.write(data)
            return
        for byte in data:
            handler.wfile.write(bytes([byte]))
            time.sleep(answer.drip_s)


def reset(connection: socket.socket) -> None:
    """Break a connection so that the other end sees a reset and not an end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The handler's files keep the descriptor open past close().
        connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()
