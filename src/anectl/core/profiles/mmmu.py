"""mmmu: last option named, key phrases of open answers; random pick as odds.

MMMU and MMMU-Pro have rules of their own (MMMU-Benchmark/MMMU, eval/eval_utils.py and mmmu-pro/evaluate.py); a problem
whose source is the benchmark `mmmu-pro` is scored by the second. Both look for letters in brackets, then for bare ones,
then, in replies of more than 5 words, for the text of an option, and take the one that comes last. Where they find none
they draw an option at random: here the grade is null with reason `random_pick`, and `chance` is the odds. Known faults
are kept: the article `A` is an option, `B.` before a line break is none, and `5` is found within `15`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from anectl.core.errors import RowError
from anectl.core.formats.options import parse_list
from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile, official
from anectl.core.profiles.groups import GroupMeans
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

MAX_LENGTH = 300
"""Characters; a longer open answer is judged but not shown."""

# The domains and their subjects, as the official tables have them.
DOMAINS = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": (
        "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy Public_Health"
    ),
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": (
        "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power Materials "
        "Mechanical_Engineering"
    ),
}
_DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects.split()}
_KEY_PHRASES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_ANY_PHRASE = re.compile("|".join([*_KEY_PHRASES, "="]))
_TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
_MIN_WORDS = 6
# The numbers of the official rule; each starts at the beginning of its digits, so that long runs are read once.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d)(?![,\d])"),
)


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """The grade by the rule of MMMU or MMMU-Pro; null only where the script draws an option at random."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    fields = official(problem)
    options = _listed(fields.get("options")) or list(problem.choices or ())
    answers = _listed(fields.get("answer")) or [problem.answer]
    if not options or fields.get("question_type") == "open":
        return _grade_open(text, answers)
    is_pro = problem.source.get("benchmark") == "mmmu-pro"
    letter = (_pro_letter if is_pro else _letter)(text, options)
    if letter is None:
        possible = {chr(ord("A") + i) for i in range(len(options))}
        return Grade(None, None, "random_pick", chance=len(possible.intersection(answers)) / len(options))
    return Grade(letter, True, "exact") if letter in answers else Grade(letter, False, "mismatch")


def _letter(text: str, options: Sequence[str]) -> str | None:
    """The letter that MMMU's rule finds; null where it draws one."""
    reply = _padded(text)
    letters = [chr(ord("A") + i) for i in range(len(options))]
    for pattern in ("({})", " {} "):
        if named := [letter for letter in letters if pattern.format(letter) in reply]:
            return max(named, key=lambda letter: reply.rfind(pattern.format(letter)))
    return _letter_of_text(reply, options)


def _pro_letter(text: str, options: Sequence[str]) -> str | None:
    """The letter that MMMU-Pro's rule finds: a unique one behind the last `Answer:`, else as in MMMU but looser.

    Several bare letters are ranked by where they stand between spaces, also where a full stop named them; then none
    has such a place and the first in the alphabet is taken.
    """
    letters = [chr(ord("A") + i) for i in range(len(options))]
    _, marker, stated = text.rpartition("Answer:")
    if marker and len(named := [letter for letter in letters if letter in stated]) == 1:
        return named[0]
    reply = _padded(text)
    for pattern, ranked_by in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        if named := [letter for letter in letters if pattern.format(letter) in reply]:
            return max(named, key=lambda letter: reply.rfind(ranked_by.format(letter)))
    return _letter_of_text(reply, options)


def _padded(text: str) -> str:
    for mark in ",.!?;:'":
        text = text.strip(mark)
    return f" {text} "


def _letter_of_text(reply: str, options: Sequence[str]) -> str | None:
    if len(reply.split(maxsplit=_MIN_WORDS)) < _MIN_WORDS:
        return None
    lowered = reply.lower()
    places = [lowered.rfind(option.lower()) for option in options]
    last = max(places)
    return None if last < 0 else chr(ord("A") + places.index(last))


def _grade_open(text: str, answers: Iterable[str]) -> Grade:
    """A truth is right as a number among the numbers, to 2 decimals, or as text within one of the texts."""
    truths = [form for answer in answers for form in _forms(answer)]
    segments = _key_segments(text)
    joined = "\n".join(segments)
    predictions = [*segments, *(number for pattern in _NUMBERS for number in pattern.findall(joined))]
    for prediction in (form for one in dict.fromkeys(predictions) for form in _forms(one)):
        if isinstance(prediction, float):
            if prediction in truths:
                return Grade(f"{prediction:g}", True, "numeric")
        elif any(isinstance(truth, str) and truth in prediction for truth in truths):
            return Grade(_shown(prediction), True, "exact" if prediction in truths else "substring")
    return Grade(_shown(segments[-1]), False, "mismatch" if segments[-1] else "unparsed")


def _key_segments(text: str) -> list[str]:
    """What follows the last key phrase of each line, the shortest where there are several; else the whole reply.

    In the last line an equals sign is a key phrase too. Sentences are not told apart: the script looks for a capital
    behind the full stop after it has made the reply lower case.
    """
    reply = text.strip().strip(".").lower()
    lines = reply.split("\n")
    segments = []
    for i, line in enumerate(lines):
        if not _ANY_PHRASE.search(line):
            continue
        phrases = (*_KEY_PHRASES, "=") if i == len(lines) - 1 else _KEY_PHRASES
        shortest = ""
        for phrase in phrases:
            _, found, tail = line.rpartition(phrase)
            tail = tail.strip()
            # An empty tail gives way to the next, even a longer one.
            if found and (not shortest or len(tail) < len(shortest)):
                shortest = tail
        if shortest and shortest not in _TRIVIAL:
            segments.append(shortest)
    return list(dict.fromkeys(segments)) or [reply]


def _forms(text: str) -> list[str | float]:
    """A number to 2 decimals, else the text in lower case; a single character only beside a space."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lowered = text.lower()
        return [" " + lowered, lowered + " "] if len(lowered) == 1 else [lowered]


def _listed(field: object) -> list[str]:
    """The entries of a field that is a list, or the text of one as the published tables have it; else the field."""
    if isinstance(field, str) and field.startswith("["):
        try:
            return list(parse_list(field, field="options"))
        except RowError:  # an open answer in brackets
            return [field]
    if isinstance(field, list | tuple):
        return [str(entry) for entry in field]
    return [] if field is None or field == "" else [str(field)]


def _shown(text: str) -> str | None:
    shown = text.strip()
    return shown if 0 < len(shown) <= MAX_LENGTH else None


def _groups(problem: Problem) -> list[str]:
    """Subject and domain, from an id like `validation_Accounting_1` (for MMMU-Pro also `test_History_1`)."""
    subject = "_".join(str(official(problem).get("id") or problem.id).split("_")[1:-1])
    domain = _DOMAIN_OF.get(subject)
    return [domain, f"{domain}/{subject}"] if domain else []


def _means() -> GroupMeans:
    return GroupMeans(_groups)


PROFILE = Profile(
    name="mmmu",
    rule="MMMU-Benchmark/MMMU eval/eval_utils.py, mmmu-pro/evaluate.py",
    score=score,
    metrics=_means,
)
