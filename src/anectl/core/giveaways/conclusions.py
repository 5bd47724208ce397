"""Where a text states a result: what follows a sign or verb of result, a lone value, a row of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from anectl.core.giveaways.question import Asked, stems
from anectl.core.giveaways.reading import clauses, rows, sentences, without_mark

Standing: TypeAlias = Literal["asked", "plain", "counted", "named", "other"]
"""What a statement is about: the quantity asked for; nothing named (`that makes`, `2 + 5 =`); things like those that
are counted; a quantity with a name; or surely another quantity."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`subject sign value`; `place` is the number of its sentence, `more` whether a further `=` follows the value."""

    subject: str
    sign: str
    value: str
    place: int
    more: bool
    sentence: str


_VERBS = (
    r"(?:is|are) given by|being|is|are|was|were|be|equals?|makes?|gives?|leaves?|yields?|gets?|obtains?"
    r"|totals?(?! of)|becomes?|remains?|reads?|has|have"
    r"|shows?|says?|costs?|measures?|weighs?|finds?|sees?|counts?|(?:comes?|amounts?|adds? up|sums?(?: up)?|works? out"
    r"|evaluates?|simplif(?:y|ies)) (?:to|as|at)|(?:left|end(?:s|ed)? up|remains?) with"
    r"|(?:comes?|turns?) out (?:as|at|to be)|(?:level|lines? up|balances?) (?:with|at)|(?:reduces?"
    r"|cancels?(?: down)?|comes? down|boils? down|rounds?|narrows? down) to|turns? into|lands? on|reach(?:es)?"
    r"|needs?|requires?|takes?|uses?|holds?|contains?|accounts? for|opened for|giving|leaving|making|yielding"
    r"|totall?ing|(?<=s )number(?= [0-9a-z]+[.]?$)"
    r"|(?:stands?|lies?|arrives?|ends?|stops?|points?) at|results? in|leads? to"
    r"|(?:differs?|gr[eo]ws?|increas\w+|decreas\w+|exceeds?|rises?|rose|falls?|fell|drops?|dropped|chang\w+) by"
)
_SIGN = re.compile(rf"=|→|[是为為有等得]于?|(?<![0-9]):(?!\s*\n)|\b(?:{_VERBS})\b", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|and|but|now|also|clearly|finally|indeed|in (?:all|total)|altogether|together"
    r"|exactly|about|approximately|roughly|only|just|simply|equal to|be|to be|at|a total of|the number|now|thus|it"
    r"|you|we|must|should|will|can|get|see|find)\b[,:]?\s*)+",
    re.IGNORECASE,
)
# `6 is what you get`, `stars - 6`.
_DOES = re.compile(
    r"(?:(?:in|after|during|within|altogether|overall|afterwards),? (?:[\w-]+,? ){0,4}?)?((?:(?:so|and|thus"
    r"|hence|then|now),? )?(?:it|he|she|they|we|you|this|that|(?-i:[A-Z][a-z]+)|the \w+))(?: \w{2,12}ly)?"
    r" (?!add|subtract|multiply|divide|double|start|begin|move|put|write|try|skip)[a-z]{3,12} (.{1,60})",
    re.IGNORECASE,
)
_COMPUTE = re.compile(
    r"(?:(?:just|now|then|simply|so|only) )*(?:compute|calculate|work out|evaluate|find|do) ([-+]?[0-9.,]+)[.!]?", re.I
)
_TURNED = re.compile(
    r"([^=:|]{1,30}?)\s+(?:is|are|will be|would be|must be)\s+((?:what|the|your|our|all|how|their|its|this"
    r"|left(?: over)?|over|needed|missing)\b.{0,80})"
)
_DASHED = re.compile(r"([^\W\d_][^0-9=:|]{0,40}?)\s+-+\s+(.{1,40})")
_GIVEN = re.compile(
    r"(?:at|when|if|for|with|put|let|set|where|until|from|suppose|given|as|since|because)\b", re.IGNORECASE
)
COUNTED = "counted"
_NEED_LIST = "need needs require requires take takes use uses hold holds contain contains does"
_NEEDS = frozenset(_NEED_LIST.split())
_SEEN = frozenset(("reads", "read", "has", "have", "shows", "show", "says", "say", "by", "finds", "find", "count"))
_THERE = re.compile(
    r"\b(?:there(?: happens? to| may| might| can| must| will| seems? to)?|you(?: can| should| will)?"
    r"|we(?: can)?|one can)\s*$",
    re.IGNORECASE,
)
_EXISTS = frozenset(
    ("is", "are", "was", "were", "be", "see", "sees", "find", "finds", "count", "counts", "have", "get")
)
_PRONOUN = re.compile(
    r"(?:it|that|this|they|these|those|which|there|he|she|we|you|what|one|all|them|both|in (?:all|total)|altogether"
    r"|together|so|thus|hence|therefore|then|and|result|final|finally|in the end|at the end)\b",
    re.IGNORECASE,
)
_GENERIC_LIST = (
    "count number outcome result sum total difference remainder rest value quotient product amount solution figure "
    "answer reading measure quantity ans score output"
)
GENERIC = frozenset(_GENERIC_LIST.split())
_QUANTITY_LIST = (
    "mode median mean average range slope gradient intercept radius diameter circumference height base width length "
    "depth area perimeter volume hypotenuse leg side edge angle mass weight force speed velocity acceleration time "
    "distance charge current voltage resistance power energy frequency pressure temperature density price cost "
    "discount tax rate ratio scale factor coefficient exponent degree step run rise denominator numerator divisor "
    "multiple period amplitude constant minimum maximum axis unit"
)
_QUANTITIES = frozenset(_QUANTITY_LIST.split())
_EMPTY_LABEL_LIST = "right correct final required missing wanted desired new total exact"
_EMPTY_LABELS = frozenset(_EMPTY_LABEL_LIST.split())
_NO_NOUN_LIST = "left remaining all total altogether together now over them these those here more"
_NO_NOUN = frozenset(_NO_NOUN_LIST.split())
_UNIT_LIST = (
    "unit hour minute second day week month year cm m km kg g mm litre liter degree percent dollar euro cent "
    "metre meter "
    "gram kilometre kilogram centimetre"
)
_UNITS = frozenset(_UNIT_LIST.split())
_PREPOSITION = re.compile(r"\b(?:in|on|at|of|for|from|with|under|over|between|by|that|which|who|to|as|because|when)\b")
_EXTREME_LIST = (
    "largest smallest highest lowest longest shortest biggest tallest larger smaller higher lower longer shorter "
    "bigger taller oldest youngest minimum maximum least most greatest"
)
_EXTREMES = frozenset(_EXTREME_LIST.split())
_LABEL_SETS = tuple(
    frozenset(labels.split())
    for labels in (
        "left right middle centre center",
        "first second third fourth fifth sixth seventh eighth ninth tenth last",
        "monday tuesday wednesday thursday friday saturday sunday",
        "january february march april may june july august september october november december",
        "red green blue yellow orange purple black white grey gray brown pink",
        "top bottom upper lower",
        "inner outer",
        "boy girl man woman men women",
    )
)
_OTHER_PARTNER = re.compile(r"\b(?:other|third|missing|unknown|remaining|fourth)\b", re.IGNORECASE)
_PARTNER = re.compile(
    r"^\W*(?:one|the first|the given|the known) (?:side|leg|angle|number|addend|factor|part|root|value|edge)\b", re.I
)
_LETTER = re.compile(r"(?<![\w'])[B-HJ-Z](?![\w'])|(?<=[a-z] )A(?![\w'])")
_NUMBERED = re.compile(
    r"\b(row|column|week|day|year|quarter|group|period|shell|stop|line|figure|shop|team|step|case|box|cell)s? ([0-9]+)",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"(?:^|.*[\s(,])([A-Za-z])(?:_\{?\w{1,4}\}?|')?\s*$", re.DOTALL)
