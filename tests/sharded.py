"""anectl whose weights FSDP2 spreads over processes without a GPU. Run as `python -m tests.sharded`, two or more of it.

Torch can do it, accelerate only asks for it where there are GPUs: it is told that here is FSDP after all.
"""

from __future__ import annotations

import os
from typing import Any


def main() -> None:
    """Run the command line, with what `accelerate launch` makes of examples/qwen-vl/accelerate/fsdp2.yaml."""
    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
        "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    }
    from accelerate.state import AcceleratorState, DistributedType

    made = AcceleratorState.__init__

    def init(self: Any, *arguments: Any, fsdp_plugin: Any = None, **options: Any) -> None:
        made(self, *arguments, fsdp_plugin=fsdp_plugin, **options)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = init
    from anectl.cli import main as anectl

    anectl()


if __name__ == "__main__":
    main()
