"""Finding the benchmark row that a row leaks: candidates by image, by words and by an embedder, then the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from anectl.core.benchmark_rows import BenchmarkRow, BenchmarkRows
from anectl.core.errors import RowError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.keys import digest
from anectl.core.leaks import KINDS, Comparison, Evidence, ImageMatch, Leak, Limits, Side, Verdict
from anectl.core.ngrams import gram_keys, tokens

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGES_KEPT = 512
_MOST_COPIES = 64  # of the benchmark rows with one picture so many are compared, and those that ask the same


class Matcher(Protocol):
    """Benchmark images, numbered from 0 as they are added, and the search for copies of them."""

    count: int

    def add(self, image: Image, group: int) -> bool:
        """Remember an image of a group (a benchmark file); whether it is blank."""
        ...

    def search(self, image: Image) -> tuple[list[ImageMatch], bool]:
        """The images it may be a copy of, the best first; and whether it is blank."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Meaning(Protocol):
    """Benchmark questions by an embedder."""

    def add(self, number: int, question: str) -> None:
        """Remember a question."""
        ...

    def search(self, questions: Sequence[str]) -> list[dict[int, float]]:
        """For each question the nearest ones' numbers and cosines."""
        ...

    def image_cosine(self, one: ImageRef, other: ImageRef) -> float | None:
        """How alike two images are; null where that is not known."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked for among the benchmarks: a row or an anchor, with its images found."""

    side: Side
    images: tuple[ImageRef, ...]


@dataclass(slots=True)
class _Clues:
    """What the searches say of one benchmark row."""

    image: ImageMatch | None = None
    our_image: ImageRef | None = None
    overlap: float | None = None
    is_quoted: bool = False
    text_cosine: float | None = None


