"""Whether a text gives the right choice away by its text, unless it treats the choices evenly.

One that is named alone is given away. Where others are named as well it must be asserted: as a conclusion, as what
has most or least of what is asked, as the one that another is denied for.
"""

from __future__ import annotations

import re

from anectl.core.giveaways.mentioned import Choice, in_formulas, is_short, mentions_of
from anectl.core.giveaways.question import Asked, stem, stems
from anectl.core.giveaways.reading import clauses, sentences, without_mark
from anectl.core.giveaways.restated import answers_which
from anectl.core.giveaways.standing import GENERIC

DEGREE = re.compile(r"\b(?:\w{2,}er|\w{2,}est|more|most|less|least|best|fewest)\b", re.IGNORECASE)
TASK = re.compile(
    r"^(?:(?:please|then|now|first|next|so|and|also|to begin,?) )*(?:count|look|find|read|go|list|see|sort"
    r"|follow|start|begin"
    r"|use|draw|mark|do|don't|match|work out|determine|calculate|compute|identify|measure|locate|apply"
    r"|consider|check|compare"
    r"|divide|add|subtract|multiply|take|write|recall|remember|think|note|test|try|let|call|decide|put|ask"
    r"|imagine|solve"
    r"|turn|zoom|examine|study|search|watch|weigh)\b|\bfor (?:each|every)\b",
    re.IGNORECASE,
)
DENIAL = re.compile(
    r"\b(?:not|cannot|neither|nor|never|wrong|incorrect|false|impossible|rul(?:e|es|ed|ing) out|ruled|eliminat\w+"
    r"|cross(?:es|ed|ing)? out|drops? out|exclud\w+|discard\w*|reject\w*|remove\w*|none|out of the question"
    r"|fail(?:s|ed|ing)?|lacks?|unsuitable|leav(?:es|ing) only|too \w+)\b|n't\b"
    r"|\b(?:rule|rules|cross|strike|strikes)\b.{1,80}\bout\b|\b(?:all|both) (?:\w+ )?(?:miss|lie|are|have|fall)\b",
    re.IGNORECASE,
)
_IF = re.compile(r"\b(?:if|whether|unless|suppose|either)\b", re.IGNORECASE)
_SAYS = (
    r"(?:\b(?:is|are|was|were|be|it's|that's|called|call (?:this|that|it|these)|choose|pick|take|select"
    r"|answer|belongs? to"
    r"|points? to|means?|indicates?|suggests?|shows?|remains?|leaves?|gives?|gets?|therefore|hence|thus|so"
    r"|must be|namely"
    r"|as|from|makes?(?: it)?|have|deal(?:ing)? with)|[=:→])[,:]?\s+"
    r"(?:(?:only|just|clearly|definitely|exactly|always|called|the (?:graph|option|choice|answer|one|case"
    r"|letter|point|line|figure|curve|bar|shape|picture|number|city|month|day|kind|type)(?: of)?"
    r"|an?|the|at|in|on|to|option|choice)\s+)*['\"(]?$"
)
_SAID = re.compile(_SAYS, re.IGNORECASE)
_OPENS_WITH = re.compile(
    r"^(?:so|thus|hence|therefore|clearly|it|this|that|these|those|we|you|all in all|which|here)\b", re.I
)
_SUBJECT_LIST = "one it correct right answer match best only true winner most fits satisfies works solution"
_VERDICT = frozenset(_SUBJECT_LIST.split())
_BE = re.compile(
    r"^['\")]?\s*(?:,\s+)?(?:is|are|was|were|has|have|had|must be|wins?|fits|matches|works|satisf\w+"
    r"|comes? out)\b(.{0,80})",
    re.I,
)
_THAN = re.compile(r"\bthan\b|\bunlike\b|\bcompared (?:to|with)\b|\bfollowed by\b|\bahead of\b", re.IGNORECASE)
_REST = re.compile(r"\b(?:than|of) (?:all )?(?:the )?(?:rest|others?|any other|all)\b", re.IGNORECASE)
_JOINT = re.compile(
    r"[\s'\")]*(?:,|/|\||;|&|\bor\b|\band\b|\bvs\.?|\bagainst\b|\bversus\b|\bfrom\b|\bwith\b"
    r"|\bto\b)\s*(?:(?:and|or|the|for|an?)\s+)*['\"(]*",
    re.IGNORECASE,
)


