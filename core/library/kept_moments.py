"""Moments that people keep: a stretch of time of a recording, quoted, cited, and cut out as a clip.

A moment is anchored to time, so a corrected transcript or another one leaves it where it is; its text stays
as it was quoted. It outlives its recording, and says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.audit import about, audited
from core.database.database import Database
from core.database.owned import Right, get_owned, owned_by, visible_to
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Collection, CollectionMoment, KeptMoment, Recording, utc
from core.errors import BadRequest, Code, Conflict
from core.i18n import catalogue
from core.library.moments import link
from core.library.recordings import Recordings
from core.media import decode
from core.principal import Principal
from core.storage.blobs import Store, clean_tags, clean_text
from core.transcripts import importing
from core.transcripts.export.channels import channel_name
from core.transcripts.segments import TranscribedSegment
from core.transcripts.transcripts import Transcripts

ClipForm = Literal["m4a", "wav", "mp4"]
MEDIA_TYPES = {"m4a": "audio/mp4", "wav": "audio/wav", "mp4": "video/mp4"}
MOST_S = 600.0
"""The longest moment."""
_MOVING = {"mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf"}
"""Formats that may hold a picture."""
TEXT_LETTERS = 20_000
NOTE_LETTERS = 10_000
TITLE_LETTERS = 80


@dataclass(frozen=True)
class Kept:
    """A kept moment, and what became of its recording."""

    moment: KeptMoment
    recording: Recording | None
    """None: it is deleted, in the bin, or shared with them no more."""

    @property
    def title(self) -> str:
        """What the recording is called now, or was when it was there."""
        return self.recording.title if self.recording else self.moment.recording_title

    @property
    def has_sound(self) -> bool:
        """Whether a clip can be cut."""
        return self.recording is not None and self.recording.format not in importing.FORMATS


@dataclass(frozen=True)
class Stretch:
    """Seconds of a recording to keep, and what people say about it."""

    recording_id: str
    start_s: float
    end_s: float
    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()


class KeptMoments:
    """What people keep, and collections of it."""

    def __init__(
        self, database: Database, recordings: Recordings, transcripts: Transcripts, blobs: Store
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._transcripts = transcripts
        self._blobs = blobs

    @audited(AuditAction.ADDED, AuditSubject.MOMENT)
    def keep(self, principal: Principal, stretch: Stretch) -> Kept:
        """Keep a stretch with what is said in it now. Raises NotFound, BadRequest for no stretch or too long.

        The very same stretch of an owner is kept once.
        """
        principal.must_write()
        if not 0 <= stretch.start_s < stretch.end_s or stretch.end_s - stretch.start_s > MOST_S:
            raise BadRequest(Code.MOMENT_LENGTH, most=round(MOST_S))
        recording = self._recordings.get(principal, stretch.recording_id)
        text, speaker = self._quotation(recording, stretch.start_s, stretch.end_s)
        row = KeptMoment(
            owner=principal.owner,
            recording_id=recording.id,
            recording_title=recording.title,
            recorded_at=recording.dated_at,
            start_s=round(stretch.start_s, 3),
            end_s=round(stretch.end_s, 3),
            speaker=speaker,
            text=text,
            title=clean_text(stretch.title) or _short(text) or recording.title,
            note=stretch.note[:NOTE_LETTERS],
            tags=sorted(clean_tags(stretch.tags)),
        )
        same = select(KeptMoment).where(
            KeptMoment.owner == principal.owner,
            KeptMoment.recording_id == recording.id,
            KeptMoment.start_s == row.start_s,
            KeptMoment.end_s == row.end_s,
        )
        with self._database.write() as session:
            self._database.advisory_lock(session, f"moments {recording.id}")
            if (existing := session.scalars(same).first()) is not None:
                return Kept(existing, recording)
            session.add(row)
            about(row)
        return Kept(row, recording)

    def get(self, principal: Principal, moment_id: str) -> Kept:
        """One moment; NotFound if it is not there or not theirs."""
        with self._database.read() as session:
            row = get_owned(session, KeptMoment, principal, moment_id)
            return self._with_recordings(session, principal, [row])[0]

    def find(
        self,
        principal: Principal,
        *,
        collection_id: str = "",
        recording_id: str = "",
        tag: str = "",
        words: str = "",
    ) -> list[Kept]:
        """Moments, newest first; those of a collection in its order."""
        statement = owned_by(select(KeptMoment), principal, KeptMoment)
        if recording_id:
            statement = statement.where(KeptMoment.recording_id == recording_id)
        if collection_id:
            statement = statement.join(CollectionMoment, CollectionMoment.moment_id == KeptMoment.id)
            statement = statement.where(CollectionMoment.collection_id == collection_id)
            statement = statement.order_by(CollectionMoment.position)
        with self._database.read() as session:
            if collection_id:
                get_owned(session, Collection, principal, collection_id)
            rows = list(session.scalars(statement.order_by(KeptMoment.created_at.desc(), KeptMoment.id)))
            terms = words.casefold().split()
            fit = [row for row in rows if (not tag or tag in row.tags) and _has(row, terms)]
            return self._with_recordings(session, principal, fit)

    @audited(AuditAction.CHANGED, AuditSubject.MOMENT, "moment_id")
    def change(
        self,
        principal: Principal,
        moment_id: str,
        *,
        title: str | None = None,
        note: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> Kept:
        """Change what people say about a moment; None leaves it. Raises NotFound."""
        with self._database.write() as session:
            row = get_owned(session, KeptMoment, principal, moment_id, right=Right.WRITE)
            if title is not None:
                row.title = clean_text(title) or row.title
            row.note = row.note if note is None else note[:NOTE_LETTERS]
            row.tags = row.tags if tags is None else sorted(clean_tags(tuple(tags)))
        return self.get(principal, moment_id)

    @audited(AuditAction.DELETED, AuditSubject.MOMENT, "moment_id")
    def delete(self, principal: Principal, moment_id: str) -> None:
        """Keep a moment no more. Raises NotFound."""
        with self._database.write() as session:
            session.delete(get_owned(session, KeptMoment, principal, moment_id, right=Right.WRITE))

    @audited(AuditAction.EXPORTED, AuditSubject.MOMENT, "moment_id")
    def clip(self, principal: Principal, moment_id: str, form: ClipForm) -> bytes:
        """The moment as a file of its own. Raises Conflict without sound, and what decoding raises."""
        kept_moment = self.get(principal, moment_id)
        if kept_moment.recording is None or not kept_moment.has_sound:
            raise Conflict(Code.MOMENT_WITHOUT_SOUND)
        return self.cut(kept_moment.recording, kept_moment.moment, form)

    def has_picture(self, kept_moment: Kept) -> bool:
        """Whether the recording may have a picture, by its format; `clip` tells for sure."""
        media_format = kept_moment.recording.format if kept_moment.recording else ""
        return media_format in _MOVING and kept_moment.has_sound

    def cut(self, recording: Recording, moment: KeptMoment, form: str, rate: int = 0) -> bytes:
        """These seconds of a recording, as `decode.clip` makes them."""
        source = self._blobs.path(recording.sha256)
        with tempfile.TemporaryDirectory(prefix="stenogram-clip-") as folder:
            clip = decode.clip(
                source,
                Path(folder),
                moment.start_s,
                moment.end_s,
                form,
                hint=decode.hint(recording.filename),
                rate=rate,
            )
            return clip.read_bytes()

    def collections(self, principal: Principal) -> list[tuple[Collection, int]]:
        """All collections by title, with how many moments each has."""
        count = func.count(CollectionMoment.moment_id)
        statement = select(Collection, count).outerjoin(
            CollectionMoment, CollectionMoment.collection_id == Collection.id
        )
        statement = owned_by(statement, principal, Collection)
        with self._database.read() as session:
            rows = session.execute(
                statement.group_by(Collection.id).order_by(Collection.title, Collection.id)
            )
            return [(row[0], row[1]) for row in rows]

    def collection(self, principal: Principal, collection_id: str) -> Collection:
        """One collection; NotFound if it is not there or not theirs."""
        with self._database.read() as session:
            return get_owned(session, Collection, principal, collection_id)

    @audited(AuditAction.ADDED, AuditSubject.COLLECTION)
    def make_collection(self, principal: Principal, title: str) -> Collection:
        """A new, empty collection. Raises BadRequest without a title."""
        principal.must_write()
        row = Collection(owner=principal.owner, title=_titled(title))
        with self._database.write() as session:
            session.add(row)
            about(row)
        return row

    @audited(AuditAction.CHANGED, AuditSubject.COLLECTION, "collection_id")
    def rename_collection(self, principal: Principal, collection_id: str, title: str) -> None:
        """Call it otherwise. Raises NotFound."""
        with self._database.write() as session:
            row = get_owned(session, Collection, principal, collection_id, right=Right.WRITE)
            row.title = _titled(title)

    @audited(AuditAction.DELETED, AuditSubject.COLLECTION, "collection_id")
    def delete_collection(self, principal: Principal, collection_id: str) -> None:
        """Delete a collection; its moments stay. Raises NotFound."""
        with self._database.write() as session:
            session.delete(get_owned(session, Collection, principal, collection_id, right=Right.WRITE))

    @audited(AuditAction.CHANGED, AuditSubject.COLLECTION, "collection_id")
    def arrange(self, principal: Principal, collection_id: str, moment_ids: Sequence[str]) -> None:
        """A collection has these moments, in this order. Raises NotFound for any that is not theirs."""
        with self._database.write() as session:
            self._database.advisory_lock(session, f"collection {collection_id}")
            get_owned(session, Collection, principal, collection_id, right=Right.WRITE)
            for moment_id in moment_ids:
                get_owned(session, KeptMoment, principal, moment_id)
            _arranged(session, collection_id, moment_ids)

    @audited(AuditAction.CHANGED, AuditSubject.COLLECTION, "collection_id")
    def add(self, principal: Principal, collection_id: str, moment_id: str) -> None:
        """Put a moment at the end of a collection; one that is in it stays where it is. Raises NotFound."""
        with self._database.write() as session:
            self._database.advisory_lock(session, f"collection {collection_id}")
            get_owned(session, Collection, principal, collection_id, right=Right.WRITE)
            get_owned(session, KeptMoment, principal, moment_id)
            before = _order(session, collection_id)
            _arranged(session, collection_id, [*before, moment_id])

    @audited(AuditAction.CHANGED, AuditSubject.COLLECTION, "collection_id")
    def take_out(self, principal: Principal, collection_id: str, moment_id: str) -> None:
        """Take a moment out of a collection. Raises NotFound."""
        with self._database.write() as session:
            self._database.advisory_lock(session, f"collection {collection_id}")
            get_owned(session, Collection, principal, collection_id, right=Right.WRITE)
            _arranged(
                session, collection_id, [id_ for id_ in _order(session, collection_id) if id_ != moment_id]
            )

    def _quotation(self, recording: Recording, start_s: float, end_s: float) -> tuple[str, str]:
        """What is said in these seconds, and by whom most of it."""
        if recording.transcript_id is None:
            return "", ""
        segments = self._transcripts.segments(recording.transcript_id, recording.id)
        return quoted(segments, start_s, end_s)

    def _with_recordings(
        self, session: Session, principal: Principal, rows: Sequence[KeptMoment]
    ) -> list[Kept]:
        """What is shared with them no more is gone for them; what they quoted of it stays."""
        known = select(Recording).where(Recording.id.in_({row.recording_id for row in rows}))
        if not principal.moment:  # whose link is looked at when it is opened
            known = visible_to(known, principal, Recording)
        recordings = {row.id: row for row in session.scalars(known)}
        return [Kept(row, recordings.get(row.recording_id)) for row in rows]


def quoted(segments: Iterable[TranscribedSegment], start_s: float, end_s: float) -> tuple[str, str]:
    """The words between two seconds (their middle counts), and who says most of them."""
    words: list[str] = []
    by_speaker: dict[str, int] = {}
    for segment in segments:
        if segment.end_s < start_s or segment.start_s > end_s:
            continue
        inside = [word.text for word in segment.words if start_s <= (word.start_s + word.end_s) / 2 <= end_s]
        parts = inside if segment.words else [segment.text]
        words += parts
        by_speaker[segment.channel] = by_speaker.get(segment.channel, 0) + len(parts)
    speaker = max(by_speaker, key=lambda name: by_speaker[name], default="")
    return " ".join(words)[:TEXT_LETTERS], "" if speaker == "mono" else speaker


def citation(kept_moment: Kept, language: str) -> str:
    """The quotation and where it is from."""
    text, where = kept_moment.moment.text, source(kept_moment, language)
    return f"“{text}” — {where}" if text else where


def source(kept_moment: Kept, language: str) -> str:
    """Who said it, where and when, as one writes it under a quotation."""
    moment = kept_moment.moment
    who = channel_name(moment.speaker, language) if moment.speaker else ""
    span = f"{catalogue.clock(moment.start_s)}–{catalogue.clock(moment.end_s)}"
    day = catalogue.day(utc(moment.recorded_at).date(), language)
    return ", ".join(part for part in (who, kept_moment.title, span, day) if part)


def page_link(moment_id: str) -> str:
    """Where the pages show a moment, whatever becomes of its recording."""
    return f"/moments?id={moment_id}"


def play_link(kept_moment: Kept) -> str:
    """Where its recording is opened at it; "" where that is gone."""
    return link(kept_moment.moment.recording_id, kept_moment.moment.start_s) if kept_moment.recording else ""


def _short(text: str) -> str:
    """The first words, for a title."""
    if len(text) <= TITLE_LETTERS:
        return clean_text(text)
    return clean_text(text[: text.rfind(" ", 0, TITLE_LETTERS)]) + "…"


def _titled(title: str) -> str:
    if not (clean := clean_text(title)):
        raise BadRequest(Code.COLLECTION_TITLE)
    return clean


def _has(row: KeptMoment, terms: Sequence[str]) -> bool:
    haystack = f"{row.title}\n{row.note}\n{row.text}\n{row.recording_title}".casefold()
    return all(word in haystack for word in terms)


def _order(session: Session, collection_id: str) -> list[str]:
    statement = select(CollectionMoment.moment_id).where(CollectionMoment.collection_id == collection_id)
    return list(session.scalars(statement.order_by(CollectionMoment.position)))


def _arranged(session: Session, collection_id: str, moment_ids: Iterable[str]) -> None:
    session.execute(delete(CollectionMoment).where(CollectionMoment.collection_id == collection_id))
    session.add_all(
        CollectionMoment(collection_id=collection_id, moment_id=id_, position=place)
        for place, id_ in enumerate(dict.fromkeys(moment_ids))
    )
