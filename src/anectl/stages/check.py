"""check: are these files sound, before a long run finds out that they are not.

reads:   any records; the schema field of a row says what it is, a row without one is taken for a problem
writes:  reject/1, one line per bad row; exit 1 when there is any
example: anectl check problems.jsonl --model ./base

With --model, each problem's prompt is measured as that model's processor makes it; no weights are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer

from anectl import console, engines, options
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.helper_prompt import HELPER
from anectl.core.images import ImageRoot
from anectl.core.jsonl import STDIN, Line, decode, parse_object, schema_tag
from anectl.core.judging import JUDGE
from anectl.core.leak_reading import READER
from anectl.core.model_prompts import kind_of, load_prompt
from anectl.core.preflight import PromptSizes
from anectl.core.prompts import DEFAULT_INSTRUCTION, conversation, user_text
from anectl.core.protocols import PromptRequest
from anectl.core.records import RECORDS, Anchored, Example, Frontier, Problem, Record, Rollout, Score
from anectl.core.run import Run, rejected
from anectl.core.templates import load_template

_TABLES = frozenset({".csv", ".tsv", ".parquet", ".arrow"})
ImageCheck: TypeAlias = Callable[[str, str | None], None]
"""Takes an image reference and the file whose row names it. Raises RowError when the image is of no use."""

PromptCheck: TypeAlias = Callable[[Problem, str | None], None]
"""Takes a problem and the file of its row. Raises RowError when its images or its prompt are of no use."""


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    images: Annotated[bool, typer.Option(help="Find and decode the images too.")] = True,
    image_root: options.Root = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Measure the prompts of problems against this checkpoint.")
    ] = None,
    instruction: options.Instruction = DEFAULT_INSTRUCTION,
    max_tokens: options.MaxTokens = 512,
    template: Annotated[
        Path | None,
        typer.Option(help="Check this scaffold template, or prompt of a helper, reader or judge, instead of rows."),
    ] = None,
    output: options.OutputFile = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Check every row of any files: types, versions, doubled rows, images. Exit 1 when a row is bad.

    All bad rows are reported, on stderr as file:line and on stdout as reject rows. With --model, a problem is bad too
    when its prompt, with its images, fills the model's window or holds a stray image token; --instruction and
    --max-tokens are those of the run to come. With --template, every fault of a scaffold template is
    reported, or of a prompt for a model that writes scaffolds, reads them or judges.

    Example: anectl check problems.jsonl train.jsonl --image-root images/
    """
    if model is not None and not images:
        raise UsageError("--no-images with --model: a prompt cannot be measured without its images")
    log = console.log("check")
    if template is not None:
        if inputs:
            raise UsageError("--template goes without files of rows", hint="check them in another call")
        log(f"{template}: {_sound(template)}")
        return
    _refuse_tables(inputs or ())
    sizes = None if model is None else _prompt_sizes(model, max_tokens)
    files: dict[str, Counter[str]] = {}
    with Run("check", context.params, inputs=inputs or (), output=output, limit=limit, log=log) as run:
        prompt = None if sizes is None else prompt_check(sizes, image_root, instruction)
        check = RowCheck(image_check(image_root) if images else None, prompt)
        for line in run.lines():
            counts = files.setdefault(line.path, Counter())
            try:
                counts[schema_tag(type(check(line)))] += 1
                run.keep()
            except RowError as error:
                counts["bad"] += 1
                log(f"{line.path}:{line.number}: {error.problem}" + (f" ({error.hint})" if error.hint else ""))
                run.write(rejected(line, error))
        for path, counts in files.items():
            log(f"{path}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
        if sizes is not None:
            run.notes["prompts"] = sizes.facts()
            log(sizes.summary())
    if run.num_written:
        raise AnectlError(f"{run.num_written} of {run.num_read} rows are bad")


def _sound(template: Path) -> str:
    """What the file is. Raises AnectlError with all its faults."""
    if (kind := kind_of(template, (HELPER, READER, JUDGE))) is not None:
        load_prompt(template, kind)
        return f"a sound {kind.name}'s prompt"
    load_template(template)
    return "a sound scaffold template"


class RowCheck:
    """Checks rows one by one, and remembers what may come once only in a file."""

    def __init__(self, image: ImageCheck | None = None, prompt: PromptCheck | None = None) -> None:
        """`image` is called for each image of a record, `prompt` for each problem; None leaves them alone."""
        self._image, self._prompt = image, prompt
        self._seen: dict[Hashable, int] = {}

    def __call__(self, line: Line) -> Record:
        """The record of a sound line. Raises RowError: unreadable, of wrong types, doubled, or with a bad image."""
        tag = parse_object(line.data).get("schema")
        record = decode(line.data, RECORDS.get(str(tag).partition("/")[0], Problem))
        identity = identity_of(record)
        if identity is not None:
            first = self._seen.setdefault((line.path, identity), line.number)
            if first != line.number:
                raise RowError(f"duplicate of line {first}: {', '.join(map(str, identity))}")
        source = None if line.path == STDIN else line.path
        if self._prompt is not None and isinstance(record, Problem):
            self._prompt(record, source)
        elif self._image is not None:
            for ref in _images(record):
                self._image(ref, source)
        return record


def identity_of(record: Record) -> tuple[Hashable, ...] | None:
    """What tells a row from every other of its file; None where rows may repeat (examples, results).

    Lines of one problem merge in locate-frontier, so a rollout repeats only when its seed does: the same draws would
    count twice.
    """
    if isinstance(record, Problem):
        return ("id", record.id)
    if isinstance(record, Frontier):
        return ("problem.id", record.problem.id, record.policy)
    if isinstance(record, Rollout):
        sampling = msgspec.json.encode(record.sampling).decode()
        return ("problem.id", record.problem.id, record.policy, sampling)
    if isinstance(record, Score):
        return ("problem_id", record.problem_id, record.benchmark, record.policy, record.scaffold_level)
    return None


def _images(record: Record) -> Iterator[str]:
    if isinstance(record, (Problem, Example)):
        yield from record.images
    if isinstance(record, Rollout):
        yield from record.problem.images
    if isinstance(record, Anchored):
        for anchor in record.anchors:
            yield from anchor.problem.images


def image_check(root: Path | None) -> ImageCheck:
    """A check that finds an image and decodes it whole; each file is decoded once."""
    images = ImageRoot(root)
    sound: set[str] = set()

    def check(ref: str, source: str | None) -> None:
        image = images.resolve(ref, source)
        if image.location not in sound:
            image.open()
            sound.add(image.location)

    return check


def prompt_check(sizes: PromptSizes, root: Path | None, instruction: str) -> PromptCheck:
    """A check that decodes a problem's images, and measures its prompt as rollout would make it."""
    images = ImageRoot(root)

    def check(problem: Problem, source: str | None) -> None:
        prompt = conversation(user_text(problem, instruction))
        sizes.measure(problem.id, PromptRequest(problem.id, prompt, images.resolve_all(problem.images, source), ()))

    return check


def _refuse_tables(inputs: Sequence[str]) -> None:
    """A table would be a bad row in each of its lines."""
    for path in inputs:
        if Path(path).suffix.lower() in _TABLES:
            raise UsageError(f"{path} is a table, not JSON Lines", hint=f"anectl import table {path} > problems.jsonl")


def _prompt_sizes(model: str, max_tokens: int) -> PromptSizes:
    console.quiet_libraries()
    return PromptSizes(engines.load_engine("preflight", "train").ProcessorPreflight(model), max_tokens)