def gives_choice_text(text: str, right: str, choices: tuple[str, ...], asked: Asked) -> str | None:
    """The part of a folded text that gives the choice with the letter `right` away by its text."""
    known = mentions_of(choices)
    own = next(choice for choice in known if choice.letter == right)
    if own.by_text is None and own.by_formula is None and own.by_own_words is None:
        return None
    others = [choice for choice in known if choice.letter != right]
    parts = [without_mark(part) for part in sentences(text)]
    named = [frozenset(choice.letter for choice in others if choice.text_in(part)) for part in parts]
    evenly = len(frozenset[str]().union(*named)) >= max(1, len(choices) // 2)
    needs_more = evenly or is_short(own.text) or own.text_in(asked.text) is not None
    for clause in (one for part in parts if not part.endswith("?") for one in clauses(part)):
        if own.is_in(clause) and not any(one.is_in(clause) for one in others) and answers_which(clause, asked):
            return clause[:400]
    for part, beside in zip(parts, named, strict=True):
        if (m := own.text_in(part)) is None:
            if not beside and _stands_out(part, own.text, choices, asked):
                return part[:400]
            continue
        before = (in_formulas(part) if own.by_formula else part)[: m.start()]
        if _IF.search(before) or (needs_more and (TASK.search(part) or part.endswith("?"))):
            continue
        if beside:
            told = _prevails(part, own, [one for one in others if one.letter in beside], len(choices), asked)
            if told or not (evenly or _is_joined(part, m, others)):
                return m[0]
        elif not needs_more or _is_asserted(part, before, m, own, asked):
            return m[0]
    return None


def _is_joined(part: str, m: re.Match[str], others: list[Choice]) -> bool:
    """Whether another choice stands right beside this one: `oxygen and hydrogen`."""
    for other in others:
        if found := other.text_in(part):
            first, second = sorted((m.span(), found.span()))
            if _JOINT.fullmatch(part[first[1] : second[0]]):
                return True
    return False


def _is_asserted(part: str, before: str, m: re.Match[str], own: Choice, asked: Asked) -> bool:
    """Whether a sentence that names one choice alone says that it is the one."""
    if DENIAL.search(part) and not re.search(r"\b(?:rules?|leav)", part):
        return False
    behind = (in_formulas(part) if own.by_formula else part)[m.end() :]
    known = asked.words | GENERIC | _VERDICT
    if not before.strip(" \"'") and not behind.strip(" .!\"'"):
        return True
    if _SAID.search(before):
        subject = _SAID.sub("", before)
        if not subject.strip() or _OPENS_WITH.match(subject) or stems(subject) & known:
            return True
        return is_short(own.text) and not behind.strip(" .!)")
    if is_short(own.text) and not behind.strip(" .!)"):
        return bool(stems(before) & asked.words) and re.search(r"\b(?:at|by|in|to|with)\s*$", before) is not None
    if re.search(r"(?:^|[,;] )only (?:the )?['\"]?$", before, re.IGNORECASE):
        return True
    if _OPENS_WITH.match(before) and re.search(r"^(?:so|thus|hence|therefore)\b", before, re.IGNORECASE):
        return True
    verdict = _BE.match(behind)
    if verdict is None:
        return False
    said = stems(verdict[1])
    if (yours := re.match(r"\s*(?:your|our|the) (\w+)", verdict[1])) and stem(yours[1]) in asked.words:
        return True
    return bool(said & (_VERDICT | {"answer"})) or bool(_degrees(verdict[1]) & _degrees(asked.text))


def _prevails(part: str, own: Choice, others: list[Choice], count: int, asked: Asked) -> bool:
    """Whether a sentence sets one choice above others in what is asked, or denies the others for it."""
    m = own.text_in(part)
    if m is None or own.by_formula:
        return False
    spans = [found.span() for other in others if (found := other.text_in(part))]
    if (than := _THAN.search(part)) and m.end() <= than.start() and all(start >= than.end() for start, _ in spans):
        return bool(_degrees(part[m.end() : than.start()]) & _degrees(asked.text))
    if (
        than
        and m.start() >= than.end()
        and len(others) == count - 1
        and all(not than.end() <= start < m.start() for start, _ in spans)
    ):
        return True
    before, behind = part[: m.start()], part[m.end() :]
    if re.match(r"['\")]*,? (?:and |but )?(?:not|rather than|instead of)\b", behind):
        return True
    if re.search(r"\bnot\b.{1,60}\bbut (?:an? |the |to )?['\"]?$", before) or re.search(r"\bout\b.{1,40}$", before):
        return True
    if re.search(r"\b(?:select|choose|pick|take) (?:the )?$", before) and re.match(r"['\")]* (?:over|not)\b", behind):
        return True
    return bool(_REST.search(behind) and _degrees(behind) & _degrees(asked.text))


def _degrees(text: str) -> frozenset[str]:
    """The words of degree of a text without their endings: `heavi` of heavier and heaviest, `most` of more."""
    found = {word.lower() for word in DEGREE.findall(text)}
    roots = {re.sub(r"(?:er|est)$", "", word) for word in found}
    return frozenset(
        {"most" if root in ("more", "most") else "least" if root in ("less", "least") else root for root in roots}
    )


def _stands_out(part: str, choice: str, choices: tuple[str, ...], asked: Asked) -> bool:
    """Whether the words that only this choice has stand beside what is asked: `the blue one has most`."""
    own = stems(choice).difference(*(stems(other) for other in choices if other != choice))
    others = frozenset[str]().union(*(stems(other) - stems(choice) for other in choices))
    said = stems(part)
    degrees = {stem(word) for word in DEGREE.findall(part)}
    return bool(own) and own <= said and not others & said and bool(degrees & asked.words) and not DENIAL.search(part)
