"""Which waiting texts go into which batch, and when: limits of the provider, the tier and the budget."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

from core.billing.ledger import CapReached, PriceUnknown
from core.database.database import Database
from core.database.tables import Batch
from core.embedding.embedder import BatchEmbedder
from core.orders.batch_store import BatchStore
from core.orders.embedding_requests import EmbeddingRequest, EmbeddingRequests, Pending
from core.queue.jobs import as_json
from core.settings import Settings

FLUSH = "batch flush"
CAPPED = "batch capped"
ROOM = "batch tokens"
CAPPED_PAUSE_S = 60.0
LOOK_AHEAD = 5
"""Batches planned in one go at most."""


class Planner:
    """Collects waiting texts over all recordings into batches."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        texts: EmbeddingRequests,
        store: BatchStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._database = database
        self._texts = texts
        self._store = store
        self.now = clock

    def flush_queue(
        self, embedder: BatchEmbedder, min_size: int | None = None, max_wait_s: float | None = None
    ) -> list[Batch]:
        """Plan batches of what waits, if there are `min_size` texts or one waits for `max_wait_s`."""
        min_size = self._settings.batch_min_size if min_size is None else min_size
        max_wait_s = self._settings.batch_max_wait_s if max_wait_s is None else max_wait_s
        pending = self._texts.pending(embedder)
        requested_at = float(self._database.get_value(FLUSH) or 0)
        early = pending.since > max(self.now() - max_wait_s, requested_at)
        if (
            not pending.number
            or (early and pending.number < min_size)
            or not self._has_room(pending, min_size)
        ):
            return []
        requests = self._texts.waiting(embedder, self._settings.batch_max_requests * LOOK_AHEAD)
        return self._plan(embedder, requests, min_size)

    def _has_room(self, pending: Pending, min_size: int) -> bool:
        """Whether looking at the texts is worth while: neither cap nor limits stand in the way."""
        capped = json.loads(self._database.get_value(CAPPED) or "{}")
        if self.now() < capped.get("at", 0) + CAPPED_PAUSE_S:
            return False
        jobs, tokens = self._store.in_flight()
        least = pending.tokens // pending.number * min(min_size, pending.number)
        fits = self._enqueued_tokens() - tokens >= least
        return jobs == 0 or (fits and jobs < self._settings.batch_max_jobs)

    def flush(self) -> None:
        """Send what waits now with the next tick, however little it is."""
        self._database.set_value(FLUSH, str(self.now()))

    def _plan(
        self, embedder: BatchEmbedder, requests: Sequence[EmbeddingRequest], min_size: int
    ) -> list[Batch]:
        planned: list[Batch] = []
        while requests:
            jobs, tokens = self._store.in_flight()
            room = self._enqueued_tokens() - tokens
            part = self._fitting(embedder, requests, room, alone=jobs == 0)
            crumbs = len(part) < min(min_size, len(requests)) and jobs > 0
            if jobs >= self._settings.batch_max_jobs or not part or crumbs:
                break  # the next goes out when earlier ones have ended
            batch = self._reserve(embedder, part)
            if batch is None:
                break
            planned.append(batch)
            requests = requests[len(part) :]
        return planned

    def _reserve(self, embedder: BatchEmbedder, part: Sequence[EmbeddingRequest]) -> Batch | None:
        """A planned batch with its money; None without room under the cap, or without a price.

        What is under way goes on.
        """
        try:
            batch = self._store.plan(embedder, part)
        except (CapReached, PriceUnknown) as error:
            stopped = {"at": self.now(), "by_cap": isinstance(error, CapReached), **as_json(error)}
            self._database.set_value(CAPPED, json.dumps(stopped))
            return None
        self._database.set_value(CAPPED, "")
        return batch

    def _fitting(
        self, embedder: BatchEmbedder, requests: Sequence[EmbeddingRequest], room: int, *, alone: bool
    ) -> Sequence[EmbeddingRequest]:
        """The first texts that fit into one batch; one always fits if nothing else is under way."""
        size_bytes = tokens = 0
        for place, request in enumerate(requests[: self._settings.batch_max_requests]):
            size_bytes += len(embedder.request(request.custom_id, request.text))
            tokens += request.tokens
            full = size_bytes > self._settings.batch_max_bytes or tokens > room
            if full and not (alone and place == 0):
                return requests[:place]
        return requests[: self._settings.batch_max_requests]

    def _enqueued_tokens(self) -> int:
        """What the provider lets us have under way: the setting, or less where it was found to be less."""
        tokens = int(self._database.get_value(ROOM) or 0)
        return min(tokens, self._settings.batch_enqueued_tokens) or self._settings.batch_enqueued_tokens

    def refused(self, tokens: int) -> None:
        """So many tokens under way were too many: try with half of them."""
        self._database.set_value(ROOM, str(max(1, tokens // 2)))

    def accepted(self) -> None:
        """The provider took an order: after a refusal, try with a little more the next time."""
        tokens = int(self._database.get_value(ROOM) or 0)
        if tokens:
            grown = tokens + tokens // 4 + 1
            self._database.set_value(ROOM, str(grown if grown < self._settings.batch_enqueued_tokens else 0))
