"""What a model wrote for itself before its answer, and what is left for the reader."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"<(?P<a>/?)(?:think(?:ing)?|thought|reasoning)\s{0,4}>|\u25c1(?P<b>/?)think\u25b7|\[(?P<c>/?)(?-i:THINK)\]"
    r"|<\|(?P<d>begin|end)_of_thought\|>",
    re.IGNORECASE,
)
_SOLUTION_TAG = re.compile(r"<\|(?:begin|end)_of_solution\|>")


def without_thoughts(text: str) -> str:
    """The text outside `<think>...</think>` and the like (`<thinking>`, `<|begin_of_thought|>`, U+25C1 think U+25B7).

    A closing tag without its opening one ends a thought that began in the prompt; an unclosed one hides the rest.
    """
    if ">" not in text and "\u25b7" not in text and "THINK]" not in text:
        return text
    shown: list[str] = []
    start, thinking = 0, False
    for tag in _TAG.finditer(text):
        if tag["a"] or tag["b"] or tag["c"] or (tag["d"] or "").lower() == "end":
            shown = shown if thinking else []
            thinking = False
        elif not thinking:
            shown.append(text[start : tag.start()])
            thinking = True
        start = tag.end()
    return _SOLUTION_TAG.sub("\n", "\n".join(shown if thinking else [*shown, text[start:]]))
