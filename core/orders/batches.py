"""Vectors by batch, at half the price: one short tick moves every batch on by as much as it can.

A tick collects waiting passages into batches, orders them, asks about those under way, fetches
results and keeps their vectors. It never waits: what is not ready is asked about again later, and
what may be done when is written in SQL, so that ticks survive anything (`core/orders/batch_store.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

from core.audit import audited
from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.owned import get_owned
from core.database.states import AuditAction, AuditSubject, BatchAction, BatchState, EmbeddingMode
from core.database.tables import Batch, Job, Recording
from core.embedding.embedder import BatchEmbedder, RemoteBatch, batching
from core.errors import Code, ProviderBusy, ProviderRefused, Rejected, Unavailable
from core.orders import embedding_requests
from core.orders.batch_fetcher import Fetcher
from core.orders.batch_lifecycle import BatchLifecycle
from core.orders.batch_planner import Planner
from core.orders.batch_store import FREE, LIVE, PREFIX, BatchStore
from core.orders.batch_view import PAUSED, View
from core.orders.embedding_requests import EmbeddingRequests
from core.orders.lifecycle import Money, Superseded
from core.principal import Principal
from core.queue.jobs import as_json
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.settings import Settings
from core.storage import temporary

TICK_S = 60.0
"""A tick starts nothing new after this; the step it is in has a limit of its own."""
TRANSFER_MAX_S = 3600.0
"""Longer than any transfer of input or of a result may last."""
SWEPT = "batch swept"
SWEEP_S = 900.0
REFUSED_PAUSE_S = 60.0


class Batches:
    """Everything this installation orders by batch."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        index: Index,
        store: BatchStore,
        ledger: Ledger,
        active: ActiveEmbedder,
        notify: Callable[[Job], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._database = database
        self._index = index
        self.store = store
        self._active = active
        self._embedder = active.embedder
        self._notify = notify
        self._folder = settings.home / "batches"
        self.texts = EmbeddingRequests(database, index)
        self.fetcher = Fetcher(self._folder, index, self.texts, store, notify)
        self.planner = Planner(settings, database, self.texts, store, clock)
        self.view = View(settings, database, ledger, active.embedder, clock)
        self.now = clock

    def tick(self) -> None:
        """One round over all batches. Nothing is asked while a key is refused."""
        self._active.tick()
        self.store.watch()
        if self.view.paused():
            return
        try:
            self._round(time.monotonic() + TICK_S)
        except ProviderRefused as error:
            self._pause(error)
        self._sweep_files()

    def _round(self, end: float) -> None:
        embedder = batching(self._embedder())
        self._move_on(self.store.due(), end)
        if embedder is None:
            return  # those of an earlier embedder go on, new ones are not made
        while time.monotonic() < end and self.texts.enrol(embedder, self.now()):
            continue
        self._embed_overdue()
        self._move_on(self.planner.flush_queue(embedder), end)
        self._sweep(embedder)

    def _embed_overdue(self) -> None:
        """What waits in no batch and is due by now is made now."""
        with self._database.read() as session:
            if not embedding_requests.overdue(session, self.now()):
                return
        with self._database.write() as session:
            jobs = embedding_requests.leave_batches(session, embedding_requests.overdue(session, self.now()))
        for job in jobs:
            self._notify(job)

    def _move_on(self, batches: Sequence[Batch], end: float) -> None:
        for batch in batches:
            if time.monotonic() > end:
                return
            self._advance(batch)

    def _advance(self, batch: Batch) -> None:
        """As many steps as can be done now, by the embedder that the batch was made for."""
        embedder = batching(self._active.named(batch.model))
        if embedder is None or embedder.name != batch.model:
            self.store.hold(batch, Code.BATCH_EMBEDDER_GONE)
            return
        if batch.deadline_at is not None and self.now() > batch.deadline_at and not batch.requested_action:
            self.store.request_action(batch.id, BatchAction.LATE)
            batch = self.store.get(batch.id)
        lifecycle = self._lifecycle(embedder)
        try:
            while batch.state in LIVE and batch.next_at <= self.now():
                lifecycle.step(batch)
                batch = self.store.get(batch.id)
        except Superseded:
            return
        except ProviderRefused:
            raise
        except Unavailable as error:
            self.store.later(batch, error)
        except Rejected as error:
            self._refuse(lifecycle, batch, error)

    def _lifecycle(self, embedder: BatchEmbedder) -> BatchLifecycle:
        return BatchLifecycle(
            embedder,
            self.store,
            self.texts,
            self.planner,
            self.fetcher,
            self._folder,
            self._settings.batch_quiet_s,
            self._notify,
        )

    def _refuse(self, lifecycle: BatchLifecycle, batch: Batch, error: Rejected) -> None:
        """A step makes no sense to the provider: give up what costs nothing yet, else try again later."""
        if batch.state in FREE:
            lifecycle.end(batch, BatchState.FAILED, Money.RELEASED, error)
        else:
            self.store.later(batch, error)

    def _sweep(self, embedder: BatchEmbedder) -> None:
        """Now and then: orders that came to be made twice.

        A process frozen between its last look and the order can order late; the duplicate is cancelled.
        """
        if self.now() < float(self._database.get_value(SWEPT) or 0) + SWEEP_S:
            return
        self._database.set_value(SWEPT, str(self.now()))
        live = {batch.id: batch for batch in self.store.live()}
        if not any(batch.name for batch in live.values()):
            return
        try:
            remote_batches = embedder.batches(PREFIX)
        except ProviderBusy:
            return
        for batch in live.values():
            self._cancel_duplicates(embedder, batch, remote_batches)

    def _sweep_files(self) -> None:
        """Delete what belongs to batches that have ended, and what killed processes have left."""
        live = {batch.id for batch in self.store.live()}
        for path in self._folder.glob("*"):
            if path.name.partition(".")[0] not in live:
                path.unlink(missing_ok=True)
        temporary.sweep(self._folder, TRANSFER_MAX_S)

    def _cancel_duplicates(
        self, embedder: BatchEmbedder, batch: Batch, remotes: Sequence[RemoteBatch]
    ) -> None:
        same = [one for one in remotes if one.display_name == batch.display_name and one.name != batch.name]
        if batch.name and same and not batch.alarm:
            for duplicate in same:
                self._lifecycle(embedder).cancel_remote(duplicate.name)
            self.store.book_duplicates(batch, len(same))

    # What people see and want

    def flush(self) -> None:
        """Send what waits now with the next tick, however little it is."""
        self.planner.flush()

    def cancel(self, batch_id: str) -> bool:
        """Stop a batch; what it finished is kept, the rest is listed for a person. False: it has ended."""
        return self.store.request_action(batch_id, BatchAction.CANCEL)

    def finish_now(self, batch_id: str) -> bool:
        """Stop a batch and make its missing vectors now, at the full price. False: it has ended.

        Nothing is paid twice: the rest is bought only when the provider has confirmed the end.
        """
        return self.store.request_action(batch_id, BatchAction.SYNC)

    def retry_failed(self, batch_id: str) -> int:
        """Texts that were given up, or are held, wait for the next batch. How many."""
        released = self._release_held(batch_id, BatchAction.NONE)
        with self._database.write() as session:
            return released + embedding_requests.again(session, batch_id)

    def embed_failed_now(self, batch_id: str) -> int:
        """Texts that were given up, or are held, are embedded now, at the full price. How many."""
        released = self._release_held(batch_id, BatchAction.SYNC)
        with self._database.write() as session:
            hashes = embedding_requests.failed(session, batch_id)
            jobs = embedding_requests.leave_batches(session, hashes)
            self.store.finished(session, batch_id)
        for job in jobs:
            self._notify(job)
        return released + len(hashes)

    def _release_held(self, batch_id: str, requested_action: BatchAction) -> int:
        """A person looked at a held batch and wants its texts anew; what it may have cost stays booked."""
        batch = self.store.get(batch_id)
        if batch.state != BatchState.HELD:
            return 0
        batch.requested_action = requested_action
        number = len(self.texts.sent(batch_id))
        for job in self.store.abandon(batch, BatchState.FAILED, Money.DISPUTED):
            self._notify(job)
        return number

    def waiting(self, recording_id: str) -> dict[str, int]:
        """How many passages of a recording wait and are in no batch yet, by mode."""
        with self._database.read() as session:
            return embedding_requests.idle(session, recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def change_mode(self, principal: Principal, recording_id: str, mode: EmbeddingMode) -> None:
        """Passages that wait and are in no batch yet are embedded in this mode.

        Raises ReadOnly, NotFound, BadRequest.
        """
        principal.must_write()
        mode = self._active.mode(mode)
        with self._database.write() as session:
            get_owned(session, Recording, principal, recording_id)
            job = embedding_requests.change_mode(session, recording_id, mode)
        if job is not None:
            self._notify(job)

    # Pausing

    def _pause(self, error: ProviderRefused) -> None:
        """Ask nothing for a minute; what waits goes on by itself when the key works or the cap allows."""
        paused = {"until": self.now() + REFUSED_PAUSE_S, **as_json(error)}
        self._database.set_value(PAUSED, json.dumps(paused))
