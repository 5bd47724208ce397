"""How the base model is trained: first the tower on tile labels, then, with the tower frozen, all the rest."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator

import torch
from architecture import FAKE_IMAGE, GLOBAL_IMAGE, IMAGE, IMAGE_SIDE, NUM_PATCHES, PATCH, VISION_HIDDEN
from mixture import Example, draw_example
from tiles import COLOURS, Grid, render_tile, sample_grid
from torch import Tensor, nn
from torch.nn import functional
from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

# Axes: B examples, T text positions, N patches, D digit-and-colour pairs, H W pixels.
PALETTE = list(COLOURS)
TILES_PER_SIDE = IMAGE_SIDE // PATCH
CHUNK_BATCHES = 50  # batches that are sorted by length together, so that padding stays small
MUON_RATE = 0.02
IGNORE = -100


def tile_table() -> Tensor:
    """Every tile as the image processor would normalise it, to -1..1 (shape: D 3 H W)."""
    tiles = [render_tile(digit, colour) for digit in range(10) for colour in PALETTE]
    pixels = torch.stack([torch.frombuffer(bytearray(tile.tobytes()), dtype=torch.uint8) for tile in tiles])
    return pixels.view(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2).float() / 127.5 - 1


def tile_ids(grids: list[Grid]) -> Tensor:
    """Index of each tile in the table (shape: B N)."""
    return torch.tensor(
        [
            [digit * len(PALETTE) + PALETTE.index(colour) for digit, colour in zip(digits, colours, strict=True)]
            for grid in grids
            for digits, colours in [(sum(grid.digits, ()), sum(grid.colours, ()))]
        ]
    )


def assemble(table_D: Tensor, ids_BN: Tensor) -> Tensor:
    """Pictures from tile indices, without going through a PNG (shape: B 1 3 H W)."""
    side = TILES_PER_SIDE
    tiles = table_D[ids_BN].view(-1, side, side, 3, PATCH, PATCH)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(-1, 1, 3, IMAGE_SIDE, IMAGE_SIDE)


def one_cycle(optimizer: torch.optim.Optimizer, steps: int, warmup: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then cosine to zero."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def tower_features(model: Idefics3ForConditionalGeneration, pixels: Tensor) -> Tensor:
    return model.model.vision_model(pixel_values=pixels.flatten(0, 1)).last_hidden_state


def train_tower(model: Idefics3ForConditionalGeneration, *, steps: int, batch_size: int, seed: int) -> float:
    """Teach the tower what is on each tile and where; returns the accuracy of the last batches on all four labels.

    Trained together with the decoder from scratch the tower stays on a plateau: the labels are what gets it off.
    """
    rng, table = random.Random(f"{seed}/tower"), tile_table()
    sizes = (10, len(PALETTE), TILES_PER_SIDE, TILES_PER_SIDE)
    heads = nn.Linear(VISION_HIDDEN, sum(sizes))
    optimizer = torch.optim.AdamW([*model.model.vision_model.parameters(), *heads.parameters()], lr=2e-3)
    schedule = one_cycle(optimizer, steps, warmup=20)
    positions = torch.arange(NUM_PATCHES).expand(batch_size, -1)
    hits = []
    for _ in range(steps):
        ids = tile_ids([sample_grid(rng) for _ in range(batch_size)])
        places = (positions // TILES_PER_SIDE, positions % TILES_PER_SIDE)
        labels = (ids // len(PALETTE), ids % len(PALETTE), *places)
        logits = heads(tower_features(model, assemble(table, ids))).split(sizes, dim=-1)
        loss = sum(
            functional.cross_entropy(part.flatten(0, 1), label.flatten())
            for part, label in zip(logits, labels, strict=True)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        right = [part.argmax(-1) == label for part, label in zip(logits, labels, strict=True)]
        hits.append(torch.stack(right).all(0).float().mean().item())
    return sum(hits[-20:]) / 20


class Encoder:
    """Token ids of an example, as the chat template and the processor would lay them out."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        head = f"<|user|>{FAKE_IMAGE}{GLOBAL_IMAGE}{IMAGE * NUM_PATCHES}{FAKE_IMAGE}"
        self.head = tokenizer(head).input_ids
        self.first_patch = self.head.index(tokenizer.convert_tokens_to_ids(IMAGE))
        self.turn = tokenizer(f"{tokenizer.eos_token}<|assistant|>").input_ids

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.backend_tokenizer.encode(text).ids

    def encode(self, example: Example) -> tuple[list[int], list[int]]:
        """Input ids, and labels that leave the prompt and the given opening out."""
        given = [*self.head, *self.ids(example.user), *self.turn, *self.ids(example.given)]
        target = [*self.ids(example.target), self.tokenizer.eos_token_id]
        return given + target, [IGNORE] * len(given) + target


