"""The index of `build-index` against hnswlib called directly, and the memory of LanceDB.

Usage: python benchmarks/bench_index.py [--sizes 50000 100000 200000] [--pairs 3] [--backend hnsw|lancedb]

The vectors are made from a fixed seed: 2,000 clusters in 48 dimensions whose members overlap, set into 384 dimensions
with noise in all of them, length 1; the queries are drawn likewise and are not in the table. hnsw: the graph is built
by anectl (vectors written, some held out, ef tuned, saved and checked) and by hnswlib alone with the same M,
ef_construction and thread (add_items, save_index), in turn; then both answer 1,000 queries with the same ef, `--pairs`
times in turn. Recall@10 is against exact search, with its 95% interval over the queries. lancedb: the table is written
in a process of its own, in blocks of 2,000 vectors, and the peak of its resident memory is measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np

from anectl.core.index_files import SignalManifest
from anectl.core.manifest import file_hash
from anectl.engines import lance_index
from anectl.engines.hnsw_index import load_graph, write_graph
from anectl.engines.recall import measured
from anectl.engines.vector_index import Block, ExactIndex, open_vectors, write_vectors

DIMENSION, LATENT, NUM_CLUSTERS = 384, 48, 2000
NUM_QUERIES, NUM_NEIGHBORS, TARGET = 1000, 10, 0.98


def made(seed: int, count: int) -> Iterator[Block]:
    """Blocks of 2,000 vectors; the clusters are the same for every seed."""
    fixed = np.random.default_rng(1)
    centres = fixed.standard_normal((NUM_CLUSTERS, LATENT)).astype(np.float32)
    basis = (fixed.standard_normal((LATENT, DIMENSION)) / LATENT**0.5).astype(np.float32)
    rng = np.random.default_rng(seed)
    for start in range(0, count, 2000):
        num = min(2000, count - start)
        spread = 0.9 * rng.standard_normal((num, LATENT)).astype(np.float32)
        latent = centres[rng.integers(0, NUM_CLUSTERS, num)] + spread
        vectors = latent @ basis + 0.25 * rng.standard_normal((num, DIMENSION)).astype(np.float32)
        yield list(range(start, start + num)), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def queries() -> Any:
    """Vectors of the same kind that are in no table."""
    return np.concatenate([vectors for _, vectors in made(77, NUM_QUERIES)])


def memory(field: str) -> int:
    """`VmRSS` or `VmHWM` of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(field))


def hnsw(count: int, pairs: int, folder: Path) -> None:
    """One size, in this process."""
    write_vectors(folder, "text", DIMENSION, made(0, count))
    vectors, rows = open_vectors(folder, "text", count, DIMENSION)
    held = np.array(vectors)
    before = memory("VmRSS")
    started = time.perf_counter()
    settings = write_graph(folder, "text", vectors, rows, target=TARGET)
    file_hash(str(folder / "text.hnsw"))  # as the manifest does
    ours, after = time.perf_counter() - started, memory("VmHWM")
    started = time.perf_counter()
    direct = hnswlib.Index(space="ip", dim=DIMENSION)
    direct.init_index(max_elements=count, M=settings.m, ef_construction=settings.ef_construction, random_seed=0)
    direct.add_items(held, rows, num_threads=1)
    direct.save_index(str(folder / "direct.hnsw"))
    theirs = time.perf_counter() - started
    index = load_graph(folder, "text", vectors, rows, settings)
    direct.set_ef(settings.ef)
    asked, rates = queries(), []
    for _ in range(pairs):
        started = time.perf_counter()
        found = index.search(asked, NUM_NEIGHBORS)
        middle = time.perf_counter()
        direct.knn_query(asked, k=NUM_NEIGHBORS, num_threads=1)
        rates.append((NUM_QUERIES / (middle - started), NUM_QUERIES / (time.perf_counter() - middle)))
    wanted = ExactIndex(vectors, rows).search(asked, NUM_NEIGHBORS)
    recall = measured(found, wanted, target=TARGET, count=count)
    mine, other = (statistics.median(column) for column in zip(*rates, strict=True))
    size = (folder / "text.hnsw").stat().st_size >> 20
    print(
        f"hnsw {count}: M {settings.m}, ef {settings.ef}, recall@10 {recall.mean:.4f} "
        f"[{recall.low:.4f}, {recall.high:.4f}]; tuned on held-out rows: {settings.recall}\n"
        f"  build {ours:.1f} s, hnswlib {theirs:.1f} s: {theirs / ours:.2f} of its speed\n"
        f"  {mine:.0f} queries/s, hnswlib {other:.0f}: {mine / other:.2f} of its speed"
        f" (pairs {', '.join(f'{a / b:.2f}' for a, b in rates)})\n"
        f"  graph {size} MiB on disk; resident before building {before} MiB, at most {after} MiB while building",
        flush=True,
    )


def lancedb(count: int, folder: Path) -> None:
    """One size, in this process: write, open, search."""
    started = time.perf_counter()
    num, settings = lance_index.write_table(folder, "text", DIMENSION, made(0, count), TARGET)
    seconds, peak = time.perf_counter() - started, memory("VmHWM")
    entry = SignalManifest(
        embedder="", embedder_name="", dimension=DIMENSION, count=num, backend="lancedb", lancedb=settings
    )
    index = lance_index.open_table(folder, "text", entry)
    asked = queries()[:200]
    started = time.perf_counter()
    found = index.search(asked, NUM_NEIGHBORS)
    rate = len(asked) / (time.perf_counter() - started)
    peak_search = memory("VmHWM")
    wanted = index.search(asked, NUM_NEIGHBORS, range(count))
    recall = measured(found, wanted, target=TARGET, count=count)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20
    print(
        f"lancedb {count}: {settings.num_probes} of {settings.num_partitions} partitions, recall@10 {recall.mean:.4f} "
        f"[{recall.low:.4f}, {recall.high:.4f}]; build {seconds:.1f} s, {rate:.1f} queries/s\n"
        f"  {size} MiB on disk; peak resident {peak} MiB after building, {peak_search} MiB after searching, "
        f"{memory('VmHWM')} MiB after exact search of all",
        flush=True,
    )


def main() -> None:
    """Each size and backend in a process of its own, so that peaks are theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 100_000, 200_000])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--backend", choices=["hnsw", "lancedb"])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.here:
        for backend in [given.backend] if given.backend else ["hnsw", "lancedb"]:
            for size in given.sizes:
                options = ["--here", "--backend", backend, "--sizes", str(size), "--pairs", str(given.pairs)]
                environment = os.environ | {"OMP_NUM_THREADS": "1"}
                subprocess.run([sys.executable, __file__, *options], check=True, env=environment)
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.backend == "hnsw":
            hnsw(given.sizes[0], given.pairs, Path(folder))
        else:
            lancedb(given.sizes[0], Path(folder))


if __name__ == "__main__":
    main()
