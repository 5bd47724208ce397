"""What a text leaves to be done behind a value: a value on the way to the answer is not the end of it."""

from __future__ import annotations

import re

from anectl.core.giveaways.conclusions import Conclusion
from anectl.core.giveaways.reading import sentences
from anectl.core.giveaways.standing import Standing

_ARITHMETIC = re.compile(
    r"\b(?:add|subtract|divide|multiply|halve|double|triple|(?<!the )(?<!a )scale|convert|compare|sum up|solve"
    r"|evaluate|plug"
    r"|insert|substitute"
    r"|take (?:it|the|this|that|away|from|them|\w+ (?:away|from))|turn \w+ into|put|multiply back)\b"
    r"|[?0-9)]\s*[-+*/]\s*\?|\?\s*[-+*/]\s*[?0-9(]|[0-9)]\s*[-+*/^]\s*[0-9(][^=.;\n]*=\s*\?",
    re.IGNORECASE,
)
_TASK = re.compile(
    r"(?:^|[,;:]\s|\b(?:then|now|first|and|so|next)\s)(?:please )?"
    r"(?:count|look|find|read|go|list|see|sort|follow|continue|start|think|use|draw|walk|name|try|do|match|tally|fill"
    r"|pick|fold|work out|determine|calculate|compute|identify|measure|locate|apply|consider|decide|search|repeat|mind"
    r"|check (?:each|all|every|which|whether|if|them|the other))\b"
    r"|\b(?:is|are) not asked\b|\blook (?:at|for|where|up)\b",
    re.IGNORECASE,
)


class Work:
    """What a text leaves to be done after each of its sentences."""

    def __init__(self, text: str) -> None:
        parts = sentences(text)
        self._arithmetic = max((place for place, part in enumerate(parts) if _ARITHMETIC.search(part)), default=-1)
        self._task = max((place for place, part in enumerate(parts) if _TASK.search(part)), default=-1)

    def remains(self, found: Conclusion, standing: Standing) -> bool:
        """Whether so much is left to do that the conclusion is a value on the way, not the end of it."""
        if standing == "other":
            return True
        if standing == "asked":
            return False
        arithmetic = self._arithmetic > found.place or self._behind(found, _ARITHMETIC)
        if standing == "plain":
            return arithmetic
        return arithmetic or self._task > found.place or self._behind(found, _TASK)

    def _behind(self, found: Conclusion, pattern: re.Pattern[str]) -> bool:
        _, _, rest = found.sentence.partition(found.value)
        return pattern.search(rest) is not None
