"""Words behind an answer that take it back: `5. Or 6`, `B, which is wrong`, `yes, wait, no`, `5 (maybe six)`."""

from __future__ import annotations

import re

# At the very beginning of the rest: `But`, `wrong` and the like are honest words further on, in the grounds.
_TURN = re.compile(
    r"[\s*_.,;:!?()\u2013\u2014\u2026-]{0,10}(?:"
    r"(?:or|wait|actually|but|however|alternatively|correction|sorry|scratch|rather|instead|otherwise|else|unless"
    r"|maybe|perhaps|possibly|hm+|oops|except|on[ ]second[ ]thought)\b"
    r"|(?:no|nope|not)(?:\s*(?:[,.:;!?\u2014-]|$)|\s+(?:it|that|wait|really|sure|the[ ]answer)\b)"
    r"|(?:(?:which|that|this|it|the[ ]answer|my[ ]answer)\s+)?(?:(?:is|was|would[ ]be|must[ ]be|cannot[ ]be|seems)\s+)?"
    r"(?:(?:clearly|definitely|probably|certainly)\s+)?"
    r"(?:(?:wrong|incorrect|false|mistaken)\b(?!\s+because)"
    r"|not\s+(?:the\s+|my\s+)?(?:final\s+|right\s+|correct\s+)?(?:answer|correct|right|true|final|it)\b)"
    r")",
    re.IGNORECASE | re.VERBOSE,
)
_LATE = re.compile(r"\bor,?\s+(?:maybe|perhaps|possibly|rather|else)\b", re.IGNORECASE)
_DOUBT = re.compile(
    r"\b(?:or|no|not|nor|neither|never|wrong|incorrect|false|maybe|perhaps|possibly|probably|unless|if|except|but|"
    r"instead|cannot|hardly|unlikely|rejected|excluded)\b|n't\b",
    re.IGNORECASE,
)


def takes_back(rest: str) -> bool:
    """Whether what follows an answer gives it up again or names another one beside it."""
    return _TURN.match(rest) is not None or _LATE.search(rest) is not None


def is_doubtful(words: str) -> bool:
    """Whether words around an answer deny it, or put it under a condition."""
    return _DOUBT.search(words) is not None
