"""The composition root: one installation, built from settings, a clock and a notifier.

Nothing else in core builds services; doors (pages, API, actors) take what they need from here.
"""

from __future__ import annotations

from collections.abc import Callable

from core.billing.ledger import Ledger
from core.billing.tariffs import Tariffs
from core.clients.idempotency import IdempotencyStore
from core.clients.intake import ClientIntake
from core.clients.keys import Keys
from core.clients.retention import Retention
from core.clients.webhooks import Webhooks
from core.database.database import Database
from core.database.states import EmbeddingStatus, JobKind
from core.embedding.embedder import batching
from core.library.deletion import Deletion
from core.library.intake import Intake
from core.library.recordings import Recordings
from core.library.tasks import Tasks
from core.media import decode
from core.orders.batch_store import BatchStore
from core.orders.batches import Batches
from core.orders.covers import Covers, PictureNotifier, notify_nobody
from core.orders.pictures import Pictures
from core.orders.transcript_purchases import RemoteTranscription
from core.pipeline import Pipeline, Stage
from core.pipeline.diarize import DiarizeStage
from core.pipeline.embed import EmbedStage
from core.pipeline.index import IndexStage
from core.pipeline.periodic_tasks import PeriodicRunner
from core.pipeline.prepare import PrepareStage
from core.pipeline.transcribe import TranscribeStage
from core.planning.estimates import Estimates
from core.planning.holds import BudgetHolds
from core.planning.proof import Proof
from core.queue import history
from core.queue.jobs import JobQueue, Notifier, no_op
from core.queue.periodic import PeriodicTasks
from core.search import passages
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.search.passages import Passages
from core.search.service import SearchService
from core.settings import Settings, SettingsInvalid, wrong
from core.speech import engines
from core.speech.channels import Channels
from core.speech.downloads import ModelDownloads
from core.storage.mirror import MirroredBlobStore
from core.storage.object_store import ObjectStore
from core.storage.resumable import ResumableUploads
from core.transcripts.exports_store import ExportStore
from core.transcripts.speakers import Speakers
from core.transcripts.transcripts import Transcripts


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
        picture_notifier: PictureNotifier = notify_nobody,
    ) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.database = Database(settings.sqlalchemy_url)
        self.clock = clock or self.database.now
        self._build_storage()
        self._build_queue(notifier)
        self._build_library()
        self._build_billing()
        self._build_orders(picture_notifier)
        self._build_planning()
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
        self.exports = ExportStore(self.object_store, database, self.transcripts)
        self.index = Index(self.settings.index)
        self.passages = Passages(database, job_queue)
        self.recordings = Recordings(database, job_queue, share_results=self.settings.share_results)
        self.deletion = Deletion(database, self.recordings, job_queue, self.index, self.blobs, self.exports)

    def _build_billing(self) -> None:
        self.tariffs = Tariffs(self.database)
        self.ledger = Ledger(
            self.database, self.settings.monthly_cap_usd, self.tariffs.book, clock=self.clock
        )
        self.active_embedder = ActiveEmbedder(
            self.settings, self.database, self.ledger, self.job_queue.notify
        )
        self.searcher = SearchService(self.index, self.active_embedder, self.transcripts)
        self.intake = Intake(
            self.blobs,
            self.recordings,
            self.deletion,
            self.engines,
            self.active_embedder,
            default_engine=self.settings.engine,
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

    def _build_clients(self) -> None:
        self.keys = Keys(self.database, self.settings.key_pepper.get_secret_value())
        self.idempotency = IdempotencyStore(self.database)
        self.client_intake = ClientIntake(self.intake, self.recordings, self.idempotency)
        self.webhooks = Webhooks(self)
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

    def _build_pipeline(self) -> None:
        database, job_queue, recordings = self.database, self.job_queue, self.recordings
        stages: dict[JobKind, Stage] = {
            JobKind.PREPARE: PrepareStage(
                database, job_queue, recordings, self.transcripts, self.blobs, self.sound, self.engines
            ),
            JobKind.TRANSCRIBE: TranscribeStage(
                database,
                job_queue,
                recordings,
                self.transcripts,
                self.sound,
                self.engines,
                self.remote_transcription,
            ),
            JobKind.DIARIZE: DiarizeStage(
                job_queue,
                recordings,
                self.transcripts,
                self.speakers,
                self.sound,
                self.settings.speaker_models,
            ),
            JobKind.INDEX: IndexStage(
                database,
                job_queue,
                recordings,
                self.transcripts,
                self.passages,
                self.index,
                self.active_embedder,
                self.exports,
            ),
            JobKind.EMBED: EmbedStage(
                database,
                job_queue,
                recordings,
                self.passages,
                self.index,
                self.active_embedder,
                self.ledger,
            ),
        }
        self.pipeline = Pipeline(stages, job_queue, recordings, self.passages)

    def _build_periodic_tasks(self) -> None:
        self.periodic_runner = PeriodicRunner(
            self.periodic_tasks,
            {
                "batches": self.batches.tick,
                "covers": self.covers.tick,
                "models": self.model_downloads.tick,
                "objects": self.exports.sweep,
                "orders": lambda: self.remote_transcription.sweep(self.engines),
                "payments": self.ledger.sweep,
                "callbacks": self.webhooks.deliver,
                "retention": self.retention.sweep,
                "index": self._tidy_index,
                "history": lambda: history.forget(self.database, self.clock()),
                "store": self.retention.sweep_store,
            },
        )

    def _tidy_index(self) -> None:
        self.index.maintain()
        passages.sweep(self.database, self.index)

    def warm_up(self) -> None:
        """Load what the first upload, and the first question by meaning, would wait for."""
        decode.warm()
        with self.database.read() as session:
            has_vectors = bool(passages.counts(session).get(EmbeddingStatus.DONE))
        embedder = self.active_embedder.searched()
        costs_nothing = batching(embedder) is None
        if has_vectors and costs_nothing:
            embedder.embed_query("")
