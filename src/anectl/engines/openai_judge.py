"""A judge behind any OpenAI-compatible server (hosted, vLLM, SGLang, llama.cpp), through the `openai` client."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import openai
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from anectl.core.protocols import JudgeReply
from anectl.core.records import Message
from anectl.engines.openai_client import judge_client, without_key


class OpenAIJudge:
    """A `Judge`: greedy, `concurrency` requests at a time; the client retries what is worth retrying.

    The key comes from OPENAI_API_KEY alone, so that it stands in no command line and no manifest. `timeout_s` bounds
    one try; a server that is down costs `retries` of them.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        concurrency: int = 8,
        timeout_s: float = 60.0,
        retries: int = 4,
        max_tokens: int = 1024,
    ) -> None:
        self.name = model
        self._model, self._max_tokens, self._concurrency = model, max_tokens, concurrency
        self._client = judge_client(url, timeout_s=timeout_s, retries=retries)

    def ask(self, conversations: Sequence[tuple[Message, ...]]) -> list[JudgeReply]:
        """One reply per conversation, in their order. Ctrl-C does not wait for those that are under way."""
        waiting: queue.SimpleQueue[tuple[tuple[Message, ...], Future[JudgeReply]]] = queue.SimpleQueue()
        replies: list[Future[JudgeReply]] = [Future() for _ in conversations]
        for pair in zip(conversations, replies, strict=True):
            waiting.put(pair)
        # The threads of a pool would be waited for at the end of the program, a minute or more for each slow reply.
        for _ in range(min(self._concurrency, len(replies))):
            threading.Thread(target=self._work, args=(waiting,), name="anectl-judge", daemon=True).start()
        return [reply.result() for reply in replies]

    def _work(self, waiting: queue.SimpleQueue[tuple[tuple[Message, ...], Future[JudgeReply]]]) -> None:
        while True:
            try:
                conversation, reply = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                reply.set_result(self._reply(conversation))
            except BaseException as error:  # a bug: the caller's thread is where it should be seen
                reply.set_exception(error)

    def _reply(self, conversation: tuple[Message, ...]) -> JudgeReply:
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": turn.content}
            if turn.role == "system"
            else {"role": "user", "content": turn.content}
            for turn in conversation
        ]
        try:
            answer = self._client.chat.completions.create(
                model=self._model, messages=messages, temperature=0.0, max_tokens=self._max_tokens
            )
        except (openai.OpenAIError, ValueError) as error:  # ValueError: a body that is no JSON
            return JudgeReply(None, without_key(f"{type(error).__name__}: {error}"))
        # The client hands on what a server says that is not of this API, such as a web page.
        if not isinstance(answer, ChatCompletion):
            return JudgeReply(None, "the server's reply is no chat completion: is the path in the URL right?")
        if not answer.choices:
            return JudgeReply(None, "the server sent no choice")
        choice = answer.choices[0]
        if choice.finish_reason == "length":
            return JudgeReply(None, f"the reply was cut at {self._max_tokens} tokens")
        if not choice.message.content:
            return JudgeReply(None, "the reply is empty")
        return JudgeReply(choice.message.content)
