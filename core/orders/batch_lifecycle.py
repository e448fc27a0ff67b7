"""How a batch of embedding requests is uploaded, ordered, found, asked about and ended at its provider.

    planned ─upload─▶ uploaded ─submit─▶ submitting ─▶ submitted ─poll─▶ ended ─fetch─▶ saved ─▶ complete

The decisions are those of every order (`core/orders/lifecycle.py`). A batch carries a display name made of
its content, so it is found again whatever happened, and one reservation of money lasts for all its attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from core.database.states import BatchState, OrderFate
from core.database.tables import Batch, Job
from core.embedding.embedder import BatchEmbedder, RemoteBatch
from core.errors import PROVIDERS, Code, NotFound, OutcomeUnknown, ProviderBusy, Rejected, StenogramError
from core.failpoints import hit
from core.orders.batch_fetcher import Fetcher
from core.orders.batch_planner import Planner
from core.orders.batch_store import PREFIX, BatchStore
from core.orders.embedding_requests import EmbeddingRequests
from core.orders.lifecycle import FoundOrder, Money, OrderLifecycle, OrderReport
from core.storage.temporary import temporary_path

UPLOAD_LIVES_S = 40 * 3600.0
"""Providers forget input after 48 hours."""
SUCCEEDED = ("succeeded", "partially_succeeded", "cancelled")
"""The provider's words for batches that may have a result."""
ENDED_WITHOUT = ("failed", "expired", "cancelled")
"""And for those that have none."""


