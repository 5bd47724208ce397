"""The leak check by its rules alone, and with a model that reads what they let pass: what each finds and takes.

Usage: python benchmarks/bench_leak_reader.py --model M [--engine vllm] [--tables sealed]

The tables are those of tests/scaffold_leaks that nobody need have seen: texts with a planted leak, and clean ones. The
rules were mended on all of them but `sealed`, so that of the others the column of the rules is too kind. The model is
asked as by `scaffold --read-scaffolds`. With --show the texts that both get wrong are printed: then the table is one
that has been seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anectl import engines
from anectl.core.drafts import Draft, Drafter
from anectl.core.leak_reading import READER, LeakReader
from anectl.core.metrics import wilson
from anectl.core.model_prompts import load_prompt
from anectl.core.probing import Job, run_jobs
from anectl.core.protocols import SamplingParams
from anectl.core.scaffolds import Help
from anectl.core.templates import Template
from anectl.engines import EngineSettings, load_verifier
from anectl.options import key_values
from anectl.scaffold_parts import the_judge

if TYPE_CHECKING:
    from tests.leak_cases import LeakCase

ROOT = Path(__file__).parent.parent

# A ladder of one level, which is the text itself.
BARE = Template("bare", "{question}\n{scaffold}", ("{knowledge}",))
WINDOW = 64


def shown(drafter: Drafter, case: LeakCase) -> Draft:
    """A draft whose only scaffold is the text; it is bare where the rules find a leak."""
    draft = drafter.draft(case.problem, (), "frontier", "", None)
    return drafter.helped(draft, Help("table", {"knowledge": case.text}))


def share(count: int, total: int) -> str:
    """`42 of 300, 14.0% (10.5 to 18.4)`."""
    low, high = wilson(count, total)
    return f"{count} of {total}, {100 * count / total:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def groups_of(names: Sequence[str]) -> list[tuple[str, list[LeakCase]]]:
    """The leaks, the clean texts whose answer is a small integer, and the other clean texts of each table."""
    sys.path.insert(0, str(ROOT))
    from tests.leak_cases import read_rows

    groups: list[tuple[str, list[LeakCase]]] = []
    for name in names:
        clean = read_rows("clean", name)
        groups += [
            (f"{name}, leaks", read_rows("leaks", name)),
            (f"{name}, clean, small integers", [case for case in clean if case.form == "small_int"]),
            (f"{name}, clean, others", [case for case in clean if case.form != "small_int"]),
        ]
    return [group for group in groups if group[1]]


def report(name: str, cases: Sequence[LeakCase], ruled: Sequence[Draft], read: Sequence[Draft], *, show: bool) -> None:
    """What is thrown away of a group of cases, by the rules and by both."""
    by_rules, by_both = ([not any(draft.ladder) for draft in drafts] for drafts in (ruled, read))
    print(f"{name}, thrown away by the rules: {share(sum(by_rules), len(cases))}")
    print(f"{name}, by the rules or the model: {share(sum(by_both), len(cases))}", flush=True)
    for case, is_gone in zip(cases, by_both, strict=True) if show else ():
        if is_gone is not name.endswith("leaks"):
            print(f"  {case.form}: {case.problem.question!r} {case.problem.answer!r}: {case.text!r}")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", default="transformers", choices=["transformers", "vllm", "openai", "fake"])
    parser.add_argument("--url", help="of an openai server")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--reader-prompt", type=Path)
    parser.add_argument("--max-tokens", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--tables", nargs="+", default=["sealed"], metavar="NAME")
    parser.add_argument("--show", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Print for each table what is found of its leaks, and taken of its clean texts."""
    asked = options()
    drafter = Drafter(BARE, (1,))
    params = SamplingParams(0.0, 1.0, asked.max_tokens)
    settings = EngineSettings(
        engine=asked.engine,
        model=asked.model,
        batch_size=asked.batch_size,
        url=asked.url,
        arguments=key_values("--engine-arg", asked.engine_arg),
    )
    reader = LeakReader(load_prompt(asked.reader_prompt, READER), params, the_judge(load_verifier()), drafter, 0)
    groups = groups_of(asked.tables)
    ruled = [[shown(drafter, case) for case in cases] for _, cases in groups]
    jobs = (Job(partial(reader.read, draft)) for drafts in ruled for draft in drafts)
    # One run for all tables: an engine is closed at the end of it.
    results = run_jobs(jobs, load_sampler=partial(engines.load_sampler, settings), window=WINDOW)
    for (name, cases), drafts in zip(groups, ruled, strict=True):
        read = [found for _, found in zip(drafts, results, strict=False) if found is not None]
        report(name, cases, drafts, read, show=asked.show)
    print(reader.readings.summary())


if __name__ == "__main__":
    main()
