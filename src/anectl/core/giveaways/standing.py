"""What a statement of a result is about: the quantity that is asked for, nothing that is named, or another one."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from anectl.core.giveaways.conclusions import Conclusion
from anectl.core.giveaways.others import is_other
from anectl.core.giveaways.question import Asked, stem, stems
from anectl.core.grading.conversions import factor_between
from anectl.core.grading.units import parse_unit

Standing: TypeAlias = Literal["asked", "plain", "counted", "named", "other"]
"""What a statement is about: the quantity asked for; nothing named (`that makes`, `2 + 5 =`); things like those that
are counted; a quantity with a name; or surely another quantity."""


_GIVEN = re.compile(
    r"(?:at|when|if|for|with|put|let|set|where|until|from|suppose|given|as|since|because)\b", re.IGNORECASE
)
_STARTS = re.compile(r"\b(?:start|begin)\w* (?:with|at|from)\b", re.IGNORECASE)
COUNTED = "counted"
_NEED_LIST = "need needs require requires take takes use uses hold holds contain contains does"
_NEEDS = frozenset(_NEED_LIST.split())
_HOLDS = frozenset(("hold", "holds", "contain", "contains", "need", "needs", "require", "requires"))
_SEEN = frozenset(("reads", "read", "has", "have", "shows", "show", "says", "say", "by", "finds", "find", "count"))
_THERE = re.compile(
    r"\b(?:there(?: happens? to| may| might| can| must| will| seems? to)?|you(?: can| should| will)?"
    r"|we(?: can)?|one can|i)\s*$",
    re.IGNORECASE,
)
_THERE_IS = re.compile(r"\bthere$", re.IGNORECASE)
_EXISTS = frozenset(
    ("is", "are", "was", "were", "be", "see", "sees", "find", "finds", "count", "counts", "have", "get", "got")
)
EACH = re.compile(r"\b(?:each|every|per(?! ?cent)|apiece)\b", re.IGNORECASE)
_OTHERS = re.compile(r"\b(?:others?|opposite|page|figure|sheet|exercise|lesson|class|grade)\b", re.IGNORECASE)
HYPOTHESIS = re.compile(
    r"^(?:\W|\b(?:so|now|but|as)\s)*(?:say|suppose|imagine|pretend|assume|let's say)\b"
    r"|\b(?:examples?:|for (?:example|instance|comparison)|(?:as a|by|in) comparison|(?:as|give) an example|e\.g\.)",
    re.IGNORECASE,
)
_THAT_CLAUSE = re.compile(
    r"^(?:show|prove|verify|confirm|keep|bear|note|remember|recall|see|find|know|remark"
    r"|observe|mind)\b.{0,40}? that ",
    re.IGNORECASE,
)
_ASKED_FOR = re.compile(
    r"\b(?:asked for|wanted|looked for|sought|in question|(?:we|you) (?:want|need"
    r"|seek))$",
    re.IGNORECASE,
)
_MEASURED_IN = re.compile(r"\(([^()]{1,12})\)$")
_THINGS = re.compile(r"(?!is$|was$|has$|this$|gives$|makes$|leaves$|equals$|always$|does$|plus$|minus$)[a-z]{3,}s")
_AT_VARIABLE = re.compile(
    r"\b(?:at|above|below|near|for|with|where|when|over|under|beside|by|to|from) [A-Za-z]$", re.IGNORECASE
)
_PERSON = re.compile(r"\b(?:i|you|we|one)\b", re.IGNORECASE)
_WOULD = re.compile(r"\W*an? .{3,60}\bwould\b", re.IGNORECASE)
_ITSELF = re.compile(r"\bitself$")
_SENSE = re.compile(r"\bin (?:the|this|our) sense\b", re.IGNORECASE)
_WIDE = re.compile(r"\b(?:wide|long|high|tall|deep|thick|old)$")
_THAT = re.compile(r"(?:that|this|these|those) (\w+)$", re.IGNORECASE)
_VERBS_OF_BEING = frozenset(("one", "will", "would", "must", "should", "can", "has", "had", "have", "make", "leave"))
_ONE_UNIT = re.compile(r"(?:^|[:,] )1 \w+$")
_IN_UNKNOWNS = re.compile(r"(?<![A-Za-z\\])(?:[0-9]* ?[A-Za-z]{1,2} ?[-+] ?)+[0-9]* ?[A-Za-z]{1,2}\s*$")
_ONE_LETTER = re.compile(r"(?<![\w'])[A-Za-z](?![\w'])")
_LETTERS = re.compile(r"[A-Za-z](?:'? [A-Za-z])*'?")
_PRONOUN = re.compile(
    r"(?:it|that|this|they|these|those|which|there|he|she|we|you|what|one|all|them|both|in (?:all|total)|altogether"
    r"|together|so|thus|hence|therefore|then|and|result|final|finally|in the end|at the end)\b",
    re.IGNORECASE,
)
_PRONOUN_LAST = re.compile(r"\b(?:you|we|i|one|it|that|this|they)(?:'d|'ll|'ve)?$", re.IGNORECASE)
_ONE_SEES = re.compile(
    r"\b(?:you|we|i|there|one)(?:'ll)?(?: (?:will|can|may|should|must|could|would))?(?: "
    r"(?!not\b)\w+){0,2}$",
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
    "ampere amp volt watt newton joule pascal hertz ohm kelvin celsius mole ton tonne inch foot feet mile yard "
    "pound ounce "
    "decimetre millimetre milliliter millilitre square cubic per"
)
_UNITS = frozenset(_UNIT_LIST.split())
_PREPOSITION = re.compile(r"\b(?:in|on|at|of|for|from|with|under|over|between|by|that|which|who|to|as|because|when)\b")
_VARIABLE = re.compile(r"(?:^|.*[\s(,])([A-Za-z])(?:_\{?\w{1,4}\}?|')?\s*$", re.DOTALL)
_CALCULATES = re.compile(r"[0-9?)]\s*[-+*/^]\s*[0-9?(\\A-Za-z]|\\sqrt")


def standing(found: Conclusion, tail: str, asked: Asked) -> Standing:
    """What a conclusion is about; `tail` are the words behind the value."""
    subject = found.subject.rpartition(": ")[2] or found.subject
    subject = _THAT_CLAUSE.sub("", subject) or subject
    for judge in (_by_form, _by_name, _by_things, _by_row):
        if about := judge(found, subject, tail, asked):
            return about
    said, behind = stems(subject), stems(tail)
    if not said or _PRONOUN.match(subject) or _PRONOUN_LAST.search(subject) or _CALCULATES.search(subject):
        return "plain"
    if said & GENERIC:
        return "plain"
    if found.sign == "|":
        return "asked" if said & asked.words else "named"
    named = said & _QUANTITIES - asked.words
    unit = stems(tail.partition(" ")[2].partition(" ")[0])
    if named and asked.target - GENERIC - _UNITS and not (named | unit) & asked.target:
        return "other"
    return "other" if found.sign in _SEEN and (said - asked.words or behind - _UNITS) else "named"


def _by_form(found: Conclusion, subject: str, tail: str, asked: Asked) -> Standing | None:
    """Other, where the form of a sentence says so: an example, a condition, an equation in unknowns, a verb of need."""
    if found.sign in _NEEDS and (not subject or stems(tail) - _NO_NOUN - asked.words - _UNITS):
        return "other"
    if asked.counts and found.sign in _HOLDS and not _PRONOUN.match(subject):
        own = stems(_PREPOSITION.split(subject)[-1] if _PREPOSITION.match(subject) else subject)
        if own and not own & (asked.words | GENERIC):
            return "other"
    if found.sign == "does" and not _PRONOUN.match(subject) and not stems(subject) & asked.words:
        return "other"
    if found.sign == "=" and (unknowns := _IN_UNKNOWNS.search(subject)) and unknowns[0].strip() not in asked.text:
        return "other"
    if found.sign == "|" and _LETTERS.fullmatch(subject) and not set(subject) & set(_ONE_LETTER.findall(asked.text)):
        return "other"
    if HYPOTHESIS.search(found.sentence) or _WOULD.match(subject) or _ITSELF.search(subject) or _SENSE.search(tail):
        return "other"
    if (wide := _WIDE.search(tail)) and not stems(wide[0]) & asked.words:
        return "other"
    if (asked.counts and found.sign.endswith("s for")) or (_ONE_UNIT.search(subject) and found.sign == "="):
        return "other"
    if (that := _THAT.match(subject)) and stem(that[1]) not in asked.words | GENERIC and that[1] not in _VERBS_OF_BEING:
        return "other"
    return "other" if EACH.search(subject) and not EACH.search(asked.text) else None


def _by_name(found: Conclusion, subject: str, tail: str, asked: Asked) -> Standing | None:
    """By the letter of a quantity, by `the value asked for`, by the label of another thing."""
    if _ASKED_FOR.search(subject):
        return "asked"
    if asked.variable and (own := _VARIABLE.match(subject)) and own[1] == asked.variable:
        return "other" if _GIVEN.match(subject) else "asked"
    if asked.variable and re.match(rf"{re.escape(asked.variable)} of [A-Z]$", subject):
        return "asked"
    if is_other(f"{subject} {_PREPOSITION.split(tail)[0] if found.sign in _EXISTS else tail}", asked):
        return "other"
    if found.sign in _EXISTS and not asked.counts and _THERE_IS.search(subject) and stems(tail) - _NO_NOUN:
        return "other"
    if found.sign in _EXISTS and asked.counts and (not subject or _THERE.search(subject)):
        return _of_things(stems(_PREPOSITION.split(tail)[0]), asked)
    if not subject and asked.counts and stems(tail):
        return _of_things(stems(_PREPOSITION.split(tail)[0]), asked)
    if _VARIABLE.match(subject):
        said = stems(subject)
        if _AT_VARIABLE.search(subject):
            return "other"
        other = said & _QUANTITIES and asked.target and not said & asked.target
        return "other" if asked.variable or other or _GIVEN.match(subject) or _STARTS.search(subject) else "plain"
    return None


def _by_things(found: Conclusion, subject: str, tail: str, asked: Asked) -> Standing | None:
    """By the things that are counted, and by what the question asks for."""
    said, things = stems(subject), stems(_PREPOSITION.split(tail)[0])
    if found.sign == COUNTED and _GIVEN.match(subject):
        return "other"
    if found.sign == COUNTED and subject.isascii() and said and not said & (asked.words | GENERIC):
        return "plain" if _PRONOUN.match(subject) or _ONE_SEES.search(subject) else "other"
    if not asked.counts and _are_other_things(tail, asked):
        return "other"
    if asked.counts and found.sign in _SEEN and things - _NO_NOUN and not things & asked.target:
        return "other"
    if subject.lower() == "which" and found.sign in _SEEN:
        return "other"
    if asked.counts and found.sign == "got" and not said & asked.words and not _PERSON.search(subject):
        return "other"
    if _OTHERS.search(subject) and not _OTHERS.search(asked.text):
        return "other"
    more = said - asked.words - GENERIC - _EMPTY_LABELS
    if asked.target and asked.target <= said:
        return "named" if more else "asked"
    if asked.thing and asked.thing <= said and found.sign not in _SEEN:
        return "named" if more else "asked"
    if asked.target and asked.counts and asked.target <= said | stems(tail):
        return "named" if more else "counted"
    return None


def _by_row(found: Conclusion, subject: str, tail: str, asked: Asked) -> Standing | None:
    """By the label of a row of a table or list, and by the unit in it."""
    said, known = stems(subject), GENERIC | _NO_NOUN | asked.words
    if found.sign in (":", "|") and (measured := _MEASURED_IN.search(subject)):
        unit = parse_unit(measured[1].strip())
        if unit and unit in {parse_unit(word) for word in asked.words}:
            return "named"
        if unit and factor_between(unit, unit) is not None:
            return "other"
    if found.sign == "|" and asked.counts and not stems(found.sentence.partition(" | ")[0]) & known:
        return "other"
    if asked.counts and found.sign in (":", "|") and subject.isascii() and not said & known:
        return "other"
    return "other" if asked.counts and found.sign in _SEEN and stems(tail) - known else None


def _of_things(behind: frozenset[str], asked: Asked) -> Standing:
    """Of `there are 4 cells`, `4 are left`: whether the things are those that the question counts."""
    if asked.target and (asked.target <= behind or (behind and behind <= asked.target)):
        return "counted"
    return "other" if behind - _NO_NOUN else "plain"


def _are_other_things(tail: str, asked: Asked) -> bool:
    """Whether a number counts things, where the question asks for a quantity that has none: `4 batteries`."""
    named = [word for word in _PREPOSITION.split(tail)[0].split()[:2] if _THINGS.fullmatch(word)]
    known = asked.words | asked.target | _UNITS | GENERIC | _NO_NOUN
    return bool(named) and not any(stem(word) in known or parse_unit(word) in ("$", "°", "%") for word in named)
