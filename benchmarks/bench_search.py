"""How long a search takes, beside a plain scan of all vectors in memory: `python benchmarks/bench_search.py`.

The machine is never quiet, so read the ratios. Texts are drawn like speech (few words often, many
seldom) and vectors like topics (clusters on a sphere); recall says how many of the true ten are found.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.embedding.embedder import Vectors
from core.search.index import Index, Row, Scope
from core.search.query import DEPTH, search

PER_RECORDING = 500
DIM = 384
QUESTIONS = 40


@dataclass
class Synthetic:
    """An embedder that knows the vectors of its questions."""

    questions: dict[str, np.ndarray]
    name: str = "synthetic"
    title: str = "Synthetic"
    languages: tuple[str, ...] | None = None
    batch_texts: int = 100
    answer_cosine: float | None = None
    dim: int = DIM

    def embed(self, texts: list[str]) -> Vectors:
        return np.stack([self.questions[text] for text in texts])

    def embed_counted(self, texts: list[str]) -> tuple[Vectors, int]:
        return self.embed(texts), 0

    def embed_query(self, text: str) -> np.ndarray:
        return self.questions[text]


def vocabulary(random: np.random.Generator) -> np.ndarray:
    letters = np.array(list("абвгдежзиклмнопрстуфхчя"))
    return np.array(["".join(random.choice(letters, random.integers(4, 11))) for _ in range(30_000)])


def text(random: np.random.Generator, words: np.ndarray, count: int = 100) -> str:
    return " ".join(words[np.minimum(random.zipf(1.3, count), len(words)) - 1])


def directions(random: np.random.Generator, count: int) -> np.ndarray:
    centres = np.random.default_rng(1).normal(size=(1000, DIM))
    made = centres[random.integers(0, 1000, count)] + 0.7 * random.normal(size=(count, DIM))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def fill(index: Index, embedder: Synthetic, random: np.random.Generator, count: int) -> np.ndarray:
    words, vectors = vocabulary(random), directions(random, count)
    for start in range(0, count, PER_RECORDING):
        name = f"recording{start // PER_RECORDING}"
        rows = [
            Row(f"{name}:{n}", name, "me", n * 45.0, n * 45.0 + 45, text(random, words), "ru")
            for n in range(PER_RECORDING)
        ]
        ids = [row.id for row in rows]
        index.put(name, rows)
        index.put_vectors(embedder, name, "me", ids, ids, vectors[start : start + PER_RECORDING])
    return vectors


def timed(work: Callable[[str], object], questions: list[str]) -> float:
    """Median milliseconds, after one round that warms up."""
    took = []
    for question in [*questions[:3], *questions]:
        began = time.perf_counter()
        work(question)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[3:])


def measure(count: int, folder: str) -> None:
    random = np.random.default_rng(7)
    index = Index(folder)
    embedder = Synthetic({})
    began = time.perf_counter()
    vectors = fill(index, embedder, random, count)
    filled_s = time.perf_counter() - began
    index.maintain(after_rows=1)
    tidied_s = time.perf_counter() - began - filled_s
    words = vocabulary(np.random.default_rng(7))
    questions = [text(random, words[50:5000], 2) for _ in range(QUESTIONS)]
    embedder.questions = dict(zip(questions, directions(random, QUESTIONS), strict=True))

    def exact(question: str) -> list[str]:
        best = np.argsort(-(vectors @ embedder.questions[question]))[:10]
        return [f"recording{n // PER_RECORDING}:{n % PER_RECORDING}" for n in best]

    def near(question: str) -> list[str]:
        return [key for key, _ in index.nearest(embedder, embedder.questions[question], limit=DEPTH)][:10]

    recall = statistics.mean(len({*exact(question)} & {*near(question)}) / 10 for question in questions)
    one = Scope("me", ("recording1",))
    scan = timed(exact, questions)
    print(f"\n{count:,} passages × {DIM}; filled in {filled_s:.0f} s, indexed in {tidied_s:.1f} s")
    print(f"{'numpy scan':28}{scan:8.1f} ms     1.0 ×")
    for label, work in {
        f"nearest (recall {recall:.3f})": near,
        "nearest in one recording": lambda q: index.nearest(embedder, embedder.questions[q], one, DEPTH),
        "words, all": index.words,
        "words, any": lambda q: index.words(q, how="any"),
        "words, misspelt": lambda q: index.words(q, how="fuzzy"),
        "words, letter by letter": lambda q: index.words(q, how="substring"),
        "search, hybrid": lambda q: search(index, embedder, q),
        "search, in one recording": lambda q: search(index, embedder, q, scope=one),
    }.items():
        took = timed(work, questions)
        print(f"{label:28}{took:8.1f} ms {took / scan:7.1f} ×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    for count in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as folder:
            measure(count, folder)


if __name__ == "__main__":
    main()
