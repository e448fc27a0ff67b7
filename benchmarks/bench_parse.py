"""Reading the result of a large batch: our reader beside a bare `orjson.loads` loop over the same file.

python -m benchmarks.bench_parse [--lines 10000] [--dim 3072]

Each reader runs in a process of its own; lines are counted a second of processor time, extra
memory is the growth of its resident set.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import orjson
import psutil

from core.orders.batch_results import Match

ROUNDS = 3
VECTORS = 100
"""Different vectors in the file; writing them is slower than reading."""


def write(path: Path, lines: int, dim: int) -> None:
    """A result as Gemini writes one."""
    random = np.random.default_rng(1)
    vectors = (random.standard_normal((VECTORS, dim)) / 50).round(9)
    written = [json.dumps(vector.tolist()) for vector in vectors]
    with path.open("w") as file:
        for n in range(lines):
            response = f'{{"tokenCount": "300", "embedding": {{"values": {written[n % VECTORS]}}}}}'
            file.write(f'{{"response": {response}, "key": "chunk_{n}"}}\n')


def parse_ours(path: Path, lines: int, dim: int) -> int:
    """Matched, checked, unit float32 blocks."""
    match = Match({f"chunk_{n}": 1 for n in range(lines)}, dim)
    return sum(len(vectors) for _, vectors in match.vectors(path))


def bare(path: Path, lines: int, dim: int) -> int:  # noqa: ARG001 - same shape as `ours`
    """Nothing but parsing."""
    with path.open("rb") as file:
        return sum(1 for line in file if orjson.loads(line)["key"])


def measured(
    pipe: Connection, read: Callable[[Path, int, int], int], path: Path, lines: int, dim: int
) -> None:
    """Lines a second and MB of extra memory."""
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.process_time()  # what else runs on this machine does not matter
    assert read(path, lines, dim) == lines
    took_s = time.process_time() - began
    peak = _peak_bytes()
    pipe.send((lines / took_s, (peak - before) / 1e6))


def _peak_bytes() -> int:
    """The largest resident set this process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return psutil.Process().memory_info().rss


def run(read: Callable[[Path, int, int], int], path: Path, lines: int, dim: int) -> tuple[float, float]:
    """In a fresh process."""
    parent_end, child_end = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=measured, args=(child_end, read, path, lines, dim)
    )
    process.start()
    result: tuple[float, float] = parent_end.recv()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=3072)
    questions = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.jsonl"
        write(path, questions.lines, questions.dim)
        print(f"{questions.lines} lines × {questions.dim} numbers, {path.stat().st_size / 1e6:.0f} MB")
        for name, read in (("core.orders.batch_results", parse_ours), ("bare orjson.loads", bare)):
            rounds = [run(read, path, questions.lines, questions.dim) for _ in range(ROUNDS)]
            speed = statistics.median(one[0] for one in rounds)
            extra = max(one[1] for one in rounds)
            print(f"{name:18} {speed:8.0f} lines/s   {extra:6.0f} MB extra memory")


if __name__ == "__main__":
    main()
