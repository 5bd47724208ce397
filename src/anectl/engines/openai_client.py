"""Clients for OpenAI-compatible servers (hosted, vLLM, SGLang, llama.cpp): where they are, and the key they get.

The key comes from OPENAI_API_KEY alone, so that it stands in no command line, no manifest and no message.
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

import openai

from anectl.core.errors import UsageError

CONNECT_TIMEOUT_S = 10.0
_HINT = "a URL is like http://localhost:8000/v1"


def checked_url(url: str, option: str = "--url") -> str:
    """The base URL; one without a path gets `/v1`. Raises UsageError, which names `option` and repeats no password."""
    try:
        parts = urlsplit(url)
        has_password, host, _ = "@" in parts.netloc, parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{option} is no URL: {error}", hint=_HINT) from None
    if has_password:
        raise UsageError(f"{option} holds a user name or password", hint="put the key into OPENAI_API_KEY; " + _HINT)
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{option} {url!r} is not the URL of a server", hint=_HINT)
    if parts.query or parts.fragment:
        raise UsageError(f"{option} holds a query", hint="put the key into OPENAI_API_KEY; " + _HINT)
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


def without_key(text: str) -> str:
    """The text with the key, should it be there, taken out."""
    key = os.environ.get("OPENAI_API_KEY", "")
    return text.replace(key, "[key]") if key else text


def judge_client(url: str, *, timeout_s: float, retries: int) -> openai.OpenAI:
    """A client for threads that tries again by itself. Raises UsageError for a bad URL."""
    base = checked_url(url, "--judge")
    return openai.OpenAI(
        base_url=base,
        api_key=_key(),
        timeout=openai.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        max_retries=retries,
        http_client=openai.DefaultHttpxClient(trust_env=not _is_loopback(base)),
    )


def sampler_client(url: str, *, timeout_s: float) -> openai.AsyncOpenAI:
    """A client for an event loop that tries once: who calls it decides what is worth another try."""
    base = checked_url(url)
    return openai.AsyncOpenAI(
        base_url=base,
        api_key=_key(),
        timeout=openai.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=not _is_loopback(base)),
    )


def _key() -> str:
    # Local servers want no key, but the client insists on one.
    return os.environ.get("OPENAI_API_KEY") or "none"


def _is_loopback(url: str) -> bool:
    """Whether the server is on this machine: then HTTP_PROXY and its like are not for it."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
