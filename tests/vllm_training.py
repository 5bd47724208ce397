"""Run a training command in the environment of vLLM, and write down what its sampler was told and gave.

    python -m tests.vllm_training SITE_PACKAGES FACTS.json strip-rl ...

TRL and what it needs come from SITE_PACKAGES, the other environment, behind everything that vLLM's own one has. vLLM's
CPU build packs the weights of a layer and drops them, so that TRL's first synchronisation finds nothing to write to;
here the layers keep their weights. On a GPU they do.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any


def keep_weights() -> None:
    """Let the linear layers of vLLM's CPU build compute with the weights they have."""
    import torch
    import vllm.model_executor.layers.utils as layers

    def keep(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    layers.dispatch_cpu_unquantized_gemm = keep


def watch(facts: dict[str, Any]) -> None:
    """Note what each generation was told and gave; how far vLLM's log-probabilities are from old and new weights."""
    import torch
    from trl import GRPOTrainer
    from trl.generation.vllm_generation import VLLMGeneration
    from vllm import LLM

    generate, scored = LLM.generate, GRPOTrainer._generate_and_score_completions

    def spy_on_generate(self: Any, prompts: Any, sampling_params: Any = None, **rest: Any) -> Any:
        given = generate(self, prompts, sampling_params, **rest)
        facts["logit_bias"] = sampling_params.logit_bias
        facts["completion_ids"] += [list(one.outputs[0].token_ids) for one in given]
        facts["prompt_ids"] += [list(one["prompt_token_ids"]) for one in prompts]
        return given

    def spy_on_scores(self: Any, inputs: Any) -> Any:
        if "base" not in self.__dict__:
            self.base = copy.deepcopy(self.accelerator.unwrap_model(self.model))
        batch = scored(self, inputs)
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        fields = ("pixel_values", "image_grid_thw", "pixel_attention_mask", "mm_token_type_ids", "num_images")
        images = {name: batch[name] for name in fields if name in batch}
        drawn = batch["completion_mask"].bool()
        for name, model in (("new", self.model), ("old", self.base)):
            with torch.no_grad():
                found = self._get_per_token_logps_and_entropies(model, ids, mask, drawn.shape[1], **images)[0]
            facts[name].append((found - batch["sampling_per_token_logps"])[drawn].abs().mean().item())
        return batch

    LLM.generate = spy_on_generate
    GRPOTrainer._generate_and_score_completions = spy_on_scores
    facts["mode"] = VLLMGeneration.__name__


def main() -> None:
    """Train, then write the facts."""
    site_packages, facts_file, *arguments = sys.argv[1:]
    sys.path.append(site_packages)
    facts: dict[str, Any] = {"completion_ids": [], "prompt_ids": [], "new": [], "old": []}
    keep_weights()
    watch(facts)
    from anectl.cli import app

    app(arguments, standalone_mode=False)
    Path(facts_file).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
