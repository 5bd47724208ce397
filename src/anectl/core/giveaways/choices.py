"""Whether a text gives the right choices away: by letter, by place, by their text, or by ruling out all others."""

from __future__ import annotations

import re
from functools import lru_cache

from anectl.core.giveaways.cells import rows
from anectl.core.giveaways.mentioned import letter_pattern, mentions_of
from anectl.core.giveaways.picked_texts import DENIAL
from anectl.core.giveaways.placed_choices import gives_by_elimination, gives_by_place, places
from anectl.core.giveaways.question import Asked, stems
from anectl.core.giveaways.reading import sentences, without_mark
from anectl.core.giveaways.spelling import ORDINALS
from anectl.core.giveaways.standing import GENERIC

_YES = re.compile(r"(?:yes|true|right|correct|best|holds?|✓|✔|x|1)[.!]?", re.IGNORECASE)
_NO = re.compile(r"(?:no|false|wrong|incorrect|✗|✘|-|0)[.!]?", re.IGNORECASE)
_VERDICTS = re.compile(
    r"(?<![\w])([A-H])(?![\w'])(?:[)\].*]+[^\n;|=:]{0,60}?)?\s*(?:[:=|]|\s[–—-]+\s)[*\s]*"
    r"(?i:(yes|no|true|false|right|correct|wrong|incorrect|out|✓|✔|✗|✘))(?![\w]| or\b)"
)
_COUNT = re.compile(r"[2-9]|[0-9]{2,}")
_COMPARATIVE = r"(?:the )?(?:\w+er|\w+est|more|most|less|least|best|right|correct|true|one|answer|only|fewer|fewest)\b"
_VERDICT = r"(?:the|a|an|your)\s+(?:\w+\s+)?(?:estimate|guess|match|answer|choice|option|pick|fit|reading|solution)\b"
_LABELS = frozenset(("point", "line", "angle", "side", "vertex", "label"))
_LONGEST = 400


@lru_cache(maxsize=256)
def _picked(letter: str, place: int, last: bool) -> re.Pattern[str]:
    """What says that a letter is the one, wherever it stands in a text."""
    ordinals = "|".join([ORDINALS[place]] if place < len(ORDINALS) else []) + ("|last|final|bottom" if last else "")
    ordinals += "|top|upper" if place == 0 else ""
    small = rf"[(\[*]{{0,3}}{letter.lower()}[)\]*]{{0,3}}(?=\s*(?:[.;!]|$))"
    own = rf"[(\[*]{{0,3}}{letter}[)\]*]{{0,3}}(?![\w'])"
    return re.compile(
        rf"(?i:(?<!without its )(?<!without the )\b(?:options?|choices?|letters?|answers?|pick|choose|select|take"
        rf"|go for|选|選|答案是?:?|ответ:?))"
        rf"\s*:?\s*(?:{own}|{small}|[(\[]{letter.lower()}[)\]])|(?i:\b(?:mark|tick|circle|letter|option"
        rf"|answer)):?\s+{small}"
        rf"|(?i:\b(?:tick|mark|cross|check|fill in)(?: the)? (?:box|field|circle|bubble))\s+{own}"
        rf"|(?i:\b(?:makes?|leaving|call|declare))\s+{own}\s+(?i:the|your|our)\s+(?i:answer|choice|pick|winner"
        rf"|right|correct|best|only)\b"
        rf"|(?i:\b(?:is|are|be|therefore|thus|hence|so|remains|leaves))[:,]?\s+(?i:(?:option|choice|letter)\s+)?{own}"
        rf"(?=\s*(?:[.,;!)]|$|\bas\b|\bbecause\b))|[=:→]\s*{own}(?=\s*(?:[.,;!]|$))|(?<=[选選]){own}"
        rf"|^{own}[.!:]?\s*$|^{own}\s*:\s*(?i:yes|true|right|correct|✓|✔)"
        rf"|(?<![\w']){own}\s+(?i:fits|holds|works|wins|matches|follows|is\s+(?:{_COMPARATIVE}|{_VERDICT}))"
        rf"|(?i:\b(?:is|pick|choose|take|select|mark|tick|circle|underline|go (?:with|for))\s+the\s+(?:{ordinals}))"
        rf"(?=\s*(?:[.,;!]|$|one\b|option|choice|answer|box|entry|line))"
        rf"|(?i:\b(?:{ordinals})\s+(?:option|choice|answer|letter|one (?:is|fits|holds))\b)"
        rf"|(?i:\b(?:go|going|stick|settle|leaves (?:you|us)) (?:with|for|on)|\b(?:mark|tick|circle|only))\s+{own}"
        rf"|(?i:\b(?:all|every\w*|any\w*|no|nothing|none)(?: \w+){{0,2}} (?:but|except(?: for)?|other than|besides"
        rf"|save))\s+(?i:(?:letter|option|choice)\s+)?{own}"
        rf"|(?<![\w']){own}\s+(?i:is it\b|(?:can|must|has to|should) be (?:right|correct|it)|remains|stays"
        rf"|survives|is left)"
    )


