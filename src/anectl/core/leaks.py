"""When a row is a leak of a benchmark's row: what each kind of evidence is worth, alone and together.

Questions of one template share all their words, and pictures of one kind look alike, so neither the words nor a faint
likeness alone condemn a row:

- the same picture is a leak whatever is asked about it (the authors of HoneyBee leave such rows out too);
- a picture that is merely like the other is one if the answer is the same and the question is nearly the same;
- the same words, or most of the n-grams of the benchmark's question (as in GPT-3, arXiv 2005.14165, appendix C), are
  one where neither row has a picture and the choices agree;
- a benchmark's question without a picture, quoted in a solution or a completion, is one whatever is asked there;
- where there are pictures, and they differ, the same words are one only if they are long, are no template (masked of
  its numbers the question comes once in the benchmarks), and have the same answer: a figure drawn anew.

Choices are compared as a set, and the answer by the text of its choice, so that another order of them hides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from anectl.core.ngrams import Tokens, shared_share, tokens
from anectl.core.records import Example, Problem

Kind: TypeAlias = Literal["exact", "overlap", "embedding", "image", "pair"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Grade: TypeAlias = Literal["same", "near"] | None
_ALMOST = 0.9999  # a correlation of 1 has no finite z


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on evidence counts; the options of `decontaminate` set them.

    `size` is the length of n-grams in tokens; `overlap` the share of the benchmark question's n-grams; `question` the
    share of common tokens that makes two questions near; `picture` is a correlation of brightness, `structure` one of
    structure or the mean of both, and `margin` less (in Fisher's z) is still near; `reach` is a Hamming distance of 64
    bits; `text_cosine` and `image_cosine` are an embedder's.
    """

    checks: frozenset[str] = frozenset(KINDS)
    size: int = 13
    overlap: float = 0.5
    question: float = 0.7
    picture: float = 0.85
    structure: float = 0.65
    margin: float = 0.3
    reach: int = 12
    text_cosine: float = 0.99
    image_cosine: float = 0.95


@dataclass(frozen=True, slots=True)
class ImageMatch:
    """A benchmark image (by its number) that an image may be a copy of, found at a Hamming distance of their hashes.

    `brightness` and `structure` are correlations, -1 to 1; both are 1 where all pixels are equal. `raised` is what is
    asked beyond the limits because other pictures of the same benchmark are that much alike.
    """

    number: int
    brightness: float
    structure: float
    distance: int
    raised: float = 0.0

    def excess(self, limits: Limits) -> float:
        """By how much the strongest of three signs passes its limit: brightness, structure, or the mean of both.

        Each alone survives what the other does not (grey pictures, other colours), and must be the higher for it. In
        units of Fisher's z (the inverse hyperbolic tangent of a correlation), which tells 0.99 from 0.95 as it should.
        """
        mean = (self.brightness + self.structure) / 2
        signs = (self.brightness, limits.picture), (self.structure, limits.structure), (mean, limits.structure)
        return max(_fisher_z(value) - _fisher_z(limit) for value, limit in signs) - self.raised

    def grade(self, limits: Limits) -> Grade:
        """Whether the two are the same picture, or near it, or neither (null)."""
        excess = self.excess(limits)
        return "same" if excess >= 0 else "near" if excess >= -limits.margin else None


def _fisher_z(correlation: float) -> float:
    return math.atanh(min(max(correlation, -_ALMOST), _ALMOST))


@dataclass(frozen=True, slots=True)
class Side:
    """A question as it is compared: its tokens, its choices as a set, and its answer by text. `more` is other text."""

    words: Tokens
    choices: frozenset[Tokens]
    answer: Tokens
    images: tuple[str, ...]
    question: str
    more: tuple[str, ...] = ()

    @classmethod
    def of_problem(cls, problem: Problem) -> Side:
        """The side of a problem; its worked solution is other text."""
        more = tuple(text for text in (problem.solution, *(problem.steps or ())) if text)
        return _side(problem.question, problem.choices or (), problem, problem.images, more)

    @classmethod
    def of_example(cls, example: Example) -> Side:
        """The side of a training row: its question where the scaffold knows it, and all that is said besides."""
        turns = [message.content for message in example.prompt if message.role == "user"]
        question = example.scaffold.question or "\n".join(turns)
        # The user text of a scaffold lists the choices behind the question.
        listed = "\n(A) "
        bare = question.split(listed)[0] if example.choices else question
        said = tuple(message.content for message in (*example.prompt, *example.completion))
        return _side(bare, example.choices, example, example.images, said)


