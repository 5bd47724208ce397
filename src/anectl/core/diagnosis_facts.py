"""What doctor knows of a machine, gathered without importing any library that it asks about."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from anectl.core.diagnosis_ranges import Packages, read_packages

_SMI = "nvidia-smi", "--query-gpu=name,memory.total,driver_version,compute_cap", "--format=csv,noheader,nounits"
_SMI_TIMEOUT_S = 5.0
SHARED_MEMORY = Path("/dev/shm")
_MEMORY_LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as its driver tells of it; `memory` is in MiB."""

    name: str
    memory: int
    driver: str
    capability: float


class TorchReport(msgspec.Struct, frozen=True):
    """What torch says of itself, asked in a process of its own; `error` where it could not."""

    version: str = ""
    cuda: str | None = None
    available: bool = False
    devices: int = 0
    bfloat16: bool = False
    nccl: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the verdicts are made of. Sizes are in bytes; null is what cannot be known on this machine.

    `cores` may be used by this process, `all_cores` are there. `gpus` is null without a driver, `gpu_error` says what
    the driver's own program complains of. `broken` names the libraries that do not load, each with its last words.
    """

    python: str
    platform: str = "Linux"
    requires_python: str | None = None
    packages: Packages = field(default_factory=lambda: Packages({}, {}))
    cores: int = 1
    all_cores: int = 1
    memory: int | None = None
    free_memory: int | None = None
    disks: Mapping[str, int] = field(default_factory=dict)
    shared_memory: int | None = None
    open_files: int | None = None
    largest_file: int | None = None
    gpus: tuple[Gpu, ...] | None = None
    gpu_error: str = ""
    torch: TorchReport | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    cache: Path = Path("~/.cache/huggingface/hub")
    cache_writable: bool = True
    has_token: bool = False


def gather(names: Iterable[str], torch: TorchReport | None, broken: Mapping[str, str]) -> Facts:
    """The facts of this machine; `names` are the packages to look up."""
    gpus, gpu_error = _gpus()
    cache = hub_cache(os.environ)
    memory, free = _memory()
    return Facts(
        python=platform.python_version(),
        platform=platform.system(),
        requires_python=_requires_python(),
        packages=read_packages(names),
        cores=_cores(),
        all_cores=os.cpu_count() or 1,
        memory=memory,
        free_memory=free,
        disks=_disks({"working folder": Path.cwd(), "temporary": Path(tempfile.gettempdir()), "hub cache": cache}),
        shared_memory=shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else None,
        open_files=_limit(resource.RLIMIT_NOFILE),
        largest_file=_limit(resource.RLIMIT_FSIZE),
        gpus=gpus,
        gpu_error=gpu_error,
        torch=torch,
        broken=broken,
        environment=dict(os.environ),
        cache=cache,
        cache_writable=os.access(_existing(cache), os.W_OK),
        has_token=has_token(os.environ),
    )


def ask(module: str, timeout_s: float) -> tuple[int, str, str]:
    """Run a module of ours in a process of its own: exit status, stdout and the last line of stderr.

    A library that crashes or hangs takes only that process with it; the status is negative for a signal.
    """
    return _last_words([sys.executable, "-m", module], timeout_s)


def loads(library: str, timeout_s: float) -> str:
    """Why a library cannot be imported, in its last words; empty where it can."""
    status, _, words = _last_words([sys.executable, "-c", f"import {library}"], timeout_s)
    return "" if status == 0 else words or f"ended by signal {-status}"


def _last_words(command: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer in {timeout_s:g} s"
    except OSError as error:
        return 1, "", str(error.strerror)
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return done.returncode, done.stdout, lines[-1] if lines else ""


def hub_cache(environment: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps what it downloads, by the variables that it reads itself."""
    for name, rest in (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")):
        if environment.get(name):
            return Path(environment[name]).expanduser() / rest
    return Path("~/.cache/huggingface/hub").expanduser()


def has_token(environment: Mapping[str, str]) -> bool:
    """Whether the hub's library finds a token; it is not read."""
    if environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    home = hub_cache({name: value for name, value in environment.items() if name != "HF_HUB_CACHE"}).parent
    return Path(environment.get("HF_TOKEN_PATH") or home / "token").expanduser().is_file()


def _gpus() -> tuple[tuple[Gpu, ...] | None, str]:
    if shutil.which(_SMI[0]) is None:
        return None, ""
    status, out, words = _last_words(_SMI, _SMI_TIMEOUT_S)
    if status:
        return None, words or out.strip() or f"{_SMI[0]} ended with {status}"
    return parse_gpus(out), ""


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The GPUs that nvidia-smi lists; a line that it could not fill in is left out."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        try:
            found.append(Gpu(parts[0], int(parts[1]), parts[2], float(parts[3])))
        except (IndexError, ValueError):
            continue
    return tuple(found)


def _cores() -> int:
    """The cores that this process may use: its affinity, and the share that a container leaves it."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


def _memory() -> tuple[int | None, int | None]:
    """All memory and what is free of it, within the limit of a container."""
    fields = {}
    for line in _read("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            fields[name] = int(value.split()[0]) * 1024
    total, free = fields.get("MemTotal"), fields.get("MemAvailable")
    for limit in map(_read, _MEMORY_LIMITS):
        if limit.strip().isdigit() and total is not None and int(limit) < total:
            total = int(limit)
            free = min(free or total, total)
    return total, free


def _disks(places: Mapping[str, Path]) -> dict[str, int]:
    return {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()}


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _limit(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


def _requires_python() -> str | None:
    from importlib import metadata  # 12 ms that other commands should not pay

    try:
        return str(metadata.metadata("anectl")["Requires-Python"])
    except metadata.PackageNotFoundError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf8")
    except OSError:
        return ""