@dataclass(slots=True)
class LeakFinder:
    """Context manager: benchmarks with what finds their rows; `matcher` and `meaning` are null where they are off."""

    root: ImageRoot
    limits: Limits
    matcher: Matcher | None = None
    meaning: Meaning | None = None
    num_flagged: int = 0
    files: Counter[str] = field(default_factory=Counter)
    _rows: BenchmarkRows = field(init=False)
    _owners: list[tuple[int, int]] = field(default_factory=list)
    _matches: dict[str, tuple[list[ImageMatch], bool]] = field(default_factory=dict)
    _blank: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._rows = BenchmarkRows(self.root, self.limits.size)

    def load(self, paths: Iterable[str]) -> None:
        """Read all benchmark files. Raises AnectlError: no such file, a bad row, an image that cannot be decoded."""
        for group, path in enumerate(paths):
            for row in self._rows.add(path):
                self.files[path] += 1
                try:
                    self._blank.append(self._add_images(row, group))
                except RowError as error:
                    raise error.at(row.path, row.line) from None
                if self.meaning is not None:
                    self.meaning.add(row.number, row.side.question)
        self._rows.finish()

    def _add_images(self, row: BenchmarkRow, group: int) -> bool:
        """Whether none of the row's images shows anything; unknown, and so not, where images are not looked at."""
        if self.matcher is None:
            return not row.images
        blank = []
        for place, image in enumerate(row.images):
            blank.append(self.matcher.add(image.open(), group))
            self._owners.append((row.number, place))
        return all(blank)

    @property
    def num_rows(self) -> int:
        """Benchmark rows in all."""
        return self._rows.count

    def row(self, number: int) -> BenchmarkRow:
        """A benchmark row by its number."""
        return self._rows.row(number)

    def cosines(self, subjects: Sequence[Subject]) -> list[dict[int, float]]:
        """For each subject the benchmark rows whose questions are nearest by the embedder; none without one."""
        if self.meaning is None:
            return [{} for _ in subjects]
        return self.meaning.search([subject.side.question for subject in subjects])

    def find(self, subject: Subject, cosines: dict[int, float] | None = None) -> Leak | None:
        """The benchmark row that a subject leaks, or null. Raises RowError for an image that cannot be decoded."""
        is_blank = self._shows_nothing(subject)
        clues = self._clues(subject, cosines or {}, is_blank)
        best: tuple[int, BenchmarkRow, Verdict] | None = None
        for number, clue in clues.items():
            row = self._rows.row(number)
            verdict = self._compared(subject, row, clue, is_blank).verdict()
            if verdict is None:
                self.num_flagged += clue.image is not None and clue.image.grade(self.limits) == "near"
                continue
            rank = _ORDER.index(verdict.kind)
            if best is None or rank < best[0]:
                best = rank, row, verdict
        if best is None:
            return None
        _, row, verdict = best
        return Leak(verdict.kind, verdict.because, row.path, row.line, row.problem.id)

    def _clues(self, subject: Subject, cosines: dict[int, float], is_blank: bool) -> dict[int, _Clues]:
        clues: dict[int, _Clues] = {}
        for image in subject.images if self.matcher is not None else ():
            for match in self._matches_for(image, subject.side):
                if match.grade(self.limits) is None:
                    continue
                clue = clues.setdefault(self._owners[match.number][0], _Clues())
                if clue.image is None or clue.image.excess(self.limits) < match.excess(self.limits):
                    clue.image, clue.our_image = match, image
        side = subject.side
        # Of short questions with pictures the words say nothing: without the same picture they are other questions.
        if is_blank or len(side.words) >= self.limits.size:
            for number in self._rows.equal(side.words, side.choices):
                clues.setdefault(number, _Clues())
        for number, (share, is_quoted) in self._overlaps(side).items():
            clue = clues.setdefault(number, _Clues())
            clue.overlap, clue.is_quoted = share, is_quoted
        for number, cosine in cosines.items():
            if number in clues or cosine >= self.limits.text_cosine:
                clues.setdefault(number, _Clues()).text_cosine = cosine
        return clues

    def _overlaps(self, side: Side) -> dict[int, tuple[float, bool]]:
        """Benchmark rows with the share of their n-grams, and whether it is the other text that has so many."""
        if "overlap" not in self.limits.checks:
            return {}
        own = gram_keys(side.words, self.limits.size)
        keys = set(own)
        for text in side.more:
            keys |= gram_keys(tokens(text), self.limits.size)
        asked = self._rows.overlaps(own, self.limits.overlap)
        found = self._rows.overlaps(keys, self.limits.overlap) if len(keys) > len(own) else asked
        return {number: (share, number not in asked) for number, share in found.items()}

    def _shows_nothing(self, subject: Subject) -> bool:
        if self.matcher is None:
            return not subject.images
        return all(self._matched(image)[1] for image in subject.images)

    def _matches_for(self, image: ImageRef, side: Side) -> list[ImageMatch]:
        """The matches of an image that are looked into: of thousands of copies the first show that it is a leak."""
        matches = self._matched(image)[0]
        if len(matches) <= _MOST_COPIES or "image" not in self.limits.checks:
            return matches
        equal = set(self._rows.equal(side.words, side.choices))
        asking_the_same = [match for match in matches[_MOST_COPIES:] if self._owners[match.number][0] in equal]
        return matches[:_MOST_COPIES] + asking_the_same

    def _matched(self, image: ImageRef) -> tuple[list[ImageMatch], bool]:
        """The matches of an image, and whether it is blank; kept for a while, since many rows may ask about one."""
        assert self.matcher is not None
        data = image.read()
        key = digest([data])
        if key not in self._matches:
            if len(self._matches) >= _IMAGES_KEPT:
                self._matches.pop(next(iter(self._matches)))
            self._matches[key] = self.matcher.search(image.open(data))
        return self._matches[key]

    def _compared(self, subject: Subject, row: BenchmarkRow, clue: _Clues, is_blank: bool) -> Comparison:
        cosine = None
        if self.meaning is not None and clue.image is not None and clue.our_image is not None:
            place = self._owners[clue.image.number][1]
            if clue.image.grade(self.limits) == "near" and "embedding" in self.limits.checks:
                cosine = self.meaning.image_cosine(clue.our_image, row.images[place])
        evidence = Evidence(
            overlap=clue.overlap,
            is_quoted=clue.is_quoted,
            text_cosine=clue.text_cosine,
            image=clue.image,
            image_cosine=cosine,
            is_template=self._rows.is_template(row.side.words),
            is_blank=is_blank and bool(self._blank[row.number]),
        )
        return Comparison(subject.side, row.side, evidence, self.limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.__exit__(kind, error, trace)
        for part in (self.matcher, self.meaning):
            if part is not None:
                part.close()


# The kind that says most comes first, where a row leaks several.
_ORDER = ("pair", "image", "exact", "overlap", "embedding")
assert set(_ORDER) == set(KINDS)


def subject_of(side: Side, root: ImageRoot, source: str | None) -> Subject:
    """A side with its images found; `source` is the file of its row. Raises RowError for one that is missing."""
    return Subject(side, root.resolve_all(side.images, source))