def _side(
    question: str, choices: tuple[str, ...], graded: Problem | Example, images: tuple[str, ...], more: tuple[str, ...]
) -> Side:
    answer = graded.answer
    if graded.answer_type in ("choice", "choices") and choices:
        letters = [part for part in answer.replace(",", " ").split() if len(part) == 1]
        places = [ord(letter) - ord("A") for letter in letters]
        answer = "\n".join(sorted(choices[place] for place in places if 0 <= place < len(choices)))
    return Side(tokens(question), frozenset(map(tokens, choices)), tokens(answer), images, question, more)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a row and one benchmark row.

    `overlap` is the share of the benchmark question's n-grams, `text_cosine` the embedder's, each null where it was not
    looked at; `is_quoted` says that only the row's other text has so many of the n-grams, not its question; `image` is
    the best match of their images; `image_cosine` confirms a near one. `is_template` says that other questions of the
    benchmarks have the same words but for their numbers, `is_blank` that no image of the two rows
    shows anything (a placeholder, a patch of one colour).
    """

    overlap: float | None = None
    is_quoted: bool = False
    text_cosine: float | None = None
    image: ImageMatch | None = None
    image_cosine: float | None = None
    is_template: bool = False
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A leak: of which kind, and what it rests on, in words."""

    kind: Kind
    because: str


@dataclass(frozen=True, slots=True)
class Leak:
    """A row's leak and the benchmark row it matches."""

    kind: Kind
    because: str
    path: str
    line: int
    id: str

    def __str__(self) -> str:
        return f"leak ({self.kind}) of {self.path}:{self.line} {self.id}: {self.because}"


@dataclass(slots=True)
class Comparison:
    """One row against one benchmark row; every property is worked out when it is asked for."""

    ours: Side
    theirs: Side
    evidence: Evidence
    limits: Limits = field(default_factory=Limits)

    @property
    def same_answer(self) -> bool:
        """Whether both have the same answer: by its text, whatever its letter, numbers in any spelling."""
        return self.ours.answer == self.theirs.answer

    @property
    def choices_agree(self) -> bool:
        """Whether the choices are the same set, or one side has none."""
        return not self.ours.choices or not self.theirs.choices or self.ours.choices == self.theirs.choices

    @property
    def exact(self) -> bool:
        """Whether the question has the same words, numbers in any spelling; without any word, choices must tell."""
        says_something = self.ours.words or (self.ours.choices and self.theirs.choices)
        return bool(says_something) and self.ours.words == self.theirs.words

    @property
    def near(self) -> bool:
        """Whether the questions are nearly the same by their tokens or by the embedder."""
        cosine = self.evidence.text_cosine
        return shared_share(self.ours.words, self.theirs.words) >= self.limits.question or (
            cosine is not None and cosine >= self.limits.text_cosine
        )

    def verdict(self) -> Verdict | None:
        """The leak that the evidence amounts to; null for none."""
        return self._by_image() or self._by_text()

    def _by_image(self) -> Verdict | None:
        match, checks = self.evidence.image, self.limits.checks
        grade = None if match is None else match.grade(self.limits)
        if match is None or grade is None:
            return None
        because = f"image {match.brightness:.2f} in brightness, {match.structure:.2f} in structure"
        cosine = self.evidence.image_cosine
        if grade == "near" and cosine is not None and cosine >= self.limits.image_cosine:
            grade, because = "same", f"{because}, cosine {cosine:.3f}"
        if "pair" in checks and self.same_answer and self.near:
            return Verdict("pair", f"{because}, same answer, {'same' if self.exact else 'near'} question")
        return Verdict("image", because) if grade == "same" and "image" in checks else None

    def _by_text(self) -> Verdict | None:
        found = self._words_found()
        if found is None:
            return None
        if found.kind == "overlap" and self.evidence.is_quoted and not self.theirs.images:
            return found
        if not self.choices_agree:
            return None
        if not self.ours.images and not self.theirs.images:
            return found if found.kind != "embedding" or self.same_answer else None
        if self.evidence.is_blank:
            return Verdict(found.kind, f"{found.because}, same answer") if self.same_answer else None
        is_long = len(self.theirs.words) >= self.limits.size
        if is_long and not self.evidence.is_template and self.same_answer:
            return Verdict(found.kind, f"{found.because}, same answer")
        return None

    def _words_found(self) -> Verdict | None:
        evidence, limits = self.evidence, self.limits
        if self.exact and "exact" in limits.checks:
            return Verdict("exact", "same question")
        if evidence.overlap is not None and evidence.overlap >= limits.overlap and "overlap" in limits.checks:
            return Verdict("overlap", f"{evidence.overlap:.0%} of its {limits.size}-grams")
        cosine = evidence.text_cosine
        if cosine is not None and cosine >= limits.text_cosine and "embedding" in limits.checks:
            return Verdict("embedding", f"cosine {cosine:.3f}")
        return None
