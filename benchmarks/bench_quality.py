"""How well search finds, on a judged set of our own: `python benchmarks/bench_quality.py [--embedder e5]`.

157 passages of calls, meetings and lectures (68 % Russian, every fourth as a recogniser mishears it) and 342
questions in 13 classes, written by hand: `tests/data/judged`. The product's own search answers them. nDCG@10
(grades as they are, Järvelin & Kekäläinen 2002), recall of the relevant in the first one and five, reciprocal
rank of the first relevant; for what has no answer, the share of questions that were answered as if sure.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.embedding.embedder import Embedder, text_hash, understands
from core.embedding.embedders.e5 import E5
from core.embedding.embedders.local import Local
from core.search.index import Index, Row
from core.search.query import MODES, Match, search
from core.transcripts.chunking import language

JUDGED = Path(__file__).resolve().parent.parent / "tests" / "data" / "judged"
EMBEDDERS = {"e5": E5, "minilm": Local}
PASSAGE_S = 45.0
NO_ANSWER = "unanswerable"


@dataclass(frozen=True)
class Query:
    """One question, and its relevant passages with their grade, 1 to 3."""

    kind: str
    language: str
    text: str
    relevant: dict[str, int]


@dataclass(frozen=True)
class Score:
    """How one question was answered."""

    ndcg: float
    r1: float
    r5: float
    rr: float
    sure: bool
    """Whether its first answer was given as one."""


def queries(folder: Path = JUDGED) -> list[Query]:
    rows = json.loads((folder / "queries.json").read_text())
    return [Query(row["class"], row["language"], row["query"], row["relevant"]) for row in rows]


def passages(folder: Path = JUDGED) -> list[dict[str, str]]:
    return list(json.loads((folder / "passages.json").read_text()))


def filled(folder: Path, embedder: Embedder | None) -> Index:
    """An index of the judged passages, each a recording's next 45 seconds."""
    index = Index(str(folder))
    recordings = defaultdict(list)
    for passage in passages():
        recordings[passage["recording"]].append(passage)
    for recording, mine in recordings.items():
        rows = [
            Row(
                passage["id"],
                recording,
                "me",
                n * PASSAGE_S,
                (n + 1) * PASSAGE_S,
                passage["text"],
                language(passage["text"]),
            )
            for n, passage in enumerate(mine)
        ]
        index.put(recording, rows)
        read = [row for row in rows if embedder and understands(embedder, row.language)]
        if embedder and read:
            texts = [row.text for row in read]
            hashes = [text_hash(embedder, text) for text in texts]
            ids = [row.id for row in read]
            index.put_vectors(embedder, recording, "me", ids, hashes, embedder.embed(texts))
    index.maintain(after_rows=1)
    return index


def score(query: Query, matches: list[Match]) -> Score:
    ids = [match.row.id for match in matches]
    gains = [query.relevant.get(key, 0) for key in ids[:10]]
    ideal = sorted(query.relevant.values(), reverse=True)[:10]
    first = next((rank for rank, key in enumerate(ids, 1) if key in query.relevant), None)
    sure = bool(matches) and matches[0].sure
    count = len(query.relevant) or 1
    return Score(
        _dcg(gains) / (_dcg(ideal) or 1),
        len({*ids[:1]} & query.relevant.keys()) / min(1, count),
        len({*ids[:5]} & query.relevant.keys()) / count,
        1 / first if first else 0.0,
        sure,
    )


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def answered(index: Index, embedder: Embedder | None, mode: str) -> list[tuple[Query, Score, list[Match]]]:
    """Every question of the set with its answers and their score."""
    results = []
    for query in queries():
        matches = list(search(index, embedder, query.text, mode=mode, limit=20).matches)
        results.append((query, score(query, matches), matches))
    return results


def by_class(results: list[tuple[Query, Score, list[Match]]]) -> dict[str, list[Score]]:
    """Scores by class, paraphrases also by language; `all` is every question that has an answer."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for query, scored, _ in results:
        groups[query.kind].append(scored)
        if query.kind == "paraphrase":
            groups[f"paraphrase {query.language}"].append(scored)
        if query.kind != NO_ANSWER:
            groups["all"].append(scored)
            groups[f"all {query.language}"].append(scored)
    return dict(sorted(groups.items()))


def mean(scores: list[Score], name: str) -> float:
    return statistics.mean(getattr(scored, name) for scored in scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedder", choices=EMBEDDERS, default="e5")
    parser.add_argument("--mode", choices=MODES, action="append")
    parser.add_argument(
        "--misses", action="store_true", help="list the questions that were not answered first"
    )
    options = parser.parse_args()
    embedder: Embedder = EMBEDDERS[options.embedder]()
    with tempfile.TemporaryDirectory() as folder:
        index = filled(Path(folder), embedder)
        for mode in options.mode or MODES:
            began = time.perf_counter()
            results = answered(index, embedder, mode)
            took_ms = (time.perf_counter() - began) * 1000 / len(results)
            print(f"\n{embedder.title}, {mode}, {took_ms:.0f} ms a question")
            print(f"{'class':16}{'n':>4}{'nDCG@10':>9}{'R@1':>7}{'R@5':>7}{'MRR':>7}{'sure':>7}")
            for kind, scores in by_class(results).items():
                numbers = "".join(
                    f"{mean(scores, name):{width}.3f}"
                    for name, width in (("ndcg", 9), ("r1", 7), ("r5", 7), ("rr", 7), ("sure", 7))
                )
                print(f"{kind:16}{len(scores):4}{numbers}")
            for query, scored, matches in results if options.misses else []:
                if scored.ndcg < 0.99 and (query.kind != NO_ANSWER or scored.sure):
                    best = [(m.row.id, m.why, m.how, round(m.score, 3)) for m in matches[:4]]
                    print(
                        f"  {query.kind:12} {scored.ndcg:.2f} {query.text!r} {list(query.relevant)} ← {best}"
                    )


if __name__ == "__main__":
    main()
