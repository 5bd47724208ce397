"""What to do when a server does not answer, or not as it should: try again, give up one request, or end the run.

Tries are spread by exponential backoff with jitter. Waiting for a server that is away, or that asks to be asked less,
costs no tries but is bounded by patience; only an answer that failed costs one.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
import openai

from anectl.core.errors import AnectlError
from anectl.engines.openai_client import without_key

Result = TypeVar("Result")

_NOT_CONNECTED = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
_LATER = "the rows so far are kept; go on with --resume"
_MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """What came instead of an answer, and what it concerns.

    `away`: the server cannot be reached; `busy`: it asks to be asked less (`wait_s` where it says how long); `failed`:
    this try; `bad`: this request, however often it is tried; `fatal`: the whole run.
    """

    scope: Literal["away", "busy", "failed", "bad", "fatal"]
    text: str
    status: int = 0
    hint: str | None = None
    wait_s: float = 0.0


class RequestError(Exception):
    """One request is given up; the others go on."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.text, self.status = text, status


class Retrying:
    """Tries requests to one server again where that may help, at most `requests_per_minute` of them.

    A request may fail `retries` times; failed tries may outnumber answers by `retry_budget` in the whole run; a server
    may be away, or give nothing but refusals, for `patience_s`.
    """

    def __init__(
        self,
        url: str,
        *,
        retries: int,
        retry_budget: int,
        patience_s: float,
        requests_per_minute: float | None,
        log: Callable[[str], None],
    ) -> None:
        self._url, self._log = url, log
        self._retries, self._patience_s = retries, patience_s
        self._budget = self._budget_left = retry_budget
        self._interval_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next_turn = 0.0
        self._stalled_since: float | None = None
        self._in_flight = 0

    async def call(self, send: Callable[[], Awaitable[Result]]) -> Result:
        """The answer. Raises RequestError when this request is given up, AnectlError when the run must end."""
        tries = failures = 0
        while True:
            await self._turn()
            self._in_flight += 1
            try:
                answer = await send()
            except (openai.OpenAIError, TimeoutError, msgspec.DecodeError, OSError) as error:
                trouble = trouble_of(error)
            else:
                self._answered()
                return answer
            finally:
                self._in_flight -= 1
            tries += 1
            failures += trouble.scope == "failed"
            self._decide(trouble, failures)
            await asyncio.sleep(_backoff_s(trouble, tries))

    def _decide(self, trouble: Trouble, failures: int) -> None:
        """Returns when the request is to be tried again."""
        if trouble.scope == "fatal":
            raise AnectlError(f"the server at {self._url}: {trouble.text}", hint=trouble.hint)
        if trouble.scope == "bad":
            self._stalled_since = None
            raise RequestError(trouble.text, trouble.status)
        if trouble.scope == "failed":
            if trouble.status:
                self._stalled_since = None
            if failures > self._retries:
                raise RequestError(f"{trouble.text} (tried {failures} times)", trouble.status)
            self._budget_left -= 1
            if self._budget_left < 0:
                raise AnectlError(
                    f"the server at {self._url} failed {self._budget} times more often than it answered, "
                    f"last with: {trouble.text}",
                    hint="look at its log; " + _LATER,
                )
            return
        self._wait_out(trouble)

    def _wait_out(self, trouble: Trouble) -> None:
        now = time.monotonic()
        if self._stalled_since is None:
            self._stalled_since = now
            self._log(f"{self._url}: {trouble.text}; trying again for up to {self._patience_s:.0f} s")
        if trouble.wait_s:
            self._next_turn = max(self._next_turn, now + trouble.wait_s)
        # While it refuses more, a server may yet be at work on what it has.
        at_work = trouble.scope == "busy" and self._in_flight > 0
        if trouble.wait_s > self._patience_s or (now - self._stalled_since > self._patience_s and not at_work):
            asked = f" and asks to wait {trouble.wait_s:.0f} s" if trouble.wait_s > self._patience_s else ""
            raise AnectlError(
                f"the server at {self._url} has not answered for {now - self._stalled_since:.0f} s{asked}: "
                f"{trouble.text}",
                hint="see that it runs and that --url is right; " + _LATER,
            )

    def _answered(self) -> None:
        self._budget_left = min(self._budget, self._budget_left + 1)
        if self._stalled_since is not None:
            self._log(f"{self._url}: answers again after {time.monotonic() - self._stalled_since:.0f} s")
        self._stalled_since = None

    async def _turn(self) -> None:
        """Wait for this request's turn: turns are an interval apart, and not before the server wants them."""
        now = time.monotonic()
        while self._next_turn > now and not self._interval_s:
            await asyncio.sleep(self._next_turn - now)
            now = time.monotonic()
        if self._interval_s:
            turn = max(now, self._next_turn)
            self._next_turn = turn + self._interval_s
            await asyncio.sleep(turn - now)


