r"""geometry3k: the last box, equal to the truth as the rewards of verl and EasyR1 have it.

Sources: verl/utils/reward_score/geo3k.py of verl-project/verl (its 0.1 for the format is left out) and
mathruler/grader.py of hiyouga/MathRuler. Both sides are folded: LaTeX markup, spaces, case, units of length, angle and
time, `%`, `$`, degrees, and a name before `=` go. Equal strings are right. Else the parts of a tuple are compared one
by one: fractions must be the same digits (2/4 is not 1/2), a whole number only equals a whole number (\sqrt{25} is
not 5), and the rest is decided by its value, or by the verifier where there are variables; the script asks sympy.
"""

from __future__ import annotations

import math
import re

from anectl.core.grading.formula import decide, is_prose, refusal
from anectl.core.grading.normalise import fold_expression
from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile
from anectl.core.profiles.harness_rules import verdict
from anectl.core.profiles.latex_values import latex_value
from anectl.core.profiles.official_rows import field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_BOX = "\\boxed{"
_BRACE = re.compile(r"[{}]")
_MAX_LENGTH = 300
_RELATIVE_ERROR = 1e-12  # of floating point: sympy is exact, 3.4641 is not 2\sqrt{3}
_UNIT = re.compile(
    r"(?:degree|centimeter|cm|meter|mile|second|minute|hour|day|week|month|year|foot|feet|inch|yard)"
    r"(?:es)?s?(?:\^(?:[0-9]|\{[0-9]\}))?"
)
_DROPPED = re.compile("[%$\u00b0]|\\\\text")
_NAMED = re.compile(r"[^=]{1,2}=([^=]+)")
_SIMPLE_FRACTION = re.compile(r"\\frac\{([0-9]+)\}\{([0-9]+)\}")
_FRACTION = re.compile(r"-?[0-9]+/[0-9]+")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_WHOLE = re.compile(r"-?[0-9]+(?:\.0*)?")
_TUPLE = re.compile(r"[(\[]([^()\[\]]*)[)\]]")


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion; one without a closed last box is wrong. Null where sympy would decide and nothing else can.

    Never raises for any text.
    """
    if finish_reason == "error":
        return Grade(None, None, "error")
    boxed = _last_box(text)
    if boxed is None:
        return verdict(None, False)
    if len(boxed) > _MAX_LENGTH:
        return Grade(None, None, "too_long")
    given, truth = _folded(boxed), _folded(field_text(problem, "answer", problem.answer))
    if given == truth:
        return verdict(boxed, True)
    left, right = _parts(truth), _parts(given)
    if len(left) != len(right) or (len(left) > 1 and (truth[0], truth[-1]) != (given[:1], given[-1:])):
        return verdict(boxed, False)
    for wanted, stated in zip(left, right, strict=True):
        part = _compared(wanted, stated, verifier)
        if not part.correct:
            return Grade(boxed, part.correct, part.reason)
        reason = part.reason
    return verdict(boxed, True, reason)


def _last_box(text: str) -> str | None:
    start = text.rfind(_BOX)
    if start < 0:
        return None
    begin, depth = start + len(_BOX), 1
    for brace in _BRACE.finditer(text, begin):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[begin : brace.start()].strip()
    return None


def _folded(text: str) -> str:
    folded = _UNIT.sub("", _DROPPED.sub("", fold_expression(text)).lower())
    named = _NAMED.fullmatch(folded)
    folded = _THOUSANDS.sub("", named[1] if named else folded)
    folded = _SIMPLE_FRACTION.sub(r"\1/\2", folded)
    return folded.partition(".")[0] if _WHOLE.fullmatch(folded) else folded


def _parts(folded: str) -> list[str]:
    inner = _TUPLE.fullmatch(folded)
    return inner[1].split(",") if inner else [folded]


def _compared(wanted: str, stated: str, verifier: Verifier | None) -> Grade:
    if wanted == stated:
        return Grade(stated, True, "exact")
    both_fractions = _FRACTION.fullmatch(wanted) and _FRACTION.fullmatch(stated)
    if both_fractions or bool(_WHOLE.fullmatch(wanted)) != bool(_WHOLE.fullmatch(stated)):
        return verdict(stated, False)
    number, other = latex_value(wanted), latex_value(stated)
    if number is not None and other is not None:
        return verdict(stated, math.isclose(number, other, rel_tol=_RELATIVE_ERROR), "numeric")
    if not stated or is_prose(wanted) or is_prose(stated):
        return verdict(stated, False)
    if (why := refusal(stated) or refusal(wanted)) is not None:
        return verdict(stated, False) if why == "unparsed" else Grade(stated, None, why)
    if verifier is None:
        return Grade(stated, None, "no_verifier")
    found = decide(verifier, wanted, stated)
    if found.equal is None:
        return Grade(stated, None, "timeout" if found.timed_out else "undecided")
    return verdict(stated, found.equal, "verified")


PROFILE = Profile(name="geometry3k", rule="verl: utils/reward_score/geo3k.py", score=score)