def gives_letter(text: str, right: frozenset[str], choices: tuple[str, ...], asked: Asked) -> str | None:
    """The part of a folded text that names the right letters, by themselves or as those that remain."""
    letters = {chr(ord("A") + place): choice for place, choice in enumerate(choices)}
    parts = _answered([without_mark(part) for part in sentences(text)])
    tables = [cells for cells in rows(text) if len(cells) > 1]
    if found := _by_tables(tables, right, letters, asked):
        return found
    if found := _by_verdicts(text, right, letters):
        return found
    if found := gives_by_elimination(parts, right, choices):
        return found
    if found := gives_by_place(parts, right, choices, asked):
        return found
    if len(right) > 1:
        return _together(parts, right, choices, asked)
    (letter,) = right
    place = ord(letter) - ord("A")
    picked = _picked(letter, place, place == len(choices) - 1)
    option = re.compile(rf"[(\[*]{{0,3}}{letter}[)\].:]+\s*{re.escape(choices[place])}[.!*]{{0,3}}", re.IGNORECASE)
    listed = sum(part.lower().startswith(choice.lower(), 3) for part in parts for choice in choices)
    if listed < 2 and (found := next((part for part in parts if option.fullmatch(part)), None)):
        return found
    for part in parts:
        if (m := picked.search(part)) and not _among_others(part, m, letters, letter):
            return m[0]
        if _has_what_is_asked(part, letter, asked):
            return part[:_LONGEST]
    return None


def _answered(parts: list[str]) -> list[str]:
    """The sentences; a question that the next one answers with no (`A? No.`) becomes a denial."""
    following = [*parts, ""][1:]
    return [
        f"not {part}" if part.endswith("?") and _NO.fullmatch(answer) else part
        for part, answer in zip(parts, following, strict=True)
    ]


def _has_what_is_asked(part: str, letter: str, asked: Asked) -> bool:
    """`B has the larger digit`, where the question asks which has."""
    m = re.match(rf"(?:\w+,?\s+)?[(\[]?{letter}[)\]]?\s+(?:is|has|was|are)\s+(.{{1,80}})", part)
    if m is None or DENIAL.search(part):
        return False
    if (named := re.match(r"the ((?:\w+ ){1,3}\w+)", m[1])) and stems(named[1]) & asked.words - _LABELS:
        return True
    return bool(re.match(_COMPARATIVE, m[1], re.IGNORECASE)) and stems(m[1]) <= asked.words


def _among_others(part: str, picked: re.Match[str], letters: dict[str, str], letter: str) -> bool:
    """Whether a letter is denied there, or named beside all others: `compare (A), (B) and (C)`."""
    if DENIAL.search(part[max(0, picked.start() - 40) : picked.start()]):
        return True
    return all(letter_pattern(other).search(part) for other in letters if other != letter) and not DENIAL.search(part)


