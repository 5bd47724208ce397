"""The only modules that import torch, transformers, trl, peft, sentence-transformers, numpy or hnswlib.

Each engine imports its library at its top, like any module; the loaders here import an engine only when a command
asks for it, and say in one line what to install when it is missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from anectl.core.errors import AnectlError, UsageError
from anectl.core.preflight import Preflight
from anectl.core.protocols import Embedder, Index, Judge, Sampler, StepScorer, Verifier
from anectl.core.records import Signal

if TYPE_CHECKING:
    from anectl.core.index_files import IndexManifest
    from anectl.engines.transformers_sampler import TransformersSampler


def load_engine(module: str, extra: str) -> ModuleType:
    """Import one engine module. Raises AnectlError naming the extra that holds its library."""
    try:
        return importlib.import_module(f"anectl.engines.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("anectl"):
            raise
        raise AnectlError(f"{error.name} is not installed", hint=f"pip install 'anectl[{extra}]'") from None


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What samples: `engine` and `model` as the user named them; `arguments` go to the engine itself, by their names.

    `url` and `concurrency` are those of a server, `batch_size` of the engine that works block by block; `ray` is the
    address of a cluster on whose `replicas`, with `replica_gpus` GPUs each, the engine runs.
    """

    engine: str
    model: str
    dtype: str = "auto"
    batch_size: int = 16
    url: str | None = None
    concurrency: int = 32
    arguments: Mapping[str, Any] = field(default_factory=dict)
    ray: str | None = None
    replicas: int = 1
    replica_gpus: float = 0.0

    @property
    def policy(self) -> str:
        """How records call the policy: the model, whatever engine runs it, or `fake:SCRIPT`."""
        return f"fake:{self.model}" if self.engine == "fake" else self.model


def load_sampler(settings: EngineSettings) -> Sampler:
    """The sampler of `--engine`. Raises AnectlError when its library is missing or a setting is not for it."""
    model, arguments = settings.model, settings.arguments
    if (settings.url is not None) != (settings.engine == "openai"):
        raise UsageError("--url and --engine openai go together", hint="such as --url http://localhost:8000/v1")
    if settings.ray is not None:
        return load_engine("ray_sampler", "ray").RaySampler(  # type: ignore[no-any-return]
            replace(settings, ray=None), address=settings.ray, replicas=settings.replicas, gpus=settings.replica_gpus
        )
    try:
        if settings.engine == "vllm":
            return load_engine("vllm_sampler", "vllm").VllmSampler(model, dtype=settings.dtype, engine_args=arguments)  # type: ignore[no-any-return]
        if settings.engine == "openai":
            return load_engine("openai_sampler", "openai").OpenAISampler(  # type: ignore[no-any-return]
                model, url=settings.url, concurrency=settings.concurrency, **arguments
            )
        if settings.engine == "fake":
            return load_engine("fake", "train").FakeSampler(model, **arguments)  # type: ignore[no-any-return]
        return load_engine("transformers_sampler", "train").TransformersSampler(  # type: ignore[no-any-return]
            model, dtype=settings.dtype, batch_size=settings.batch_size, **arguments
        )
    except TypeError as error:
        # Only a wrong name in --engine-arg is the user's; any other TypeError comes from deeper down.
        if arguments and "unexpected keyword argument" in str(error):
            raise AnectlError(f"--engine {settings.engine} takes no such --engine-arg: {error}") from None
        raise


def load_preflight(settings: EngineSettings) -> Preflight | None:
    """What measures prompts before a run; null where there is no processor at hand (a script, a server's model)."""
    if settings.engine == "fake" or (settings.engine == "openai" and not Path(settings.model).is_dir()):
        return None
    return load_engine("preflight", "train").ProcessorPreflight(settings.model)  # type: ignore[no-any-return]


def load_policy(model: str, *, dtype: str = "auto", batch_size: int = 16) -> TransformersSampler:
    """The transformers engine, which also scores completions (`mean_nll`)."""
    return load_engine("transformers_sampler", "train").TransformersSampler(  # type: ignore[no-any-return]
        model, dtype=dtype, batch_size=batch_size
    )


def load_embedder(
    spec: str, *, batch_size: int = 32, ray: str | None = None, replicas: int = 1, replica_gpus: float = 0.0
) -> Embedder:
    """`policy:MODEL` (the VLM's own hidden states) or `sentence-transformers:NAME` (text only or CLIP-like).

    With `ray`, on the replicas of that cluster.
    """
    if ray is not None:
        return load_engine("ray_embedder", "ray").RayEmbedder(  # type: ignore[no-any-return]
            spec, batch_size=batch_size, address=ray, replicas=replicas, gpus=replica_gpus
        )
    kind, _, name = spec.partition(":")
    if kind == "policy" and name:
        return load_engine("policy_embedder", "train").PolicyEmbedder(name, batch_size=batch_size)  # type: ignore[no-any-return]
    if kind == "sentence-transformers" and name:
        return load_engine("st_embedder", "index").SentenceEmbedder(name, batch_size=batch_size)  # type: ignore[no-any-return]
    raise AnectlError(
        f"unknown embedder {spec!r}", hint="policy:MODEL or sentence-transformers:NAME, such as policy:./base"
    )


def load_index(directory: Path, manifest: IndexManifest, signal: Signal) -> Index:
    """The nearest-neighbour search in one signal of an index whose files `read_index_manifest` has checked.

    Raises AnectlError when the index has no vectors of that signal.
    """
    entry = manifest.signals.get(signal)
    if entry is None:
        has = ", ".join(manifest.signals)
        raise AnectlError(f"the index has no {signal} vectors, only {has}", path=str(directory))
    folder = manifest.folder(directory)
    if entry.lancedb is not None:
        return load_engine("lance_index", "lancedb").open_table(folder, signal, entry)  # type: ignore[no-any-return]
    vector_index = load_engine("vector_index", "index")
    vectors, rows = vector_index.open_vectors(folder, signal, entry.count, entry.dimension)
    if entry.hnsw is None:
        return vector_index.ExactIndex(vectors, rows)  # type: ignore[no-any-return]
    return load_engine("hnsw_index", "index").load_graph(folder, signal, vectors, rows, entry.hnsw)  # type: ignore[no-any-return]


def load_verifier() -> Verifier:
    """The checker of expressions: math-verify in processes that can be killed."""
    return load_engine("math_verifier", "train").MathVerifier()  # type: ignore[no-any-return]


def load_step_scorer(model: str, *, dtype: str = "auto") -> StepScorer:
    """A process reward model that train-prm has made."""
    return load_engine("prm_scorer", "train").PrmScorer(model, dtype=dtype)  # type: ignore[no-any-return]


def load_judge(url: str, model: str, *, concurrency: int = 8) -> Judge:
    """A language model behind an OpenAI-compatible server, as a judge."""
    return load_engine("openai_judge", "openai").OpenAIJudge(url, model, concurrency=concurrency)  # type: ignore[no-any-return]
