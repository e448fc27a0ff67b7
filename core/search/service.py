"""Searching as the doors do it: the caller's rights, the active embedder, the moment to play."""

from __future__ import annotations

from core.principal import Principal
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index, Row, Scope
from core.search.query import Found, play_s, search
from core.transcripts.transcripts import Transcripts


class SearchService:
    """Finds moments that the caller may see."""

    def __init__(self, index: Index, active_embedder: ActiveEmbedder, transcripts: Transcripts) -> None:
        self._index = index
        self._active_embedder = active_embedder
        self._transcripts = transcripts

    def search(
        self, who: Principal, question: str, *, mode: str = "hybrid", limit: int = 20, recording_id: str = ""
    ) -> Found:
        """Moments where something was said, best first.

        `mode` is words, meaning or hybrid. Raises BadRequest for an empty or overlong question.
        """
        scope = Scope(None if who.admin else who.owner, (recording_id,) if recording_id else ())

        def moment(row: Row) -> float:
            return play_s(
                question, row, self._transcripts.words_between(row.recording_id, row.start_s, row.end_s)
            )

        embedder = self._active_embedder.searched()
        return search(self._index, embedder, question, scope=scope, mode=mode, limit=limit, moment=moment)
