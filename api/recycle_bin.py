"""Deleting recordings, and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter

from api.callers import Asking
from api.problems import example, refusals
from api.tasks import Limit, Offset
from core.clients.answers import RecordingAnswer
from core.database.tables import utc

router = APIRouter(prefix="/api/v1", tags=["bin"])

BINNED = {
    "recording_id": "6f1e0c52a7b84d0f9a3d3b1c5e7f9012",
    "title": "Planning",
    "file_size": 1048576,
    "deleted_at": "2026-11-05T09:30:00Z",
    "gone_at": "2026-12-05T09:30:00Z",
}


@dataclass(frozen=True)
class Deleted:
    """What deleting a recording came to."""

    recording_id: str
    can_be_restored: bool


@dataclass(frozen=True)
class BinnedRecording:
    """A recording in the bin."""

    recording_id: str
    title: str
    file_size: int
    deleted_at: datetime
    gone_at: datetime
    """When it is deleted for good."""


@dataclass(frozen=True)
class BinList:
    """What is in the bin, newest first, and how much it takes."""

    total: int
    total_bytes: int
    days: int
    """How long a recording stays."""
    recordings: list[BinnedRecording]


@router.delete(
    "/recordings/{recording_id}",
    responses={
        **example({"recording_id": BINNED["recording_id"], "can_be_restored": True}),
        **refusals(400, 401, 404, 429),
    },
)
def delete(recording_id: str, caller: Asking, permanently: bool = False) -> Deleted:
    """Delete a recording with all that was made of it; work on it stops.

    It is found nowhere from then on, and can be restored for `BIN_DAYS`, unless it was deleted
    `permanently`. Deleting it twice is as deleting it once; `permanently` also deletes what is in the bin.
    """
    if permanently:
        caller.application.recycle_bin.delete(caller.principal, recording_id)
        return Deleted(recording_id, can_be_restored=False)
    return Deleted(recording_id, caller.application.recycle_bin.put(caller.principal, recording_id))


@router.post("/recordings/{recording_id}/restore", responses=refusals(401, 404, 429))
def restore(recording_id: str, caller: Asking) -> RecordingAnswer:
    """Take a recording out of the bin; work on it goes on. Nothing changes where it is not in the bin."""
    caller.application.recycle_bin.restore(caller.principal, recording_id)
    return caller.answers.recording(recording_id)


@router.get(
    "/bin",
    responses={
        **example({"total": 1, "total_bytes": 1048576, "days": 30, "recordings": [BINNED]}),
        **refusals(400, 401, 429),
    },
)
def binned(caller: Asking, limit: Limit = 50, offset: Offset = 0) -> BinList:
    """Your deleted recordings that can be restored, newest first."""
    recycle_bin = caller.application.recycle_bin
    binned = recycle_bin.kept(caller.principal)
    rows = [
        BinnedRecording(
            row.id, row.title, row.size_bytes, utc(row.deleted_at or 0.0), utc(recycle_bin.ends_at(row))
        )
        for row in recycle_bin.recordings(caller.principal, limit, offset)
    ]
    return BinList(binned.recordings, binned.size_bytes, recycle_bin.days, rows)
