"""The composition root: one installation, built from settings, a clock and a notifier.

Nothing else in core builds services; doors (pages, API, actors) take what they need from here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from core.audit import AuditTrail
from core.billing.ledger import Ledger
from core.billing.tariffs import Tariffs
from core.clients.deliveries import Deliveries
from core.clients.idempotency import IdempotencyStore
from core.clients.intake import ClientIntake
from core.clients.keys import Keys
from core.clients.links import Links
from core.clients.notifications import Notifications
from core.clients.people import People
from core.clients.retention import Retention
from core.clients.webhooks import Webhooks
from core.database.clock_jumps import ClockWatch
from core.database.database import Database
from core.database.states import EmbeddingStatus, JobKind
from core.embedding.embedder import batching
from core.errors import Code, StenogramError
from core.library.archive_text import ArchiveText
from core.library.bulk import Bulk
from core.library.correction_cost import CorrectionCost
from core.library.dating import date_by_names
from core.library.deletion import Deletion
from core.library.destinations import Destinations
from core.library.glossary import Glossary
from core.library.intake import Intake
from core.library.kept_moments import KeptMoments
from core.library.recording_sharing import RecordingSharing
from core.library.recording_speakers import RecordingSpeakers
from core.library.recording_text import RecordingText
from core.library.recordings import Recordings
from core.library.recycle_bin import RecycleBin
from core.library.retranscription import Retranscriptions
from core.library.saved_searches import SavedSearches
from core.library.sharing import UploadSharing
from core.library.task_groups import TaskGroups
from core.library.tasks import Tasks
from core.media import decode
from core.media.playback import Playback
from core.orders.batch_store import BatchStore
from core.orders.batches import Batches
from core.orders.covers import Covers, PictureNotifier, no_notification
from core.orders.pictures import Pictures
from core.orders.transcript_purchases import RemoteTranscription
from core.pipeline import Pipeline, Stage
from core.pipeline.diarize import DiarizeStage
from core.pipeline.embed import EmbedStage
from core.pipeline.index import IndexStage
from core.pipeline.periodic_tasks import PeriodicRunner
from core.pipeline.prepare import PrepareStage
from core.pipeline.retranscribe import RetranscribeStage
from core.pipeline.review import Review
from core.pipeline.transcribe import TranscribeStage
from core.planning.estimates import Estimates
from core.planning.holds import BudgetHolds
from core.planning.proof import Proof
from core.principal import LINK, Principal
from core.queue import history
from core.queue.jobs import JobQueue, Notifier, no_op
from core.queue.leases import ExclusiveLease
from core.queue.periodic import PeriodicTasks
from core.search import passages
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.search.log import SearchLog
from core.search.passages import Passages
from core.search.refill import Refill
from core.search.sentences import SentenceStore
from core.search.service import SearchService
from core.search.synonyms import Synonyms
from core.settings import Settings, SettingsInvalid, wrong
from core.sources.fetching import Fetching
from core.sources.rounds import Rounds
from core.sources.service import Sources
from core.speech import engines
from core.speech.channels import Channels
from core.speech.downloads import ModelDownloads
from core.speech.engines import whisper
from core.storage.mirror import MirroredBlobStore
from core.storage.object_store import ObjectStore
from core.storage.resumable import ResumableUploads
from core.transcripts.exports_store import ExportStore
from core.transcripts.speakers import Speakers
from core.transcripts.transcripts import Transcripts
from core.transcripts.voices import Voices

REFILL_S = 50.0
"""So long an index that lost passages is filled again at a time; other care of it comes in between."""


class Application:
    """Every service of one installation.

    `clock` gives Unix seconds (None: those of the database, the same on every machine); `notifier`
    wakes a worker for a job and `picture_notifier` one for a picture. Both may lose what they are
    given: the reconciler finds it again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] | None = None,
        notifier: Notifier = no_op,
        picture_notifier: PictureNotifier = no_notification,
    ) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.database = Database(settings.sqlalchemy_url)
        self.clock = clock or self.database.now
        self.clock_watch = ClockWatch(self.database, self.clock)
        self.audit = AuditTrail(self.database, self.clock, keep_days=settings.audit_keep_days)
        self._build_storage()
        self._build_queue(notifier)
        self._build_library()
        self._build_billing()
        self._build_orders(picture_notifier)
        self._build_planning()
        self._build_sources()
        self._build_clients()
        self._build_pipeline()
        self._build_periodic_tasks()

    def _build_storage(self) -> None:
        self.object_store = ObjectStore(self.settings)
        self.blobs = MirroredBlobStore(
            self.settings.home / "blobs", self.settings.upload_max_bytes, self.object_store
        )
        self.resumable_uploads = ResumableUploads(self.settings.home / "uploads", self.database, self.blobs)
        self.sound = Channels(self.settings.home / "work", self.blobs.path)
        self.playback = Playback(self.settings.home / "playback", self.blobs.path)

    def _build_queue(self, notifier: Notifier) -> None:
        self.job_queue = JobQueue(
            self.database, self.clock, notifier, tasks_per_owner=self.settings.api_tasks_per_key
        )
        self.periodic_tasks = PeriodicTasks(self.database, self.clock)

    def _build_library(self) -> None:
        database, job_queue = self.database, self.job_queue
        self.engines = engines.all(self.settings)
        if self.settings.engine not in {"auto", *self.engines}:
            names = ", ".join(["one of auto", *self.engines])
            raise SettingsInvalid(wrong("engine", self.settings.engine, names))
        self.model_downloads = ModelDownloads(self.settings, database)
        self.transcripts = Transcripts(database, job_queue)
        self.speakers = Speakers(database)
        self.voices = Voices(database)
        self.exports = ExportStore(self.object_store, database, self.transcripts)
        self.index = self._index()
        self.passages = Passages(database, job_queue)
        self.upload_sharing = UploadSharing(database, job_queue, self.blobs)
        self.recordings = Recordings(database, job_queue, share_results=self.settings.share_results)
        self.recording_sharing = RecordingSharing(database)
        self.task_groups = TaskGroups(database)
        self.kept_moments = KeptMoments(database, self.recordings, self.transcripts, self.blobs)
        self.recording_speakers = RecordingSpeakers(
            database, job_queue, self.recordings, self.transcripts, self.speakers, self.voices
        )
        self.recording_text = RecordingText(
            database, job_queue, self.recordings, self.transcripts, self.voices
        )
        self.archive_text = ArchiveText(database, self.transcripts, self.recording_text)
        self.glossary = Glossary(database, self.archive_text)
        self.deletion = Deletion(
            database, self.recordings, job_queue, self.index, self.blobs, self.exports, self.playback
        )

    def _index(self) -> Index:
        """In a bucket it has one writer of all machines at a time."""
        if not self.settings.has_shared_index:
            return Index(self.settings.index)
        lease = ExclusiveLease(self.database, "index", Code.INDEX_BUSY)
        return Index(self.settings.index, self.settings.index_bucket_options, lease.held)

    def _build_billing(self) -> None:
        self.tariffs = Tariffs(self.database)
        self.ledger = Ledger(
            self.database, self.settings.monthly_cap_usd, self.tariffs.book, clock=self.clock
        )
        self.active_embedder = ActiveEmbedder(
            self.settings, self.database, self.ledger, self.job_queue.notify
        )
        self.refill = Refill(self.database, self.index, self.active_embedder, self.job_queue.notify)
        self.sentences = SentenceStore(self.database)
        self.search_log = SearchLog(
            self.database,
            self.clock,
            keep_words=self.settings.search_log,
            keep_opened=self.settings.search_clicks,
        )
        self.saved_searches = SavedSearches(
            self.database,
            self.index,
            self.passages,
            lambda owner: self.people.acting(owner),  # noqa: PLW0108 - people come later
        )
        self.searcher = SearchService(
            self.database,
            self.index,
            self.active_embedder,
            self.passages,
            self.transcripts,
            self.sentences,
            Synonyms(self.database),
            self.search_log,
        )
        self.intake = Intake(
            self.blobs,
            self.recordings,
            self.deletion,
            self.engines,
            self.active_embedder,
            default_engine=self.settings.engine,
            default_speakers=self.settings.speakers,
            default_language=self.settings.spoken_language,
            shared=self.settings.default_sharing == "everybody",
        )
        self.bulk = Bulk(self.recordings, self.transcripts, self.intake)
        self._build_retranscription()

    def _build_retranscription(self) -> None:
        self.correction_cost = CorrectionCost(self.database, self.active_embedder, self.ledger)
        self.retranscriptions = Retranscriptions(
            self.database,
            self.job_queue,
            self.recordings,
            self.transcripts,
            self.recording_text,
            self.engines,
            self.ledger,
        )

    def _build_orders(self, picture_notifier: PictureNotifier) -> None:
        self.remote_transcription = RemoteTranscription(
            self.database, self.job_queue, self.transcripts, self.ledger
        )
        self.covers = Covers(
            self.database,
            self.object_store,
            Pictures(self.settings),
            self.ledger,
            self.remote_transcription.breakers,
            self.clock,
            picture_notifier,
        )
        store = BatchStore(self.database, self.ledger, self.settings.batch_poll_s, self.clock)
        self.batches = Batches(
            self.settings,
            self.database,
            self.index,
            store,
            self.ledger,
            self.active_embedder,
            self.job_queue.notify,
            self.clock,
        )
        self.tasks = Tasks(
            self.database, self.recordings, self.job_queue, self.remote_transcription.orders.revive
        )
        self.recycle_bin = RecycleBin(
            self.database,
            self.recordings,
            self.deletion,
            self.tasks,
            self.clock,
            days=self.settings.bin_days,
        )

    def _build_planning(self) -> None:
        self.estimates = Estimates(
            self.settings, self.database, self.tariffs, self.engines, self.active_embedder.embedder
        )
        self.proof = Proof(self.database, self.ledger, self.tariffs, self.estimates)
        self.holds = BudgetHolds(
            self.database,
            self.job_queue,
            self.ledger,
            self.estimates,
            self.engines,
            self.active_embedder.embedder,
            share_results=self.settings.share_results,
        )

    def _build_sources(self) -> None:
        self.destinations = Destinations(self.settings, self.database, self.transcripts, self.clock)
        fetching = Fetching(self.settings)
        self.sources = Sources(self.settings, self.database, self.intake, fetching, self.clock)
        self.source_rounds = Rounds(
            self.settings,
            self.database,
            self.sources,
            fetching,
            self.intake,
            self.job_queue,
            self.clock,
        )

    def _build_clients(self) -> None:
        self.people = People(self.settings, self.database, self.clock)
        self.links = Links(self.database, self.clock, self.people.acting, public=self.settings.public_links)
        self.keys = Keys(
            self.database,
            self.settings.key_pepper.get_secret_value(),
            is_open=self.people.is_open,
            acting=self._acting,
        )
        self.idempotency = IdempotencyStore(self.database)
        self.client_intake = ClientIntake(self.intake, self.recordings, self.recycle_bin, self.idempotency)
        self.webhooks = Webhooks(self)
        self.deliveries = Deliveries(self.database)
        self.notifications = Notifications(self, self.clock)
        self.retention = Retention(
            self.settings,
            self.database,
            self.recordings,
            self.deletion,
            self.idempotency,
            self.resumable_uploads,
            self.blobs,
            self.sound,
            self.index,
            self.clock,
        )

    def _acting(self, owner: str) -> Principal | None:
        """As whom somebody acts whom a ticket or a key of theirs stands for."""
        return self.links.acting(owner) if owner.startswith(LINK) else self.people.acting(owner)

    def _build_pipeline(self) -> None:
        stages = {**self._speech_stages(), **self._text_stages()}
        self.pipeline = Pipeline(stages, self.job_queue, self.recordings, self.passages)

    def _speech_stages(self) -> dict[JobKind, Stage]:
        database, job_queue, recordings = self.database, self.job_queue, self.recordings
        language_model = whisper.language_model(self.settings)
        return {
            JobKind.PREPARE: PrepareStage(
                database,
                job_queue,
                recordings,
                self.transcripts,
                self.blobs,
                self.speakers,
                self.sound,
                self.engines,
                language_model,
            ),
            JobKind.TRANSCRIBE: TranscribeStage(
                database,
                job_queue,
                recordings,
                self.transcripts,
                self.sound,
                self.engines,
                self.remote_transcription,
                Review(database, self.sound, self.engines, language_model),
            ),
            JobKind.DIARIZE: self._diarize_stage(),
            JobKind.RETRANSCRIBE: RetranscribeStage(
                job_queue,
                recordings,
                self.transcripts,
                self.sound,
                self.engines,
                self.remote_transcription,
            ),
        }

    def _text_stages(self) -> dict[JobKind, Stage]:
        database, job_queue, recordings = self.database, self.job_queue, self.recordings
        return {
            JobKind.INDEX: IndexStage(
                database,
                job_queue,
                recordings,
                self.transcripts,
                self.passages,
                self.index,
                self.active_embedder,
                self.exports,
                self.saved_searches,
                self.recording_text,
            ),
            JobKind.EMBED: EmbedStage(
                database,
                job_queue,
                recordings,
                self.passages,
                self.index,
                self.active_embedder,
                self.ledger,
                self.transcripts,
                self.sentences,
            ),
        }

    def _diarize_stage(self) -> DiarizeStage:
        return DiarizeStage(
            self.database,
            self.job_queue,
            self.recordings,
            self.transcripts,
            self.speakers,
            self.sound,
            models_dir=self.settings.speaker_models,
            share_results=self.settings.share_results,
        )

    def _build_periodic_tasks(self) -> None:
        self.periodic_runner = PeriodicRunner(
            self.periodic_tasks,
            {
                "batches": self.batches.tick,
                "covers": self.covers.tick,
                "models": self.model_downloads.tick,
                "objects": self.exports.sweep,
                "sources": self.source_rounds.tick,
                "results": self.destinations.tick,
                "orders": lambda: self.remote_transcription.sweep(self.engines),
                "payments": self.ledger.sweep,
                "callbacks": self.webhooks.deliver,
                "notifications": self.notifications.tick,
                "retention": self.retention.sweep,
                "bin": self.recycle_bin.sweep,
                "index": self._optimize_index,
                "history": self._tidy_records,
                "store": self.retention.sweep_store,
            },
        )

    def _tidy_records(self) -> None:
        date_by_names(self.database)
        history.forget(self.database, self.clock())
        self.search_log.forget()
        self.sources.forget()
        self.audit.sweep()

    def _optimize_index(self) -> None:
        self.index.maintain()
        passages.sweep(self.database, self.index)
        if not self.refill.run(REFILL_S):
            self.periodic_tasks.expedite("index")

    def warm_up(self) -> None:
        """Load what the first upload, and the first question by meaning, would wait for."""
        decode.warm()
        with self.database.read() as session:
            has_vectors = bool(passages.counts(session).get(EmbeddingStatus.DONE))
        embedder = self.active_embedder.searched()
        costs_nothing = batching(embedder) is None
        if has_vectors and costs_nothing:
            embedder.embed_query("")
        with suppress(StenogramError):  # the first question says it, should it still be so then
            if self.index.check():
                self.index.vocabulary()
