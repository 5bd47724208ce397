"""Where a text states a result: what follows a sign or verb of result, a lone value, a row of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from anectl.core.giveaways.cells import rows
from anectl.core.giveaways.reading import clauses, sentences, without_mark


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
    r"(?:is|are) given by|(?:brings?|takes?|leads?|gets?|carries) (?:you|us|one) to|(?:gets?|remains?|stays?) "
    r"with|being|is|are|was|were|be|equals?|makes?|gives?|leaves?|yields?|gets?|got|obtains?"
    r"|(?<!in )(?<!a )totals?(?! of)|becomes?|remains?|reads?|has|have"
    r"|shows?|says?|costs?|measures?|weighs?|finds?|sees?|counts?|(?:comes?|amounts?|adds? up|sums?(?: up)?|works? out"
    r"|evaluates?|simplif(?:y|ies)) (?:to|as|at)|(?:left|end(?:s|ed|ing)? up|remains?) with"
    r"|(?:comes?|turns?) out (?:as|at|to be)|(?:level|lines? up|balances?) (?:with|at)|(?:reduces?"
    r"|cancels?(?: down)?|comes? down|boils? down|rounds?|narrows? down) to|turns? into|lands? on|reach(?:es)?"
    r"|needs?|requires?|takes?|took|lasts?|lasted|uses?|holds?|contains?|accounts? for|stands? for|opened for"
    r"|giving|leaving|making|yielding"
    r"|(?:aim|go(?:es)?) (?:on with|for|with)|(?:goes"
    r"|moves|climbs|comes|rises|falls) (?:up|down) by|settles? (?:for"
    r"|on|with)|comes?(?= [0-9a-z]+[.!]?$)|totall?ing|(?<=s )number(?= [0-9a-z]+[.]?$)"
    r"|(?:stands?|lies?|arrives?|ends?|stops?|points?|moves?|travels?|drives?|accelerates?|runs?|sits?) at"
    r"|results? in|leads? to"
    r"|(?:differs?|gr[eo]ws?|increas\w+|decreas\w+|exceeds?|rises?|rose|falls?|fell|drops?|dropped|chang\w+) by"
)
_SIGN = re.compile(
    rf"=|→|[是为為有等得]于?|(?<![0-9]):(?!\s*\n)|\b(?:{_VERBS}|here(?=,? [\\0-9(][^.;]*[-+*/^])|namely|i\.e\.,?|that "
    rf"is,)(?![\w'])",
    re.IGNORECASE,
)
ONE_OF = re.compile(r"[A-Za-z]+ [0-9]+$")
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|and|but|now|also|clearly|finally|indeed|in (?:all|total)|altogether|together"
    r"|exactly|about|approximately|roughly|only|just|simply|equal to|be|to be|at|a total of|the number|now|thus|it"
    r"|you|we|us|must|should|will|can|get|see|find)\b[,:]?\s*)+",
    re.IGNORECASE,
)
# `6 is what you get`, `stars - 6`.
_DOES = re.compile(
    r"(?:(?:in|after|during|within|altogether|overall|afterwards),? (?:[\w-]+,? ){0,7}?)?((?:(?:so|and|thus"
    r"|hence|then|now),? )?(?:it|he|she|they|we|you|this|that|(?-i:[A-Z][a-z]+)|the \w+))(?: \w{2,12}ly)?"
    r" (?!add|subtract|multiply|divide|double|start|begin|move|put|write|try|skip)[a-z]{3,12} (.{1,60})",
    re.IGNORECASE,
)
_COMPUTE = re.compile(
    r"(?:(?:just|now|then|simply|so|only) )*(?:compute|calculate|work out|evaluate|find|do) ([-+]?[0-9.,]+)[.!]?", re.I
)
_TURNED = re.compile(
    r"([^=:|]{1,30}?)\s+(?:is|are|will be|would be|must be)\s+((?:what|the|your|our|all|how|their|its|this"
    r"|left(?: over)?(?! out)|over|needed|missing|remain|stay)\b.{0,80})"
)
_DASHED = re.compile(r"([^\W\d_][^0-9=:|]{0,40}?)\s+-+\s+(.{1,40})")


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
            between = [one for one in cells[1:number] if not any(char.isdigit() for char in one) or ONE_OF.match(one)]
            yield Conclusion(" ".join([cells[0], *between, head]).strip(), "|", cell, place, False, line)
        if len(header) != len(cells):
            header = cells