_CALCULATES = re.compile(r"[0-9?)]\s*[-+*/^]\s*[0-9?(\\A-Za-z]|\\sqrt")

_ARITHMETIC = re.compile(
    r"\b(?:add|subtract|divide|multiply|halve|double|triple|scale|convert|compare|sum up|solve|evaluate|plug"
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


def conclusions(text: str) -> Iterator[Conclusion]:
    """Every statement of a result in a folded text: in sentences, and as rows of tables."""
    parts = sentences(text)
    for place, sentence in enumerate(parts):
        if "|" not in sentence and "\t" not in sentence:
            yield from _in_sentence(without_mark(sentence), place)
    yield from _in_tables(text, len(parts))


def _in_sentence(sentence: str, place: int) -> Iterator[Conclusion]:
    if listed := _DASHED.fullmatch(sentence):
        yield Conclusion(listed[1], ":", listed[2], place, False, sentence)
    for clause in clauses(sentence):
        signs = list(_SIGN.finditer(clause))
        lead = _LEAD.match(clause)
        if not signs and (does := _DOES.fullmatch(clause)):
            yield Conclusion(does[1], "does", does[2], place, False, sentence)
        if computed := _COMPUTE.fullmatch(clause):
            yield Conclusion("", "=", computed[1], place, False, sentence)
        if turned := _TURNED.match(clause):
            yield Conclusion(turned[2], "is", _LEAD.sub("", turned[1], count=1), place, False, sentence)
        yield Conclusion("", "", clause[lead.end() :] if lead else clause, place, bool(signs), sentence)
        for number, sign in enumerate(signs):
            following = signs[number + 1] if number + 1 < len(signs) else None
            value = clause[sign.end() : following.start() if following else None].strip()
            if lead := _LEAD.match(value):
                value = value[lead.end() :]
            if value and not (sign[0] == ":" and "," in sentence.partition(clause[sign.start() :])[2][:200]):
                more = following is not None and following[0] in "=→"
                yield Conclusion(clause[: sign.start()].strip(), sign[0].lower(), value, place, more, sentence)


def _in_tables(text: str, place: int) -> Iterator[Conclusion]:
    header: list[str] = []
    for cells in rows(text):
        line = " | ".join(cells)
        for number, cell in enumerate(cells[1:], 1):
            head = header[number] if number < len(header) and len(cells) > 2 else ""
            yield Conclusion(f"{cells[0]} {head}".strip(), "|", cell, place, False, line)
        if len(header) != len(cells):
            header = cells


def standing(found: Conclusion, tail: str, asked: Asked) -> Standing:
    """What a conclusion is about; `tail` are the words behind the value."""
    subject = found.subject.rpartition(": ")[2] or found.subject
    if found.sign in _NEEDS and stems(tail) - _NO_NOUN - asked.words - _UNITS:
        return "other"
    if found.sign == "does" and not _PRONOUN.match(subject) and not stems(subject) & asked.words:
        return "other"
    if asked.variable and (own := _VARIABLE.match(subject)) and own[1] == asked.variable:
        return "other" if _GIVEN.match(subject) else "asked"
    if is_other(f"{subject} {tail}", asked):
        return "other"
    said, behind = stems(subject), stems(tail)
    if found.sign in _EXISTS and (not subject or _THERE.search(subject)):
        return _of_things(stems(_PREPOSITION.split(tail)[0]), asked)
    if not subject and asked.counts and behind:
        return _of_things(stems(_PREPOSITION.split(tail)[0]), asked)
    if _VARIABLE.match(subject):
        other = said & _QUANTITIES and asked.target and not said & asked.target
        return "other" if asked.variable or other or _GIVEN.match(subject) else "plain"
    if found.sign == COUNTED and _GIVEN.match(subject):
        return "other"
    if found.sign == COUNTED and subject.isascii() and said and not said & (asked.words | GENERIC):
        return "plain" if _PRONOUN.match(subject) else "other"
    if asked.target and asked.target <= said:
        return "named" if said - asked.words - GENERIC - _EMPTY_LABELS else "asked"
    if asked.target and asked.counts and asked.target <= said | behind:
        return "named" if said - asked.words - GENERIC - _EMPTY_LABELS else "counted"
    known = GENERIC | _NO_NOUN | asked.words
    if asked.counts and found.sign in (":", "|") and subject.isascii() and not said & known:
        return "other"
    if asked.counts and found.sign in _SEEN and behind - known:
        return "other"
    if not subject or _PRONOUN.match(subject) or _CALCULATES.search(subject) or said & GENERIC or not said:
        return "plain"
    if found.sign == "|":
        return "asked" if said & asked.words else "named"
    named = said & _QUANTITIES
    if named and asked.target and not named & asked.target:
        return "other"
    return "other" if found.sign in _SEEN else "named"


def _of_things(behind: frozenset[str], asked: Asked) -> Standing:
    """Of `there are 4 cells`, `4 are left`: whether the things are those that the question counts."""
    if asked.target and asked.target <= behind:
        return "counted"
    return "other" if behind - _NO_NOUN else "plain"


def is_other(said: str, asked: Asked, *, extremes: bool = True) -> bool:
    """Whether it bears a label that the question does not have: `Monday`, `row 2`, `B`, and `the smallest`."""
    words = stems(said)
    if extremes and words & _EXTREMES - asked.words:
        return True
    for labels in _LABEL_SETS:
        if words & labels and asked.words & labels and not words & labels & asked.words:
            return True
    numbered = {(noun.lower(), number) for noun, number in _NUMBERED.findall(said)}
    if numbered and not numbered & {(noun.lower(), number) for noun, number in _NUMBERED.findall(asked.text)}:
        return True
    if _PARTNER.search(said) and _OTHER_PARTNER.search(asked.text):
        return True
    letters = set(_LETTER.findall(asked.text))
    return bool(letters) and bool(own := set(_LETTER.findall(said))) and not own & letters


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
