"""Giveaways: whether a scaffold tells the final answer, in whatever words, notation, unit or script.

An answer that texts do not mention by chance may not occur in a scaffold at all. Small integers, letters of choices
and the like occur for many honest reasons: as operands, coordinates, labels, values on the way. They may not stand
where results stand (behind `is` or `=`, alone, in a box, in the row of a table that is asked for), unless the text
speaks of another quantity or goes on to calculate with the value. `3 + 4 = ?` tells no answer, `the answer is 3 + 4`
does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from anectl.core.giveaways.choices import gives_letter
from anectl.core.giveaways.claims import gives_boolean
from anectl.core.giveaways.numbers import gives_number, wanted
from anectl.core.giveaways.picked_texts import gives_choice_text
from anectl.core.giveaways.question import Asked, read_question, stems
from anectl.core.giveaways.reading import clauses, folded, in_digits
from anectl.core.giveaways.spelling import ORDINALS
from anectl.core.giveaways.words import gives_expression, gives_list, gives_text
from anectl.core.grading import GradeSpec, algebra
from anectl.core.grading.amounts import truth_quantity
from anectl.core.grading.compare import compare
from anectl.core.records import Example, Problem

__all__ = ["Giveaway", "giveaway", "leaks"]

LONGEST = 20_000
"""Characters of the longest text that is checked. No scaffold is as long; a longer one counts as a leak, unread."""

_SENTENCE = re.compile(r"(?:[^.;!?\n()]|(?<=[0-9])\.(?=[0-9]))+")
_ASIDE = re.compile(
    r"^\s*(?:[-*] )?(?:leave out|ignore|disregard|skip|do not count|don't count)\b"
    r"|\b(?:is|are|was|were|do|does)(?:n't| not) (?:needed|relevant|asked|matter|used|part of|(?:shown )?(?:in"
    r"|on) the)\b"
    r"|\b(?:is|are) (?:irrelevant|unimportant|distractors?|a distractor|no help|beside the point)\b|\bnone of "
    r"(?:which|these|them) (?:counts?|matters?)\b"
    r"|\b(?:has|have) nothing to do with\b",
    re.IGNORECASE,
)
_TELLS = re.compile(r"\b(?:there (?:is|are)|(?:you|we) (?:get|have|find|see)|leaves|remains?)\b", re.IGNORECASE)
_CONCLUDES = re.compile(r"\b(?:answers?|so|thus|hence|therefore|result)\b|=|→", re.IGNORECASE)
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_LONGEST_BOX = 300
_MOST_BOXES = 1000
_MOST_CHOICES = 26
_MARKER = re.compile(
    r"(?<!without its )(?<!without the )(?<!without an )(?:\#{3,4}(?=\s+[^\s#])|\banswers?|\bans|\bsolution"
    r"|\bfinal (?:result|value)|\bresult|\bkey(?=\s*[:—–-]|\s+(?:says|lists|gives|has|shows|reads|is)\b)"
    r"|\btarget(?: value)?(?=:)|\brepl(?:y|ies)|\bresponse|答案|答え|정답|\bответ"
    r"|\brespuesta|\bréponse|\bantwort|\brisposta"
    r"|\bresposta|الجواب|उत्तर)['\"]?(?:[^\n.,:;|]{1,40}(?=:)|, letter by letter(?=:))?\s*(?:ist|lautet|is|are"
    r"|says|lists|gives|has|shows|reads|will "
    r"be|equals|=|:|\||est|es|è|é|是|为|為|は|[-—–>]|just"
    r"|simply|exactly|clearly|definitely|surely|obviously|therefore|thus)*\s*:?\s*['\"]?"
    r"([^\n.;<]{1,120}(?:\.[0-9]+)?)",
    re.IGNORECASE | re.MULTILINE,
)


_AS_ANSWER = re.compile(
    r"\b(?:write(?: down)?|put(?: down)?|enter|give|note|fill in|report|submit|state|with|get|have|has|gives?"
    r"|finds?|reads?|obtains?|keep|take) (?:the )?"
    r"([^\s,;:]{1,30}(?: [^\s,;:]{1,20}){0,3}?)(?: in mind)?,? (?:as|for|is|was) (?:the|your|our|an) (?:final "
    r"|right |correct )?(?:answer|result|solution)\b"
    r"|(?:^|[.;:!]\s)([^\s,;:]{1,30}(?: [^\s,;:]{1,20}){0,3}?) (?:is|are) (?:what (?:you|we|one) .{0,40}?\b(?:as "
    r")?)?(?:the|your) (?:final |right |correct )?(?:answer|result|solution)\b"
    r"|\bwrite (?:down )?[\"']?([^\s,;\"']{1,30})[\"']? (?:on|in|into) the (?:\w+ )?(?:line|box|gap|field|blank"
    r"|space)\b"
    r"|(?:^|[,.;:]\s)[\"']?([^,.;:\n\"']{1,40})[\"']? is the (?:right|correct) (?:one|choice|option)\b",
    re.IGNORECASE | re.MULTILINE,
)
_NTH = re.compile(rf"(?:the )?({'|'.join(ORDINALS)})(?: \w+)?[.!]?", re.IGNORECASE)
_AMOUNT = re.compile(r"([-+]?[0-9][0-9.,]*) [a-z]{3,15}")
_OTHER_THAN = re.compile(
    r"\b(?:any(?:thing|one|body)?|every(?:thing|one)?|nothing|no)(?: \w+){0,2} (?:other than|but|except(?: for)?"
    r"|besides) ([^\s,;]{1,30})"
    r"|\bif you (?:did|do|have)(?: not|n't) (?:arrive at|get|got|have|end up (?:at|with)|reach(?:ed)?|f[io]u?nd"
    r"|choose|chosen"
    r"|pick(?:ed)?|come to) ([^\s,;]{1,30})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Giveaway:
    """How a text gives the answer away, and the part of it that does, in folded notation."""

    kind: str
    quote: str


def leaks(text: str, problem: Problem | Example) -> bool:
    """Whether a scaffold gives the final answer away. Never raises; time grows with the length of the text."""
    return giveaway(text, problem) is not None


def giveaway(text: str, problem: Problem | Example) -> Giveaway | None:
    """The first place found where a scaffold gives the final answer away; null where none does."""
    if not text.strip():
        return None
    if len(text) > LONGEST:
        return Giveaway("too long", text[:80])
    spec, asked = GradeSpec.of(problem), read_question(_question(problem))
    plain = folded(text)
    if spec.answer_type == "number" and not _ASIDE.search(asked.text):
        plain = _SENTENCE.sub(lambda m: "" if _is_aside(m[0], asked) else m[0], plain)
    for kind, quote in _found(plain, spec, asked):
        if quote is not None:
            return Giveaway(kind, quote)
    return None


def _is_aside(sentence: str, asked: Asked) -> bool:
    """Whether a sentence says that what it names plays no part; not if it concludes, or names what is asked for."""
    if not _ASIDE.search(sentence) or _CONCLUDES.search(sentence):
        return False
    told = (clause for clause in clauses(sentence) if _TELLS.search(clause) and not _ASIDE.search(clause))
    return not any(asked.target & stems(clause) for clause in told)


def _question(problem: Problem | Example) -> str:
    if isinstance(problem, Problem):
        return problem.question
    if problem.scaffold.question:
        return problem.scaffold.question
    return next((message.content for message in reversed(problem.prompt) if message.role == "user"), "")


def _found(text: str, spec: GradeSpec, asked: Asked) -> Iterator[tuple[str, str | None]]:
    yield (
        "boxed",
        next((box for box in _boxes(text) if _is(spec, box) or algebra.equal(spec.answer, box) is True), None),
    )
    yield (
        "stated",
        next(
            (one for m in _MARKER.finditer(text) for one in (m[1], re.split("[)\\]]", m[1])[0]) if _is(spec, one)), None
        ),
    )
    yield (
        "stated",
        next((m[m.lastindex or 0] for m in _AS_ANSWER.finditer(text) if _is(spec, m[m.lastindex or 0])), None),
    )
    yield (
        "stated",
        next((m[m.lastindex or 0] for m in _OTHER_THAN.finditer(text) if _is(spec, m[m.lastindex or 0])), None),
    )
    if spec.answer_type in ("choice", "choices"):
        yield from _choices(text, spec, asked)
    elif spec.answer_type == "boolean":
        yield "boolean", gives_boolean(text, spec.answer, asked)
    elif spec.answer_type == "list":
        yield "list", gives_list(text, spec, asked)
    elif (number := truth_quantity(spec.answer)) is not None:
        yield "number", gives_number(text, wanted(number, spec.unit, spec.precision, asked))
    elif spec.answer_type == "expression":
        yield "expression", gives_expression(text, spec, asked)
    else:
        yield "text", gives_text(text, spec, asked)


def _choices(text: str, spec: GradeSpec, asked: Asked) -> Iterator[tuple[str, str | None]]:
    right = frozenset(re.findall("[A-Z]", spec.answer))
    if not right or max(map(ord, right)) - ord("A") >= len(spec.choices) or len(spec.choices) > _MOST_CHOICES:
        return
    places = [place for letter in sorted(right) if (place := ord(letter) - ord("A")) < len(spec.choices)]
    yield "letter", gives_letter(text, right, spec.choices, asked)
    for place in places if len(right) == 1 else ():
        choice = spec.choices[place]
        if (number := truth_quantity(choice)) is not None:
            yield "choice", gives_number(text, wanted(number, spec.unit, spec.precision, asked))
        else:
            yield "choice", gives_choice_text(text, chr(ord("A") + place), spec.choices, asked)


def _boxes(text: str) -> Iterator[str]:
    for number, box in enumerate(_BOX.finditer(text)):
        if number == _MOST_BOXES:
            return
        depth = 1
        for end in range(box.end(), min(len(text), box.end() + _LONGEST_BOX)):
            depth += (text[end] == "{") - (text[end] == "}")
            if depth == 0:
                yield text[box.end() : end].strip()
                break


def _is(spec: GradeSpec, stated: str) -> bool:
    """Whether the grader takes a statement for the answer, as it stands or with its number words in digits."""
    stated = stated.strip(" *_'\"")
    forms = [stated, in_digits(stated), re.sub("[{}]", "", stated)]
    if spec.answer_type == "number" and (nth := _NTH.fullmatch(stated)):
        forms.append(str(ORDINALS.index(nth[1].lower()) + 1))
    if spec.answer_type == "number" and (amount := _AMOUNT.fullmatch(in_digits(stated))):
        forms.append(amount[1])
    return any(compare(spec, form).correct is True for form in dict.fromkeys(forms))
