"""One short round of all sources: look at those that are due, fetch, take in what waits, each in its turn.

Nothing here lasts: fetching goes on in processes beside, and what a round does not reach the next one does.
A source has at most `AHEAD` tasks under way, of low priority, so that an archive of any size is in nobody's
way and stops where it is paused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import TASK_UNFINISHED, ItemState, SourceKind, SourceState
from core.database.tables import Recording, Source, SourceItem, Task
from core.errors import Code, Conflict, NotFound, StenogramError, Unavailable
from core.library.intake import Intake
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.planning.plans import on_disk
from core.principal import Door, Principal
from core.queue.jobs import JobQueue, as_json
from core.settings import Settings
from core.sources.fetching import Fetched, Fetching
from core.sources.links import LinkFacts
from core.sources.places import Entry, FolderPlace, below, shown
from core.sources.service import Sources, restored
from core.storage.blobs import clean_name

SLICE_S = 10.0
"""So long a round takes in or measures files before others have their turn."""
AHEAD = 20
"""Tasks of one source under way; the rest of it waits where it lies."""
LAST = -1
"""Priority of what comes by itself: people's own uploads go first."""
FETCHES = 2
"""Fetches at the same time."""
SETTLE_S = 10.0
"""A file that has not changed for so long is whole."""
MAX_ATTEMPTS = 4
AGAIN_S = 120.0
"""A fetch that failed is tried again after so long, then twice, three times as long."""
GUESSED_BYTES_PER_S = 16_000
"""128 kbit/s: how long an object of a bucket is thought to be before anybody has opened it."""
MEASURED = 200
LISTED = 1000
TAKEN = (ItemState.DONE, ItemState.FAILED, ItemState.SKIPPED)


class KnownItem(NamedTuple):
    """A file or episode as it is kept."""

    id: str
    version: str
    state: ItemState
    changed_at: float


