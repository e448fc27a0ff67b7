"""How fast search is while the archive fills: `python benchmarks/bench_search.py [sizes…] [--home FOLDER]`.

An installation is filled as the product does it, records, words and vectors, with texts of Russian words as
frequent as in speech, and vectors in clusters as topics are (made, because 100,000 real ones take an hour).
Questions are embedded for real. Then each row of the table is measured; the machine is never quiet, so read
ratios. `--home` keeps the installation and goes on with one that was filled before; a size of 500,000 needs
8 GB there.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from sqlalchemy import func, insert, select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.application import Application
from core.database.states import EmbeddingStatus
from core.database.tables import PassageRow, Recording, Segment, Transcript
from core.embedding.embedders.e5 import E5
from core.principal import EVERYONE
from core.search import lance, stems
from core.search.index import WORDS, Row
from core.search.query import DEPTH, search
from core.search.sentences import sentences
from core.settings import ROOT, Settings
from core.speech.engine import Word

PER_RECORDING = 500
PASSAGE_S = 45.0
WORDS_A_PASSAGE = 100
MAINTAINED_AFTER = 10
"""Recordings, or a fiftieth of all, that are filled in between two rounds of care: 62 hours of sound."""
QUESTIONS = 60
CLIENTS = 8
WAITING = 1900
"""Rows that wait for the index at most, where words are measured beside them."""
PREFIXES = [first + second for first in "абвгдзиклмнопрстуфхчш" for second in "аеиорлу"]


@dataclass(frozen=True)
class Speech:
    """Made texts and vectors; the same for the same number."""

    seed: int

    @cached_property
    def words(self) -> list[str]:
        """Forms of Russian words, the frequent ones first."""
        known = stems.morphology().dictionary.words
        some = [
            word for prefix in PREFIXES for word in itertools.islice(known.iterkeys(prefix), 0, 16_000, 80)
        ]
        some = [word for word in dict.fromkeys(map(stems.fold, some)) if word not in stems.STOP_WORDS]
        return [some[n] for n in np.random.default_rng(1).permutation(len(some))]

    def texts(self, recording: int) -> list[list[str]]:
        """Passages of one recording, as words."""
        random = np.random.default_rng([self.seed, recording])
        drawn = np.minimum(random.zipf(1.3, (PER_RECORDING, WORDS_A_PASSAGE)), len(self.words)) - 1
        return [[self.words[n] for n in row] for row in drawn]

    def vectors(self, recording: int) -> np.ndarray:
        """Their vectors, of unit length."""
        random = np.random.default_rng([self.seed, recording, 1])
        centres = np.random.default_rng(1).normal(size=(1000, E5.dim))
        vectors = centres[random.integers(0, 1000, PER_RECORDING)] + 0.7 * random.normal(
            size=(PER_RECORDING, E5.dim)
        )
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def questions(self, count: int) -> list[str]:
        """Two words that are rather seldom, and every third time a word that nobody says besides."""
        random = np.random.default_rng([self.seed, 2])
        questions = [[self.words[n] for n in random.integers(50, 3000, 2)] for _ in range(count)]
        return [
            " ".join([*words, "барракуда"][: 3 if n % 3 == 0 else 2]) for n, words in enumerate(questions)
        ]


def settings(home: Path) -> Settings:
    """Of an installation that limits nobody."""
    return Settings(stenogram_home=home, api_requests_per_min=10_000_000)


class Sentences(E5):
    """Vectors of sentences by no model."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.random.default_rng(len(texts)).normal(size=(len(texts), self.dim))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Filling:
    """Fills an installation up to a size, and watches its disk meanwhile."""

    def __init__(self, app: Application, speech: Speech, *, spoken: bool) -> None:
        self._app = app
        self._speech = speech
        self._spoken = spoken
        self.took_s = 0.0
        self.most_bytes = 0

    def to(self, passages: int, limit_s: float) -> bool:
        """Add recordings until there are so many passages, or time is up; goes on where another run ended."""
        began, every = time.perf_counter(), max(MAINTAINED_AFTER, passages // PER_RECORDING // 50)
        for n in range(self._app.index.count() // PER_RECORDING, passages // PER_RECORDING):
            self.add(n, PER_RECORDING)
            if self._spoken and n % every == every - 1:
                self._app.index.maintain()
                self.most_bytes = max(self.most_bytes, self.index_bytes())
            self.took_s = time.perf_counter() - began
            if self.took_s > limit_s:
                return False
        return True

    def add(self, number: int, passages: int) -> None:
        """One recording, transcribed, indexed and with vectors."""
        recording_id = f"{number:08x}"
        texts = [" ".join(words) for words in self._speech.texts(number)[:passages]]
        rows = [
            Row(
                f"{recording_id}{n:08x}",
                recording_id,
                "pages",
                n * PASSAGE_S,
                (n + 1) * PASSAGE_S,
                text,
                "ru",
            )
            for n, text in enumerate(texts)
        ]
        self._record(recording_id, rows)
        self._app.index.put(recording_id, rows)
        ids, vectors = [row.id for row in rows], self._speech.vectors(number)[:passages]
        self._app.index.put_vectors(E5(), recording_id, "pages", ids, ids, vectors)
        if self._spoken:
            self._prepare(recording_id, rows)

    def _prepare(self, recording_id: str, rows: Sequence[Row]) -> None:
        spoken = [sentences([Word(*packed) for packed in _segment(0, row)["words"]]) for row in rows]
        self._app.sentences.prepare(Sentences(), recording_id, spoken)

    def _record(self, recording_id: str, rows: Sequence[Row]) -> None:
        with self._app.database.write() as session:
            fields = {"language": "ru", "sha256": recording_id}
            session.add(
                Transcript(id=recording_id, key=recording_id, engine="made", engine_version="1", **fields)
            )
            session.add(
                Recording(
                    id=recording_id,
                    owner="pages",
                    filename=f"{recording_id}.wav",
                    title=f"Recording {recording_id}",
                    size_bytes=1,
                    duration_s=len(rows) * PASSAGE_S,
                    transcript_id=recording_id,
                    embedding_status=EmbeddingStatus.DONE,
                    **fields,
                )
            )
            session.flush()
            if self._spoken:
                session.execute(insert(Segment), [_segment(n, row) for n, row in enumerate(rows)])
            session.execute(insert(PassageRow), [_passage(n, row) for n, row in enumerate(rows)])

    def index_bytes(self) -> int:
        """What the index takes on the disk."""
        return sum(
            file.stat().st_size for file in Path(self._app.settings.index).rglob("*") if file.is_file()
        )


def _segment(n: int, row: Row) -> dict[str, Any]:
    step_s = PASSAGE_S / WORDS_A_PASSAGE
    words = [
        [word, round(row.start_s + place * step_s, 3), round(row.start_s + (place + 0.8) * step_s, 3), 0.9]
        for place, word in enumerate(row.text.split())
    ]
    segment = {"transcript_id": row.recording_id, "n": n, "channel": "mono", "text": row.text, "words": words}
    return segment | {"start_s": row.start_s, "end_s": row.end_s}


def _passage(n: int, row: Row) -> dict[str, object]:
    fields = {
        "id": row.id,
        "recording_id": row.recording_id,
        "n": n,
        "start_s": row.start_s,
        "end_s": row.end_s,
    }
    fields |= {"speaker": "", "language": "ru", "text": row.text, "text_hash": row.id}
    return fields | {"embedding_status": EmbeddingStatus.DONE}


def took_ms(work: Callable[[str], object], questions: Sequence[str]) -> list[float]:
    """Milliseconds of each question, after three that warm up."""
    for question in questions[:3]:
        work(question)
    return [once_ms(work, question) for question in questions]


def once_ms(work: Callable[[str], object], question: str) -> float:
    """Milliseconds of one question."""
    began = time.perf_counter()
    work(question)
    return (time.perf_counter() - began) * 1000


def p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95))


