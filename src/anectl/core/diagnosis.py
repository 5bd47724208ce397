"""What doctor makes of a machine: Python, cores, memory, disks, GPUs, and the settings of the environment.

Each check takes the facts and gives its verdicts; nothing is looked up here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from anectl.core.diagnosis_facts import Facts
from anectl.core.diagnosis_libraries import library_checks
from anectl.core.diagnosis_ranges import Requirement, parse_requirements
from anectl.core.records import Diagnosis

GIB = 1 << 30
_LITTLE_MEMORY, _LITTLE_DISK, _LITTLE_SHARED = 4 * GIB, 10 * GIB, GIB
_FEW_FILES = 4096
# Bfloat16 and flash attention begin with this generation of GPUs.
_AMPERE = 8.0
_YES = frozenset({"1", "ON", "YES", "TRUE"})


def diagnose(facts: Facts, asked: Collection[str] = ()) -> Iterator[Diagnosis]:
    """All verdicts: the machine, the environment, then the libraries; `asked` are the extras that must be there."""
    yield python(facts)
    yield cores(facts)
    yield memory(facts)
    yield from disks(facts)
    yield from limits(facts)
    yield from gpus(facts)
    yield hub(facts)
    yield from environment(facts)
    yield from library_checks(facts, asked)


def _verdict(name: str, found: str, *faults: tuple[bool, Literal["warn", "fail"], str]) -> Diagnosis:
    """The first fault that holds, else all is well."""
    for holds, status, advice in faults:
        if holds:
            return Diagnosis(name=name, status=status, found=found, advice=advice)
    return Diagnosis(name=name, status="ok", found=found)


def python(facts: Facts) -> Diagnosis:
    """The version of Python against what the package asks for."""
    asked = next(parse_requirements([f"python {facts.requires_python or ''}"]), Requirement("python", ()))
    old = not asked.allows(facts.python)
    return _verdict("python", facts.python, (old, "fail", f"anectl needs Python {asked.range}"))


def cores(facts: Facts) -> Diagnosis:
    """Cores this process may use; torch starts a thread for each one that is there unless it is told otherwise."""
    found = f"{facts.cores} of {facts.all_cores}" if facts.cores < facts.all_cores else str(facts.cores)
    crowded = facts.cores < facts.all_cores and "OMP_NUM_THREADS" not in facts.environment
    advice = f"set OMP_NUM_THREADS={facts.cores}, or threads wait for cores that this process may not use"
    return _verdict("machine/cores", found, (crowded, "warn", advice))


def memory(facts: Facts) -> Diagnosis:
    """Main memory, within the limit of a container."""
    if facts.memory is None or facts.free_memory is None:
        return Diagnosis(name="machine/memory", status="ok", found="unknown")
    little = facts.free_memory < _LITTLE_MEMORY
    advice = "the libraries of [train] take 1 GiB, and loading a model takes its size again: free some memory"
    found = f"{_size(facts.free_memory)} free of {_size(facts.memory)}"
    return _verdict("machine/memory", found, (little, "warn", advice))


def disks(facts: Facts) -> Iterator[Diagnosis]:
    """Room where outputs, temporary files and downloads go."""
    for place, free in facts.disks.items():
        little = free < _LITTLE_DISK
        advice = "a training run keeps two checkpoints with their optimizer, each some times the model: free some space"
        yield _verdict(f"disk/{place.replace(' ', '-')}", f"{_size(free)} free", (little, "warn", advice))


def limits(facts: Facts) -> Iterator[Diagnosis]:
    """Shared memory, and what the shell lets a process open and write."""
    if facts.shared_memory is not None:
        little = facts.shared_memory < _LITTLE_SHARED
        advice = "data loaders, NCCL and Ray need more: start the container with --shm-size=16g or --ipc=host"
        yield _verdict("machine/shared-memory", _size(facts.shared_memory), (little, "warn", advice))
    files = facts.open_files
    few = files is not None and files < _FEW_FILES
    yield _verdict(
        "limit/open-files",
        "no limit" if files is None else str(files),
        (few, "warn", "servers and data loaders may run out: ulimit -n 65536"),
    )
    if facts.largest_file is not None:
        advice = "a larger checkpoint cannot be written: ulimit -f unlimited"
        yield _verdict("limit/file-size", _size(facts.largest_file), (True, "warn", advice))


def gpus(facts: Facts) -> Iterator[Diagnosis]:
    """GPUs as the driver lists them, and whether torch can use them."""
    if facts.gpu_error:
        advice = "the driver does not answer: nvidia-smi must work first (in a container: --gpus all)"
        yield Diagnosis(name="gpu", status="fail", found=facts.gpu_error, advice=advice)
    elif facts.gpus:
        listed = ", ".join(f"{gpu.name} {gpu.memory / 1024:.0f} GiB" for gpu in facts.gpus)
        old = min(gpu.capability for gpu in facts.gpus) < _AMPERE
        found = f"{listed}, driver {facts.gpus[0].driver}"
        yield _verdict("gpu", found, (old, "warn", "no bfloat16 on this generation: --dtype float32"))
    else:
        yield Diagnosis(name="gpu", status="ok", found="none", advice="CPU only: small models, or --engine openai")
    if facts.torch is not None:
        yield torch(facts)


def torch(facts: Facts) -> Diagnosis:
    """What torch says of itself, against what the driver says."""
    report = facts.torch
    assert report is not None
    if report.error:
        advice = "torch does not load: install it anew, and see docs of its version for your driver"
        return Diagnosis(name="torch", status="fail", found=report.error, advice=advice)
    here = bool(facts.gpus)
    hidden = facts.environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    build = f"CUDA {report.cuda}" if report.cuda else "CPU build"
    seen = f"{report.devices} GPUs" if report.available else "no GPU"
    found = f"{report.version}, {build}, sees {seen}" + (f", NCCL {report.nccl}" if report.nccl else "")
    return _verdict(
        "torch",
        found,
        (here and hidden, "warn", "CUDA_VISIBLE_DEVICES hides the GPUs: unset it"),
        (here and report.cuda is None, "warn", "a GPU is here but torch is a CPU build: install the CUDA build"),
        (
            here and report.cuda is not None and not report.available,
            "fail",
            f"torch wants CUDA {report.cuda}, which the driver does not give: update the driver or take an older build",
        ),
        (report.available and not report.bfloat16, "warn", "no bfloat16 on this GPU: --dtype float32"),
    )


def hub(facts: Facts) -> Diagnosis:
    """The cache of the Hugging Face hub, whether it can be reached at all, and whether a token is set."""
    offline = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _is_on(facts, name)]
    token = "a token" if facts.has_token else "no token"
    found = f"cache {facts.cache}, {token}" + (f", offline by {offline[0]}" if offline else "")
    return _verdict(
        "hub", found, (not facts.cache_writable, "warn", "it cannot be written: set HF_HOME to a folder of yours")
    )


def environment(facts: Facts) -> Iterator[Diagnosis]:
    """Variables that change what a run does; those that are not set are not told of."""
    values = facts.environment
    if _is_on(facts, "TOKENIZERS_PARALLELISM"):
        yield _setting(facts, "TOKENIZERS_PARALLELISM", "tokenizers may hang in forked data loaders: unset it")
    if "TRANSFORMERS_CACHE" in values:
        yield _setting(facts, "TRANSFORMERS_CACHE", "transformers 5 does not read it: set HF_HOME")
    if values.get("VLLM_WORKER_MULTIPROC_METHOD") == "fork":
        yield _setting(facts, "VLLM_WORKER_MULTIPROC_METHOD", "a fork cannot use CUDA again: unset it, or spawn")
    if values.get("WORLD_SIZE", "1") != "1":
        advice = "left over from a launcher? anectl waits for the other processes of a run: unset it"
        yield _setting(facts, "WORLD_SIZE", advice)
    if values.get("PYTHONOPTIMIZE"):
        yield _setting(facts, "PYTHONOPTIMIZE", "switches off checks that the libraries rely on: unset it")


def _setting(facts: Facts, name: str, advice: str) -> Diagnosis:
    found = facts.environment[name]
    return Diagnosis(name=f"environment/{name}", status="warn", found=found, advice=advice)


def _is_on(facts: Facts, name: str) -> bool:
    return facts.environment.get(name, "").upper() in _YES


def _size(number: int) -> str:
    return f"{number / GIB:.1f} GiB" if number >= GIB else f"{number / (1 << 20):.0f} MiB"
