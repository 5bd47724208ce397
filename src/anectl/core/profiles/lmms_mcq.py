"""How lmms-eval reads the letter of a choice: four readers for four kinds of tasks, with their faults.

Sources (EvolvingLMMs-Lab/lmms-eval): tasks/_task_utils/reasoning_utils.py, tasks/_task_utils/mcq_extract.py,
tasks/_task_utils/mmmu_mcq_utils.py, tasks/mmbench/mmbench_evals.py. Every reader searches for fixed strings, so it is
linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

LETTERS = tuple("ABCDEFGH")
_QUOTES = (",", ".", "!", "?", ";", ":", "'", '"')
_FRAMES = (("({})", 6), ("{}.", 5), ("{}:", 4), ("{})", 3), ("{} ", 2))
_MORE_FRAMES = (*_FRAMES, ("{}-", 1), ("{}_", 1), ("{}=", 1))
_REASONING_PHRASE_LIST = (
    "the answer|answer|the correct answer|correct answer|the best answer|best answer|the option is|option is|"
    "the correct option is|correct option is|the choice is|choice is|the correct choice is|correct choice is|"
    "i choose|i select|i pick|my answer is|my choice is"
)
_REASONING_PHRASES = tuple(_REASONING_PHRASE_LIST.split("|"))
_PHRASE_LIST = (
    "the answer is|answer is|the correct answer is|correct answer is|the best answer is|best answer is|"
    "the correct option is|correct option is|the best option is|best option is|the choice is|choice is|"
    "the correct choice is|correct choice is|i choose|i select|i pick|my answer is|my choice is|"
    "\uc635\uc158|\uc815\ub2f5\uc740|\ub2f5\uc740|\ub2f5:|\u7b54\u6848\u662f|\u7b54\u6848\u4e3a|\u9009|\u7b54\u3048\u306f"
)
_PHRASES = tuple(_PHRASE_LIST.split("|"))
_TOKENS = ("{}.", "{},", "{}:", "{})", "{}).", "({})", "({}).", ":{}", ":{},", ":{}.", ":{})", ":{}).")


class _Candidate(NamedTuple):
    priority: int
    position: int
    letter: str


def read_reasoning_letter(text: str) -> str:
    """The letter of the reasoning tasks (`parse_mcq`), empty when there is none; also applied to the truth there.

    A text that begins with any of A to H is that letter (`Cone` is C, `Euler` is E), then one that ends in it, then
    what follows the word `answer`: the first capital A to H anywhere behind it.
    """
    padded = _padded(text)
    if padded is None:
        return ""
    found = list(_framed(padded, LETTERS, _MORE_FRAMES))
    lowered = padded.lower()
    starts = [start for phrase in _REASONING_PHRASES if (start := lowered.find(phrase)) >= 0]
    if starts:
        found += [_Candidate(7, at, letter) for letter in LETTERS if (at := padded.find(letter, min(starts))) >= 0]
    bare = padded.strip()
    found += [_Candidate(10, 0, letter) for letter in LETTERS if bare.startswith(letter)]
    found += [_Candidate(9, len(padded) - 1, letter) for letter in LETTERS if bare.endswith(letter)]
    for number, letter in enumerate(LETTERS, 1):
        if (at := padded.rfind(f"{number}. {letter}")) >= 0:
            found.append(_Candidate(8, at, letter))
    found = found or [_Candidate(0, at, letter) for letter in LETTERS if (at := padded.rfind(letter)) >= 0]
    return max(found, key=lambda one: (one.priority, -one.position)).letter if found else ""


def read_letter(text: str, letters: Sequence[str] = LETTERS) -> str:
    """The letter of the shared extractor (`extract_mcq_answer`) as of lmms-eval 0.7, empty when there is none.

    A letter that stands alone at the start wins, articles too (`A careful look ...` is A), then one at the end, then
    the capital that appears last among the first of each letter behind a phrase (`The answer is: Cannot tell` is C).
    """
    padded = _padded(text)
    if padded is None:
        return ""
    found = list(_framed(padded, letters, _FRAMES))
    lowered = padded.lower()
    for phrase in _PHRASES:
        if (start := lowered.find(phrase)) >= 0:
            after = start + len(phrase)
            found += [_Candidate(7, at, letter) for letter in letters if (at := padded.find(letter, after)) >= 0]
    bare = padded.strip()
    if bare[:1] in letters and not bare[1:2].isalpha():
        found.append(_Candidate(10, 0, bare[:1]))
    if bare[-1:] in letters and not bare[-2:-1].isalpha():
        found.append(_Candidate(9, len(padded) - 1, bare[-1:]))
    found = found or [_Candidate(0, at, letter) for letter in letters if (at := padded.rfind(letter)) >= 0]
    return max(found, key=lambda one: (one.priority, one.position)).letter if found else ""


def read_mmmu_letter(text: str, choices: Mapping[str, str]) -> str:
    """The letter of MMMU and MMMU-Pro: the last `(X)`, else `X ` (also at the end of a word: `USA ` is A), else `X.`.

    Then, in replies of more than five words, the choice whose text comes last. Empty where the harness draws one.
    Several bare letters are ranked by where they stand between spaces; letters with a full stop have no such place.
    """
    for char in _QUOTES[:-1]:
        text = text.strip(char)
    padded = f" {text} "
    for frame, ranked_by in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        if named := [letter for letter in choices if frame.format(letter) in padded]:
            return max(named, key=lambda letter: padded.rfind(ranked_by.format(letter)))
    if len(padded.split()) <= 5:
        return ""
    lowered = padded.lower()
    places = {letter: lowered.rfind(choice.lower()) for letter, choice in choices.items()}
    named = [letter for letter, place in places.items() if place >= 0]
    return max(named, key=lambda letter: places[letter], default="")


def read_mmbench_letter(text: str, choices: Mapping[str, str]) -> str:
    """The letter that MMBench's prefetch finds before a judge is asked, empty when it finds none.

    The one letter of A to E among the words, unless there is an `A` in more than three words, which may be an
    article; then the one in a frame (`B.`, `(B)`); then the one choice whose text stands in the reply.
    """
    words = set(text.split())
    long = len(text.split()) > 3
    bare = [letter for letter in "ABCDE" if letter in words]
    if len(bare) == 1 and not ("A" in words and long):
        return bare[0]
    for frame in _TOKENS:
        named = [letter for letter in "ABCDE" if frame.format(letter) in words]
        if len(named) == 1:
            return named[0]
    lowered = text.lower()
    texts = [letter for letter, choice in choices.items() if choice.lower() in lowered]
    return texts[0] if len(texts) == 1 else ""


def _padded(text: str) -> str | None:
    if not text.strip():
        return None
    text = text.strip()
    for char in _QUOTES:
        text = text.strip(char)
    return f" {text} "


def _framed(padded: str, letters: Sequence[str], frames: Sequence[tuple[str, int]]) -> Iterator[_Candidate]:
    for frame, priority in frames:
        for letter in letters:
            if (at := padded.rfind(frame.format(letter))) >= 0:
                yield _Candidate(priority, at, letter)
