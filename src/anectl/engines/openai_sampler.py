"""Sample from a model behind any OpenAI-compatible server, many requests at a time, through weather of all kinds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import openai

from anectl import console
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.engines.async_window import AsyncWindow
from anectl.engines.openai_chat import Reply, chat_messages, draws_of
from anectl.engines.openai_client import checked_url, sampler_client
from anectl.engines.openai_retrying import RequestError, Retrying
from anectl.engines.openai_server import Server, inspect_server

_LOG = console.log("openai")
_OWN_FIELDS = {"model", "messages", "n", "seed", "temperature", "top_p", "max_tokens", "stream"}
_DISPENSABLE = ("logprobs", "logit_bias", "return_token_ids", "seed", "n", "max_tokens")
_REFUSAL = re.compile(r"not supported|unsupported|unrecogni|unknown|unexpected|not permitted|not allowed|extra", re.I)
_MAX_CHOICES = 64
# What servers say that are stopped amid their work.
_UNFINISHED = ("abort", "error")


@dataclass(frozen=True, slots=True)
class _Connection:
    client: openai.AsyncOpenAI
    retrying: Retrying
    problems: asyncio.Semaphore
    requests: asyncio.Semaphore
    asking: asyncio.Lock


class OpenAISampler:
    """A `Sampler`: `concurrency` requests at a time, in order or as they finish.

    All samples of a problem are one request where the server is known to draw them apart (vLLM, OpenAI); else, or with
    `n_per_request=1`, each is a request of its own with its own seed. A request that fails, `retries` times or for a
    reason of its own, gives draws with an error; a refused key, an unknown model, or a server that is away for
    `patience_s` ends the run with AnectlError. `timeout_s` bounds one try from its first byte to its last. `logprobs`
    asks for what gives `Draw.logprob` and, where n is over 1, the number of tokens; servers that cannot are not asked
    again. `extra_body` goes into every request as it is.
    """

    continuous = True

    def __init__(
        self,
        model: str,
        *,
        url: str,
        concurrency: int = 32,
        timeout_s: float = 600.0,
        retries: int = 6,
        retry_budget: int = 1000,
        patience_s: float = 300.0,
        requests_per_minute: float | None = None,
        n_per_request: int | None = None,
        logprobs: bool = True,
        extra_body: Mapping[str, Any] | None = None,
        log: Callable[[str], None] = _LOG,
    ) -> None:
        """Connects to nothing yet. Raises UsageError for a URL, a number or an extra field that cannot be used."""
        self.name = model
        self.url = checked_url(url)
        self._concurrency, self._timeout_s, self._log = concurrency, timeout_s, log
        self._retry_options: dict[str, Any] = {
            "retries": retries,
            "retry_budget": retry_budget,
            "patience_s": patience_s,
            "requests_per_minute": requests_per_minute,
        }
        _refuse_below(0, self._retry_options)
        _refuse_below(0.1, {"timeout_s": timeout_s})
        _refuse_below(1, {"concurrency": concurrency, "n_per_request": n_per_request})
        if not isinstance(extra_body or {}, Mapping):
            raise UsageError("extra_body must be an object", hint='such as {"top_k": 20}')
        self._extra = dict(extra_body or {})
        if taken := sorted(_OWN_FIELDS & set(self._extra)):
            raise UsageError(f"extra fields may not set {', '.join(taken)}", hint="the sampling options do")
        self._n_per_request, self._logprobs = n_per_request, logprobs
        self._refused: set[str] = set()
        self._server: Server | None = None

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in order; at most 2 x `concurrency` requests are read ahead."""
        with self._window(params) as window:
            yield from window.in_order(requests)

    def sample_unordered(
        self, requests: Iterable[PromptRequest], params: SamplingParams
    ) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        """The number of each request (from 0) and its draws, as they finish."""
        with self._window(params) as window:
            yield from window.as_finished(requests)

    def close(self) -> None:
        """Nothing is held between calls: each has its own connections, and ends them."""

    def _window(self, params: SamplingParams) -> AsyncWindow[PromptRequest, tuple[Draw, ...]]:
        client = sampler_client(self.url, timeout_s=self._timeout_s)
        connection = _Connection(
            client,
            Retrying(self.url, **self._retry_options, log=self._log),
            asyncio.Semaphore(self._concurrency),
            asyncio.Semaphore(self._concurrency),
            asyncio.Lock(),
        )

        async def work(request: PromptRequest) -> tuple[Draw, ...]:
            return await self._draws(connection, request, params)

        return AsyncWindow(work, size=2 * self._concurrency, resource=client)

    async def _draws(self, connection: _Connection, request: PromptRequest, params: SamplingParams) -> tuple[Draw, ...]:
        """The draws of one request. Its images are in memory from here on, so no more than `concurrency` are here."""
        async with connection.problems:
            server = await self._inspected(connection)
            if request.prefix and not (server.continues_text or "continue_final_message" in self._extra):
                raise AnectlError(
                    "this server is not known to continue a text that is given to it",
                    hint="prefixes need a vLLM or SGLang server",
                )
            try:
                messages = await asyncio.to_thread(chat_messages, request, server.vision_tokens)
            except RowError as error:
                return (_failed(error.problem),) * len(request.seeds)
            body = self._body(messages, request, params)
            # vLLM refuses several greedy choices; they are equal in any case.
            together = _MAX_CHOICES if server.draws_groups and params.temperature > 0 else 1
            size = self._n_per_request or together
            groups = [request.seeds[start : start + size] for start in range(0, len(request.seeds), size)]
            found = await asyncio.gather(*(self._group(connection, body, seeds) for seeds in groups))
            return tuple(draw for draws in found for draw in draws)

    async def _inspected(self, connection: _Connection) -> Server:
        async with connection.asking:
            if self._server is None:
                self._server = await inspect_server(connection.client, self.name, connection.retrying)
        return self._server

    def _body(self, messages: list[dict[str, Any]], request: PromptRequest, params: SamplingParams) -> dict[str, Any]:
        server = self._server or Server()
        body: dict[str, Any] = {
            "model": self.name,
            "messages": messages,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "max_tokens": params.max_tokens,
        }
        if self._logprobs:
            body["logprobs"] = True
        elif server.kind == "vllm":
            body["return_token_ids"] = True
        if server.logit_bias:
            body["logit_bias"] = server.logit_bias
        if request.prefix:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return body | self._extra

    async def _group(self, connection: _Connection, body: dict[str, Any], seeds: Sequence[int]) -> list[Draw]:
        """The draws of one HTTP request; of one each, should the server give fewer choices than it was asked for."""
        asked = body | {"seed": self._seed(seeds[0])}
        if len(seeds) > 1:
            asked["n"] = len(seeds)
        try:
            async with connection.requests:
                reply = await self._reply(connection, asked)
        except RequestError as error:
            return [_failed(error.text)] * len(seeds)
        if reply is not None and len(reply.choices) >= len(seeds):
            return draws_of(reply)[: len(seeds)]
        if self._n_per_request != 1:
            self._log(f"{self.url}: gives fewer choices than asked for; asking for one at a time")
            self._n_per_request = 1
        found = await asyncio.gather(*(self._group(connection, body, [seed]) for seed in seeds))
        return [draw for draws in found for draw in draws]

    def _seed(self, seed: int) -> int:
        """As much of the seed as the server can take: vLLM adds to an int64, others keep 32 bits."""
        return seed >> 1 if self._server and self._server.kind == "vllm" else seed & 0x7FFFFFFF

    async def _reply(self, connection: _Connection, body: dict[str, Any]) -> Reply | None:
        """The server's reply, without the fields that it refuses; null when it refuses several choices."""

        async def send() -> Reply:
            async with asyncio.timeout(self._timeout_s):
                text = await connection.client.post("/chat/completions", cast_to=str, body=fit)
            reply = msgspec.json.decode(text, type=Reply)
            if not reply.choices:
                raise msgspec.ValidationError("it holds no choice")
            if any(choice.finish_reason in _UNFINISHED for choice in reply.choices):
                raise msgspec.ValidationError("the server did not finish it")
            return reply

        while True:
            if "n" in body and "n" in self._refused:
                return None
            fit = self._accepted(body)
            try:
                return await connection.retrying.call(send)
            except RequestError as error:
                field = _refused_field(error, fit)
                if field is None:
                    raise
                if field not in self._refused:
                    self._refused.add(field)
                    self._log(f"{self.url}: does not take {field!r}; going on without it")

    def _accepted(self, body: dict[str, Any]) -> dict[str, Any]:
        fit = {name: value for name, value in body.items() if name not in self._refused}
        if "max_tokens" in self._refused:
            fit["max_completion_tokens"] = body["max_tokens"]
        return fit


def _refused_field(error: RequestError, body: Mapping[str, Any]) -> str | None:
    """The field the run can do without that a server says it does not know."""
    if error.status not in (400, 422) or not _REFUSAL.search(error.text):
        return None
    named = re.findall(r"['\"`]([a-z_]+)['\"`]", error.text)
    return next((field for field in _DISPENSABLE if field in named and field in body), None)


def _refuse_below(least: float, options: Mapping[str, object]) -> None:
    for name, number in options.items():
        if number is not None and (not isinstance(number, (int, float)) or not number >= least):
            raise UsageError(f"{name} {number!r}: must be a number from {least} up")


def _failed(error: str) -> Draw:
    return Draw("", "error", 0, error=error)
