"""Which sentence of a passage answers: where to start playing what was found by meaning.

A passage has some 45 seconds, and its vector says nothing about where in it the answer is; each sentence has
a vector of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select

from core.database.database import Database
from core.database.tables import Recording, SentenceVectors
from core.database.upsert import insert_if_absent
from core.embedding.embedder import Embedder
from core.speech.engine import Word

ENDS = (".", "!", "?", "…")
SHORTEST_WORDS = 3
"""A shorter sentence belongs to the next one: “Yes. It was the pump.”"""
LONGEST_WORDS = 25
"""Speech without full stops is cut after as many."""
PAUSE_S = 0.8
"""Silence that ends a sentence without a full stop."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and the second it starts at."""

    start_s: float
    text: str


def sentences(words: Sequence[Word]) -> list[Sentence]:
    """Words in time order → sentences in time order."""
    found: list[Sentence] = []
    begun: list[Word] = []
    for n, word in enumerate(words):
        begun.append(word)
        last = n + 1 == len(words)
        if last or _ends(begun, words[n + 1]):
            found.append(Sentence(begun[0].start_s, " ".join(each.text.strip() for each in begun)))
            begun = []
    return found


def _ends(begun: Sequence[Word], following: Word) -> bool:
    word = begun[-1]
    pause = following.start_s - word.end_s >= PAUSE_S
    stop = word.text.rstrip('"»”) ').endswith(ENDS)
    return len(begun) >= LONGEST_WORDS or (len(begun) >= SHORTEST_WORDS and (stop or pause))


class SentenceStore:
    """Vectors of sentences at rest: made while passages get theirs; where that was not done, when asked for.

    Four bits a number: 192 bytes a sentence, about as much for a passage as its own vector takes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def nearest(
        self,
        embedder: Embedder,
        question: NDArray[np.float32],
        passages: Sequence[tuple[str, Sequence[Sentence]]],
    ) -> list[Sentence | None]:
        """Of each passage, a recording and sentences, the sentence nearest to a question (its vector, [dim]).

        None of none. Raises Unavailable where the embedder cannot work.
        """
        vectors = self._known(embedder, passages)
        new = [each for each in passages if each[1] and _place(embedder, *each) not in vectors]
        vectors |= self._made(embedder, new)
        self._keep(vectors, [_place(embedder, *each) for each in new])
        return [
            each[1][int(np.argmax(_unpacked(vectors[_place(embedder, *each)], embedder.dim) @ question))]
            if each[1]
            else None
            for each in passages
        ]

    def missing(
        self, embedder: Embedder, recording_id: str, passages: Sequence[Sequence[Sentence]]
    ) -> list[list[Sentence]]:
        """The passages, of all of a recording, whose sentences have no vectors yet; drops those of others."""
        keys = {_key(embedder, each): list(each) for each in passages if each}
        condition = SentenceVectors.recording_id == recording_id
        with self._database.read() as session:
            stored_keys = set(session.scalars(select(SentenceVectors.key).where(condition)))
        if stale_keys := stored_keys - keys.keys():
            with self._database.write() as session:
                session.execute(delete(SentenceVectors).where(condition, SentenceVectors.key.in_(stale_keys)))
        return [each for key, each in keys.items() if key not in stored_keys]

    def prepare(self, embedder: Embedder, recording_id: str, passages: Sequence[Sequence[Sentence]]) -> None:
        """Make and keep vectors for the sentences of these passages. Raises Unavailable."""
        vectors = self._made(embedder, [(recording_id, each) for each in passages])
        self._keep(vectors, vectors)

    def _known(
        self, embedder: Embedder, passages: Sequence[tuple[str, Sequence[Sentence]]]
    ) -> dict[tuple[str, str], bytes]:
        keys = [_key(embedder, each) for _, each in passages]
        statement = select(SentenceVectors.recording_id, SentenceVectors.key, SentenceVectors.packed).where(
            SentenceVectors.recording_id.in_({recording_id for recording_id, _ in passages}),
            SentenceVectors.key.in_(keys),
        )
        with self._database.read() as session:
            return {(row_id, key): packed for row_id, key, packed in session.execute(statement)}

    def _made(
        self, embedder: Embedder, passages: Sequence[tuple[str, Sequence[Sentence]]]
    ) -> dict[tuple[str, str], bytes]:
        texts = list(dict.fromkeys(each.text for _, parts in passages for each in parts))
        vectors = dict(zip(texts, embedder.embed(texts), strict=True)) if texts else {}
        return {
            _place(embedder, *each): _packed(np.stack([vectors[sentence.text] for sentence in each[1]]))
            for each in passages
        }

    def _keep(self, vectors: Mapping[tuple[str, str], bytes], places: Iterable[tuple[str, str]]) -> None:
        new = [(*place, vectors[place]) for place in places]
        if not new:
            return
        with self._database.write() as session:
            condition = Recording.id.in_({recording_id for recording_id, _, _ in new})
            alive = set(session.scalars(select(Recording.id).where(condition)))
            for recording_id, key, packed in new:
                if recording_id in alive:
                    insert_if_absent(
                        session, SentenceVectors(recording_id=recording_id, key=key, packed=packed)
                    )


def _place(embedder: Embedder, recording_id: str, sentences: Sequence[Sentence]) -> tuple[str, str]:
    return recording_id, _key(embedder, sentences)


def _key(embedder: Embedder, sentences: Sequence[Sentence]) -> str:
    texts = "\n".join([embedder.name, *(each.text for each in sentences)])
    return hashlib.sha256(texts.encode()).hexdigest()[:32]


def _packed(vectors: NDArray[np.float32]) -> bytes:
    """Unit vectors [sentences, dim] → four bits a number: its place on 15 steps within three deviations."""
    deviation = 1 / np.sqrt(vectors.shape[1])
    steps = np.clip(np.rint(vectors * (7 / (3 * deviation))), -7, 7).astype(np.int8) + 8
    steps = np.pad(steps, ((0, 0), (0, vectors.shape[1] % 2)))
    return np.asarray(steps[:, 0::2] | steps[:, 1::2] << 4, np.uint8).tobytes()


def _unpacked(packed: bytes, dim: int) -> NDArray[np.float32]:
    """The same vectors, coarser, shape [sentences, dim]."""
    pairs = np.frombuffer(packed, np.uint8).reshape(-1, (dim + 1) // 2)
    vectors = (
        np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(len(pairs), -1)[:, :dim].astype(np.float32) - 8
    )
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