def _by_tables(tables: list[list[str]], right: frozenset[str], letters: dict[str, str], asked: Asked) -> str | None:
    """Rows of choices with a verdict each, `A | true`: those that are affirmed are the right ones."""
    affirmed, rejected = set(), set()
    named = [letter for cells in tables for letter, choice in letters.items() if len(cells) == 2 and cells[1] == choice]
    if frozenset(named) == right and len(named) == 1:
        return letters[named[0]]
    counts = any(_COUNT.fullmatch(cells[-1]) for cells in tables)
    for cells in tables:
        if not cells[0] or (counts and cells[-1] in ("0", "1", "x", "-")):
            continue
        owners = {letter for letter, choice in letters.items() if _owner(cells[0], letter) in ("", choice, letter)}
        verdict = cells[-1]
        if _NO.fullmatch(verdict):
            rejected |= owners
        elif _YES.fullmatch(verdict) or (verdict and stems(verdict) and stems(verdict) <= asked.words):
            affirmed |= owners
        elif (
            len(cells) == 2
            and (verdict in right or any(verdict == letters[letter] for letter in right))
            and stems(cells[0]) & (GENERIC | asked.words | {"letter", "option", "choice"})
        ):
            affirmed |= {letter for letter in right if verdict in (letter, letters[letter])}
    return _settled(affirmed, rejected, right, letters)


def _by_verdicts(text: str, right: frozenset[str], letters: dict[str, str]) -> str | None:
    """Letters with a verdict each: `A - no; B - yes`."""
    affirmed, rejected = set[str](), set[str]()
    for m in _VERDICTS.finditer(text):
        (rejected if _NO.fullmatch(m[2]) or m[2].lower() == "out" else affirmed).add(m[1])
    return _settled(affirmed, rejected, right, letters)


def _settled(affirmed: set[str], rejected: set[str], right: frozenset[str], letters: dict[str, str]) -> str | None:
    if affirmed == right or (rejected and rejected == set(letters) - right):
        return " | ".join(sorted(affirmed or rejected))
    return None


def _owner(cell: str, letter: str) -> str:
    """The head of a row without the letter of the choice before its text: `B square` is `square`."""
    return re.sub(rf"^[(\[]?{letter}[)\].:]*(?:\s+|$)", "", cell).strip()


def _together(parts: list[str], right: frozenset[str], choices: tuple[str, ...], asked: Asked) -> str | None:
    """Where the choices that a text mentions, and does not deny, are exactly the right ones."""
    run = "".join(sorted(right))
    mentioned: set[str] = set()
    known = "".join(chr(ord("A") + place) for place in range(len(choices)))
    for part in parts:
        if re.search(rf"(?<!\w){run}(?!\w)", part):
            return part[:_LONGEST]
        if _listed(part, known) == right:
            return part[:_LONGEST]
        if not DENIAL.search(part):
            mentioned |= {choice.letter for choice in mentions_of(choices) if choice.is_in(part)}
            mentioned |= {chr(ord("A") + place) for place in places(part, choices, asked)}
    return ", ".join(sorted(mentioned)) if mentioned == right else None


def _listed(part: str, known: str) -> frozenset[str]:
    """The letters that a sentence says are the ones: `so the primes are A and C`, `pick (A), (C)`."""
    own = rf"[(\[*'\"]{{0,3}}[{known}][)\]*'\"]{{0,3}}"
    m = re.search(
        rf"(?i:\b(?:is|are|pick|choose|select|take|mark|tick|keep|leaves?|only|just|answers?|both|options?|choices?"
        rf"|letters?)\b|[:=→])"
        rf"\s*({own}(?:\s*(?:,|/|&|\+|(?i:and)|,\s*(?i:and))\s*{own})+)(?![\w'])(?!\s*,?\s*(?:or|nor|/|vs)\b)",
        part,
    )
    return frozenset(re.findall(rf"[{known}]", m[1])) if m and not DENIAL.search(part[: m.start()]) else frozenset()
