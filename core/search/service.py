"""Searching as the doors do it: the caller's rights, the active embedder, the moment to play."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.embedding.embedder import Embedder, batching, understands
from core.embedding.embedders import e5
from core.errors import Code, Unavailable
from core.principal import Principal
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index, Row, Scope
from core.search.query import LEAD_IN_S, Found, Match, play_s, search
from core.search.sentences import Finder, sentences
from core.transcripts.chunking import language
from core.transcripts.transcripts import Transcripts

LIMIT_S = 20.0
"""No question takes longer, whatever it waits for: a disk that is full, a lock, a provider, a bucket."""
AIMED = 3
"""Hits whose sentence is looked for: what a person plays first. 36 ms each when it is new."""
AT_ONCE = 8
"""Questions looked for at the same time; those that hang count until they end."""


class SearchService:
    """Finds moments that the caller may see."""

    def __init__(self, index: Index, active_embedder: ActiveEmbedder, transcripts: Transcripts) -> None:
        self._index = index
        self._active_embedder = active_embedder
        self._transcripts = transcripts
        self._sentences = Finder()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="search")

    def search(
        self, who: Principal, question: str, *, mode: str = "hybrid", limit: int = 20, recording_id: str = ""
    ) -> Found:
        """Moments where something was said, best first.

        `mode` is words, meaning or hybrid. Raises BadRequest for an empty or overlong question, Unavailable
        when it takes longer than `LIMIT_S`: what hangs is left behind in its thread.
        """
        looking = self._threads.submit(self._search, who, question, mode, limit, recording_id)
        try:
            return looking.result(LIMIT_S)
        except TimeoutError as error:
            if looking.done():
                raise  # it is what the search itself ended with
            looking.cancel()
            raise Unavailable(Code.SEARCH_STOPPED, seconds=round(LIMIT_S)) from error

    def _search(self, who: Principal, question: str, mode: str, limit: int, recording_id: str) -> Found:
        scope = Scope(None if who.admin else who.owner, (recording_id,) if recording_id else ())

        def moment(row: Row) -> float:
            return play_s(
                question, row, self._transcripts.words_between(row.recording_id, row.start_s, row.end_s)
            )

        embedder = self._active_embedder.searched()
        found = search(self._index, embedder, question, scope=scope, mode=mode, limit=limit, moment=moment)
        return found if mode == "words" else replace(found, matches=self._aimed(question, found, embedder))

    def _aimed(self, question: str, found: Found, searched: Embedder) -> tuple[Match, ...]:
        """The matches; the first of them that were found by meaning start at the sentence that answers."""
        embedder = _for_sentences(searched)
        loose = [match for match in found.matches if match.how in {"", "any"}][:AIMED]
        if embedder is None or not loose or not understands(embedder, language(question)):
            return found.matches
        try:
            vector = embedder.embed_query(question)
            aimed = {match.row.id: self._aim(match, embedder, vector) for match in loose}
        except Unavailable:
            return found.matches  # they start where their words, or they themselves, do
        return tuple(aimed.get(match.row.id, match) for match in found.matches)

    def _aim(self, match: Match, embedder: Embedder, vector: NDArray[np.float32]) -> Match:
        row = match.row
        said = self._transcripts.words_between(row.recording_id, row.start_s, row.end_s)
        sentence = self._sentences.nearest(embedder, vector, sentences(said))
        if sentence is None:
            return match
        return replace(match, play_s=max(0.0, sentence.start_s - LEAD_IN_S), sentence=sentence.text)


def _for_sentences(searched: Embedder) -> Embedder | None:
    """What makes vectors of sentences: nothing that is paid for."""
    if batching(searched) is None:
        return searched
    return None if e5.reason() else e5.E5()
