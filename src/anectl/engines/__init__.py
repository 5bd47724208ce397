"""The only modules that import torch, transformers, trl, peft, sentence-transformers, numpy or hnswlib.

Each engine imports its library at its top, like any module; the loaders here import an engine only when a command
asks for it, and say in one line what to install when it is missing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from anectl.core.errors import AnectlError
from anectl.core.protocols import Embedder, Index, Judge, Sampler, Verifier

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


def load_sampler(engine: str, model: str, *, dtype: str = "auto", batch_size: int = 16) -> Sampler:
    """The sampler of `--engine`: `transformers` or `fake` (then `model` is its script)."""
    if engine == "fake":
        return load_engine("fake", "train").FakeSampler(model)  # type: ignore[no-any-return]
    return load_policy(model, dtype=dtype, batch_size=batch_size)


def load_policy(model: str, *, dtype: str = "auto", batch_size: int = 16) -> TransformersSampler:
    """The transformers engine, which also scores completions (`mean_nll`)."""
    return load_engine("transformers_sampler", "train").TransformersSampler(  # type: ignore[no-any-return]
        model, dtype=dtype, batch_size=batch_size
    )


def load_embedder(spec: str, *, batch_size: int = 32) -> Embedder:
    """`policy:MODEL` (the VLM's own hidden states) or `sentence-transformers:NAME` (text only or CLIP-like)."""
    kind, _, name = spec.partition(":")
    if kind == "policy" and name:
        return load_engine("policy_embedder", "train").PolicyEmbedder(name, batch_size=batch_size)  # type: ignore[no-any-return]
    if kind == "sentence-transformers" and name:
        return load_engine("st_embedder", "index").SentenceEmbedder(name, batch_size=batch_size)  # type: ignore[no-any-return]
    raise AnectlError(
        f"unknown embedder {spec!r}", hint="policy:MODEL or sentence-transformers:NAME, such as policy:./base"
    )


def load_index(directory: Path, manifest: IndexManifest) -> Index:
    """The nearest-neighbour search of an index whose files `read_index_manifest` has checked."""
    count, dimension = manifest.count, manifest.dimension
    vectors = load_engine("vector_index", "index").open_vectors(directory, count, dimension)
    if manifest.hnsw is None:
        return load_engine("vector_index", "index").ExactIndex(vectors)  # type: ignore[no-any-return]
    return load_engine("hnsw_index", "index").load_graph(directory, count, dimension, manifest.hnsw)  # type: ignore[no-any-return]


def load_verifier() -> Verifier:
    """The checker of expressions: math-verify in processes that can be killed."""
    return load_engine("math_verifier", "train").MathVerifier()  # type: ignore[no-any-return]


def load_judge(url: str, model: str, *, concurrency: int = 8) -> Judge:
    """A language model behind an OpenAI-compatible server, as a judge."""
    return load_engine("openai_judge", "openai").OpenAIJudge(url, model, concurrency=concurrency)  # type: ignore[no-any-return]
