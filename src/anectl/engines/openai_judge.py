"""A judge behind any OpenAI-compatible server (hosted, vLLM, SGLang, llama.cpp), through the `openai` client."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import openai
from openai.types.chat import ChatCompletionMessageParam

from anectl.core.protocols import JudgeReply
from anectl.core.records import Message


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
        self._client = openai.OpenAI(
            base_url=url,
            # Local servers want no key, but the client insists on one.
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=timeout_s,
            max_retries=retries,
        )

    def ask(self, conversations: Sequence[tuple[Message, ...]]) -> list[JudgeReply]:
        """One reply per conversation, in their order."""
        with ThreadPoolExecutor(self._concurrency) as pool:
            return list(pool.map(self._reply, conversations))

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
        except openai.OpenAIError as error:
            return JudgeReply(None, f"{type(error).__name__}: {error}")
        if not answer.choices:
            return JudgeReply(None, "the server sent no choice")
        choice = answer.choices[0]
        if choice.finish_reason == "length":
            return JudgeReply(None, f"the reply was cut at {self._max_tokens} tokens")
        if not choice.message.content:
            return JudgeReply(None, "the reply is empty")
        return JudgeReply(choice.message.content)
