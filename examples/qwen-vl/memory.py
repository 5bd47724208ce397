"""Print the memory table of README.md: what trains the two models on which GPU, by the arithmetic of a dry run.

example: python memory.py
"""

from __future__ import annotations

from dataclasses import replace

from anectl.core.train_estimate import GIB, NF4, Generation, ModelShape, Workload, estimate

# Dimensions from the checkpoints' own configurations; parameters are counted on the network itself by the tests.
SHAPES = {
    "Qwen2.5-VL-7B": ModelShape(
        parameters=8_292_166_656,
        decoder=7_615_616_512,
        layers=28,
        hidden=3584,
        intermediate=18_944,
        heads=28,
        kv_heads=4,
        head_dim=128,
        vocabulary=152_064,
        tower_layers=32,
        tower_hidden=1280,
        tower_intermediate=3420,
    ),
    "Qwen3-VL-8B": ModelShape(
        parameters=8_767_123_696,
        decoder=8_190_735_360,
        layers=36,
        hidden=4096,
        intermediate=12_288,
        heads=32,
        kv_heads=8,
        head_dim=128,
        vocabulary=151_936,
        tower_layers=27,
        tower_hidden=1152,
        tower_intermediate=4304,
    ),
}
TOKENS, IMAGE_TOKENS, DRAWN = 2048, 1024, 1024
# What a GPU of that name has, in GiB, after the driver took its part.
GPUS = {"24 GB": 23, "40 GB": 39, "80 GB": 78, "141 GB": 139}
# The estimate leaves out buffers and holes: on small models the measured peak was up to 1.16 times as high.
MARGIN = 1.2

LORA = Workload(rows=1, tokens=TOKENS, image_tokens=IMAGE_TOKENS, rank=16)
FULL = replace(LORA, rank=None)
STRIP = replace(LORA, rank=64, rows=4, generation=Generation(rows=32, prompt=TOKENS - DRAWN, completion=DRAWN))
WORKLOADS = {
    "QLoRA, 1 row": replace(LORA, frozen_bytes=NF4),
    "LoRA, 1 row": LORA,
    "LoRA, 4 rows": replace(LORA, rows=4),
    "LoRA, 4 rows, no checkpointing": replace(LORA, rows=4, checkpointing=False),
    "full, 1 GPU, 1 row": FULL,
    "full, 1 GPU, 1 row, 8-bit AdamW": replace(FULL, optimizer="adamw_8bit"),
    "full, 4 GPUs, 1 row each": replace(FULL, devices=4, sharding="fsdp"),
    "full, 8 GPUs, 4 rows each": replace(FULL, rows=4, devices=8, sharding="fsdp"),
    "full, 8 GPUs, 4 rows each, ZeRO-3": replace(FULL, rows=4, devices=8, sharding="zero3"),
    "strip-rl, LoRA, 4 x 8 completions": STRIP,
    "strip-rl, full, 8 GPUs, 4 x 8 completions each": replace(STRIP, rank=None, devices=8, sharding="fsdp"),
}


def table() -> str:
    """The table in Markdown."""
    lines = ["| | " + " | ".join(f"{name}, GiB | fits" for name in SHAPES) + " |", "|---|" + "---|---|" * len(SHAPES)]
    for name, work in WORKLOADS.items():
        cells = []
        for shape in SHAPES.values():
            peak = estimate(shape, work).peak / GIB
            cells += [f"{peak:.1f}", smallest_gpu(peak)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def smallest_gpu(peak: float) -> str:
    """The smallest kind of GPU that has so many GiB and the margin."""
    return next((f"{name} and up" for name, size in GPUS.items() if peak * MARGIN <= size), "none")


if __name__ == "__main__":
    print(table())
