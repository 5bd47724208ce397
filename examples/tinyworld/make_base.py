"""Build the base model of the tiny world from a seed: tokenizer, tower, decoder, accuracy table.

    python make_base.py [--out base] [--seed 0] [--steps 2200]

About ten minutes on two CPU cores. The same seed gives the same model up to the float noise of threads.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from pathlib import Path

import torch
from architecture import build_model, build_processor, build_tokenizer
from evaluation import accuracy_table, to_markdown
from mixture import draw_example
from pretraining import train_decoder, train_tower
from transformers import Idefics3ForConditionalGeneration, Idefics3Processor

HERE = Path(__file__).parent
CORPUS_EXAMPLES = 5000
TOWER_STEPS, TOWER_BATCH = 400, 64
DECODER_BATCH = 64
# Steps and learning rate of the decoder's two cycles. Reading the tiles sets in late in the first, so that a single
# cycle would be cut short just after; the second starts again from a raised rate.
CYCLES = ((2000, 2e-3), (900, 1.5e-3))


def build_corpus(seed: int) -> list[str]:
    rng = random.Random(f"{seed}/corpus")
    examples = [draw_example(rng) for _ in range(CORPUS_EXAMPLES)]
    return [text for example in examples for text in (example.user, example.given + example.target)]


def save(model: Idefics3ForConditionalGeneration, processor: Idefics3Processor, out: Path) -> None:
    """Write beside the target and swap, so that nobody loads half a model."""
    fresh, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(fresh)
    processor.save_pretrained(fresh)
    (fresh / "model.safetensors").chmod(0o644)
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def describe(facts: dict[str, str], table: str) -> str:
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"""# Base model of the tiny world

Written by `make_base.py`; do not edit. An Idefics3 model trained from scratch on synthetic examples.

{listed}

Accuracy in percent on held-out problems, greedy unless it says T=1. L1 to L5 are the scaffold levels of
`scaffold.yaml`, given in the prompt.

{table}
"""


def parse_options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "base")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--held-out", type=int, default=256, help="problems per family of the table (default 256)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse_options(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    started = time.monotonic()
    tokenizer = build_tokenizer(build_corpus(options.seed))
    processor = build_processor(tokenizer)
    model = build_model(tokenizer)
    tower = train_tower(model, steps=TOWER_STEPS, batch_size=TOWER_BATCH, seed=options.seed)
    print(f"tower: {100 * tower:.1f}% of tiles read right", flush=True)
    for cycle, (steps, learning_rate) in enumerate(CYCLES):
        train_decoder(
            model,
            tokenizer,
            steps=steps,
            batch_size=DECODER_BATCH,
            learning_rate=learning_rate,
            seed=options.seed,
            cycle=cycle,
            report=lambda line: print(line, flush=True),
        )
    minutes = (time.monotonic() - started) / 60
    save(model, processor, options.out)
    table = to_markdown(accuracy_table(model, processor, count=options.held_out, seed=options.seed))
    facts = {
        "seed": str(options.seed),
        "parameters": f"{sum(weight.numel() for weight in model.parameters()):,}",
        "tower": f"{TOWER_STEPS} steps of {TOWER_BATCH} pictures, {100 * tower:.1f}% of tiles read right, then frozen",
        "decoder": f"cycles of {' and '.join(str(steps) for steps, _ in CYCLES)} steps of {DECODER_BATCH} examples",
        "training time": f"{minutes:.1f} minutes on {options.threads} CPU threads",
        "held-out problems": f"{options.held_out} per family",
    }
    (options.out / "README.md").write_text(describe(facts, table), encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
