"""How much memory a training run will need on each device: arithmetic on the model's dimensions, nothing measured.

Counted is what the tensors of one step hold at their peak, in bytes: weights, adapters, gradients, optimizer states,
what the forward pass keeps for the backward pass, and for strip-rl the cache of keys and values while it generates.
Not counted: what the framework and the driver take for themselves, communication buffers, and holes between tensors.

The terms of a decoder layer follow from which inputs its operations save for their gradients; compare Korthikanti et
al., "Reducing Activation Recomputation in Large Transformer Models" (2022), here for gated feed-forward layers and
attention that keeps no score matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GIB = 1 << 30
FLOAT32, BFLOAT16 = 4, 2
# A weight in 4 bits, with the scales of its block of 64 in 8 bits (QLoRA with nested quantisation).
NF4 = 0.5 + 0.127 / 8
# The part of a batch whose logits TRL's head holds at once: so many positions by so many entries of the vocabulary.
HEAD_POSITIONS, HEAD_ENTRIES = 4096, 32_768
# Bytes that an optimizer keeps for each trained parameter, by the beginning of TRL's name for it.
OPTIMIZER_BYTES = {"paged_adamw_8bit": 2, "adamw_8bit": 2, "adamw_bnb_8bit": 2, "adamw": 8, "adafactor": 0, "sgd": 0}

Sharding = Literal["none", "fsdp", "zero3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Dimensions of a vision-language model.

    `parameters` counts all, `decoder` those of the text decoder with its embeddings and its head. `tower_layers`,
    `tower_hidden` and `tower_intermediate` are those of the vision tower, of which `patches` make one image token.
    """

    parameters: int
    decoder: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tower_layers: int = 0
    tower_hidden: int = 0
    tower_intermediate: int = 0
    patches: int = 4

    @property
    def embeddings(self) -> int:
        """Parameters of the table of embeddings, and as many of the head."""
        return self.vocabulary * self.hidden

    @property
    def layer(self) -> int:
        """Parameters of the matrices of one decoder layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return self.hidden * (2 * queries + 2 * keys + 3 * self.intermediate)

    def adapters(self, rank: int) -> int:
        """Parameters of adapters of that rank on all seven matrices of every decoder layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        ends = 2 * (self.hidden + queries) + 2 * (self.hidden + keys) + 3 * (self.hidden + self.intermediate)
        return self.layers * rank * ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What strip-rl draws at once on a device: `rows` completions of at most `completion` tokens."""

    rows: int
    prompt: int
    completion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one device does in one pass: `rows` rows, padded to the `tokens` of the longest one.

    `rank` is that of the adapters, null for full training, where weights are kept in float32. `frozen_bytes` is what
    a weight takes that is not trained. `bfloat16` says what the arithmetic is in. `reference` is a second model, for
    the KL term of full training.
    """

    rows: int
    tokens: int
    image_tokens: int = 0
    rank: int | None = None
    train_vision: bool = False
    frozen_bytes: float = BFLOAT16
    bfloat16: bool = True
    optimizer: str = "adamw_torch"
    checkpointing: bool = True
    reference: bool = False
    devices: int = 1
    sharding: Sharding = "none"
    generation: Generation | None = None

    @property
    def full(self) -> bool:
        """Whether the weights themselves are trained."""
        return self.rank is None

    @property
    def compute_bytes(self) -> int:
        """Bytes of a number that is computed with."""
        return BFLOAT16 if self.bfloat16 else FLOAT32

    @property
    def shards(self) -> int:
        """Over how many devices weights, gradients and optimizer states are spread."""
        return 1 if self.sharding == "none" else self.devices


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each device: what stays all the time, and what comes on top in each of the phases of a step.

    `loading` is the whole model, which lies on each device before it is spread over them.
    """

    resident: Mapping[str, int]
    phases: Mapping[str, Mapping[str, int]]
    loading: int

    @property
    def peak(self) -> int:
        """Bytes at the worst moment."""
        step = sum(self.resident.values()) + max(sum(parts.values()) for parts in self.phases.values())
        return max(step, self.loading)

    def lines(self) -> list[str]:
        """One line for each part, and one for the peak."""
        told = [(name, size) for name, size in self.resident.items() if size]
        for phase, parts in self.phases.items():
            told += [(f"{phase}: {name}", size) for name, size in parts.items() if size]
        told += [("loading", self.loading)] if self.loading == self.peak else []
        return [f"{size_text(size):>10}  {name}" for name, size in [*told, ("peak", self.peak)]]


def size_text(size: float) -> str:
    """Bytes for a reader: `12.3 GiB`, or MiB where it is less than one."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / (1 << 20):.1f} MiB"


def estimate(shape: ModelShape, work: Workload) -> Memory:
    """The memory of one device."""
    phases = {"training": _training(shape, work)}
    if work.generation is not None:
        phases["generation"] = _generation(shape, work, work.generation)
    return Memory(_resident(shape, work), phases, 0 if work.sharding == "zero3" else weight_bytes(shape, work))


