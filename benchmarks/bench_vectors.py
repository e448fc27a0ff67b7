"""The nearest vectors by the index against a plain scan by numpy, in one run.

    python -m benchmarks.bench_vectors [sizes…] [--home FOLDER]

Made vectors in clusters, as `bench_search` has them, and questions from the same clusters; half a million
take a gigabyte in the folder and another in memory. Every question is asked of both, one after the other, so
that other work on the machine slows both. Besides medians of time, processor time is given, of all threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its other threads go on counting when the scan has ended

import numpy as np

from benchmarks.bench_search import PER_RECORDING, Speech
from core.embedding.embedders.e5 import E5
from core.search import index as index_module
from core.search import lance
from core.search.index import Index
from core.search.query import DEPTH

QUESTIONS = 100
AT_ONCE = 40
"""Recordings written in one step: 20,000 vectors."""
T = TypeVar("T")


@dataclass
class Watch:
    """Milliseconds of each call, by the wall and by the processor."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def take(self, work: Callable[[], T]) -> T:
        """Measure a call."""
        began, used = time.perf_counter(), time.process_time()
        result = work()
        self.wall_ms.append((time.perf_counter() - began) * 1000)
        self.cpu_ms.append((time.process_time() - used) * 1000)
        return result

    def __str__(self) -> str:
        return (
            f"{statistics.median(self.wall_ms):.1f} ms ({statistics.mean(self.cpu_ms):.1f} of processor time)"
        )


def filled(index: Index, size: int) -> np.ndarray:
    """Write so many vectors, index them, and return them all."""
    name, schema = f"vectors-{index_module._key(E5())}", lance.vectors_schema(E5.dim)
    table = index._create(name, schema)
    vectors, speech = np.empty((size, E5.dim), np.float32), Speech(7)
    for at in range(0, size, AT_ONCE * PER_RECORDING):
        part = vectors[at : at + AT_ONCE * PER_RECORDING]
        for n in range(0, len(part), PER_RECORDING):
            part[n : n + PER_RECORDING] = speech.vectors((at + n) // PER_RECORDING)
        ids = [str(n) for n in range(at, at + len(part))]
        recordings = [str(n // PER_RECORDING) for n in range(at, at + len(part))]
        columns = {"id": ids, "recording_id": recordings, "owner": ["pages"] * len(part), "hash": ids}
        if table.count_rows() < at + len(part):
            table.add(lance.batch(schema, columns | {"vector": part}))
    began = time.process_time()
    lance.optimize(table, 1)
    print(
        f"\n{size:,} × {E5.dim}; indexed in {time.process_time() - began:.0f} s of processor time", flush=True
    )
    return vectors


def measure(size: int, folder: Path) -> None:
    """Ask both, and print the ratio and how many of the true nearest were found."""
    index, embedder = Index(str(folder)), E5()
    vectors = filled(index, size)
    questions = np.concatenate([Speech(7).vectors(10_000_000 + n)[:1] for n in range(QUESTIONS)])
    for question in questions[:5]:
        index.nearest(embedder, question, limit=DEPTH)
    scan, nearest, recall = Watch(), Watch(), {10: 0.0, DEPTH: 0.0}
    for question in questions:
        cosines = scan.take(lambda question=question: _scanned(vectors, question))  # type: ignore[misc]
        found = nearest.take(lambda question=question: index.nearest(embedder, question, limit=DEPTH))  # type: ignore[misc]
        true = [str(n) for n in np.argsort(-cosines)[:DEPTH]]
        for depth in recall:
            recall[depth] += len({id_ for id_, _ in found[:depth]} & set(true[:depth])) / depth / QUESTIONS
    ratio = statistics.median(nearest.wall_ms) / statistics.median(scan.wall_ms)
    cpu_ratio = statistics.mean(nearest.cpu_ms) / statistics.mean(scan.cpu_ms)
    print(f"numpy {scan}; the index {nearest}")
    print(f"{ratio:.2f} × by the wall, {cpu_ratio:.2f} × of processor time")
    print(
        "; ".join(f"recall of the best {depth}: {share:.3f}" for depth, share in recall.items()), flush=True
    )


def _scanned(vectors: np.ndarray, question: np.ndarray) -> np.ndarray:
    cosines: np.ndarray = vectors @ question
    np.argpartition(-cosines, 10)[:10]
    return cosines


def main() -> None:
    """Measure each size in a folder of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[100_000, 500_000])
    parser.add_argument("--home", type=Path)
    chosen = parser.parse_args()
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory() as folder:
            measure(size, chosen.home / str(size) if chosen.home else Path(folder))


if __name__ == "__main__":
    main()
