"""mathvision: boxed answer equal to the letter or the value of the option.

The official rule (mathllm/MATH-V, evaluation/evaluate.py and utils.py) cuts the answer out of the reply, takes markup
and some units off, and compares it with the letter and with the text of that option: as strings in lower case, else
by value after rounding to 2 decimals. Where the script evaluates text that a model wrote, `latex_values` reads it; what
that cannot read is unequal. Pairs and lists in brackets are compared value by value. Known faults are kept: a number
behind the last `is ` wins over a box, a letter with its text (`B. 12`) is wrong, and so is `\\mathrm{B}`.
"""

from __future__ import annotations

import re
from functools import partial

from anectl.core.grading.spec import Grade, Reason
from anectl.core.profiles import Profile, official
from anectl.core.profiles.groups import GroupMeans, by_fields
from anectl.core.profiles.latex_values import latex_value
from anectl.core.profiles.official_rows import field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

MAX_LENGTH = 300
"""Characters; a longer answer is only compared as a string and not shown."""

_LETTERS = "ABCDE"
_MARKERS = tuple(
    article + rest
    for rest in (" final answer is", " answer is", " correct answer is", " answer should be")
    for article in ("the", "The")
)
_BOX = "oxed{"
# In the order of the script: each is replaced everywhere before the next is looked for.
_REPLACED = (
    *((" ", ""), ("\\,", ""), ("\u221e", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", "")),
    *((dropped, "") for dropped in ("\\text", "\\mbox")),
    ("bmatrix", "pmatrix"),
    *((dropped, "") for dropped in ("\\left", "\\right", "^{\\circ}", "^\\circ")),
    *((unit, "") for unit in ("{m}^3", "m^3", "{units}", "units", "{km}", "km")),
    *(("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", "")),
    *((dropped, "") for dropped in ("^{\\circ}", "^\\circ", "\\$", "$", "\\%")),
    ("{.", "{0."),
)
_BARE_ROOT = re.compile(r"\\sqrt(?!\\sqrt)([^{])", re.DOTALL)
_SLASH = re.compile(r"(-?[0-9]+)/(-?[0-9]+)")


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Right when the final answer equals the truth, or the text of the option that the truth names; else wrong."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    truth = field_text(problem, "answer", problem.answer)
    given = final_answer(text)
    wanted: dict[str, Reason] = {_option(problem, truth): "choice_text", truth: "exact"}
    for answer, reason in wanted.items():
        if same_answer(answer, given):
            return Grade(_shown(given), True, reason if answer.lower().strip() == given else "numeric")
    return Grade(_shown(given), False, "mismatch" if given else "unparsed")


def final_answer(text: str) -> str:
    """The answer of a reply as the script cuts it out: lower case, without spaces, markup and some units."""
    answer = _letter_at_an_end(text.strip())
    number = answer.rpartition("is ")[2].rstrip(".")
    if _is_number(number):
        answer = number
    if _BOX not in answer:
        for marker in _MARKERS:
            is_marked = marker in answer
            answer = answer.rpartition(marker)[2].strip()
            if is_marked:
                answer = answer.partition("\n")[0].partition(". ")[0]
    elif answer.count(_BOX) > 1:
        answer = "\\b" + _BOX + answer.rpartition(_BOX)[2]
    answer = _without_markup(_boxed(answer.lower().replace("{}", "")))
    for letter in _LETTERS.lower():
        answer = answer.replace(f"({letter})", letter)
    for letter in _LETTERS.lower():
        answer = answer.replace(f"{{{letter}}}", letter)
    return answer.rstrip(".").lstrip(":").strip()


def same_answer(wanted: str, given: str) -> bool:
    """Equal as strings in lower case, as lists in brackets item by item, or by value; values to 2 decimals."""
    wanted, given = wanted.lower().strip(), given.lower().strip()
    if not wanted or not given:
        return False
    if wanted == given:
        return True
    items, others = _items(wanted), _items(given)
    if items is not None or others is not None:
        return items == others
    value, other = latex_value(wanted), latex_value(given)
    return value is not None and other is not None and round(value, 2) == round(other, 2)


def _letter_at_an_end(answer: str) -> str:
    for letter in _LETTERS:
        ends = (f" {letter}.", f" ({letter}).")
        starts = (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        if answer.endswith(ends) or answer.startswith(starts):
            return letter
    return answer


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _boxed(answer: str) -> str:
    """Inside of the box up to the last closing brace of the reply, cut where braces do not match; else all of it."""
    start = answer.find(_BOX)
    end = answer.rfind("}")
    inner = answer[start + len(_BOX) : end] if 0 <= start < end else answer
    closing, opening = inner.find("}"), inner.find("{")
    if closing >= 0 and (opening < 0 or closing < opening):
        inner = inner[:closing]
    return inner.rpartition("=")[2].rpartition("\\approx")[2]


def _without_markup(answer: str) -> str:
    for old, new in _REPLACED:
        answer = answer.replace(old, new)
    if answer.startswith("."):
        answer = "0" + answer
    if "sqrt" in answer:
        answer = _BARE_ROOT.sub(r"\\sqrt{\1}", answer)
        answer = _braced_fractions(answer)
    if answer == "0.5":
        return "\\frac{1}{2}"
    m = _SLASH.fullmatch(answer)
    return f"\\frac{{{m[1]}}}{{{m[2]}}}" if m else answer


def _braced_fractions(answer: str) -> str:
    """Short fractions with their braces, `\\frac12` as `\\frac{1}{2}`; as it is where one is cut off."""
    head, *parts = answer.split("\\frac")
    for i, part in enumerate(parts):
        if part.startswith("{"):
            continue
        if len(part) < 2:
            return answer
        bottom = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
        parts[i] = f"{{{part[0]}}}{bottom}"
    return "\\frac".join([head, *parts])


def _items(text: str) -> tuple[str, ...] | None:
    """The values of `(1,2)` or `[1,2]` to 2 decimals, behind their bracket; null where an item has no value.

    They are compared as Python spells them: a quotient is `2.0` and not `2`.
    """
    if len(text) > MAX_LENGTH or text[0] + text[-1] not in ("()", "[]") or "," not in text:
        return None
    items = [text[0]]
    for item in text[1:-1].split(","):
        if "infty" in item or item in ("a", "-a"):
            items.append(item)
        elif (value := latex_value(item)) is None:
            return None
        else:
            items.append(str(round(value, 2)))
    return tuple(items)


def _option(problem: Problem, truth: str) -> str:
    """The text of the option that the truth names by its letter; empty where it names none."""
    given = official(problem).get("options")
    options = given if isinstance(given, list | tuple) else problem.choices or ()
    index = ord(truth) - ord("A") if len(truth) == 1 else -1
    return str(options[index]) if 0 <= index < len(options) else ""


def _shown(answer: str) -> str | None:
    return answer if 0 < len(answer) <= MAX_LENGTH else None


PROFILE = Profile(
    name="mathvision",
    rule="mathllm/MATH-V evaluation/evaluate.py",
    score=score,
    metrics=partial(GroupMeans, by_fields("level", "subject")),
)