def trained_parameters(shape: ModelShape, work: Workload) -> int:
    """How many parameters get a gradient."""
    if work.rank is not None:
        return shape.adapters(work.rank)
    return shape.parameters if work.train_vision else shape.decoder


def weight_bytes(shape: ModelShape, work: Workload) -> int:
    """Bytes of the whole base model in memory; 4-bit weights leave embeddings, head and tower as they are."""
    if work.full:
        return FLOAT32 * shape.parameters
    if work.frozen_bytes >= 1:
        return round(work.frozen_bytes * shape.parameters)
    matrices = shape.layers * shape.layer
    return round(work.frozen_bytes * matrices + BFLOAT16 * (shape.parameters - matrices))


def optimizer_bytes(name: str) -> int:
    """Bytes of optimizer state for each trained parameter; as AdamW where the name is not known."""
    return next((size for known, size in OPTIMIZER_BYTES.items() if name.startswith(known)), 8)


def _resident(shape: ModelShape, work: Workload) -> dict[str, int]:
    trained = trained_parameters(shape, work)
    weights = weight_bytes(shape, work)
    return {
        "weights": weights // work.shards,
        "adapters": 0 if work.full else FLOAT32 * trained // work.shards,
        "gradients": FLOAT32 * trained // work.shards,
        "optimizer states": optimizer_bytes(work.optimizer) * trained // work.shards,
        "reference model": weights // work.shards if work.reference and work.full else 0,
    }


def _training(shape: ModelShape, work: Workload) -> dict[str, int]:
    positions = work.rows * work.tokens
    layer = positions * _layer_bytes(shape, work)
    residual = FLOAT32 if work.full else work.compute_bytes
    kept = shape.layers * positions * shape.hidden * residual + layer if work.checkpointing else shape.layers * layer
    if work.train_vision and work.full:
        kept += _tower(shape, work)
    return {"activations": kept, "head": _head(shape, work, positions), "copies of weights": _copies(shape, work)}


def _layer_bytes(shape: ModelShape, work: Workload) -> int:
    """What one decoder layer keeps of one position for the backward pass."""
    hidden, queries, keys = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    # Attention keeps queries, keys, values and its output; the gate, its activation, the other branch, their product.
    kept = work.compute_bytes * (2 * hidden + 2 * queries + 2 * keys + 4 * shape.intermediate)
    # The two norms work in float32: each keeps its input, and where its own weight is trained the scaled input.
    kept += 2 * hidden * (FLOAT32 + (FLOAT32 if work.full else 0))
    if not work.full and work.bfloat16:
        # Each adapter casts its own copy of its input.
        kept += BFLOAT16 * (5 * hidden + queries + shape.intermediate)
    return kept


def _tower(shape: ModelShape, work: Workload) -> int:
    """What a trained vision tower keeps: per patch and layer eight inputs of its width and two of its inner one."""
    patches = work.rows * work.image_tokens * shape.patches
    layer = patches * (8 * shape.tower_hidden + 2 * shape.tower_intermediate) * work.compute_bytes
    if not work.checkpointing:
        return shape.tower_layers * layer
    return shape.tower_layers * patches * shape.tower_hidden * FLOAT32 + layer


def _head(shape: ModelShape, work: Workload, positions: int) -> int:
    """A tile of logits, the last layer's gradient, and the gradient of a trained head before it is added up."""
    tile = min(positions, HEAD_POSITIONS) * HEAD_ENTRIES * work.compute_bytes
    return tile + positions * shape.hidden * FLOAT32 + (FLOAT32 * shape.embeddings if work.full else 0)


def _copies(shape: ModelShape, work: Workload) -> int:
    """Weights held a second time during a pass: cast to bfloat16, or gathered from the other devices."""
    if work.sharding != "none" and work.devices > 1:
        unit = 2 * shape.layer + 2 * shape.embeddings
        return work.compute_bytes * unit + FLOAT32 * shape.embeddings
    if work.full and work.bfloat16:
        return BFLOAT16 * (shape.parameters if work.train_vision else shape.decoder - shape.embeddings)
    return 0


def _generation(shape: ModelShape, work: Workload, drawn: Generation) -> dict[str, int]:
    number = FLOAT32 if work.full or not work.bfloat16 else BFLOAT16
    window = drawn.prompt + drawn.completion
    cache = drawn.rows * window * shape.layers * 2 * shape.kv_heads * shape.head_dim * number
    gathered = weight_bytes(shape, work) if work.sharding == "zero3" and work.devices > 1 else 0
    prompt = drawn.rows * drawn.prompt * (3 * shape.hidden + 3 * shape.intermediate) * number
    return {
        "keys and values": cache,
        # The scores of the next token, once more in float32, and once more sorted or as probabilities.
        "logits": drawn.rows * shape.vocabulary * 3 * FLOAT32,
        "reading the prompts": prompt,
        "gathered weights": gathered,
    }
