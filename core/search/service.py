"""Searching as the doors do it: the caller's rights, the active embedder, the moment to play."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from core.errors import Code, Unavailable
from core.principal import Principal
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index, Row, Scope
from core.search.query import Found, play_s, search
from core.transcripts.transcripts import Transcripts

LIMIT_S = 20.0
"""No question takes longer, whatever it waits for: a disk that is full, a lock, a provider, a bucket."""
AT_ONCE = 8
"""Questions looked for at the same time; those that hang count until they end."""


class SearchService:
    """Finds moments that the caller may see."""

    def __init__(self, index: Index, active_embedder: ActiveEmbedder, transcripts: Transcripts) -> None:
        self._index = index
        self._active_embedder = active_embedder
        self._transcripts = transcripts
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
        return search(self._index, embedder, question, scope=scope, mode=mode, limit=limit, moment=moment)
