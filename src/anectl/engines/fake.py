"""A sampler that follows a script: for pipelines without a model, and for tests of everything around one.

The script is JSON Lines. `{"match": REGEX, "texts": [...]}` answers each prompt that the pattern is found in (with the
prefix on a line below it, where there is one), or whose key it matches as a whole; the first line that matches counts;
a line without `match` is for all other prompts.
Sample i gets text i of the list, around and around, or with `"pick": "seed"` the text that its seed points to.
`finish_reason`, `delay_s` (seconds a prompt takes) and `error` (the draws fail) are optional. A token is a word.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.jsonl import read_lines
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import FinishReason


class ScriptLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a script."""

    texts: tuple[str, ...] = ()
    match: str | None = None
    pick: Literal["turn", "seed"] = "turn"
    finish_reason: FinishReason = "stop"
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    error: str | None = None

    def __post_init__(self) -> None:
        if not self.texts and self.error is None:
            raise ValueError("a line needs `texts` or `error`")
        try:
            re.compile(self.match or "")
        except re.error as error:
            raise ValueError(f"`match` is not a regular expression: {error}") from None


class FakeSampler:
    """`Sampler` that answers from a script file."""

    continuous = False

    def __init__(self, script: str) -> None:
        """Raises AnectlError: no such file, or a line that is no script line."""
        self.name = f"fake:{script}"
        self._script = script
        self._lines = []
        for line in read_lines(script):
            try:
                self._lines.append(msgspec.json.decode(line.data, type=ScriptLine))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise AnectlError(
                    f"not a line of a fake engine's script: {error}",
                    path=line.path,
                    line=line.number,
                    hint='a line is like {"match": "regex", "texts": ["Answer: 3"]}; with --engine fake, --model is it',
                ) from None

    def close(self) -> None:
        """Nothing is held."""

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in order. Raises AnectlError for a prompt that no line is for."""
        for request in requests:
            line = self._line_for(request)
            time.sleep(line.delay_s)
            yield tuple(
                self._draw(line, number, seed, params) for number, seed in enumerate(request.seeds, request.first)
            )

    def _line_for(self, request: PromptRequest) -> ScriptLine:
        prompt = "\n".join(message.content for message in request.messages)
        if request.prefix:
            prompt += f"\n{request.prefix}"
        for line in self._lines:
            if line.match is None or re.search(line.match, prompt) or re.fullmatch(line.match, request.key):
                return line
        raise AnectlError(
            f"no line is for the prompt {prompt[:60]!r}", path=self._script, hint="add a last line without `match`"
        )

    def _draw(self, line: ScriptLine, number: int, seed: int, params: SamplingParams) -> Draw:
        if line.error is not None:
            return Draw("", "error", 0, error=line.error)
        text = line.texts[(seed if line.pick == "seed" else number) % len(line.texts)]
        words = list(re.finditer(r"\S+", text))
        if len(words) > params.max_tokens:
            return Draw(text[: words[params.max_tokens - 1].end()], "length", params.max_tokens)
        return Draw(text, line.finish_reason, len(words))
