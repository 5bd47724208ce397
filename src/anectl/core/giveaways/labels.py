"""Numbers that are names, not values: `Fig. 3`, `page 7`, `No. 12`, `7 Mill Road`, `9 in the morning`.

Where the question asks for such a name (`In which row ...?`), the name is the answer: `row 4`, `the fourth row`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from anectl.core.giveaways.question import Asked, stem
from anectl.core.giveaways.reading import in_digits, sentences
from anectl.core.giveaways.restated import restates
from anectl.core.giveaways.spelling import ORDINALS

_NOUN_LIST = (
    "figure fig photo picture image diagram exhibit panel page pg p pp no nr nos exercise ex problem question task "
    "example item room house bus tram train platform gate seat chapter section table tab sheet booklet appendix grade "
    "team player firm company version vol volume level day week month lesson unit equation eq rule theorem "
    "step statement paragraph row column line corner node card route road highway apartment flat floor trial "
    "experiment "
    "view station stop group class quarter period game round set part district zone channel track lane locker building "
    "school act scene verse article clause note footnote layer stage phase test kit lot sample specimen species type "
    "model year age"
)
_NOUNS = "|".join(_NOUN_LIST.split())
_RANKED = frozenset(("place", "position", "rank", "ranking", "day", "date"))
_VALUE = r"[0-9]{1,4}(?![0-9]|[.,][0-9]|\s?[-+*/^=%°])"
_NAMED = re.compile(rf"(?<![\w'-])((?:{_NOUNS})(?: (?:no|nr|number))?)\s?[#(]?({_VALUE})([a-z]?(?!\w))", re.IGNORECASE)
_STREETS = "Road|Street|Avenue|Lane|Drive|Court|Square|Way|Hill|Place|Close|Boulevard|Park|Terrace|St|Rd|Ave"
_ADDRESS = re.compile(rf"(?<![\w.,])[0-9]{{1,4}}(?=(?: [A-Z][a-z]{{1,20}}){{1,2}} (?:{_STREETS})\b)")
_COINS = "cents?|pence|penny|p|c|dollars?|euros?|pounds?"
_COIN = re.compile(
    rf"(?<![\w.,])[0-9]{{1,4}}(?=[ -]?(?:{_COINS})[ -](?:coin|piece|note|bill|stamp)s?\b)", re.IGNORECASE
)
_HOUR = re.compile(
    r"(?<![\w.,:])[0-9]{1,2}(?=\s?(?:[ap]\.?m\b|o'?clock|in the (?:morning|afternoon|evening)|at night))", re.IGNORECASE
)
_ASKS_TIME = re.compile(r"\b(?:what time|when|o'?clock|which hour|what hour|at what)\b", re.IGNORECASE)
_LIKE_A_TASK = re.compile(
    r"^(?:please |then |now |first |next )*(?:look|start|begin|compare|read|find|go|count|check|test|see|use"
    r"|mark|do|try"
    r"|cross|write|consider|draw|follow|skip|note|take)\b|\b(?:not|no|if|whether|(?:start|begin)\w* (?:from"
    r"|in|at|with))\b|n't\b|\?$",
    re.IGNORECASE,
)


def without_labels(text: str, value: Fraction, asked: Asked) -> str:
    """A folded text with `#` for the value where it is the name of a thing which the question does not ask for."""

    def blank(m: re.Match[str]) -> str:
        noun = stem(m[1].split()[0])
        is_asked = noun in asked.target and not asked.counts
        return m[0] if is_asked or int(m[2]) != value else f"{m[1]} #{m[3]}"

    text = _NAMED.sub(blank, text)
    text = _COIN.sub("#", _ADDRESS.sub("#", text))
    return text if _ASKS_TIME.search(asked.text) else _HOUR.sub("#", text)


@lru_cache(maxsize=256)
def _naming(nouns: frozenset[str], number: int | None) -> re.Pattern[str]:
    """How things of a kind are named by a number, or by any."""
    names = "|".join(map(re.escape, sorted(nouns, key=len, reverse=True)))
    value = "[0-9]{1,4}" if number is None else str(number)
    words = ORDINALS if number is None else ORDINALS[number - 1 : number] if number else []
    ordinal = "".join(f"|{word}" for word in words)
    ranked = (
        rf"|\b(?:c[oa]mes?|finish\w*|end(?:s|ed)|rank(?:s|ed)|placed|stands|is|was|lies|sits)(?: (?:in|up|at|as|out))?"
        rf"(?: the)? (?:{value}(?:st|nd|rd|th){ordinal})(?! (?:to|one)\b)(?=\s*(?:[.,;!]|$|\b(?:of|among|in|on"
        rf"|overall|behind|from)\b))"
        if nouns & _RANKED
        else ""
    )
    return re.compile(
        rf"\b(?:{names})(?: (?:number|no|nr))?:? ?['\"(]?{value}(?![\w]|[.,:][0-9]|\s?[-+*/=]|:\s?\?)"
        rf"|\b(?:{value}(?:st|nd|rd|th){ordinal}) (?:{names})\b"
        rf"|\b(?:{names}) (?:is|was|must be) (?:the )?(?:{value}(?:st|nd|rd|th)?{ordinal})(?=\s*(?:[.,;!]|$"
        rf"|\bone\b|from))|\b(?:it|this|that) is (?:the )?(?:{value}(?:st|nd|rd|th){ordinal})(?=\s*(?:[.,;!)]"
        rf"|$)){ranked}",
        re.IGNORECASE,
    )


def gives_label(text: str, value: int, asked: Asked) -> str | None:
    """Where a text names the thing asked for by its number, not in a task, and no other thing of the kind."""
    if asked.counts or not asked.target or not 0 <= value < 10_000:
        return None
    nouns = frozenset(noun for noun in asked.target if noun.isalpha() and len(noun) > 2)
    if not nouns:
        return None
    named, others = _naming(nouns, value), _naming(nouns, None)
    parts = sentences(in_digits(text))
    for part in parts:
        if not _LIKE_A_TASK.search(part) and (m := named.search(part)) and restates(part, asked, but=asked.target):
            return m[0]
    found: str | None = None
    for part in parts:
        if found is None and not _LIKE_A_TASK.search(part) and (m := named.search(part)):
            found = m[0]
        if others.search(named.sub("", part)):
            return None
    return found