def batches(
    encoder: Encoder, *, steps: int, batch_size: int, seed: int, cycle: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(tile indices B N, input ids B T, labels B T); the last two padded on the right, where no token looks."""
    rng, pad = random.Random(f"{seed}/decoder/{cycle}"), encoder.tokenizer.pad_token_id
    for first in range(0, steps, CHUNK_BATCHES):
        count = min(CHUNK_BATCHES, steps - first)
        examples = [draw_example(rng, cycle) for _ in range(count * batch_size)]
        rows = sorted(((*encoder.encode(x), x.grid) for x in examples), key=lambda row: len(row[0]))
        for index in rng.sample(range(count), count):
            part = rows[index * batch_size : (index + 1) * batch_size]
            width = max(len(ids) for ids, _, _ in part)
            inputs = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _, _ in part])
            labels = torch.tensor([label + [IGNORE] * (width - len(label)) for _, label, _ in part])
            yield tile_ids([grid for _, _, grid in part]), inputs, labels


def completion_loss(
    model: Idefics3ForConditionalGeneration, features: Tensor, inputs: Tensor, labels: Tensor, first_patch: int
) -> Tensor:
    """Mean loss of the completion tokens; logits are computed at those alone."""
    embeddings = model.get_input_embeddings()(inputs)
    patches = model.model.connector(features)
    spread = torch.cat([embeddings[:, :first_patch], patches, embeddings[:, first_patch + NUM_PATCHES :]], dim=1)
    hidden = model.model.text_model(inputs_embeds=spread, use_cache=False).last_hidden_state
    targets = labels[:, 1:]
    wanted = targets != IGNORE
    return functional.cross_entropy(model.lm_head(hidden[:, :-1][wanted]), targets[wanted])


def build_optimizers(model: Idefics3ForConditionalGeneration, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the decoder's layers, AdamW for the rest.

    With AdamW alone the attention to tiles by row and place needs several times the steps to form.
    """
    layers = model.model.text_model.layers
    matrices = [weight for weight in layers.parameters() if weight.ndim == 2]
    chosen = {id(weight) for weight in matrices}
    rest = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train_decoder(
    model: Idefics3ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    cycle: int,
    report: Callable[[str], None],
) -> None:
    """Train connector and decoder on one cycle's mixture; the tower stays as it is."""
    encoder, table = Encoder(tokenizer), tile_table()
    model.model.vision_model.requires_grad_(False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizers = build_optimizers(model, learning_rate)
    schedules = [one_cycle(optimizer, steps, warmup=50) for optimizer in optimizers]
    started, recent = time.monotonic(), []
    drawn = batches(encoder, steps=steps, batch_size=batch_size, seed=seed, cycle=cycle)
    for step, (ids, inputs, labels) in enumerate(drawn, 1):
        with torch.no_grad():
            features = tower_features(model, assemble(table, ids))
        loss = completion_loss(model, features, inputs, labels, encoder.first_patch)
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        for stepper in (*optimizers, *schedules):
            stepper.step()
        recent = [*recent[-99:], loss.item()]
        if step % 100 == 0 or step == steps:
            minutes = (time.monotonic() - started) / 60
            report(f"step {step:5d}  loss {sum(recent) / len(recent):.4f}  {minutes:.1f} min")
