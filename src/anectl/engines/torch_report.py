"""What torch says of itself and its devices, as one line of JSON: `python -m anectl.engines.torch_report`.

Doctor runs it in a process of its own, so that a torch that crashes is a finding and not the end.
"""

from __future__ import annotations

import sys

import msgspec
import torch

from anectl.core.diagnosis_facts import TorchReport


def torch_report() -> TorchReport:
    """The report of the torch that is installed here."""
    available = torch.cuda.is_available()
    nccl = torch.cuda.nccl.version() if available else None  # type: ignore[no-untyped-call]
    return TorchReport(
        version=str(torch.__version__),
        cuda=torch.version.cuda,
        available=available,
        devices=torch.cuda.device_count(),
        bfloat16=available and torch.cuda.is_bf16_supported(),
        nccl=".".join(map(str, nccl)) if isinstance(nccl, tuple) else None,
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(torch_report()) + b"\n")
