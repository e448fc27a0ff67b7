"""Vectors by batch, at half the price: one short tick moves every batch on by as much as it can.

A tick collects waiting passages into batches, orders them, asks about those under way, fetches
results and keeps their vectors. It never waits: what is not ready is asked about again later, and
what may be done when is written in SQL, so that ticks survive anything (`core/orders/batch_store.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import BatchAction, BatchState, EmbeddingMode
from core.database.tables import Batch, Job
from core.embedding.embedder import BatchEmbedder, RemoteBatch, batching
from core.errors import (
    Code,
    NotFound,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    Rejected,
    Unavailable,
    Withdrawn,
)
from core.failpoints import hit
from core.orders import embedding_requests
from core.orders.batch_fetcher import Fetcher
from core.orders.batch_planner import Planner
from core.orders.batch_store import FREE, PREFIX, BatchStore
from core.orders.batch_view import PAUSED, View
from core.orders.embedding_requests import Texts
from core.queue.jobs import as_json
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.settings import Settings
from core.storage import temporary
from core.storage.temporary import temporary_path

TICK_S = 60.0
"""A tick starts nothing new after this; the step it is in has a limit of its own."""
SEND_WITHIN_S = 5.0
"""An order is given at once after the intention is committed, or not at all: a process that slept in
between may have been given up by others."""
UPLOAD_LIVES_S = 40 * 3600.0
"""Providers forget input after 48 hours."""
TRANSFER_MAX_S = 3600.0
"""Longer than any transfer of input or of a result may last."""
SWEPT = "batch swept"
SWEEP_S = 900.0
REFUSED_PAUSE_S = 60.0

Step = Callable[["Batches", BatchEmbedder, Batch], Batch | None]


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
        self.texts = Texts(database, index)
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
        self._hurry()
        self._move_on(self.planner.flush_queue(embedder), end)
        self._sweep(embedder)

    def _hurry(self) -> None:
        """What waits in no batch and is due by now is made now."""
        with self._database.read() as session:
            if not embedding_requests.overdue(session, self.now()):
                return
        with self._database.write() as session:
            jobs = embedding_requests.to_now(session, embedding_requests.overdue(session, self.now()))
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
            self.store.request(batch.id, BatchAction.LATE)
            batch = self.store.get(batch.id)
        current: Batch | None = batch
        try:
            while current is not None and current.state in STEPS:
                batch = current
                current = STEPS[batch.state](self, embedder, batch)
        except Withdrawn:
            return  # somebody else moved it
        except ProviderRefused:
            raise
        except Unavailable as error:
            self.store.later(batch, error)
        except Rejected as error:
            self._refuse(batch, error)

    def _refuse(self, batch: Batch, error: Rejected) -> None:
        """A step makes no sense to the provider: give up what costs nothing yet, else try again later."""
        if batch.state in FREE:
            self._end(batch, BatchState.FAILED, error)
        else:
            self.store.later(batch, error)

    def _sweep(self, embedder: BatchEmbedder) -> None:
        """Now and then: orders that came to be made twice.

        A process frozen between its last look and the order can order late; the twin is cancelled.
        """
        if self.now() < float(self._database.get_value(SWEPT) or 0) + SWEEP_S:
            return
        self._database.set_value(SWEPT, str(self.now()))
        live = {batch.id: batch for batch in self.store.live()}
        if not any(batch.name for batch in live.values()):
            return
        try:
            there = embedder.batches(PREFIX)
        except ProviderBusy:
            return
        for batch in live.values():
            self._cancel_twins(embedder, batch, there)

    def _sweep_files(self) -> None:
        """Delete what belongs to batches that have ended, and what killed processes have left."""
        live = {batch.id for batch in self.store.live()}
        for path in self._folder.glob("*"):
            if path.name.partition(".")[0] not in live:
                path.unlink(missing_ok=True)
        temporary.sweep(self._folder, TRANSFER_MAX_S)

    def _cancel_twins(self, embedder: BatchEmbedder, batch: Batch, there: Sequence[RemoteBatch]) -> None:
        same = [one for one in there if one.display_name == batch.display_name and one.name != batch.name]
        if batch.name and same and not batch.alarm:
            for twin in same:
                self._cancel_remote(embedder, twin.name)
            self.store.twins(batch, len(same))

    # What people see and want

    def flush(self) -> None:
        """Send what waits now with the next tick, however little it is."""
        self.planner.flush()

    def cancel(self, batch_id: str) -> bool:
        """Stop a batch; what it finished is kept, the rest is listed for a person. False: it has ended."""
        return self.store.request(batch_id, BatchAction.CANCEL)

    def finish_now(self, batch_id: str) -> bool:
        """Stop a batch and make its missing vectors now, at the full price. False: it has ended.

        Nothing is paid twice: the rest is bought only when the provider has confirmed the end.
        """
        return self.store.request(batch_id, BatchAction.SYNC)

    def retry_failed(self, batch_id: str) -> int:
        """Texts that were given up, or are held, wait for the next batch. How many."""
        held = self._let_go(batch_id, BatchAction.NONE)
        with self._database.write() as session:
            return held + embedding_requests.again(session, batch_id)

    def embed_failed_now(self, batch_id: str) -> int:
        """Texts that were given up, or are held, are embedded now, at the full price. How many."""
        held = self._let_go(batch_id, BatchAction.SYNC)
        with self._database.write() as session:
            hashes = embedding_requests.failed(session, batch_id)
            jobs = embedding_requests.to_now(session, hashes)
            self.store.finished(session, batch_id)
        for job in jobs:
            self._notify(job)
        return held + len(hashes)

    def _let_go(self, batch_id: str, action: BatchAction) -> int:
        """A person looked at a held batch and wants its texts anew; what it may have cost stays booked."""
        batch = self.store.get(batch_id)
        if batch.state != BatchState.HELD:
            return 0
        batch.requested_action = action
        number = len(self.texts.sent(batch_id))
        self._end(batch, BatchState.FAILED, disputed=True)
        return number

    def waiting(self, recording_id: str) -> dict[str, int]:
        """How many passages of a recording wait and are in no batch yet, by mode."""
        with self._database.read() as session:
            return embedding_requests.idle(session, recording_id)

    def change_mode(self, recording_id: str, mode: EmbeddingMode) -> None:
        """Passages that wait and are in no batch yet are embedded in this mode. Raise BadRequest."""
        mode = self._active.mode(mode)
        with self._database.write() as session:
            job = embedding_requests.change_mode(session, recording_id, mode)
        if job is not None:
            self._notify(job)

    # Ordering

    def _upload(self, embedder: BatchEmbedder, batch: Batch) -> Batch | None:
        if batch.requested_action:
            return self._end(batch, BatchState.CANCELLED)
        lines = self.texts.of_batch(batch.id)
        if not lines:
            return self._end(batch, BatchState.CANCELLED)
        with temporary_path(self._folder, f"{batch.id}.input.jsonl") as path:
            with path.open("wb") as file:
                file.writelines(embedder.request(line.custom_id, line.text) for line in lines)
            hit("upload.before")
            name = embedder.upload(path, f"{batch.display_name}-{batch.epoch}")
            hit("upload.after")
        return self.store.move(batch, BatchState.UPLOADED, file=name, uploaded_at=self.now())

    def _submit(self, embedder: BatchEmbedder, batch: Batch) -> Batch | None:
        if batch.requested_action:
            return self._end(batch, BatchState.CANCELLED)
        if batch.uploaded_at is None or self.now() - batch.uploaded_at > UPLOAD_LIVES_S:
            return self.store.move(batch, BatchState.PLANNED, epoch=batch.epoch + 1)
        polls = batch.polls
        if self._ordered_before(embedder, batch):
            return self.store.move(batch, BatchState.SUBMITTING, submit_at=self.now())
        hit("submit.before_commit")
        batch = self.store.move(
            batch, BatchState.SUBMITTING, submit_at=self.now(), epoch=batch.epoch + 1, polls=polls
        )
        committed = time.monotonic()
        hit("submit.before_send")
        if time.monotonic() - committed > SEND_WITHIN_S:
            return self.store.move(batch, BatchState.UPLOADED)
        return self._order(embedder, batch)

    def _ordered_before(self, embedder: BatchEmbedder, batch: Batch) -> bool:
        """Whether the provider has this very batch: the records may be an older copy that was put back."""
        return any(one.display_name == batch.display_name for one in embedder.batches(PREFIX))

    def _order(self, embedder: BatchEmbedder, batch: Batch) -> Batch | None:
        """Give the order, once. An unknown outcome leaves the batch as it is, to be looked for."""
        try:
            remote = embedder.create_batch(batch.file or "", batch.display_name)
        except OutcomeUnknown:
            raise
        except ProviderBusy as error:
            self._too_busy(batch, error)
            return None
        except ProviderRefused as error:
            self.store.refused(batch, error)
            raise
        except Rejected as error:
            hit("refuse.before_commit")
            return self._end(batch, BatchState.FAILED, error)
        hit("submit.after_reply")
        self.planner.accepted()
        self.store.submitted(batch, remote)
        return None

    def _too_busy(self, batch: Batch, error: ProviderBusy) -> None:
        """Refused for now. Without a waiting time it is the enqueued-token limit: ask for less at once."""
        limit = error.retry_after_s is None and error.status == HTTPStatus.TOO_MANY_REQUESTS
        jobs, tokens = self.store.in_flight()
        if limit:
            self.planner.refused(tokens)
        if limit and jobs <= 1 and batch.texts > 1:
            hit("refuse.before_commit")
            self._end(batch, BatchState.SPLIT)
        else:
            self.store.refused(batch, error)

    def _find(self, embedder: BatchEmbedder, batch: Batch) -> Batch | None:
        """An order whose answer is unknown: adopt what the provider has, or order anew after a while.

        If the list cannot be had, that is no answer either, and the batch stays as it is.
        """
        found = [one for one in embedder.batches(PREFIX) if one.display_name == batch.display_name]
        if found:
            for twin in found[1:]:
                self._cancel_remote(embedder, twin.name)
            hit("adopt.before_commit")
            self.store.submitted(batch, found[0], found[1:])
            return None
        if self.now() > (batch.submit_at or 0) + self._settings.batch_quiet_s:
            return self.store.move(batch, BatchState.UPLOADED, epoch=batch.epoch + 1)
        self.store.later(batch)
        return None

    # Waiting

    def _poll(self, embedder: BatchEmbedder, batch: Batch) -> Batch | None:
        name = batch.name or ""
        if batch.requested_action:
            self._cancel_remote(embedder, name)
            hit("cancel.after_reply")
        try:
            remote = embedder.batch(name)
        except NotFound:
            self.store.hold(batch, Code.BATCH_UNKNOWN)
            return None
        hit("poll.after_reply")
        return self._read(embedder, batch, remote)

    def _read(self, embedder: BatchEmbedder, batch: Batch, remote: RemoteBatch) -> Batch | None:
        """What the provider says of a batch, and what follows from it."""
        match remote.state:
            case "succeeded" | "partially_succeeded" | "cancelled" if remote.result:
                values = {"remote_state": remote.state, "result": remote.result, "lines": remote.lines}
                batch = self.store.move(batch, BatchState.ENDED, ended_at=self.now(), **values)
                hit("end.after_commit")
                return batch
            case "cancelled":
                return self._end(batch, BatchState.CANCELLED)
            case "failed" | "expired":
                lines = self.texts.of_batch(batch.id)
                why = remote.error or remote.state
                if batch.requested_action:
                    return self._end(batch, BatchState(remote.state), disputed=True)
                self.store.replan(batch, embedder, lines, BatchState(remote.state), why)
                return None
        self.store.later(batch, remote_state=remote.state)
        return None

    def _cancel_remote(self, embedder: BatchEmbedder, name: str) -> None:
        try:
            embedder.cancel_batch(name)
        except Rejected:
            return  # it has ended, or is not there: the next look will tell

    def _end(
        self, batch: Batch, state: BatchState, error: Rejected | None = None, *, disputed: bool = False
    ) -> Batch | None:
        for job in self.store.abandon(batch, state, error, disputed=disputed):
            self._notify(job)
        return None

    # Pausing

    def _pause(self, error: ProviderRefused) -> None:
        """Ask nothing for a minute; what waits goes on by itself when the key works or the cap allows."""
        paused = {"until": self.now() + REFUSED_PAUSE_S, **as_json(error)}
        self._database.set_value(PAUSED, json.dumps(paused))


STEPS: dict[str, Step] = {
    BatchState.PLANNED: Batches._upload,
    BatchState.UPLOADED: Batches._submit,
    BatchState.SUBMITTING: Batches._find,
    BatchState.SUBMITTED: Batches._poll,
    BatchState.ENDED: lambda app, embedder, batch: app.fetcher.fetch(embedder, batch),
    BatchState.SAVED: lambda app, embedder, batch: app.fetcher.store(embedder, batch),
}
