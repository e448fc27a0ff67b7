"""Uploads of API clients: the same request twice is one task, and its end is told to a callback."""

from __future__ import annotations

from core.audit import audited
from core.clients.idempotency import NOTHING_MORE, IdempotencyStore, IdempotentRequest, Replayed
from core.database.owned import Right
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Task
from core.library.intake import Intake, OnAccept
from core.library.recordings import Recordings, TranscriptionOptions
from core.library.recycle_bin import RecycleBin
from core.principal import Principal
from core.storage.blobs import Blob


class ClientIntake:
    """`Intake` with what the sender of a request was promised."""

    def __init__(
        self, intake: Intake, recordings: Recordings, recycle_bin: RecycleBin, idempotency: IdempotencyStore
    ) -> None:
        self._intake = intake
        self._recordings = recordings
        self._recycle_bin = recycle_bin
        self._idempotency = idempotency

    def submit(
        self,
        principal: Principal,
        blob: Blob,
        filename: str,
        options: TranscriptionOptions,
        request: IdempotentRequest = NOTHING_MORE,
    ) -> Task:
        """The task of this request, an earlier one if it was sent before.

        Raises Conflict for another request under the same key, UnreadableMedia.
        """
        if (task_id := self._idempotency.answered(principal.owner, request)) is not None:
            return self._known(principal, task_id)
        try:
            return self._intake.submit(principal, blob, filename, options, self._remember(request))
        except Replayed as replayed:  # the same request overtook this one
            return self._known(principal, replayed.task_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def transcribe_again(
        self,
        principal: Principal,
        recording_id: str,
        options: TranscriptionOptions,
        request: IdempotentRequest,
    ) -> Task:
        """Another transcript of a recording, once a request."""
        row = self._recordings.get(principal, recording_id, Right.WRITE)
        blob = Blob(row.sha256, row.size_bytes)
        return self.submit(Principal(row.owner), blob, row.filename, options, request)

    def _known(self, principal: Principal, task_id: str) -> Task:
        """A task that was promised; a recording that is in the bin and sent again comes out of it."""
        task = self._recordings.task(principal, task_id, with_bin=True)
        self._recycle_bin.restore(principal, task.recording_id)
        return task

    def _remember(self, request: IdempotentRequest) -> OnAccept:
        return lambda session, task: self._idempotency.keep(session, task, request)
