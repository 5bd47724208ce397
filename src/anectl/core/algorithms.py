"""The algorithms of strip-rl by name: each one is a set of settings of TRL's GRPO trainer.

dapo     tokens of a whole batch count alike; clip 0.2 below and 0.28 above, no KL (arXiv 2503.14476)
grpo     mean per completion, then over completions; clip 0.2, KL 0.04 (DeepSeekMath, arXiv 2402.03300); biased towards
         short right and long wrong answers
dr_grpo  divided by the longest length allowed, advantages not by their deviation, no KL (arXiv 2503.20783)
gspo     one ratio per completion, the geometric mean of its tokens'; clip 0.0003 and 0.0004, no KL (arXiv 2507.18071);
         it acts only where a generation is trained on more than once
sapo     a soft gate in the place of the clip, temperature 1 above and 1.05 below, no KL (arXiv 2511.20347)

An option of the command (`--epsilon`, `--beta` ...) wins over the set, and `--trl KEY=VALUE` over both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

AlgorithmName = Literal["dapo", "grpo", "dr_grpo", "gspo", "sapo"]

_COMMON = {
    "importance_sampling_level": "token",
    "epsilon": 0.2,
    "epsilon_high": 0.2,
    "scale_rewards": "group",
    "beta": 0.0,
}
ALGORITHMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "dapo": {**_COMMON, "loss_type": "dapo", "epsilon_high": 0.28},
        "grpo": {**_COMMON, "loss_type": "grpo", "beta": 0.04},
        "dr_grpo": {**_COMMON, "loss_type": "dr_grpo", "scale_rewards": "none"},
        "gspo": {
            **_COMMON,
            "loss_type": "grpo",
            "importance_sampling_level": "sequence",
            "epsilon": 3e-4,
            "epsilon_high": 4e-4,
        },
        "sapo": {**_COMMON, "loss_type": "sapo", "sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05},
    }
)


def algorithm_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an algorithm, those in `given` that are not null in the place of its own."""
    return {**ALGORITHMS[name], **{key: value for key, value in given.items() if value is not None}}
