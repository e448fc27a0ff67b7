"""What people watch, what came of it, and the links they gave: kept, shown, decided about.

What is new is listed and taken by `rounds`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlalchemy import delete, func, select, update

from core.audit import about, audited
from core.database.database import Database
from core.database.owned import get_owned, owned_by
from core.database.states import AuditAction, AuditSubject, EmbeddingMode, ItemState, SourceKind, SourceState
from core.database.tables import Json, Source, SourceItem
from core.errors import BadRequest, Code, Conflict
from core.library.intake import Intake
from core.library.recordings import TranscriptionOptions
from core.principal import Principal
from core.settings import Settings
from core.sources import links
from core.sources.fetching import Fetching
from core.sources.links import LinkFacts
from core.sources.places import BucketPlace, FolderPlace, Place

OPEN_ITEMS = (ItemState.SEEN, ItemState.WAITING, ItemState.FETCHING)
AGAIN = (ItemState.SKIPPED, ItemState.FAILED, ItemState.CANCELLED)
ADMINS = (SourceKind.FOLDER, SourceKind.BUCKET)
"""Kinds that read what belongs to the server."""
KEPT_S = 30 * 24 * 3600.0
"""Links that have ended are listed for so long."""
_PLAIN_NAME = re.compile(r"[^/\\.\x00][^/\\\x00]{0,99}")


@dataclass(frozen=True)
class SourceView:
    """A source, and how many of its files or episodes stand where."""

    source: Source
    counts: dict[ItemState, int]
    open_bytes: int
    """Of those that are not here yet, as far as their sizes are known."""

    @property
    def total(self) -> int:
        """All there is to take: without what was left there."""
        return sum(n for state, n in self.counts.items() if state != ItemState.SKIPPED)

    @property
    def done(self) -> int:
        """Those that have become recordings or never will."""
        ended = (ItemState.DONE, ItemState.FAILED, ItemState.CANCELLED)
        return sum(self.counts.get(state, 0) for state in ended)


class Sources:
    """Feeds, folders and buckets that are watched or imported, and links."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        intake: Intake,
        fetching: Fetching,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._database = database
        self._intake = intake
        self._fetching = fetching
        self._now = clock

    def look(self, principal: Principal, url: str) -> LinkFacts:
        """What is at an address, before it is taken. Raises ReadOnly, BadRequest, Rejected or Unavailable."""
        principal.must_write()
        return self._fetching.look(url)

    @audited(AuditAction.ADDED, AuditSubject.SOURCE)
    def take_link(self, principal: Principal, facts: LinkFacts, options: TranscriptionOptions) -> SourceItem:
        """Have something of the web fetched and transcribed. Raises BadRequest for what never can be."""
        principal.must_write()
        url = links.check(facts.url, anywhere=self._fetching.anywhere)
        self._intake.check(options)
        now = self._now()
        row = SourceItem(
            owner=principal.owner,
            address=url,
            url=url,
            title=facts.title,
            facts=facts.as_json(),
            options=as_kept(options),
            state=ItemState.WAITING,
            size_bytes=facts.size_bytes,
            duration_s=facts.duration_s,
            created_at=now,
            changed_at=now,
        )
        with self._database.write() as session:
            session.add(row)
            about(row)
        return row

    def links(self, principal: Principal, limit: int = 50) -> list[SourceItem]:
        """Links that were given, newest first."""
        statement = owned_by(select(SourceItem), principal, SourceItem).where(SourceItem.source_id.is_(None))
        with self._database.read() as session:
            return list(session.scalars(statement.order_by(SourceItem.created_at.desc()).limit(limit)))

    @audited(AuditAction.ADDED, AuditSubject.SOURCE)
    def add(
        self,
        principal: Principal,
        kind: SourceKind,
        address: str,
        options: TranscriptionOptions,
        *,
        watch: bool = True,
        move_to: str = "",
    ) -> Source:
        """Look at a source; what is there is counted, and a person decides about it.

        Raises BadRequest where it may not be read, AdminsOnly, Conflict if it is there already.
        """
        principal.must_write()
        if kind in ADMINS:
            principal.must_administer()
        if move_to and not _PLAIN_NAME.fullmatch(move_to):
            raise BadRequest(Code.MOVE_TO_INVALID)
        self._intake.check(options)
        row = Source(
            owner=principal.owner,
            kind=kind,
            address=self._checked(kind, address),
            title=address.strip().rstrip("/").rpartition("/")[2] or address,
            options=as_kept(options),
            watch=watch,
            move_to=move_to,
            created_at=self._now(),
        )
        same = select(Source.id).where(
            Source.owner == row.owner, Source.address == row.address, Source.state != SourceState.DONE
        )
        with self._database.write() as session:
            self._database.advisory_lock(session, row.address)
            if session.scalars(same).first():
                raise Conflict(Code.SOURCE_EXISTS)
            session.add(row)
            about(row)
        return row

    def place(self, source: Source) -> Place:
        """Where the files of a folder or bucket lie. Raises BadRequest where it may not be read any more."""
        if source.kind == SourceKind.FOLDER:
            return FolderPlace(Path(source.address), self._settings.folders)
        return BucketPlace(source.address, self._settings)

    def all(self, principal: Principal) -> list[SourceView]:
        """Those of somebody, newest first."""
        statement = owned_by(select(Source), principal, Source).order_by(Source.created_at.desc())
        with self._database.read() as session:
            rows = list(session.scalars(statement))
        return [self._view(row) for row in rows]

    def get(self, principal: Principal, source_id: str) -> SourceView:
        """One source. Raises NotFound."""
        with self._database.read() as session:
            row = get_owned(session, Source, principal, source_id)
        return self._view(row)

    def durations_s(self, principal: Principal, source_id: str, unknown_s: float) -> list[float]:
        """Lengths of what waits for a decision; where nobody knows one, so much."""
        self.get(principal, source_id)
        statement = select(SourceItem.duration_s).where(
            SourceItem.source_id == source_id, SourceItem.state == ItemState.SEEN
        )
        with self._database.read() as session:
            return [length_s or unknown_s for length_s in session.scalars(statement)]

    @audited(AuditAction.CHANGED, AuditSubject.SOURCE, "source_id")
    def decide(self, principal: Principal, source_id: str, *, take: bool) -> None:
        """Take what is there, or leave it and take only what is new.

        Raises Conflict while that is still being counted.
        """
        principal.must_write()
        source = self.get(principal, source_id).source
        if source.state != SourceState.PRICED:
            raise Conflict(Code.SOURCE_NOT_READY)
        goes_on = take or source.watch
        with self._database.write() as session:
            statement = update(SourceItem).where(
                SourceItem.source_id == source_id, SourceItem.state == ItemState.SEEN
            )
            state = ItemState.WAITING if take else ItemState.SKIPPED
            session.execute(statement.values(state=state, changed_at=self._now()))
            after = SourceState.ACTIVE if goes_on else SourceState.DONE
            statement = update(Source).where(Source.id == source_id)
            session.execute(statement.values(state=after, look_at=0.0))

    @audited(AuditAction.CHANGED, AuditSubject.SOURCE, "source_id")
    def pause(self, principal: Principal, source_id: str) -> None:
        """Take nothing more until it goes on; what is here already is transcribed."""
        self._turn(principal, source_id, SourceState.ACTIVE, SourceState.PAUSED)

    @audited(AuditAction.CHANGED, AuditSubject.SOURCE, "source_id")
    def resume(self, principal: Principal, source_id: str) -> None:
        """Go on."""
        self._turn(principal, source_id, SourceState.PAUSED, SourceState.ACTIVE)

    @audited(AuditAction.DELETED, AuditSubject.SOURCE, "source_id")
    def remove(self, principal: Principal, source_id: str) -> None:
        """Watch it no more; recordings and files stay."""
        principal.must_write()
        for item in self.items(principal, source_id, (ItemState.FETCHING,), limit=1000):
            self._fetching.forget(item.id)
        with self._database.write() as session:
            session.execute(delete(Source).where(Source.id == source_id))

    def items(
        self,
        principal: Principal,
        source_id: str,
        states: Collection[ItemState] = (),
        limit: int = 50,
        offset: int = 0,
    ) -> list[SourceItem]:
        """Files or episodes of a source, newest first. Raises NotFound."""
        self.get(principal, source_id)
        statement = select(SourceItem).where(SourceItem.source_id == source_id)
        if states:
            statement = statement.where(SourceItem.state.in_(states))
        order = SourceItem.changed_at.desc(), SourceItem.address
        with self._database.read() as session:
            return list(session.scalars(statement.order_by(*order).limit(limit).offset(offset)))

    def item(self, principal: Principal, item_id: str) -> SourceItem:
        """One link, file or episode. Raises NotFound."""
        with self._database.read() as session:
            return get_owned(session, SourceItem, principal, item_id)

    @audited(AuditAction.CHANGED, AuditSubject.SOURCE, "item_id")
    def take(self, principal: Principal, item_id: str) -> None:
        """Take after all what was left, cancelled, or failed; nothing where it is under way or here."""
        principal.must_write()
        item = self.item(principal, item_id)
        if item.state not in AGAIN:
            return
        with self._database.write() as session:
            row = update(SourceItem).where(SourceItem.id == item_id, SourceItem.state.in_(AGAIN))
            session.execute(
                row.values(state=ItemState.WAITING, attempts=0, error=None, changed_at=self._now())
            )
            ended = update(Source).where(Source.id == item.source_id, Source.state == SourceState.DONE)
            session.execute(ended.values(state=SourceState.ACTIVE))

    @audited(AuditAction.CHANGED, AuditSubject.SOURCE, "item_id")
    def cancel(self, principal: Principal, item_id: str) -> None:
        """Do not take it; nothing where it is a recording already."""
        principal.must_write()
        self.item(principal, item_id)
        with self._database.write() as session:
            row = update(SourceItem).where(SourceItem.id == item_id, SourceItem.state.in_(OPEN_ITEMS))
            session.execute(row.values(state=ItemState.CANCELLED, changed_at=self._now()))
        self._fetching.forget(item_id)

    def forget(self) -> None:
        """Drop links that ended long ago, of which nobody asks any more."""
        old = SourceItem.source_id.is_(None), SourceItem.changed_at < self._now() - KEPT_S
        with self._database.write() as session:
            session.execute(delete(SourceItem).where(*old, SourceItem.state.not_in(OPEN_ITEMS)))

    def _checked(self, kind: SourceKind, address: str) -> str:
        """The address as it is kept. Raises BadRequest."""
        address = address.strip()
        if kind == SourceKind.FEED:
            return links.check(address, anywhere=self._fetching.anywhere)
        if kind == SourceKind.BUCKET:
            BucketPlace(address.rstrip("/"), self._settings)
            return address.rstrip("/")
        place = FolderPlace(Path(address), self._settings.folders)
        next(place.list(), None)
        return str(place.root)

    def _view(self, row: Source) -> SourceView:
        counted = (
            select(SourceItem.state, func.count(), func.sum(SourceItem.size_bytes))
            .where(SourceItem.source_id == row.id)
            .group_by(SourceItem.state)
        )
        with self._database.read() as session:
            rows = session.execute(counted).all()
        open_bytes = sum(int(size or 0) for state, _, size in rows if state in OPEN_ITEMS)
        return SourceView(row, {ItemState(state): n for state, n, _ in rows}, open_bytes)

    def _turn(self, principal: Principal, source_id: str, before: SourceState, after: SourceState) -> None:
        principal.must_write()
        self.get(principal, source_id)
        with self._database.write() as session:
            row = update(Source).where(Source.id == source_id, Source.state == before)
            session.execute(row.values(state=after, look_at=0.0))


def as_kept(options: TranscriptionOptions) -> Json:
    """Options as they are kept."""
    return asdict(options)


def restored(stored: Json | None, **others: object) -> TranscriptionOptions:
    """As they were kept, with others."""
    fields = dict(stored or {})
    mode = fields.get("embedding_mode")
    fields |= {
        "tags": tuple(fields.get("tags", ())),
        "embedding_mode": EmbeddingMode(mode) if mode else None,
    }
    return replace(TranscriptionOptions(**fields), **others)  # type: ignore[arg-type]
