"""eval: how often a policy is right on benchmarks, with intervals.

reads:   problem/1; each file is a benchmark, named by its stem
writes:  score/1, one line per problem and profile, in the order of the input; a table on stderr
example: anectl eval bench/*.jsonl --model ./base > scores.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from anectl import console, engines, options, sampling_options
from anectl.core import drawing
from anectl.core.accuracy import Accuracy
from anectl.core.answers import Answered, Answers, ModelAnswers, SavedAnswers
from anectl.core.card import PixelStats, run_card
from anectl.core.completion_grades import LazyVerifier
from anectl.core.errors import UsageError
from anectl.core.images import ImageRoot
from anectl.core.ledger import Ledger
from anectl.core.ordered import ordered_map
from anectl.core.output import write_atomic
from anectl.core.pace import expected_rows
from anectl.core.predictions import PredictionStore
from anectl.core.problem_rows import Row, benchmark_of, read_rows
from anectl.core.profiles import Profile, load_profile
from anectl.core.prompts import DEFAULT_INSTRUCTION
from anectl.core.records import Problem, Score
from anectl.core.run import Run
from anectl.core.scaffolds import load_template
from anectl.core.score_table import group_table, score_table
from anectl.core.scoring import DisagreementLog, Finished, mark_of, scores_of
from anectl.core.tally import Tally

TemplateFile = Annotated[Path | None, typer.Option(help="YAML file with the words of the scaffold levels.")]
HintLevel = Annotated[int, typer.Option(min=0, max=5, help="Show each problem its own scaffold of this level.")]
ModelOrNone = Annotated[str | None, typer.Option("--model", "-m", help="Checkpoint folder or Hugging Face name.")]
PredictionFiles = Annotated[
    list[str] | None, typer.Option("--predictions", help="Score these saved completions; nothing is generated.")
]
CardFile = Annotated[Path | None, typer.Option(help="Write the run card here; the manifest of -o has it too.")]


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    model: ModelOrNone = None,
    predictions: PredictionFiles = None,
    engine: sampling_options.Engine = "transformers",
    profile: options.Profiles = ["strict"],  # noqa: B006 - typer wants the default itself
    num_samples: Annotated[int, typer.Option("--num-samples", "-k", min=1, help="Completions of each problem.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    top_p: options.TopP = 1.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    instruction: options.Instruction = DEFAULT_INSTRUCTION,
    hint_level: HintLevel = 0,
    template: TemplateFile = None,
    batch_size: options.BatchSize = 16,
    dtype: options.Dtype = "auto",
    url: sampling_options.Url = None,
    concurrency: sampling_options.Concurrency = 32,
    engine_arg: sampling_options.EngineArguments = [],  # noqa: B006 - typer wants the default itself
    ray: sampling_options.Ray = None,
    replicas: sampling_options.Replicas = 1,
    replica_gpus: sampling_options.ReplicaGpus = 0.0,
    unordered: sampling_options.Unordered = False,
    id_field: Annotated[str | None, typer.Option(help="Field of a prediction that is the problem's id.")] = None,
    text_field: Annotated[str | None, typer.Option(help="Field of a prediction with its text or texts.")] = None,
    policy: Annotated[str | None, typer.Option(help="What to call the policy that made the predictions.")] = None,
    disagreements: options.DisagreementFile = None,
    card: CardFile = None,
    image_root: options.Root = None,
    remote_images: options.RemoteImages = False,
    output: options.OutputFile = None,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    config: options.Config = None,
) -> None:
    """Score a policy on benchmarks: one file is one benchmark, named by its stem.

    Greedy by default; with -k K --temperature T the accuracy is the mean over K completions, and pass@k, pass^k and
    maj@k are estimated from them. Two intervals of 95% are given: Wilson's, and a bootstrap that keeps problems with
    the same image together. A completion that cannot be judged counts as wrong, and the upper bound shows what it
    could have been. --hint-level shows each problem the scaffold made from its own worked steps.

    --profile NAME, as often as wanted, scores by the official rule of a benchmark or of another harness; where profiles
    differ is shown. --predictions FILE takes the completions from a file instead of a model: rollouts, scores, the
    output of a batch API, or rows of JSON Lines, JSON, CSV or TSV with an id (ours, or the set's own) and a text.

    Example: anectl eval bench/*.jsonl --model ./base > scores.jsonl
    """
    if (model is None) == (not predictions):
        raise UsageError("eval needs one of --model and --predictions")
    profiles = [load_profile(name) for name in dict.fromkeys(profile)]
    _refuse_same_names(inputs or [])
    log = console.log("eval")
    root = ImageRoot(image_root, allow_remote=remote_images)
    with ExitStack() as closing:
        tally = Tally()
        answers = _answers(context, closing, tally)
        run = sampling_options.resumable_run("eval", context, log)
        ledger = closing.enter_context(Ledger())
        differences = closing.enter_context(DisagreementLog(disagreements))
        evaluation = Evaluation(run, profiles, answers, ledger, differences, tally)
        with run:
            console.quiet_libraries()
            if dry_run:
                for line in answers.dry_run(run, evaluation.rows(root)):
                    log(line)
                return
            evaluation.write(root)
            evaluation.note_results(seed, card)
    evaluation.show(log)


class Evaluation:
    """The work of one run: rows in, score lines out, and the figures over them."""

    def __init__(
        self,
        run: Run,
        profiles: Sequence[Profile],
        answers: Answers,
        ledger: Ledger,
        differences: DisagreementLog,
        tally: Tally,
    ) -> None:
        self._run, self._profiles, self._answers = run, profiles, answers
        self._ledger, self._differences, self._tally = ledger, differences, tally
        self._finished = Finished([profile.name for profile in profiles])
        self._pixels = PixelStats()
        self._first_prompt: str | None = None
        self._results: dict[str, list[Accuracy]] = {}
        self._note: str | None = None

    def rows(self, root: ImageRoot) -> Iterator[Row]:
        """The checked problems; those whose lines an interrupted run has written are marked as finished."""
        for done in self._run.finished(Score):
            self._answers.refuse_other(done, str(self._run.output.path))
            self._finished.add(done)
            self._ledger.add(done, done.problem)
            self._differences.add_line(done, len(self._profiles))
        yield from read_rows(
            self._run,
            root,
            unique=partial(_name, self._run),
            mark_of=mark_of,
            finished=self._finished.rows(),
            pixels=self._pixels,
            decode_images=self._answers.live,
            require=self._answers.check,
        )

    def write(self, root: ImageRoot) -> None:
        """Grade every row under every profile, write the lines, and count them."""
        verifier = LazyVerifier(engines.load_verifier)

        def graded(answered: Answered) -> tuple[Row, list[Score]]:
            return answered.row, scores_of(answered, self._profiles, verifier)

        answered = self._answers.answers(self.rows(root))
        # What a model draws is graded and written at once, so that a kill loses no more than a block of it.
        rows = map(graded, answered) if self._answers.live else ordered_map(graded, answered)
        with console.progress("eval", expected_rows(self._run.inputs, self._run.limit)) as advance:
            for row, scores in rows:
                self._write(row, scores)
                advance(self._tally.note(), self._tally.figures(), is_new=bool(scores))

    def _write(self, row: Row, scores: Sequence[Score]) -> None:
        if self._first_prompt is None:
            self._first_prompt = self._answers.prompt(row.problem)
        if not scores:
            self._run.keep()
            return
        self._tally.add(row.problem.id, scores[0].completions)
        if len(scores) > 1:
            self._differences.add(row.benchmark, row.problem.id, {one.profile: one.completions for one in scores})
        owed = [score for score in scores if self._finished.owes(row, score.profile)]
        for number, score in enumerate(owed):
            self._run.write(score, rows=int(number == 0))
            self._ledger.add(score, row.problem)

    def note_results(self, seed: int, card: Path | None) -> None:
        """Put the figures and the run card into the manifest, and the card into its file."""
        self._results = self._ledger.results(seed=seed)
        self._note = self._answers.note()
        facts = run_card(
            policy=self._answers.policy,
            sampling=self._answers.sampling,
            first_prompt=self._first_prompt,
            scaffold_level=self._answers.level,
            pixels=self._pixels,
            profiles=self._profiles,
            manifest=self._run.description,
        )
        self._run.notes |= {
            "sampled": self._tally.facts(),
            "accuracy": {name: [one.facts() for one in found] for name, found in self._results.items()},
            "disagreement": self._differences.counts.facts(),
            "card": facts,
        }
        if card is not None:
            write_atomic(card, msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")

    def show(self, log: Callable[[str], None]) -> None:
        """Print what there is to know, then a table for each profile and one of their disagreements."""
        log(self._tally.summary(timed=self._answers.live))
        if self._note is not None:
            log(self._note)
        level = f", scaffold level {self._answers.level}" if self._answers.level else ""
        for name, found in self._results.items():
            console.table(f"{self._answers.policy}{level}, profile {name}", *score_table(found))
            groups = group_table(found)
            if groups:
                console.table(f"{name}: the benchmark's own figures", *groups)
        if len(self._profiles) > 1:
            console.table("completions on which profiles disagree", *self._differences.counts.as_table())


def _answers(context: typer.Context, closing: ExitStack, tally: Tally) -> Answers:
    given = context.params
    if given["model"] is None:
        store = closing.enter_context(PredictionStore(id_field=given["id_field"], text_field=given["text_field"]))
        for path in given["predictions"]:
            store.read(path)
        return SavedAnswers(store, policy=given["policy"], fallback=Path(given["predictions"][0]).stem)
    drawing.refuse_odd_options(
        given["engine"], unordered=given["unordered"], resume=given["resume"], retry_failed=False
    )
    settings = sampling_options.engine_settings(context)
    return ModelAnswers(
        settings.policy,
        drawing.sampling_of(
            given["num_samples"],
            given["temperature"],
            given["top_p"],
            given["max_tokens"],
            given["seed"],
            given["instruction"],
        ),
        instruction=given["instruction"],
        level=given["hint_level"],
        template=load_template(given["template"]),
        batch_size=given["batch_size"],
        load_sampler=partial(tally.clocked, partial(engines.load_sampler, settings)),
        load_preflight=partial(engines.load_preflight, settings),
        unordered=given["unordered"],
    )


def _name(run: Run, problem: Problem) -> str:
    """Ids come once in a benchmark, which is the file just read."""
    return f"{benchmark_of(run.source)}/{problem.id}"


def _refuse_same_names(inputs: Sequence[str]) -> None:
    names = Counter(map(benchmark_of, inputs))
    for name, count in names.items():
        if count > 1:
            raise UsageError(
                f"{count} files are the benchmark {name!r}", hint="a benchmark is named by its file's stem"
            )