def trouble_of(error: Exception) -> Trouble:
    """What an exception of the client, of the time limit or of the decoding of an answer means."""
    if isinstance(error, openai.APIStatusError):
        return _trouble_of_status(error)
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        if type(error.__cause__).__name__ in _NOT_CONNECTED:
            return Trouble("away", "no connection within the time limit")
        return Trouble("failed", "no answer within the time limit")
    if isinstance(error, (openai.APIConnectionError, OSError)):
        cause = error.__cause__ or error
        text = _short(f"{type(cause).__name__}: {cause}")
        if type(cause).__name__ in _NOT_CONNECTED:
            return Trouble("away", f"cannot be reached ({text})")
        return Trouble("failed", f"the connection was lost ({text})")
    if isinstance(error, (msgspec.DecodeError, openai.APIResponseValidationError)):
        return Trouble("failed", _short(f"the answer is no chat completion: {error}"))
    return Trouble("bad", _short(f"{type(error).__name__}: {error}"))


def _trouble_of_status(error: openai.APIStatusError) -> Trouble:
    status, text = error.status_code, _short(f"HTTP {error.status_code}: {_message(error)}")
    if status in (401, 403):
        return Trouble("fatal", text, status, "set OPENAI_API_KEY to a key that this server takes")
    if status == 402 or error.code == "insufficient_quota":
        return Trouble("fatal", text, status, "the account has no credit left; " + _LATER)
    if status == 404:
        return Trouble("fatal", text, status, "--model is the name the server has for it; most --url end in /v1")
    if status == 405:
        return Trouble("fatal", text, status, "most --url end in /v1")
    if status == 429:
        return Trouble("busy", text, status, wait_s=_retry_after_s(error))
    if status in (502, 503, 504):
        return Trouble("away", text, status, wait_s=_retry_after_s(error))
    if status in (408, 409) or status >= 500:
        return Trouble("failed", text, status)
    return Trouble("bad", text, status)


def _message(error: openai.APIStatusError) -> str:
    """The server's own words, where they are where servers put them."""
    body = error.body
    if isinstance(body, dict):
        words = body.get("message") or body.get("detail") or body.get("error")
        if words:
            return str(words)
    return str(body or error.message)


def _short(text: str) -> str:
    """One line for a message, without the key."""
    line = " ".join(without_key(text).split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 3] + "..."


def _retry_after_s(error: openai.APIStatusError) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, section 10.2.3); 0 without one."""
    value = str(error.response.headers.get("retry-after") or "")
    try:
        return min(max(0.0, float(value)), 1e9)
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _backoff_s(trouble: Trouble, tries: int) -> float:
    """Twice as long each time, up to a limit: low for a server that is away, so that its return is soon seen."""
    first, most = (0.25, 5.0) if trouble.scope == "away" else (0.5, 30.0)
    return min(first * 2.0 ** min(tries - 1, 20), most) * random.uniform(0.5, 1.0)
