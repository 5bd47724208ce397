"""What kind of server answers at a URL, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import msgspec
import openai

from anectl.core.errors import AnectlError
from anectl.engines.openai_chat import VISION_TOKENS
from anectl.engines.openai_retrying import RequestError, Retrying

_NEVER = -100.0


class ModelCard(msgspec.Struct):
    """One model of a server; the owner gives the kind of server away."""

    id: str = ""
    owned_by: str = ""


class Models(msgspec.Struct):
    """The models of a server."""

    data: list[ModelCard] = []


class Tokens(msgspec.Struct):
    """vLLM's tokens of a text."""

    tokens: list[int]
    token_strs: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """What a server can do; `kind` is `vllm`, `sglang`, `llamacpp`, `openai` or empty for an unknown one.

    `vision_tokens` are the tokens of the model that stand for images, with their ids, where the server tells them.
    """

    kind: str = ""
    vision_tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def draws_groups(self) -> bool:
        """Whether the n choices of one request are known to be drawn apart from each other, from one seed."""
        return self.kind in ("vllm", "openai")

    @property
    def logit_bias(self) -> dict[str, float]:
        """What keeps the model from sampling an image token, by token id."""
        return {str(token): _NEVER for token in sorted(self.vision_tokens.values())}

    @property
    def continues_text(self) -> bool:
        """Whether the assistant's turn can begin with given text."""
        return self.kind in ("vllm", "sglang")


async def inspect_server(client: openai.AsyncOpenAI, model: str, retrying: Retrying) -> Server:
    """Ask the server what it serves. Raises AnectlError: no answer, the key refused, or vLLM without this model."""
    try:
        text = await _ask(retrying, lambda: client.get("/models", cast_to=str))
        models = msgspec.json.decode(text, type=Models).data
    except (RequestError, msgspec.DecodeError):
        return Server()
    kind = _kind(models, str(client.base_url))
    names = [card.id for card in models]
    if kind == "vllm" and model not in names:
        raise AnectlError(f"the server has no model {model!r}", hint=f"--model is one of: {', '.join(names)}")
    if kind != "vllm":
        return Server(kind)
    return Server(kind, await _vision_tokens(client, model, retrying))


def _kind(models: list[ModelCard], url: str) -> str:
    owners = {card.owned_by for card in models}
    if urlsplit(url).hostname == "api.openai.com":
        return "openai"
    return next((kind for kind in ("vllm", "sglang", "llamacpp") if kind in owners), "")


async def _vision_tokens(client: openai.AsyncOpenAI, model: str, retrying: Retrying) -> dict[str, int]:
    """Every token of the model's vocabulary that is spelled like an image token, with its id."""
    body = {"model": model, "prompt": "".join(VISION_TOKENS), "add_special_tokens": False, "return_token_strs": True}
    url = urlunsplit(urlsplit(str(client.base_url))._replace(path="/tokenize"))
    try:
        text = await _ask(retrying, lambda: client.post(url, cast_to=str, body=body))
        found = msgspec.json.decode(text, type=Tokens)
    except (RequestError, msgspec.DecodeError):
        return {}
    spelled = zip(found.token_strs or (), found.tokens, strict=False)
    return {string: token for string, token in spelled if string in VISION_TOKENS}


async def _ask(retrying: Retrying, send: Callable[[], Awaitable[str]]) -> str:
    """The answer to a question that a server need not know."""

    async def known() -> str:
        try:
            return await send()
        except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError) as error:
            raise RequestError(str(error), error.status_code) from None
        except openai.APIStatusError as error:
            if error.status_code == 405:
                raise RequestError(str(error), 405) from None
            raise

    return await retrying.call(known)