class Rounds:
    """What is done for sources again and again."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sources: Sources,
        fetching: Fetching,
        intake: Intake,
        job_queue: JobQueue,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._database = database
        self._sources = sources
        self.fetching = fetching
        self._intake = intake
        self._job_queue = job_queue
        self._now = clock

    def tick(self, slice_s: float = SLICE_S) -> None:
        """One round."""
        until = time.monotonic() + slice_s
        for source in self._due():
            self._look(source)
        self._measure(until)
        self._fetch()
        try:
            while time.monotonic() < until and (turn := self._next(ItemState.WAITING, web=False)):
                self._take_file(*turn)
        except Unavailable:  # noted at its file: a full disk is full for the next one too
            pass
        self._end_sources()

    # Looking

    def _due(self) -> list[Source]:
        now = self._now()
        due = Source.state.in_((SourceState.LOOKING, SourceState.ACTIVE)), Source.look_at <= now
        with self._database.read() as session:
            return list(session.scalars(select(Source).where(*due)))

    def _look(self, source: Source) -> None:
        """List a source, and keep what is new or has changed there; what is gone there stays here."""
        feed = source.kind == SourceKind.FEED
        every_s = self._settings.feeds_every_s if feed else self._settings.watch_every_s
        values: dict[str, Any] = {"looked_at": self._now(), "error": None}
        if source.state == SourceState.LOOKING or source.watch:
            try:
                settling = self._looked_at_feed(source) if feed else self._looked_at_files(source)
                every_s = min(every_s, SETTLE_S) if settling else every_s
            except StenogramError as error:
                values["error"] = as_json(error)
        with self._database.write() as session:
            session.execute(
                update(Source).where(Source.id == source.id).values(look_at=self._now() + every_s, **values)
            )

    def _looked_at_feed(self, source: Source) -> bool:
        feed = self.fetching.feed(source.address)
        rows = [
            SourceItem(
                address=episode.key,
                url=episode.url,
                version="",
                title=episode.title,
                facts=episode.as_json(),
                size_bytes=episode.size_bytes,
                duration_s=episode.duration_s or 0.0,
            )
            for episode in {episode.key: episode for episode in feed.episodes}.values()
        ]
        with self._database.write() as session:
            session.get_one(Source, source.id).title = feed.title or source.address
        self._keep(source, rows, settles=False)
        self._listed(source)
        return False

    def _looked_at_files(self, source: Source) -> bool:
        """Whether something there may still grow."""
        place = self._sources.place(source)
        left = f"{source.move_to}/" if source.move_to else "\0"
        rows = [_file(entry, place.settles) for entry in place.list() if not entry.address.startswith(left)]
        growing = self._keep(source, rows, settles=place.settles)
        if not place.settles:
            self._listed(source)
        return growing

    def _listed(self, source: Source) -> None:
        """Everything there is known: a person decides about it, where there is anything."""
        statement = select(SourceItem.id).where(SourceItem.source_id == source.id).limit(1)
        with self._database.write() as session:
            is_listed = session.scalar(statement) is not None
            state = SourceState.PRICED if is_listed or not source.watch else SourceState.ACTIVE
            looking = update(Source).where(Source.id == source.id, Source.state == SourceState.LOOKING)
            session.execute(looking.values(state=state))

    def _keep(self, source: Source, rows: Sequence[SourceItem], *, settles: bool) -> bool:
        """Add what is new, follow what grows; whether something does."""
        now = self._now()
        fresh = ItemState.SEEN if settles or source.state == SourceState.LOOKING else ItemState.WAITING
        with self._database.read() as session:
            rest = SourceItem.id, SourceItem.version, SourceItem.state, SourceItem.changed_at
            statement = select(SourceItem.address, *rest).where(SourceItem.source_id == source.id)
            known_items = {row[0]: KnownItem(*row[1:]) for row in session.execute(statement)}
        new = [row for row in rows if row.address not in known_items]
        for start in range(0, len(new), LISTED):
            with self._database.write() as session:
                for row in new[start : start + LISTED]:
                    row.source_id, row.owner, row.state, row.changed_at = source.id, source.owner, fresh, now
                    row.created_at = now
                    session.add(row)
        growing = bool(new) and settles
        rested = []
        for row in rows:
            if row.address not in known_items:
                continue
            if self._rests(source, row, known_items[row.address]):
                rested.append(known_items[row.address].id)
            else:
                growing |= self._follow(source, row, known_items[row.address], fresh)
        for start in range(0, len(rested), LISTED):
            mine = update(SourceItem).where(SourceItem.id.in_(rested[start : start + LISTED]))
            with self._database.write() as session:
                waiting = mine.where(SourceItem.state == ItemState.SEEN)
                session.execute(waiting.values(state=ItemState.WAITING, changed_at=now))
        return growing and source.state == SourceState.ACTIVE

    def _rests(self, source: Source, row: SourceItem, known: KnownItem) -> bool:
        """Whether a file has not changed for so long that it is whole."""
        seen = known.state == ItemState.SEEN and source.state == SourceState.ACTIVE
        return seen and row.version == known.version and self._now() - known.changed_at >= SETTLE_S

    def _follow(self, source: Source, row: SourceItem, known_item: KnownItem, fresh: ItemState) -> bool:
        """What became of a file that is known: another content is another recording. Whether it may grow."""
        now = self._now()
        statement = update(SourceItem).where(
            SourceItem.id == known_item.id, SourceItem.state == known_item.state
        )
        if row.version != known_item.version and known_item.state in {ItemState.SEEN, *TAKEN}:
            values = {"version": row.version, "size_bytes": row.size_bytes, "changed_at": now, "error": None}
            with self._database.write() as session:
                session.execute(statement.values(state=fresh, attempts=0, **values))
            return True
        if known_item.state == ItemState.DONE and source.move_to:  # something ended us before it moved
            self._move(source, row.address)
        return known_item.state == ItemState.SEEN

    # Measuring, so that the price is known before anything is taken

    def _measure(self, until: float) -> None:
        looking = Source.state == SourceState.LOOKING, Source.kind == SourceKind.FOLDER
        with self._database.read() as session:
            sources = list(session.scalars(select(Source).where(*looking, Source.looked_at.is_not(None))))
        for source in sources:
            while time.monotonic() < until:
                if not self._measure_some(source):
                    self._listed(source)
                    break

    def _measure_some(self, source: Source) -> int:
        """Read the headers of some files; how many there were to read."""
        unknown = SourceItem.source_id == source.id, SourceItem.duration_s.is_(None)
        with self._database.read() as session:
            statement = select(SourceItem.address, SourceItem.id).where(*unknown).limit(MEASURED)
            ids = {row.address: row.id for row in session.execute(statement)}
        root = FolderPlace(Path(source.address), self._settings.folders).root
        paths = [below(root, address) for address in ids]
        here = [candidate.source for candidate in on_disk(paths)]
        pairs = [(path, decode.hint(path.name)) for path in here if isinstance(path, Path)]
        lengths = {
            path: _length_s(media) for (path, _), media in zip(pairs, decode.probe_all(pairs), strict=True)
        }
        with self._database.write() as session:
            for address, id_ in ids.items():
                length_s = lengths.get(below(root, address), 0.0)
                session.execute(update(SourceItem).where(SourceItem.id == id_).values(duration_s=length_s))
        return len(ids)

    # Fetching from the web

    def _fetch(self) -> None:
        """Follow the fetches that run, and begin others."""
        with self._database.read() as session:
            running = list(session.scalars(select(SourceItem).where(SourceItem.state == ItemState.FETCHING)))
        at_it = sum(self._advance(item) for item in running)
        while at_it < FETCHES and (turn := self._next(ItemState.WAITING, web=True)):
            _, item = turn
            self._change(item, state=ItemState.FETCHING)
            self.fetching.begin(item.id, item.url)
            at_it += 1

    def _advance(self, item: SourceItem) -> bool:
        """Whether it is still being fetched."""
        try:
            fetched = self.fetching.result(item.id)
            if fetched is None and not self.fetching.is_running(item.id):
                raise Unavailable(Code.LINK_BROKE_OFF)
        except StenogramError as error:
            self._failed(item, error)
            return False
        if fetched is None:
            done, total = self.fetching.progress(item.id)
            self._change(item, done_bytes=done, size_bytes=total or item.size_bytes)
            return True
        self._take_fetched(item, fetched)
        return False

    def _take_fetched(self, item: SourceItem, fetched: Fetched) -> None:
        facts = _merged(LinkFacts.restored(item.facts), fetched.facts)
        title = facts.title or fetched.path.stem
        options = self._options(item)
        options = replace(options, title=options.title or title)
        name = f"{title[:200]}{fetched.path.suffix}"
        try:
            with fetched.path.open("rb") as file:
                self._accept(item, file, name, options, facts)
        except Unavailable as error:
            self._change(item, error=as_json(error))  # a full disk: the file waits where it was fetched
            return
        except StenogramError as error:
            self._change(item, state=ItemState.FAILED, error=as_json(error))
        self.fetching.forget(item.id)

    def _failed(self, item: SourceItem, error: StenogramError) -> None:
        """It did not come: tried again a little later, unless it never will."""
        attempts = item.attempts + 1
        if isinstance(error, Unavailable) and attempts < MAX_ATTEMPTS:
            self.fetching.again(item.id)
            later = self._now() + attempts * AGAIN_S
            self._change(
                item, state=ItemState.WAITING, attempts=attempts, error=as_json(error), changed_at=later
            )
            return
        self.fetching.forget(item.id)
        self._change(item, state=ItemState.FAILED, attempts=attempts, error=as_json(error))

    # Taking in files

    def _take_file(self, source: Source | None, item: SourceItem) -> None:
        """Take in a file of a folder or bucket. Raises Unavailable where nothing can be taken now."""
        if source is None:
            return
        path = shown(item.address)
        options = self._options(item)
        options = replace(options, tags=(*options.tags, *path.parts[:-1]))
        try:
            with self._sources.place(source).open(item.address) as file:
                self._accept(item, file, path.name, options)
        except Unavailable as error:
            self._change(item, error=as_json(error))
            raise
        except Conflict as error:  # it changed while it was read: whole only once it rests
            if error.code != Code.FILE_CHANGED:
                raise
            self._change(item, state=ItemState.SEEN)
        except StenogramError as error:
            self._change(item, state=ItemState.FAILED, error=as_json(error))
        else:
            if source.move_to:
                self._move(source, item.address)

    def _accept(
        self,
        item: SourceItem,
        file: IO[bytes],
        name: str,
        options: TranscriptionOptions,
        facts: LinkFacts | None = None,
    ) -> None:
        """A recording and its task, noted here in the same transaction."""

        def note(session: Session, task: Task) -> None:
            statement = update(SourceItem).where(SourceItem.id == item.id)
            ids = {"task_id": task.id, "recording_id": task.recording_id}
            session.execute(statement.values(state=ItemState.DONE, error=None, changed_at=self._now(), **ids))
            if facts is not None:
                recording = session.get_one(Recording, task.recording_id)
                recording.source_url, recording.published_at = facts.url, facts.published_at
                recording.chapters = [list(chapter) for chapter in facts.chapters]

        task = self._intake.accept(Principal(item.owner, door=Door.SYSTEM), file, name, options, note)
        self._job_queue.set_priority([task.id], LAST if item.source_id else 0)

    def _move(self, source: Source, address: str) -> None:
        """Where that fails the file stays, and the source says why."""
        try:
            self._sources.place(source).move(address, source.move_to)
        except NotFound:
            return
        except StenogramError as error:
            with self._database.write() as session:
                statement = update(Source).where(Source.id == source.id)
                session.execute(statement.values(error=as_json(error)))

    # Turns

    def _next(self, state: ItemState, *, web: bool) -> tuple[Source | None, SourceItem] | None:
        """What is next of the source that waits longest and has room; links that people gave come first."""
        ready = [SourceItem.state == state, SourceItem.changed_at <= self._now()]
        ready.append(SourceItem.url != "" if web else SourceItem.url == "")
        order = SourceItem.created_at, SourceItem.address
        with self._database.write() as session:
            statement = select(SourceItem).where(*ready, SourceItem.source_id.is_(None))
            if item := session.scalars(statement.order_by(*order).limit(1)).first():
                return None, item
            waiting = select(SourceItem.id).where(*ready, SourceItem.source_id == Source.id)
            active = select(Source).where(Source.state == SourceState.ACTIVE, waiting.exists())
            for source in session.scalars(active.order_by(Source.taken_at, Source.id)):
                if self._has_room(session, source):
                    source.taken_at = self._now()
                    of_source = select(SourceItem).where(*ready, SourceItem.source_id == source.id)
                    return source, session.scalars(of_source.order_by(*order).limit(1)).one()
        return None

    def _has_room(self, session: Session, source: Source) -> bool:
        statement = select(SourceItem.task_id).where(SourceItem.source_id == source.id)
        unfinished = select(func.count()).where(Task.status.in_(TASK_UNFINISHED), Task.id.in_(statement))
        return (session.scalar(unfinished) or 0) < AHEAD

    def _end_sources(self) -> None:
        """Those that are not watched end once nothing of them is left to take."""
        left = select(SourceItem.id).where(SourceItem.source_id == Source.id)
        left = left.where(SourceItem.state.in_((ItemState.SEEN, ItemState.WAITING, ItemState.FETCHING)))
        over = Source.state == SourceState.ACTIVE, Source.watch.is_(False), ~left.exists()
        with self._database.write() as session:
            session.execute(
                update(Source)
                .where(*over)
                .values(state=SourceState.DONE)
                .execution_options(synchronize_session=False)
            )

    def _options(self, item: SourceItem) -> TranscriptionOptions:
        if item.options is not None:
            return restored(item.options)
        with self._database.read() as session:
            source = session.get(Source, item.source_id)
        return restored(source.options if source else None)

    def _change(self, item: SourceItem, **values: object) -> None:
        """Unless somebody has cancelled it, or it has gone on, meanwhile."""
        values.setdefault("changed_at", self._now())
        with self._database.write() as session:
            statement = update(SourceItem).where(SourceItem.id == item.id, SourceItem.state == item.state)
            session.execute(statement.values(**values))


def _file(entry: Entry, settles: bool) -> SourceItem:
    """A file as it is listed; of an object, which is not opened before it is taken, the length is guessed."""
    guessed_s = None if settles else entry.size_bytes / GUESSED_BYTES_PER_S
    return SourceItem(
        address=entry.address,
        version=entry.version,
        title=clean_name(shown(entry.address).name),
        facts={},
        size_bytes=entry.size_bytes,
        duration_s=guessed_s,
    )


def _length_s(media: decode.Media | StenogramError) -> float:
    """0 where nobody can tell."""
    return 0.0 if isinstance(media, StenogramError) else media.duration_s or 0.0


def _merged(stated: LinkFacts, measured: LinkFacts) -> LinkFacts:
    """What was said before a fetch, filled by what its site said then."""
    return replace(
        stated,
        title=stated.title or measured.title,
        site=stated.site or measured.site,
        published_at=stated.published_at or measured.published_at,
        chapters=stated.chapters or measured.chapters,
    )