def say(row: str, *values: str) -> None:
    print(f"{row:52}" + "".join(f"{value:>16}" for value in values), flush=True)


def scan_ms(vectors: np.ndarray, questions: Sequence[np.ndarray]) -> float:
    """Median of a plain scan by numpy for the best ten, all vectors in memory."""
    took = []
    for question in questions:
        began = time.perf_counter()
        np.argpartition(-(vectors @ question), 10)[:10]
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


class Measuring:
    """The rows of the table for one installation that is filled."""

    def __init__(self, app: Application, filling: Filling, speech: Speech) -> None:
        self._app = app
        self._filling = filling
        self._questions = speech.questions(QUESTIONS)
        self._embedder = E5()

    def core(self) -> None:
        """Each way to search, beside a scan by numpy."""
        index, embedder, questions = self._app.index, self._embedder, self._questions
        scan = self._scan(questions)
        say("numpy scan of all vectors, ms (times)", f"{scan:.1f}", "1.00 ×")
        for label, work in {
            "nearest by meaning": lambda q: index.nearest(embedder, embedder.embed_query(q), limit=DEPTH),
            "words, all": index.words,
            "words, any": lambda q: index.words(q, how="any"),
            "nothing found: a part of words": lambda q: index.words(q[1:7] + "ъъ", how="substring"),
            "nothing found: no word of it": lambda q: search(
                index, None, f"{q[:4]}ъыъ {q[-4:]}ыъы", mode="words"
            ),
            "misspelt": lambda q: search(index, None, q[:3] + q[4:], mode="words"),
            "hybrid, without the question's vector": self.hybrid,
        }.items():
            for question in questions:
                embedder.embed_query(question)  # it is remembered
            took = statistics.median(took_ms(work, questions))
            say(label, f"{took:.1f}", f"{took / scan:.2f} ×")

    def _scan(self, questions: Sequence[str]) -> float:
        """Before anything else fills the memory."""
        table = self._app.index._open(next(n for n in self._app.index._names() if n.startswith("vectors-")))
        vectors = np.empty((table.count_rows(), E5.dim), np.float32)
        at = 0
        for batch in table.search().select(["vector"]).to_batches(10_000):
            vectors[at : at + len(batch)] = batch["vector"].flatten().to_numpy().reshape(len(batch), -1)
            at += len(batch)
        return scan_ms(vectors, [self._embedder.embed_query(question) for question in questions])

    def waiting(self) -> None:
        """Words beside rows that the index does not have yet: as many as may wait, and many more."""
        index, number = self._app.index, 900_000
        table = index._open(WORDS)
        may_wait = min(lance.INDEX_AFTER_ROWS, PER_RECORDING)
        index.maintain(after_rows=1)
        before = statistics.median(took_ms(index.words, self._questions))
        say("words, ms", f"{before:.1f}")
        self._filling.add(number, may_wait)
        after = statistics.median(took_ms(index.words, self._questions))
        say(f"words while {may_wait} rows wait", f"{after:.1f}", f"{after / before:.1f} ×")
        while max(each.num_unindexed_rows or 0 for each in table.list_indices()) < WAITING - PER_RECORDING:
            self._filling.add(number := number + 1, PER_RECORDING)
        after = statistics.median(took_ms(index.words, self._questions))
        say(f"words while some {WAITING} rows wait", f"{after:.1f}", f"{after / before:.1f} ×")

    def hybrid(self, question: str) -> object:
        """Without the caller's rights and the moment to play."""
        return search(self._app.index, self._embedder, question, rows=self._app.passages.rows)

    def maintenance(self, find: Callable[[str], object]) -> None:
        """The rows that wait are indexed by another process; searches go on meanwhile."""
        before = p95(took_ms(find, self._questions))
        code = (
            "import sys,time;from core.search.index import Index;b=time.perf_counter();"
            "Index(sys.argv[1]).maintain(after_rows=1);print(time.perf_counter()-b)"
        )
        command = ["nice", sys.executable, "-c", code, self._app.settings.index]
        worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        during: list[float] = []
        while worker.poll() is None:
            during.append(once_ms(find, self._questions[len(during) % QUESTIONS]))
        lasted = float(worker.communicate()[0])
        say("p95 ms, and while the index is tended", f"{before:.0f}", f"{p95(during):.0f}")
        say("", f"{lasted:.1f} s", f"{p95(during) / before:.1f} ×")

    def find(self, question: str) -> object:
        """As the doors do it."""
        return self._app.searcher.search(EVERYONE, question)

    def service(self) -> None:
        """With the caller's rights, the moment to play and the sentence that answers."""
        fresh = Speech(77).questions(QUESTIONS)
        took = took_ms(self.find, fresh)
        say("service, first time a question is asked, p50 ms", f"{statistics.median(took):.1f}")
        took = took_ms(self.find, fresh)
        say("service, asked again", f"{statistics.median(took):.1f}")

    def http(self) -> None:
        """One client, then eight at once; the memory of the process that answers."""
        key = self._app.keys.make(EVERYONE, "bench", admin=True)
        with serving(self._app.settings.home) as (url, process):
            with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60) as client:

                def ask(question: str) -> None:
                    client.get("/api/v1/search", params={"q": question}).raise_for_status()

                ask("прогрев")
                times_ms = took_ms(ask, Speech(78).questions(QUESTIONS))
                say(
                    "HTTP, one client, p50 and p95 ms",
                    f"{statistics.median(times_ms):.1f}",
                    f"{p95(times_ms):.1f}",
                )
                began = time.perf_counter()
                used_s = sum(process.cpu_times()[:2])
                questions = Speech(79).questions(QUESTIONS * 5)
                with ThreadPoolExecutor(CLIENTS) as clients:
                    times_ms = list(clients.map(lambda question: once_ms(ask, question), questions))
                lasted = time.perf_counter() - began
                used_s = sum(process.cpu_times()[:2]) - used_s
            say(
                f"HTTP, {CLIENTS} clients, searches a second, p50 ms",
                f"{len(times_ms) / lasted:.1f}",
                f"{statistics.median(times_ms):.0f}",
            )
            say("processor time of a search, ms", f"{used_s / len(times_ms) * 1000:.1f}")
            say("memory of the process that answers", f"{process.memory_info().rss / 2**20:.0f} MB")


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The pages and the API on this installation."""
    port = 8700 + os.getpid() % 200
    environment = {"STENOGRAM_HOME": str(home), "PORT": str(port), "API_REQUESTS_PER_MIN": "10000000"}
    with (home / "bench.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if httpx.get(f"{url}/health/live").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def measure(passages: int, home: Path, fill_s: float, *, core_only: bool) -> None:
    """The table for one size."""
    app, speech = Application(settings(home)), Speech(7)
    app.active_embedder.embedder()
    filling = Filling(app, speech, spoken=not core_only)
    if not filling.to(passages, fill_s):
        print(f"{app.index.count():,} passages; at most {filling.most_bytes / 1e9:.2f} GB; run it again")
        return
    with app.database.read() as session:
        count = session.scalar(select(func.count()).select_from(PassageRow))
    print(f"\n{count:,} passages × {E5.dim}")
    if filling.took_s > 1:
        say("filled in, and the index at most on the disk", f"{filling.took_s:.0f} s")
        say("", f"{filling.most_bytes / 1e9:.2f} GB")
    measuring = Measuring(app, filling, speech)
    if core_only:
        measuring.maintenance(measuring.hybrid)
        say("the index on the disk", f"{filling.index_bytes() / 1e9:.2f} GB")
    measuring.core()
    say("memory of this process", f"{psutil.Process().memory_info().rss / 2**20:.0f} MB")
    if core_only:
        return
    measuring.service()
    measuring.http()
    measuring.waiting()
    measuring.maintenance(measuring.find)


def main() -> None:
    """Measure each size in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--core", action="store_true", help="no transcripts, one round of care, no service")
    parser.add_argument(
        "--fill-s", type=float, default=1e9, help="stop filling after so many seconds; run again to go on"
    )
    arguments = parser.parse_args()
    for size in arguments.sizes:
        if arguments.home:
            measure(size, arguments.home / str(size), arguments.fill_s, core_only=arguments.core)
            continue
        with tempfile.TemporaryDirectory() as folder:
            measure(size, Path(folder), arguments.fill_s, core_only=arguments.core)


if __name__ == "__main__":
    main()
