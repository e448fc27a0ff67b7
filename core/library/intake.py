"""Files come in and become recordings with a task: accepted, chosen an engine for, queued."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO

from sqlalchemy.orm import Session

from core.audit import audited
from core.database.owned import Right
from core.database.states import AuditAction, AuditSubject, EmbeddingMode
from core.database.tables import Json, Task, Transcript
from core.embedding.embedder import batching
from core.errors import Code, StenogramError, Unavailable, UnreadableMedia
from core.library.deletion import Deletion
from core.library.recordings import EngineFor, Recordings, TranscriptionOptions
from core.media import decode
from core.media.waveform import SAMPLE_RATE
from core.principal import Principal
from core.search.active_embedder import ActiveEmbedder
from core.speech import engines
from core.speech.engine import Engine
from core.speech.language import AUTO
from core.storage.blobs import Blob, clean_name
from core.storage.mirror import MirroredBlobStore
from core.transcripts import importing
from core.transcripts.chunking import language

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Imported:
    """Whoever made a transcript that was brought as a file; stands where else an engine does."""

    name: str = "imported"
    version: str = "1"


IMPORTED = Imported()

OnAccept = Callable[[Session, Task], None]
"""Called in the transaction that accepts a task; what it raises undoes the acceptance."""


def _nothing(_session: Session, _task: Task) -> None:
    return


class Intake:
    """Takes files in and asks for transcripts of what is stored."""

    def __init__(
        self,
        blobs: MirroredBlobStore,
        recordings: Recordings,
        deletion: Deletion,
        engine_by_name: Mapping[str, Engine],
        active_embedder: ActiveEmbedder,
        *,
        default_engine: str,
        default_language: str,
        default_speakers: str,
        shared: bool,
    ) -> None:
        self._blobs = blobs
        self._recordings = recordings
        self._deletion = deletion
        self._engines = engine_by_name
        self._active_embedder = active_embedder
        self._default_engine = default_engine
        self._default_language = default_language
        self._default_speakers = default_speakers
        self._shared = shared

    def accept(
        self,
        principal: Principal,
        file: IO[bytes],
        filename: str,
        options: TranscriptionOptions,
        on_accept: OnAccept = _nothing,
    ) -> Task:
        """Store a file and ask for its transcript. The bytes are durable when this returns.

        Raises what `submit` raises, TooLarge and NoSpace.
        """
        principal.must_write()
        return self.submit(principal, self._stored(file), filename, options, on_accept)

    def submit(
        self,
        principal: Principal,
        blob: Blob,
        filename: str,
        options: TranscriptionOptions,
        on_accept: OnAccept = _nothing,
    ) -> Task:
        """Ask for the transcript of stored bytes; a file that is a transcript is taken in as it is.

        Raises UnreadableMedia for what is neither.
        """
        options = self._settled(options)
        if options.everybody is None:
            options = replace(options, everybody=self._shared and principal.is_person)
        if importing.is_transcript(filename):
            return self._take_in(principal, blob, filename, options, on_accept)
        try:
            media = self._recordings.media(blob.sha256) or decode.probe(
                self._blobs.path(blob.sha256), decode.hint(filename)
            )
        except UnreadableMedia:  # so it is for everybody who sends it
            self._deletion.drop_unused(blob.sha256)
            raise
        self._share(blob)
        in_transaction = functools.partial(self._accepted, sha256=blob.sha256, on_accept=on_accept)
        return self._recordings.add(
            principal, blob, media, clean_name(filename), self._engine_for(options), options, in_transaction
        )

    def _take_in(
        self,
        principal: Principal,
        blob: Blob,
        filename: str,
        options: TranscriptionOptions,
        on_accept: OnAccept,
    ) -> Task:
        """A recording of its own, without sound, whose transcript is what the file says."""
        try:
            if blob.size_bytes > importing.MAX_BYTES:
                raise UnreadableMedia(Code.TRANSCRIPT_TOO_LARGE, limit_mb=importing.MAX_BYTES >> 20)
            cues = importing.read(filename, self._blobs.path(blob.sha256).read_bytes())
        except UnreadableMedia:
            self._deletion.drop_unused(blob.sha256)
            raise
        self._share(blob)
        length_s = max(cue.end_s for cue in cues)
        media = decode.Media(importing.form(filename), length_s, 1, SAMPLE_RATE, estimated=False)
        spoken = (
            options.language if options.language != AUTO else language(" ".join(cue.text for cue in cues))
        )
        options = replace(options, language=spoken, split_channels=False, subtitles=False, speakers="")
        in_transaction = functools.partial(self._accepted, sha256=blob.sha256, on_accept=on_accept)
        return self._recordings.add(
            principal,
            blob,
            media,
            clean_name(filename),
            lambda _language: IMPORTED,
            options,
            in_transaction,
            cues,
        )

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def attach(self, principal: Principal, recording_id: str, blob: Blob, filename: str) -> None:
        """Give a recording that has only a transcript its sound, for its player.

        Raises UnreadableMedia for what is no sound, NotFound, or Conflict where it has sound already.
        """
        before = self._recordings.get(principal, recording_id, Right.WRITE)
        try:
            media = decode.probe(self._blobs.path(blob.sha256))
            self._share(blob)
            self._recordings.attach(principal, recording_id, blob, clean_name(filename), media)
        except StenogramError:
            self._deletion.drop_unused(blob.sha256)
            raise
        self._deletion.drop_unused(before.sha256)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def attach_file(self, principal: Principal, recording_id: str, file: IO[bytes], filename: str) -> None:
        """The same with bytes that are not stored yet. Raises TooLarge and NoSpace, too."""
        self._recordings.get(principal, recording_id, Right.WRITE)
        self.attach(principal, recording_id, self._stored(file), filename)

    def _stored(self, file: IO[bytes]) -> Blob:
        with self._blobs.incoming() as upload:
            while piece := file.read(COPY_BYTES):
                upload.write(piece)
            return upload.finish()

    def _share(self, blob: Blob) -> None:
        """Have what is about to be accepted where every machine finds it, so that any may begin.

        While that is not possible it waits on this disk (`core.library.sharing`).
        """
        with suppress(Unavailable):
            self._blobs.copy(blob.sha256)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def transcribe_again(
        self,
        principal: Principal,
        recording_id: str,
        options: TranscriptionOptions,
        on_accept: OnAccept = _nothing,
    ) -> Task:
        """Ask for another transcript of a recording; the old one stays until the new one is ready."""
        row = self._recordings.get(principal, recording_id, Right.WRITE)
        blob = Blob(row.sha256, row.size_bytes)
        return self.submit(Principal(row.owner), blob, row.filename, options, on_accept)

    def check(self, options: TranscriptionOptions) -> None:
        """Refuse what `submit` would refuse whatever the file is."""
        self._settled(options)

    def choose_engine(self, options: TranscriptionOptions) -> engines.Choice:
        """The engine that would be used, and why."""
        return engines.choose(self._able(options), self._engine(options), self._language(options))

    def transcribed(
        self, principal: Principal, sha256s: Collection[str], options: TranscriptionOptions
    ) -> set[str]:
        """Of these bytes those whose whole text, made in this very way, is here: it is not made again."""
        options = self._settled(options)
        return self._recordings.transcribed(principal, sha256s, self._engine_for(options), options)

    def reason(self, transcript: Transcript) -> Json | None:
        """Why a transcript was made by its engine, as far as the present rules tell."""
        try:
            choice = engines.choose(self._engines, AUTO, transcript.language)
            if choice.engine.name != transcript.engine:
                choice = engines.choose(self._engines, transcript.engine, transcript.language)
        except StenogramError:
            return None
        return {"message": choice.message, "facts": dict(choice.facts)}

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def correct_language(self, principal: Principal, recording_id: str, language: str) -> Task | None:
        """The recording is in this language. Transcribes it again where that means another text.

        None where the text was made in this language already. Raise what `submit` raises.
        """
        recording = self._recordings.get(principal, recording_id, Right.WRITE)
        transcript = self._recordings.transcript_of(recording)
        one_language = transcript is not None and len((transcript.identified or {}).get("languages", ())) < 2
        if transcript is None or transcript.language != language or not one_language:
            return self.transcribe_again(principal, recording_id, replace(_as(transcript), language=language))
        self._recordings.state_language(principal, recording_id, language)
        return None

    def by_batch(self, options: TranscriptionOptions) -> TranscriptionOptions:
        """The same, cheaper and later: the engine's batch mode where it has one, else vectors by batch.

        A mode that was not named and is not ready is not insisted on.
        """
        named = options.engine in self._engines
        choice = self.choose_engine(options)
        one = not choice.candidates  # else the language decides, and each engine has a mode of its own
        mode = engines.by_batch(self._engines, choice.engine.name) if one else ""
        if not mode or not (named or self._engines[mode].readiness().ready):
            return replace(options, embedding_mode=EmbeddingMode.BATCH)
        by_batch = batching(self._active_embedder.embedder())
        return replace(options, engine=mode, embedding_mode=EmbeddingMode.BATCH if by_batch else None)

    def _settled(self, options: TranscriptionOptions) -> TranscriptionOptions:
        """Nothing is left to what is usual, and it can work now."""
        mode = self._active_embedder.mode(options.embedding_mode)
        deadline_h = options.deadline_h if mode == EmbeddingMode.BATCH else None
        self.choose_engine(options)
        return replace(
            options,
            language=self._language(options),
            engine=self._engine(options),
            embedding_mode=mode,
            deadline_h=deadline_h,
            speakers=options.speakers or self._default_speakers,
        )

    def _engine_for(self, options: TranscriptionOptions) -> EngineFor:
        """The engine for a language, by settled options."""
        able = self._able(options)
        if options.language == AUTO:
            return lambda language: engines.for_language(able, options.engine, language)
        return lambda language: engines.choose(able, options.engine, language).engine

    def _able(self, options: TranscriptionOptions) -> Mapping[str, Engine]:
        """The engines that can do what is asked for."""
        engine_name, tuning = self._engine(options), (options.translate, options.temperature)
        return engines.able(self._engines, engine_name, translate=tuning[0], temperature=tuning[1])

    def _engine(self, options: TranscriptionOptions) -> str:
        return options.engine or self._default_engine

    def _language(self, options: TranscriptionOptions) -> str:
        return options.language or self._default_language

    def _accepted(self, session: Session, task: Task, sha256: str, on_accept: OnAccept) -> None:
        """What must hold when a task is accepted; nobody deletes bytes while this transaction lasts."""
        if not self._blobs.holds(sha256):
            raise Unavailable(Code.FILE_DELETED_MEANWHILE)
        on_accept(session, task)


def _as(transcript: Transcript | None) -> TranscriptionOptions:
    """In the way of a transcript, by the best engine."""
    if transcript is None:
        return TranscriptionOptions()
    return TranscriptionOptions(
        engine=AUTO,
        split_channels=transcript.split_channels,
        subtitles=transcript.subtitles,
        translate=transcript.translate,
        temperature=transcript.temperature,
    )
