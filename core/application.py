"""The journey of a recording: the file to read first.

Intake and the four kinds of work, in order. Each step reads the state, calls one stage, and writes
the outcome together with the job's end; so a step may run twice or die anywhere, and nothing is
lost or repeated. Doors (pages, actors, API) call these methods and nothing deeper.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import IO

from sqlalchemy.orm import Session

from core.billing.ledger import Ledger
from core.billing.tariffs import Tariffs
from core.clients.idempotency import NOTHING_MORE, IdempotencyStore, IdempotentRequest, Replayed
from core.clients.keys import Keys
from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind
from core.database.tables import Job, Recording, Segment, Task, Transcript
from core.embedding import embedder as embed
from core.embedding.embedder import Embedder
from core.errors import Code, StenogramError, Unavailable, UnreadableMedia
from core.library import recordings
from core.library.recordings import Recordings, TranscriptionOptions
from core.media import decode
from core.media.waveform import Waveform
from core.orders.batch_store import BatchStore
from core.orders.batches import Batches
from core.orders.covers import Covers
from core.orders.pictures import Pictures
from core.orders.transcript_purchases import Place, RemoteTranscription
from core.planning.estimates import Estimates
from core.planning.holds import BudgetHolds
from core.planning.proof import Proof
from core.principal import EVERYONE, Principal
from core.queue import workers
from core.queue.jobs import Claim, JobQueue
from core.queue.periodic import PeriodicTasks
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index, Row, Scope
from core.search.passages import Passages, counts, publish, wait_again
from core.search.query import Found, play_s, search
from core.settings import Settings
from core.speech import channels, engines
from core.speech.channels import Channels
from core.speech.downloads import ModelDownloads
from core.speech.engine import Engine, LocalEngine, RemoteEngine, transcribe_groups
from core.storage.blobs import Blob, clean_name
from core.storage.mirror import MirroredBlobStore
from core.storage.object_store import ObjectStore
from core.storage.resumable import ResumableUploads
from core.transcripts import chunking, transcripts
from core.transcripts.exports_store import ExportStore
from core.transcripts.transcripts import Transcripts

COPY_BYTES = 1 << 20
EMBED_TEXTS = 100
"""Texts a call; Gemini takes no more."""


class Application:
    """One installation: its settings, its state, its engines."""

    def __init__(self, settings: Settings) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.database = Database(settings.sqlalchemy_url)
        self.job_queue = JobQueue(self.database, tasks_per_owner=settings.api_tasks_per_key)
        self.idempotency = IdempotencyStore(self.database)
        self.periodic_tasks = PeriodicTasks(self.database)
        storage = ObjectStore(settings)
        self.store = MirroredBlobStore(settings.home / "blobs", settings.upload_max_bytes, storage)
        self.resumable_uploads = ResumableUploads(settings.home / "uploads", self.database, self.store)
        self.keys = Keys(self.database, settings.key_pepper.get_secret_value())
        self.recordings = Recordings(self.database, self.job_queue, share_results=settings.share_results)
        self.transcripts = Transcripts(self.database, self.job_queue)
        self.passages = Passages(self.database, self.job_queue)
        self.objects = ExportStore(storage, self.database, self.transcripts)
        self.channels = Channels(settings.home / "work", self.store.path)
        self.engines = engines.all(settings)
        self.index_store = Index(settings.index)
        self.tariffs = Tariffs(self.database)
        self.ledger = Ledger(self.database, settings.monthly_cap_usd, self.tariffs.book)
        self.estimates = Estimates(settings, self.database, self.tariffs, self.engines, self.embedder)
        self.proof = Proof(self.database, self.ledger, self.tariffs, self.estimates)
        self.holds = BudgetHolds(
            self.database,
            self.job_queue,
            self.ledger,
            self.estimates,
            self.engines,
            self.embedder,
            share_results=settings.share_results,
        )
        self.remote = RemoteTranscription(self.database, self.job_queue, self.transcripts, self.ledger)
        pictures, breakers, clock = Pictures(settings), self.remote.breakers, self.remote.orders.now
        self.covers = Covers(self.database, storage, pictures, self.ledger, breakers, clock)
        self.downloads = ModelDownloads(settings, self.database)
        store = BatchStore(self.database, self.ledger, settings.batch_poll_s)
        self.active = ActiveEmbedder(settings, self.database, self.ledger, self.job_queue.notify)
        self.batches = Batches(
            settings, self.database, self.index_store, store, self.ledger, self.active, self.job_queue.notify
        )

    # Intake

    def accept(self, who: Principal, file: IO[bytes], filename: str, options: TranscriptionOptions) -> Task:
        """Take a file in and ask for its transcript. The bytes are durable when this returns."""
        with self.store.incoming() as upload:
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
        asked: IdempotentRequest = NOTHING_MORE,
    ) -> Task:
        """Ask for the transcript of bytes that are in the store. Refuses what is no recording."""
        if (task_id := self.idempotency.answered(who.owner, asked)) is not None:
            return self.recordings.task(who, task_id)
        options, engine = self._settled(options)
        try:
            media = self.recordings.media(blob.sha256) or decode.probe(self.store.path(blob.sha256))
        except UnreadableMedia:  # so it is for everybody who sends it
            self.drop_unused(blob.sha256)
            raise
        also = functools.partial(self._promise, sha256=blob.sha256, asked=asked)
        try:
            return self.recordings.add(who, blob, media, clean_name(filename), engine, options, also)
        except Replayed as answered:  # the same request overtook this one
            return self.recordings.task(who, answered.task_id)

    def again(
        self,
        who: Principal,
        recording_id: str,
        options: TranscriptionOptions,
        asked: IdempotentRequest = NOTHING_MORE,
    ) -> Task:
        """Ask for another transcript of a recording; the old one stays until the new one is ready."""
        row = self.recordings.get(who, recording_id)
        blob = Blob(row.sha256, row.size_bytes)
        return self.submit(Principal(row.owner), blob, row.filename, options, asked)

    def choose(self, options: TranscriptionOptions) -> engines.Choice:
        """The engine that would be used, and why."""
        return engines.choose(self.engines, options.engine or self.settings.engine, options.language)

    def by_batch(self, options: TranscriptionOptions) -> TranscriptionOptions:
        """The same, cheaper and later: the engine's batch mode where it has one, else vectors by batch.

        A mode that was not named and is not ready is not insisted on.
        """
        named = options.engine in self.engines
        mode = engines.by_batch(self.engines, options.engine if named else self.choose(options).engine.name)
        if not mode or not (named or self.engines[mode].readiness().ready):
            return replace(options, embedding_mode=EmbeddingMode.BATCH)
        return replace(
            options,
            engine=mode,
            embedding_mode=EmbeddingMode.BATCH if embed.batching(self.embedder()) else None,
        )

    def _settled(self, options: TranscriptionOptions) -> tuple[TranscriptionOptions, Engine]:
        embedding_mode = self.active.mode(options.embedding_mode)
        deadline_h = options.deadline_h if embedding_mode == EmbeddingMode.BATCH else None
        options = replace(options, embedding_mode=embedding_mode, deadline_h=deadline_h)
        return options, self.choose(options).engine

    def _promise(self, session: Session, task: Task, sha256: str, asked: IdempotentRequest) -> None:
        """What must hold when a task is accepted; nobody deletes bytes while this transaction lasts."""
        if not self.store.place(sha256).is_file():
            raise Unavailable(Code.FILE_DELETED_MEANWHILE)
        self.idempotency.keep(session, task, asked)

    # The four kinds of work

    def prepare(self, claim: Claim) -> None:
        """Decode the recording and plan its segments."""
        recording, task = self._read(claim)
        self.store.copy(recording.sha256)
        transcript = self.transcripts.get(task.transcript_id)
        engine = self.engines[transcript.engine]
        if not transcript.planned:
            self._plan(claim, recording, transcript, engine)
        self._finish(claim, (JobKind.TRANSCRIBE, engine.queue))

    def _plan(self, claim: Claim, recording: Recording, transcript: Transcript, engine: Engine) -> None:
        sounds = self.channels.of(recording, transcript, self._teller(claim, recording.duration_s, 0, 8))
        duration_s = channels.duration_s(sounds)
        how = channels.policy(engine, subtitles=transcript.subtitles)
        spans = list(channels.spans(sounds, engine, how, self._teller(claim, duration_s, 8, 15)))
        with self.database.write() as session:
            self.job_queue.keep(session, claim)  # or the recording may have been deleted meanwhile
            session.get_one(Recording, recording.id).duration_s = duration_s
            session.get_one(Transcript, transcript.id).duration_s = duration_s
        self.transcripts.plan(claim, transcript.id, spans)

    def transcribe(self, claim: Claim) -> None:
        """Have the engine hear every segment that nobody has heard yet."""
        recording, task = self._read(claim)
        transcript = self.transcripts.get(task.transcript_id)
        engine = self.engines[transcript.engine]
        if isinstance(engine, RemoteEngine):
            over = self.remote.transcribe(engine, self._place(claim, recording, transcript))
        else:
            over = self._hear(claim, recording, transcript, engine)
        if over:
            complete = functools.partial(transcripts.complete, transcript_id=transcript.id)
            self._finish(claim, (JobKind.INDEX, "io"), complete)
            self.channels.drop(transcript.id)

    def _hear(self, claim: Claim, recording: Recording, transcript: Transcript, engine: Engine) -> bool:
        """False: another task's job is at the same transcript, and this one was put off."""
        if not self.transcripts.acquire(claim, transcript.id):
            return False
        total, pending = self.transcripts.count(transcript.id), self.transcripts.pending(transcript.id)
        sounds = self.channels.of(recording, transcript) if pending else {}
        if pending and isinstance(engine, LocalEngine):
            workers.tell_device(self.database, engine.device_reason())
        batches = [
            pending[n : n + engine.batch_segments] for n in range(0, len(pending), engine.batch_segments)
        ]
        groups = ([channels.cut(sounds, segment) for segment in batch] for batch in batches)
        done, began = total - len(pending), time.monotonic()
        with closing(transcribe_groups(engine, groups, transcript.language)) as answers:
            for batch, speeches in zip(batches, answers, strict=True):
                took_s, began = time.monotonic() - began, time.monotonic()
                self.transcripts.commit(claim, batch, speeches, took_s)
                done += len(batch)
                self.job_queue.report(claim, 15 + 80 * done // total)
        return True

    def _place(self, claim: Claim, recording: Recording, transcript: Transcript) -> Place:
        def sound(piece: Segment) -> Waveform:
            return channels.cut(self.channels.of(recording, transcript), piece)

        return Place(claim, recording, transcript, sound)

    def index(self, claim: Claim) -> None:
        """Cut the transcript into passages and make them searchable by words; the task is complete then."""
        recording, task = self._read(claim)
        if not self.passages.acquire(claim):
            return
        embedder = self.embedder()
        pieces = chunking.passages(self.transcripts.utterances(task.transcript_id))
        passages = self.passages.replace(
            claim, recording.id, task.transcript_id, pieces, embedder, task.embedding_mode
        )
        publish(self.database, self.index_store, recording.id)
        self.objects.export(recording, task.transcript_id)
        waiting = any(
            passage.embedding_status == EmbeddingStatus.WAITING
            and passage.embedding_mode == EmbeddingMode.SYNC
            for passage in passages
        )
        complete = functools.partial(recordings.complete, task=task)
        self._finish(claim, (JobKind.EMBED, "io") if waiting else None, complete)
        self.job_queue.wake_next(task.owner)

    def embed(self, claim: Claim) -> None:
        """Give each waiting passage its vector; a text that has one already costs nothing."""
        recording, _ = self._read(claim)
        if not self.passages.acquire(claim):
            return
        while self._embed(claim, recording, self.embedder()):
            continue
        self._finish(claim)

    def _embed(self, claim: Claim, recording: Recording, embedder: Embedder) -> bool:
        passages = self.passages.waiting(recording.id, EMBED_TEXTS)
        if not passages:
            return False
        hashes = [embed.text_hash(embedder, passage.text) for passage in passages]
        known = self.index_store.vectors_of(embedder, hashes)
        missing = {h: p.text for h, p in zip(hashes, passages, strict=True) if h not in known}
        if missing:
            bought = self.ledger.buy(embedder, recording.id, recording.owner, list(missing.values()))
            known.update(zip(missing, bought, strict=True))
        ids = [passage.id for passage in passages]
        placed = self.index_store.put_vectors(
            embedder, recording.id, recording.owner, ids, hashes, [known[h] for h in hashes]
        )
        self.passages.mark(claim, recording.id, placed, embedder)
        if len(placed) < len(ids):
            publish(self.database, self.index_store, recording.id)
        return True

    def give_up(self, claim: Claim, error: StenogramError) -> None:
        """A job failed for good; a transcript that is there stays searchable by words."""
        if not self.job_queue.fail(claim, error):
            return
        recording, task = self._read(claim)
        self.job_queue.wake_next(task.owner)
        if claim.kind == JobKind.EMBED:
            self.passages.give_up(recording.id)

    def try_later(self, claim: Claim, error: StenogramError, traceback: str | None = None) -> None:
        """A job could not be done now: put it off, or give it up when it was tried often enough."""
        if not self.job_queue.try_later(claim, error, traceback):
            self.give_up(claim, error)

    def _finish(
        self,
        claim: Claim,
        then: tuple[JobKind, str] | None = None,
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """End a job in one write with `also`, and wake who does the task's next one."""
        with self.database.write() as session:
            job = self.job_queue.finish(session, claim, then)
            if also is not None:
                also(session)
        if job is not None:
            self.job_queue.notify(job)

    def _read(self, claim: Claim) -> tuple[Recording, Task]:
        task = self.recordings.task(EVERYONE, claim.task_id)
        return self.recordings.get(EVERYONE, task.recording_id), task

    def _teller(self, claim: Claim, total_s: float | None, first: int, last: int) -> Callable[[float], None]:
        """Reports seconds that were heard as percent between `first` and `last`."""

        def tell(seconds: float) -> None:
            part = min(1.0, seconds / total_s) if total_s else 0.5
            self.job_queue.report(claim, first + round((last - first) * part))

        return tell

    # Search

    def search(
        self, who: Principal, question: str, *, mode: str = "hybrid", limit: int = 20, recording_id: str = ""
    ) -> Found:
        """Moments where something was said, best first."""
        scope = Scope(None if who.admin else who.owner, (recording_id,) if recording_id else ())

        def moment(row: Row) -> float:
            return play_s(question, row, self.transcripts.said(row.recording_id, row.start_s, row.end_s))

        return search(
            self.index_store,
            self.active.searched(),
            question,
            scope=scope,
            mode=mode,
            limit=limit,
            moment=moment,
        )

    def embedder(self) -> Embedder:
        """The active embedder, fixed at the first start: Gemini if there was a key, else the local one."""
        return self.active.embedder()

    def warm(self) -> None:
        """Start what the first upload, and the first question by meaning, would wait for."""
        decode.warm()
        with self.database.read() as session:
            has_vectors = bool(counts(session).get(EmbeddingStatus.DONE))
        embedder = self.active.searched()
        costs_nothing = embed.batching(embedder) is None
        if has_vectors and costs_nothing:
            embedder.embed_query("")

    # Care

    def delete(self, who: Principal, recording_id: str) -> None:
        """Forget a recording: rows first, then what is derived from them, then the bytes nobody else has."""
        self._clear(self.recordings.delete(who, recording_id))

    def forget(self, who: Principal, task_id: str) -> None:
        """Cancel a task and forget it, with its recording if that came by the API and has no other task."""
        self.cancel(who, task_id)
        if recording := self.recordings.forget(who, task_id):
            self._clear(recording)

    def retry(self, who: Principal, task_id: str) -> bool:
        """Go on from the stage that failed. False if there is nothing to retry."""
        task = self.recordings.task(who, task_id)
        if self.job_queue.retry(task.id, functools.partial(self._afresh, task=task)):
            return True
        with self.database.write() as session:
            return wait_again(
                session, task.recording_id, [EmbeddingMode.BATCH]
            )  # the next batch takes them, no job

    def _afresh(self, session: Session, job: Job, task: Task) -> None:
        """What failed with a job is tried again with it."""
        self.remote.orders.revive(session, task.transcript_id)
        modes = list(EmbeddingMode) if job.kind == JobKind.EMBED else [EmbeddingMode.BATCH]
        wait_again(session, task.recording_id, modes)

    def cancel(self, who: Principal, task_id: str) -> bool:
        """Stop a task and keep what is finished. False if it had already ended."""
        task = self.recordings.task(who, task_id)
        cancelled = self.job_queue.cancel(task.id)
        self.job_queue.wake_next(task.owner)
        return cancelled

    def release(self, worker: str) -> None:
        """A worker died: what it held is free again."""
        self.job_queue.release(worker)
        self.periodic_tasks.release(worker)

    def drop_unused(self, sha256: str) -> bool:
        """Remove bytes that nobody has; True if so."""
        with self.database.write() as session:
            self.database.advisory_lock(session, sha256)  # so that nobody takes the same bytes in meanwhile
            unused = not self.recordings.has(sha256)
            if unused:
                self.store.remove(sha256)
        return unused

    def _clear(self, recording: Recording) -> None:
        with suppress(Unavailable):  # the index is busy: what is left there is swept away
            self.index_store.remove(recording.id)
        unused = self.drop_unused(recording.sha256)
        with suppress(Unavailable):  # the object store is away: what is left there is nobody's
            self.objects.clear(recording.id)
            if unused:
                self.store.drop_copy(recording.sha256)


@functools.cache
def current() -> Application:
    """The journey of this process, as its settings describe it."""
    return Application(Settings())
