"""Questions that people keep; a standing one is asked of each new transcript, by its words.

By words alone: a new passage has no vector yet, and asking costs nothing then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.audit import about, audited
from core.database.database import Database
from core.database.owned import Right, allowed, get_owned, owned_by, visible_to
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Recording, SavedSearch, SearchHit
from core.database.upsert import insert_if_absent
from core.errors import BadRequest, Code, StenogramError
from core.principal import EVERYONE, Principal
from core.search import operators
from core.search.index import Index, Scope
from core.search.passages import Passages
from core.search.query import search
from core.search.service import of_speakers

Acting = Callable[[str], Principal | None]
"""As whom the owner of a search acts; None for who may not come in any more."""
QUESTION_LETTERS = 2000
MOST_HITS = 50
"""Of one search in one recording."""
NEAR_S = 5.0
"""A transcript that was corrected is asked again: a moment so near to a known one is that one."""
TRIES = 3
AT_ONCE = 50


@dataclass(frozen=True)
class Saved:
    """A saved search, and how many of its moments nobody has seen."""

    search: SavedSearch
    new: int


@dataclass(frozen=True)
class PendingMatches:
    """What a callback is to hear: new moments of one search in one recording."""

    search: SavedSearch
    recording: Recording
    hits: list[SearchHit]


class SavedSearches:
    """What is asked again and again, and what that found."""

    def __init__(self, database: Database, index: Index, passages: Passages, acting: Acting) -> None:
        self._database = database
        self._index = index
        self._passages = passages
        self._acting = acting

    @audited(AuditAction.ADDED, AuditSubject.SEARCH)
    def save(
        self,
        principal: Principal,
        question: str,
        mode: str,
        *,
        standing: bool = False,
        callback_url: str = "",
    ) -> SavedSearch:
        """Keep a question; the same one of an owner is kept once. Raises BadRequest for an empty one."""
        principal.must_write()
        text = " ".join(question.split())[:QUESTION_LETTERS]
        if not text:
            raise BadRequest(Code.QUESTION_EMPTY)
        with self._database.write() as session:
            self._database.advisory_lock(session, f"searches {principal.owner}")
            same = SavedSearch.owner == principal.owner, SavedSearch.question == text
            row = session.scalars(select(SavedSearch).where(*same)).first()
            if row is None:
                row = SavedSearch(owner=principal.owner, question=text)
                session.add(row)
            about(row)
            row.mode, row.standing, row.callback_url = mode, standing, callback_url
        return row

    def all(self, principal: Principal) -> list[Saved]:
        """What is kept, by question, with how much is new."""
        new = func.count(SearchHit.start_s).filter(SearchHit.seen.is_(False), Recording.id.is_not(None))
        statement = select(SavedSearch, new).outerjoin(SearchHit, SearchHit.search_id == SavedSearch.id)
        found_in = Recording.id == SearchHit.recording_id
        found_in = found_in if principal.admin else found_in & allowed(principal)
        statement = statement.outerjoin(Recording, found_in)
        statement = owned_by(statement, principal, SavedSearch)
        statement = statement.group_by(SavedSearch.id).order_by(SavedSearch.question, SavedSearch.id)
        with self._database.read() as session:
            return [Saved(row[0], row[1]) for row in session.execute(statement)]

    def hits(self, principal: Principal, search_id: str) -> list[SearchHit]:
        """What a standing search found, newest first. Raises NotFound."""
        statement = select(SearchHit).join(Recording, Recording.id == SearchHit.recording_id)
        statement = visible_to(statement.where(SearchHit.search_id == search_id), principal, Recording)
        statement = statement.order_by(SearchHit.found_at.desc(), SearchHit.start_s).limit(500)
        with self._database.read() as session:
            get_owned(session, SavedSearch, principal, search_id)
            return list(session.scalars(statement))

    def see(self, principal: Principal, search_id: str) -> SavedSearch:
        """Somebody has looked at what is new; who may only look leaves it new. Raises NotFound."""
        with self._database.write() as session:
            row = get_owned(session, SavedSearch, principal, search_id)
            if principal.read_only:
                return row
            session.execute(update(SearchHit).where(SearchHit.search_id == search_id).values(seen=True))
        return row

    @audited(AuditAction.DELETED, AuditSubject.SEARCH, "search_id")
    def delete(self, principal: Principal, search_id: str) -> None:
        """Keep it no more. Raises NotFound."""
        with self._database.write() as session:
            session.delete(get_owned(session, SavedSearch, principal, search_id, right=Right.WRITE))

    def run(self, recording: Recording) -> int:
        """Run every standing search over a recording that is indexed; how many new moments there are."""
        with self._database.read() as session:
            searches = list(session.scalars(select(SavedSearch).where(SavedSearch.standing)))
            seeing = {
                owner for owner in {one.owner for one in searches} if self._sees(session, owner, recording)
            }
        return sum(self._run(one, recording) for one in searches if one.owner in seeing)

    def due(self) -> list[PendingMatches]:
        """Moments that a callback has not heard of yet."""
        statement = select(SearchHit, SavedSearch, Recording)
        statement = statement.join(SavedSearch, SavedSearch.id == SearchHit.search_id)
        statement = statement.join(Recording, Recording.id == SearchHit.recording_id)
        statement = statement.where(SearchHit.notified_at.is_(None), SearchHit.attempts < TRIES)
        statement = statement.where(SavedSearch.callback_url != "").order_by(SearchHit.found_at)
        grouped: dict[tuple[str, str], PendingMatches] = {}
        with self._database.read() as session:
            for hit, saved, recording in session.execute(statement.limit(AT_ONCE * MOST_HITS)):
                key = (saved.id, recording.id)
                grouped.setdefault(key, PendingMatches(saved, recording, [])).hits.append(hit)
            due = [
                each for each in grouped.values() if self._sees(session, each.search.owner, each.recording)
            ]
        return due[:AT_ONCE]

    def record_delivery(self, due: PendingMatches, now: float, *, arrived: bool) -> None:
        """A callback was called about these."""
        statement = update(SearchHit).where(
            SearchHit.search_id == due.search.id,
            SearchHit.recording_id == due.recording.id,
            SearchHit.start_s.in_([hit.start_s for hit in due.hits]),
        )
        values = {"notified_at": now} if arrived else {"attempts": SearchHit.attempts + 1}
        with self._database.write() as session:
            session.execute(statement.values(**values))

    def _sees(self, session: Session, owner: str, recording: Recording) -> bool:
        """Whether the owner of a search may see this recording now."""
        principal = self._acting(owner)
        if principal is None:
            return False
        known = visible_to(select(Recording.id).where(Recording.id == recording.id), principal, Recording)
        return session.scalar(known) is not None

    def _run(self, saved: SavedSearch, recording: Recording) -> int:
        try:
            moments = self._found(saved, recording)
        except StenogramError:
            return 0  # a question that cannot be asked keeps no transcript from being ready
        count = 0
        with self._database.write() as session:
            statement = select(SearchHit.start_s).where(
                SearchHit.search_id == saved.id, SearchHit.recording_id == recording.id
            )
            before = list(session.scalars(statement))
            for start_s, text in moments:
                if all(abs(start_s - other) > NEAR_S for other in before):
                    hit = SearchHit(search_id=saved.id, recording_id=recording.id, start_s=start_s, text=text)
                    insert_if_absent(session, hit)
                    before.append(start_s)
                    count += 1
        return count

    def _found(self, saved: SavedSearch, recording: Recording) -> list[tuple[float, str]]:
        question, speaker = of_speakers(saved.question)
        query = operators.read(question)
        if query.has_filters and recording.id not in self._passages.recordings_of(EVERYONE, query):
            return []
        scope = Scope(None, (recording.id,), (speaker,) if speaker else ())
        found = search(
            self._index,
            None,
            query.text,
            scope=scope,
            mode="words",
            limit=MOST_HITS,
            rows=self._passages.rows,
        )
        return [
            (match.row.start_s, match.row.text)
            for match in found.matches
            if match.sure and match.how == "all" and not query.excludes(match.row.text)
        ]
