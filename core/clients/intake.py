"""Uploads of API clients: the same request twice is one task, and its end is told to a callback."""

from __future__ import annotations

from core.clients.idempotency import NOTHING_MORE, IdempotencyStore, IdempotentRequest, Replayed
from core.database.tables import Task
from core.library.intake import Intake, OnAccept
from core.library.recordings import Recordings, TranscriptionOptions
from core.principal import Principal
from core.storage.blobs import Blob


class ClientIntake:
    """`Intake` with what the sender of a request was promised."""

    def __init__(self, intake: Intake, recordings: Recordings, idempotency: IdempotencyStore) -> None:
        self._intake = intake
        self._recordings = recordings
        self._idempotency = idempotency

    def submit(
        self,
        who: Principal,
        blob: Blob,
        filename: str,
        options: TranscriptionOptions,
        request: IdempotentRequest = NOTHING_MORE,
    ) -> Task:
        """The task of this request, an earlier one if it was sent before.

        Raises Conflict for another request under the same key, UnreadableMedia.
        """
        if (task_id := self._idempotency.answered(who.owner, request)) is not None:
            return self._recordings.task(who, task_id)
        try:
            return self._intake.submit(who, blob, filename, options, self._remember(request))
        except Replayed as replayed:  # the same request overtook this one
            return self._recordings.task(who, replayed.task_id)

    def transcribe_again(
        self, who: Principal, recording_id: str, options: TranscriptionOptions, request: IdempotentRequest
    ) -> Task:
        """Another transcript of a recording, once a request."""
        row = self._recordings.get(who, recording_id)
        blob = Blob(row.sha256, row.size_bytes)
        return self.submit(Principal(row.owner), blob, row.filename, options, request)

    def _remember(self, request: IdempotentRequest) -> OnAccept:
        return lambda session, task: self._idempotency.keep(session, task, request)
