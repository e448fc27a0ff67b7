"""Files come in and become recordings with a task: accepted, chosen an engine for, queued."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import IO

from sqlalchemy.orm import Session

from core.database.states import EmbeddingMode
from core.database.tables import Task
from core.embedding.embedder import batching
from core.errors import Code, Unavailable, UnreadableMedia
from core.library.deletion import Deletion
from core.library.recordings import Recordings, TranscriptionOptions
from core.media import decode
from core.principal import Principal
from core.search.active_embedder import ActiveEmbedder
from core.speech import engines
from core.speech.engine import Engine
from core.storage.blobs import Blob, Store, clean_name

COPY_BYTES = 1 << 20

OnAccept = Callable[[Session, Task], None]
"""Called in the transaction that accepts a task; what it raises undoes the acceptance."""


def _nothing(_session: Session, _task: Task) -> None:
    return


class Intake:
    """Takes files in and asks for transcripts of what is stored."""

    def __init__(
        self,
        blobs: Store,
        recordings: Recordings,
        deletion: Deletion,
        engine_by_name: Mapping[str, Engine],
        active_embedder: ActiveEmbedder,
        *,
        default_engine: str,
    ) -> None:
        self._blobs = blobs
        self._recordings = recordings
        self._deletion = deletion
        self._engines = engine_by_name
        self._active_embedder = active_embedder
        self._default_engine = default_engine

    def accept(self, who: Principal, file: IO[bytes], filename: str, options: TranscriptionOptions) -> Task:
        """Store a file and ask for its transcript. The bytes are durable when this returns.

        Raises what `submit` raises, TooLarge and NoSpace.
        """
        with self._blobs.incoming() as upload:
            while piece := file.read(COPY_BYTES):
                upload.write(piece)
            blob = upload.finish()
        return self.submit(who, blob, filename, options)

    def submit(
        self,
        who: Principal,
        blob: Blob,
        filename: str,
        options: TranscriptionOptions,
        on_accept: OnAccept = _nothing,
    ) -> Task:
        """Ask for the transcript of stored bytes. Raises UnreadableMedia for what is no recording."""
        options, engine = self._settled(options)
        try:
            media = self._recordings.media(blob.sha256) or decode.probe(self._blobs.path(blob.sha256))
        except UnreadableMedia:  # so it is for everybody who sends it
            self._deletion.drop_unused(blob.sha256)
            raise
        in_transaction = functools.partial(self._accepted, sha256=blob.sha256, on_accept=on_accept)
        return self._recordings.add(who, blob, media, clean_name(filename), engine, options, in_transaction)

    def transcribe_again(
        self,
        who: Principal,
        recording_id: str,
        options: TranscriptionOptions,
        on_accept: OnAccept = _nothing,
    ) -> Task:
        """Ask for another transcript of a recording; the old one stays until the new one is ready."""
        row = self._recordings.get(who, recording_id)
        blob = Blob(row.sha256, row.size_bytes)
        return self.submit(Principal(row.owner), blob, row.filename, options, on_accept)

    def check(self, options: TranscriptionOptions) -> None:
        """Refuse what `submit` would refuse whatever the file is."""
        self._settled(options)

    def choose_engine(self, options: TranscriptionOptions) -> engines.Choice:
        """The engine that would be used, and why."""
        return engines.choose(self._engines, options.engine or self._default_engine, options.language)

    def by_batch(self, options: TranscriptionOptions) -> TranscriptionOptions:
        """The same, cheaper and later: the engine's batch mode where it has one, else vectors by batch.

        A mode that was not named and is not ready is not insisted on.
        """
        named = options.engine in self._engines
        engine_name = options.engine if named else self.choose_engine(options).engine.name
        mode = engines.by_batch(self._engines, engine_name)
        if not mode or not (named or self._engines[mode].readiness().ready):
            return replace(options, embedding_mode=EmbeddingMode.BATCH)
        by_batch = batching(self._active_embedder.embedder())
        return replace(options, engine=mode, embedding_mode=EmbeddingMode.BATCH if by_batch else None)

    def _settled(self, options: TranscriptionOptions) -> tuple[TranscriptionOptions, Engine]:
        mode = self._active_embedder.mode(options.embedding_mode)
        deadline_h = options.deadline_h if mode == EmbeddingMode.BATCH else None
        options = replace(options, embedding_mode=mode, deadline_h=deadline_h)
        return options, self.choose_engine(options).engine

    def _accepted(self, session: Session, task: Task, sha256: str, on_accept: OnAccept) -> None:
        """What must hold when a task is accepted; nobody deletes bytes while this transaction lasts."""
        if not self._blobs.place(sha256).is_file():
            raise Unavailable(Code.FILE_DELETED_MEANWHILE)
        on_accept(session, task)
