"""Accuracy of a base model per family: bare, sampled, and with the hints of each scaffold level."""

from __future__ import annotations

import random

import torch
from families import Task
from mixture import TEMPLATE, to_record
from PIL import Image
from tiles import render_grid
from transformers import Idefics3ForConditionalGeneration, Idefics3Processor
from world import FAMILIES, WorldGenerator

from anectl.core.prompts import framed, user_text
from anectl.core.scaffolds import scaffold_text

Question = tuple[Image.Image, Task]
MAX_NEW_TOKENS = 64


def held_out(count: int, seed: int) -> dict[str, list[Question]]:
    """`count` questions per family on pictures of their own."""
    generator = WorldGenerator()
    return {
        family: [
            (render_grid(grid), task) for _, grid, task in generator.split(f"held-out-{family}", count, (family,), seed)
        ]
        for family in FAMILIES
    }


def prompt_text(task: Task, level: int) -> str:
    record = to_record(task.question, task.work)
    return framed(user_text(record, ""), TEMPLATE.frame, scaffold_text(record, level, TEMPLATE))


def answered(completion: str) -> str:
    return completion.rpartition("Answer:")[2].strip()


@torch.no_grad()
def complete(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    questions: list[Question],
    *,
    level: int = 0,
    temperature: float = 0.0,
) -> list[str]:
    messages = [
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt_text(task, level)}]}]
        for _, task in questions
    ]
    texts = [processor.apply_chat_template(turns, add_generation_prompt=True) for turns in messages]
    pictures = [[picture] for picture, _ in questions]
    inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    output = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, **sampling)
    return processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def accuracy(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    questions: list[Question],
    *,
    level: int = 0,
    temperature: float = 0.0,
) -> float:
    completions = complete(model, processor, questions, level=level, temperature=temperature)
    right = [answered(text) == task.work.answer for text, (_, task) in zip(completions, questions, strict=True)]
    return sum(right) / len(right)


def accuracy_table(
    model: Idefics3ForConditionalGeneration, processor: Idefics3Processor, *, count: int, seed: int
) -> dict[str, list[float]]:
    """Per family: bare greedy, bare at T=1, then greedy with the hint of levels 1 to 5."""
    model.eval()
    torch.manual_seed(seed)
    questions = held_out(count, random.Random(f"{seed}/held-out").randrange(2**31))
    table = {}
    for family, asked in questions.items():
        bare = [accuracy(model, processor, asked), accuracy(model, processor, asked, temperature=1.0)]
        table[family] = bare + [accuracy(model, processor, asked, level=level) for level in range(1, 6)]
    return table


def to_markdown(table: dict[str, list[float]]) -> str:
    rows = [*table.items(), ("mean", [sum(column) / len(column) for column in zip(*table.values(), strict=True)])]
    lines = ["| family | bare | bare, T=1 | L1 | L2 | L3 | L4 | L5 |", "|---|---|---|---|---|---|---|---|"]
    lines += [f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |" for name, values in rows]
    return "\n".join(lines)