class BatchLifecycle(OrderLifecycle[Batch, RemoteBatch]):
    """The steps of batches that were made for one embedder."""

    failpoints = "submit"
    looks_at_once = False
    max_failures = 0

    def __init__(
        self,
        embedder: BatchEmbedder,
        store: BatchStore,
        texts: EmbeddingRequests,
        planner: Planner,
        fetcher: Fetcher,
        folder: Path,
        quiet_s: float,
        notify: Callable[[Job], None],
    ) -> None:
        self.quiet_s = quiet_s
        self.now = store.now
        self._embedder = embedder
        self._store = store
        self._texts = texts
        self._planner = planner
        self._fetcher = fetcher
        self._folder = folder
        self._notify = notify
        self._steps: dict[BatchState, Callable[[Batch], object]] = {
            BatchState.PLANNED: self.upload,
            BatchState.UPLOADED: self.submit,
            BatchState.SUBMITTING: self._look_for,
            BatchState.SUBMITTED: self.poll,
            BatchState.ENDED: lambda batch: fetcher.fetch(embedder, batch),
            BatchState.SAVED: lambda batch: fetcher.store(embedder, batch),
        }

    def step(self, batch: Batch) -> None:
        """Whatever its state asks for. Raise what the provider raises, or Superseded."""
        self._steps[batch.state](batch)

    def upload(self, batch: Batch) -> None:
        """Bring its input to the provider; ordered is nothing yet."""
        requests = self._texts.of_batch(batch.id)
        if batch.requested_action or not requests:
            self.end(batch, BatchState.CANCELLED, Money.RELEASED)
            return
        with temporary_path(self._folder, f"{batch.id}.input.jsonl") as path:
            with path.open("wb") as file:
                file.writelines(self._embedder.request(each.custom_id, each.text) for each in requests)
            hit("upload.before")
            name = self._embedder.upload(path, f"{batch.display_name}-{batch.attempt_count}")
            hit("upload.after")
        self._store.move(batch, BatchState.UPLOADED, file=name, uploaded_at=self.now())

    def submit(self, row: Batch) -> None:
        """Order it, unless it is not wanted any more, its input is gone, or the provider has it already."""
        if row.requested_action:
            self.end(row, BatchState.CANCELLED, Money.RELEASED)
        elif row.uploaded_at is None or self.now() - row.uploaded_at > UPLOAD_LIVES_S:
            self._store.move(row, BatchState.PLANNED, attempt_count=row.attempt_count + 1)
        elif self._remotes(row):  # the records may be an older copy that was put back
            self._store.move(row, BatchState.SUBMITTING, intended_at=self.now())
        else:
            super().submit(row)

    def end(self, batch: Batch, state: BatchState, money: Money, error: StenogramError | None = None) -> None:
        """It ends without results; its requests go where they belong."""
        for job in self._store.abandon(batch, state, money, error):
            self._notify(job)

    def cancel_remote(self, name: str) -> None:
        """Ask the provider to stop a batch."""
        try:
            self._embedder.cancel_batch(name)
        except Rejected:
            return  # it has ended, or is not there: the next look will tell

    # As the lifecycle wants it

    def intended_at(self, row: Batch) -> float:
        """When its last intention was committed."""
        return row.intended_at or 0.0

    def failure_count(self, row: Batch) -> int:  # noqa: ARG002
        """None: what fails is planned anew in halves."""
        return 0

    def intend(self, row: Batch) -> bool:
        """The next attempt; the money was reserved when its requests were claimed."""
        now, attempt_count = self.now(), row.attempt_count + 1
        self._store.move(
            row,
            BatchState.SUBMITTING,
            intended_at=now,
            attempt_count=attempt_count,
            poll_count=row.poll_count,
        )
        row.state, row.intended_at, row.attempt_count = BatchState.SUBMITTING, now, attempt_count
        return True

    def send(self, row: Batch) -> FoundOrder[RemoteBatch]:
        """Create it; a success says that so many tokens under way are not too many."""
        remote = self._embedder.create_batch(row.file or "", row.display_name)
        self._planner.accepted()
        return FoundOrder(remote.name, remote_state=remote.state)

    def find(self, row: Batch) -> FoundOrder[RemoteBatch] | None:
        """By its display name; of several the oldest counts and the others are cancelled."""
        remotes = self._remotes(row)
        if not remotes:
            return None
        first, *others = remotes
        for duplicate in others:
            self.cancel_remote(duplicate.name)
        hit("adopt.before_commit")
        return FoundOrder(first.name, remote_state=first.state, duplicates=len(others))

    def _remotes(self, row: Batch) -> list[RemoteBatch]:
        return [one for one in self._embedder.batches(PREFIX) if one.display_name == row.display_name]

    def ask(self, row: Batch) -> OrderReport[RemoteBatch]:
        """How it stands; one that is not wanted any more is cancelled first, and may have results."""
        name = row.name or ""
        if row.requested_action:
            self.cancel_remote(name)
            hit("cancel.after_reply")
        try:
            remote = self._embedder.batch(name)
        except NotFound:
            return OrderReport(OrderFate.LOST)
        hit("poll.after_reply")
        if remote.state in SUCCEEDED and remote.result:
            return OrderReport(OrderFate.DONE, remote, remote_state=remote.state)
        if remote.state in ENDED_WITHOUT:
            reason = remote.error or remote.state
            return OrderReport(OrderFate.BROKEN, reason=reason, remote_state=remote.state)
        return OrderReport(OrderFate.WORKING, remote_state=remote.state)

    def keep(self, row: Batch, result: RemoteBatch) -> None:
        """There is a result to be fetched."""
        values: dict[str, Any] = {
            "remote_state": result.state,
            "result": result.result,
            "lines": result.lines,
        }
        self._store.move(row, BatchState.ENDED, ended_at=self.now(), **values)
        hit("end.after_commit")

    def adopt(self, row: Batch, remote_order: FoundOrder[RemoteBatch]) -> None:
        """Submitted; duplicates are booked."""
        self._store.submitted(row, remote_order)

    def not_ordered(self, row: Batch, error: StenogramError) -> None:
        """Refused for now. Without a waiting time it is the limit of enqueued tokens: ask for less."""
        limit = (
            isinstance(error, ProviderBusy)
            and error.retry_after_s is None
            and error.status == HTTPStatus.TOO_MANY_REQUESTS
        )
        jobs, tokens = self._store.in_flight()
        if limit:
            self._planner.refused(tokens)
        if limit and jobs <= 1 and row.texts > 1:
            hit("refuse.before_commit")
            self.end(row, BatchState.SPLIT, Money.RELEASED)
        else:
            self._store.refused(row, error)

    def reject(self, row: Batch, error: Rejected) -> None:
        """It makes no sense to the provider."""
        hit("refuse.before_commit")
        self.end(row, BatchState.FAILED, Money.RELEASED, error)

    def wait(self, row: Batch, error: OutcomeUnknown) -> None:  # noqa: ARG002
        """The list may lag."""
        self._store.later(row)

    def not_found(self, row: Batch, reason: str) -> None:  # noqa: ARG002
        """It never arrived: to be ordered again, under the same name and with the same money."""
        self._store.move(row, BatchState.UPLOADED, attempt_count=row.attempt_count + 1)

    def lost(self, row: Batch, report: OrderReport[RemoteBatch]) -> None:  # noqa: ARG002
        """The provider had it and does not know it any more: it may be billed, so a person must look."""
        self._store.hold(row, Code.BATCH_UNKNOWN)

    def failed_run(self, row: Batch, report: OrderReport[RemoteBatch]) -> None:
        """Cancelled ones cost nothing; of failed ones nobody knows, and their requests go out in halves."""
        state = BatchState(report.remote_state)
        if state == BatchState.CANCELLED:
            self.end(row, state, Money.RELEASED)
        elif row.requested_action:
            self.end(row, state, Money.DISPUTED)
        else:
            requests = self._texts.of_batch(row.id)
            self._store.replan(row, self._embedder, requests, state, report.reason)

    def resubmit(self, row: Batch, report: OrderReport[RemoteBatch]) -> None:
        """What failed is planned anew."""
        self.failed_run(row, report)

    def fail(self, row: Batch, report: OrderReport[RemoteBatch]) -> None:
        """The same."""
        self.failed_run(row, report)

    def still_running(self, row: Batch, report: OrderReport[RemoteBatch]) -> None:
        """Ask again later."""
        self._store.later(row, remote_state=report.remote_state)

    def _look_for(self, batch: Batch) -> None:
        self.resolve(
            batch, OutcomeUnknown(PROVIDERS[self._embedder.provider], "the reply to an order was lost")
        )
