"""How fast passages of speech get their vectors, and their sentences: `python -m benchmarks.bench_embed`.

Texts are those of the judged set, put together to 100 words, which people say in 45 seconds. One process a
core, as workers are; ratios are seconds of speech to seconds of the clock.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

from benchmarks import bench_quality
from core.embedding.embedders.e5 import E5
from core.search.sentences import sentences
from core.speech.engine import Word

WORDS_A_PASSAGE = 100
PASSAGE_S = 45.0


def texts(count: int) -> list[str]:
    """Passages of 100 words, Russian and English as in the judged set."""
    words = " ".join(passage["text"] for passage in bench_quality.passages()).split()
    starts = (n * 97 % (len(words) - WORDS_A_PASSAGE) for n in range(count))
    return [" ".join(words[start : start + WORDS_A_PASSAGE]) for start in starts]


def sentences_of(text: str) -> list[str]:
    step_s = PASSAGE_S / WORDS_A_PASSAGE
    words = [Word(word, n * step_s, (n + 0.8) * step_s) for n, word in enumerate(text.split())]
    return [sentence.text for sentence in sentences(words)]


def work(texts: list[str]) -> tuple[float, float]:
    """Seconds that the passages took, and their sentences."""
    embedder = E5()
    embedder.embed(texts[:2])
    began = time.perf_counter()
    embedder.embed(texts)
    between = time.perf_counter()
    for text in texts:
        embedder.embed(sentences_of(text))
    return between - began, time.perf_counter() - between


def main() -> None:
    """Measure one process, then as many as asked for at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    for cores in dict.fromkeys((1, args.cores)):
        with multiprocessing.get_context("spawn").Pool(cores) as pool:
            took = pool.map(work, [texts(args.passages)] * cores)
        speech_s = cores * args.passages * PASSAGE_S
        passages_s, both_s = max(one for one, _ in took), max(one + other for one, other in took)
        print(
            f"{cores} processes: passages {speech_s / passages_s:.0f} × real time,"
            f" with their sentences {speech_s / both_s:.0f} ×"
        )


if __name__ == "__main__":
    main()
