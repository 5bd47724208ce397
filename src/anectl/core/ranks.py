"""Which of the processes of one training run this is, as torchrun and accelerate tell each of them.

Every process reads the rows and computes; only the first one writes files, the result and messages.
"""

from __future__ import annotations

import os


def num_processes() -> int:
    """How many processes train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process is the first of them."""
    return num_processes() == 1 or os.environ.get("RANK", "0") == "0"
