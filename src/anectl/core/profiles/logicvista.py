"""LogicVista: the set of letters named has to be the published set; accuracy by skill and capability.

The rule is Yijia-Xiao/LogicVista `eval/extract_accuracy_new.py`, figures by `eval/analyze_accuracy.py`. The script has
a language model extract the letters from all but empty and one-character replies. Here a reply that is nothing but
letters is read as such, otherwise its final answer; what neither settles is null with reason `needs_judge`.
"""

from __future__ import annotations

from string import ascii_uppercase

from anectl.core.grading.choice import Letters, parse_choices
from anectl.core.grading.extract import find_answer
from anectl.core.grading.spec import Grade
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.profiles import Profile
from anectl.core.profiles.groups import GroupMeans
from anectl.core.profiles.official_rows import field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

SKILLS = ("inductive", "deductive", "numerical", "spatial", "mechanical")
_ROLE = "ASSISTANT:"
_MAX_BARE_LENGTH = 60
_MAX_STATED_LENGTH = 1000


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion: right when it names exactly the published letters."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    reply = (text.split(_ROLE, 2)[1] if _ROLE in text else text).strip()
    if not reply or _is_no_option(reply):
        return Grade(None, False, "unparsed")
    found = letters_of(reply, _choice_texts(problem))
    if not found:
        return Grade(None, None, "needs_judge")
    truth = field_text(problem, "answer", ", ".join(problem.answer.replace(",", " ").split()))
    is_right = {letter.lower() for letter in found} == set(truth.lower().split(", "))
    return Grade(", ".join(sorted(found)), is_right, "exact" if is_right else "mismatch")


def _is_no_option(reply: str) -> bool:
    """One character that is neither a letter of a to e nor numeric: the script fails it without asking the model."""
    if len(reply) > 1:
        return False
    return reply.lower() not in "abcde" if reply.isalpha() else not reply.isnumeric()


def _choice_texts(problem: Problem) -> tuple[str, ...]:
    """Texts by letter, empty where the option stands in the image alone; any letter may then be an option."""
    named = zip(ascii_uppercase, problem.choices or (), strict=False)
    texts = tuple("" if choice.strip() == letter else choice for letter, choice in named)
    return texts if any(texts) else ("",) * len(ascii_uppercase)


def letters_of(reply: str, choices: tuple[str, ...]) -> Letters | None:
    """The letters that a reply as a whole, or else its final answer, names; null where they cannot be told."""
    shown = without_thoughts(reply).strip()
    if len(shown) <= _MAX_BARE_LENGTH and (bare := parse_choices(shown, choices)):
        return bare
    found = find_answer(shown)
    if found is None:
        return None
    stated = _named("; ".join(found.texts), choices)
    # A later statement of another answer is for the judge to weigh.
    later = stated if found.later is None else _named(found.later, choices)
    return stated if later is None or later == stated else None


def _named(text: str, choices: tuple[str, ...]) -> Letters | None:
    return parse_choices(text[:_MAX_STATED_LENGTH], choices)


def skills_and_capabilities() -> GroupMeans:
    """Accuracy in all, by reasoning skill, and by capability (diagram, ocr, both)."""
    return GroupMeans(_groups_of)


def _groups_of(problem: Problem) -> list[str]:
    """As in the script, a problem belongs to every skill and capability that its fields contain as text."""
    skill, capability = field_text(problem, "skill", ""), field_text(problem, "capability", "")
    needs = [name for name in ("diagram", "ocr") if name in capability]
    groups = [f"skill/{name}" for name in SKILLS if name in skill] + [f"capability/{name}" for name in needs]
    return [*groups, "capability/diagram and ocr"] if len(needs) > 1 else groups


PROFILE = Profile(
    name="logicvista",
    rule="Yijia-Xiao/LogicVista eval/extract_accuracy_new.py",
    score=score,
    metrics=skills_and_capabilities,
)
