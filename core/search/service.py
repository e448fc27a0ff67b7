"""Searching as the doors do it: the caller's rights, the active embedder, the moment to play."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from core.database.database import Database
from core.embedding.embedder import Embedder, batching, understands
from core.embedding.embedders import e5
from core.errors import Code, Unavailable
from core.i18n.messages import N_
from core.principal import Principal
from core.search import operators
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index, Scope
from core.search.log import SearchLog
from core.search.passages import Passages
from core.search.query import LEAD_IN_S, Found, Match, play_s, search
from core.search.sentences import SentenceStore, sentences
from core.search.synonyms import Synonyms
from core.speech.engine import Word
from core.transcripts.chunking import language
from core.transcripts.transcripts import Transcripts

LIMIT_S = 20.0
"""No question takes longer, whatever it waits for: a disk that is full, a lock, a provider, a bucket."""
AIMED = 3
"""Hits whose sentence is looked for: what a person plays first. 36 ms each where it has no vectors yet."""
MOST_RECORDINGS = 2000
"""With a tag or day that is asked for; the newest."""
AT_ONCE = 8
"""Questions looked for at the same time; those that hang count until they end."""


NOBODY = N_("Nobody here goes by this name.")
_SPEAKER = re.compile(r"(?:^|(?<=\s))speaker:(?:\"([^\"]*)\"|«([^»]*)»|(\S*))", re.IGNORECASE)


def of_speakers(question: str) -> tuple[str, str]:
    """A question without `speaker:Anna` or `speaker:"Anna Petrova"`, and that name or ""."""
    match = _SPEAKER.search(question)
    name = "".join(group or "" for group in match.groups()) if match else ""
    return " ".join(_SPEAKER.sub(" ", question).split()) if match else question, name.strip()


class SearchService:
    """Finds moments that the caller may see."""

    def __init__(
        self,
        database: Database,
        index: Index,
        active_embedder: ActiveEmbedder,
        passages: Passages,
        transcripts: Transcripts,
        sentences: SentenceStore,
        synonyms: Synonyms,
        log: SearchLog,
    ) -> None:
        self._database = database
        self._index = index
        self._active_embedder = active_embedder
        self._passages = passages
        self._transcripts = transcripts
        self._sentences = sentences
        self._synonyms = synonyms
        self._log = log
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="search")

    def search(
        self,
        principal: Principal,
        question: str,
        *,
        mode: str = "hybrid",
        limit: int = 20,
        recording_id: str = "",
        speaker: str = "",
    ) -> Found:
        """Moments where something was said, best first.

        `mode` is words, meaning or hybrid; `operators` says what a question may hold besides words. `speaker`
        is the name of who is to say it, or a word of it; so is what stands behind `speaker:` in the question,
        which may be all of it.

        Raises BadRequest for an empty or overlong question, Unavailable
        when it takes longer than `LIMIT_S`: what hangs is left behind in its thread.
        """
        question, asked_for = of_speakers(question)
        names = self._named(principal, asked_for or speaker)
        if names == []:
            return Found(notice=NOBODY)
        if names and not question:
            rows = self._passages.of_speakers(principal, names, limit)
            return Found(tuple(Match(row, 0.0, "words", "", row.start_s) for row in rows))
        if (scope := self._passages.scope(principal)) is None:
            return Found()
        if recording_id:
            if not self._passages.visible(principal, [recording_id]):
                return Found()
            scope = Scope(scope.owner, (recording_id,))
        scope = replace(scope, speakers=tuple(names or ()))
        began = time.perf_counter()
        looking = self._threads.submit(self._in_one_view, principal, question, mode, limit, scope)
        try:
            result = looking.result(LIMIT_S)
        except TimeoutError as error:
            if looking.done():
                raise  # it is what the search itself ended with
            looking.cancel()
            raise Unavailable(Code.SEARCH_STOPPED, seconds=round(LIMIT_S)) from error
        result = self._visible(principal, result)
        took_ms = (time.perf_counter() - began) * 1000
        answered = any(match.sure for match in result.matches)
        self._log.note(principal, question, mode, answered=answered, took_ms=took_ms)
        return result

    def _visible(self, principal: Principal, result: Found) -> Found:
        """Without what is theirs no more since the search began, or not yet."""
        rows = [row for match in result.matches for row in (match.row, *match.also)]
        visible = self._passages.visible(principal, {row.recording_id for row in rows})
        matches = (
            replace(match, also=tuple(row for row in match.also if row.recording_id in visible))
            for match in result.matches
            if match.row.recording_id in visible
        )
        return replace(result, matches=tuple(matches))

    def _named(self, principal: Principal, speaker: str) -> list[str] | None:
        """Names that people gave to speakers and that have all these words; None where nobody is named."""
        name_parts = speaker.casefold().split()
        if not name_parts:
            return None
        names = self._passages.speakers(principal)
        return [name for name in names if set(name_parts) <= set(name.casefold().split())]

    def _in_one_view(self, *asked: *tuple[Principal, str, str, int, Scope]) -> Found:
        with self._database.snapshot():
            return self._search(*asked)

    def _search(self, principal: Principal, question: str, mode: str, limit: int, scope: Scope) -> Found:
        asked_for = operators.read(question)
        question = asked_for.text
        if asked_for.has_filters:
            fit = self._passages.recordings_of(principal, asked_for)
            fit = [each for each in fit if each in (scope.recording_ids or (each,))][:MOST_RECORDINGS]
            if not fit:
                return Found()
            scope = replace(scope, recording_ids=tuple(fit), hidden=())
        embedder = self._active_embedder.searched()
        result = search(
            self._index, embedder, question, scope=scope, mode=mode, limit=limit, rows=self._passages.rows
        )
        if mode != "meaning":
            result = self._also_in_other_words(principal, result, question, scope, limit)
        if asked_for.without:
            selected = (match for match in result.matches if not asked_for.excludes(match.row.text))
            result = replace(result, matches=tuple(selected))
        loose = [match for match in result.matches if mode != "words" and match.how in {"", "any"}][:AIMED]
        spoken = [match for match in result.matches if match.why != "meaning" or match in loose]
        words_by_id = dict(
            zip([match.row.id for match in spoken], self._words_of_matches(spoken), strict=True)
        )
        full_question = " ".join([question, *(read for _, read in result.instead), *result.other_words])
        aimed = self._aimed(question, loose, words_by_id, embedder) if loose else {}
        matches = (
            aimed.get(match.row.id) or _started(match, full_question, words_by_id.get(match.row.id, ()))
            for match in result.matches
        )
        return replace(result, matches=tuple(matches))

    def _also_in_other_words(
        self, principal: Principal, found: Found, question: str, scope: Scope, limit: int
    ) -> Found:
        """What says the question in other words of the glossary stands with what says it in its own."""
        other_words = self._synonyms.of(None if principal.admin else principal.owners, question)
        hits: dict[str, Match] = {}
        for other in other_words:
            said = search(self._index, None, other, scope=scope, mode="words", limit=limit)
            hits |= {match.row.id: match for match in said.matches if match.how == "all"}
        if not hits:
            return found
        whole = {match.row.id: match for match in found.matches if match.how == "all"}
        first = sorted((hits | whole).values(), key=lambda match: -match.score)
        rest = [match for match in found.matches if match.row.id not in hits and match.row.id not in whole]
        matches = tuple([*first, *rest][:limit])
        return replace(found, matches=matches, how="all", missing=(), other_words=tuple(other_words))

    def _words_of_matches(self, matches: Sequence[Match]) -> list[list[Word]]:
        """The words of each match, with their times."""
        rows = [match.row for match in matches]
        return self._transcripts.words_at([(row.recording_id, row.start_s, row.end_s) for row in rows])

    def _aimed(
        self,
        question: str,
        loose: Sequence[Match],
        words_by_id: Mapping[str, Sequence[Word]],
        searched: Embedder,
    ) -> dict[str, Match]:
        """Matches by the id of their passage that start at the sentence which answers, where one is found."""
        embedder = for_sentences(searched)
        if embedder is None or not understands(embedder, language(question)):
            return {}
        passages = [(match.row.recording_id, sentences(words_by_id[match.row.id])) for match in loose]
        try:
            nearest = self._sentences.nearest(embedder, embedder.embed_query(question), passages)
        except Unavailable:
            return {}  # they start where their words, or they themselves, do
        return {
            match.row.id: replace(
                match, play_s=max(0.0, sentence.start_s - LEAD_IN_S), sentence=sentence.text
            )
            for match, sentence in zip(loose, nearest, strict=True)
            if sentence
        }


def _started(match: Match, question: str, words: Sequence[Word]) -> Match:
    """The match, played from where its words are said."""
    return replace(match, play_s=max(0.0, play_s(question, match.row, words)))


def for_sentences(searched: Embedder) -> Embedder | None:
    """What makes vectors of sentences: nothing that is paid for."""
    if batching(searched) is None:
        return searched
    return None if e5.reason() else e5.E5()
