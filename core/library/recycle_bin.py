"""The bin: deleted recordings stay for some days and can be taken back; then they go for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import func, select

from core.audit import audited
from core.database.clock_jumps import is_settled
from core.database.database import Database
from core.database.owned import Right, allowed, visible_to
from core.database.recycle_bin import WITH_BIN
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Recording
from core.errors import NotFound
from core.library.deletion import Deletion
from core.library.recordings import Recordings
from core.library.tasks import Tasks
from core.principal import SYSTEM, Principal

DAY_S = 24 * 3600.0
AT_ONCE = 500


@dataclass(frozen=True)
class Kept:
    """How much is in the bin; bytes of sound."""

    recordings: int
    size_bytes: int


class RecycleBin:
    """Deletes recordings so that it can be undone for `days`; with 0 days at once and for good."""

    def __init__(
        self,
        database: Database,
        recordings: Recordings,
        deletion: Deletion,
        tasks: Tasks,
        clock: Callable[[], float],
        *,
        days: int,
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._deletion = deletion
        self._tasks = tasks
        self._clock = clock
        self.days = days

    @audited(AuditAction.DELETED, AuditSubject.RECORDING, "recording_id")
    def put(self, principal: Principal, recording_id: str) -> bool:
        """Delete a recording; True if that can be undone. Twice is once. Raises NotFound."""
        if not self.days:
            self._deletion.delete_recording(principal, recording_id)
            return False
        self._recordings.discard(principal, recording_id)
        self._deletion.withdraw(recording_id)
        return True

    def put_all(self, principal: Principal, recording_ids: Iterable[str]) -> list[str]:
        """Delete these; the ids of those that can be taken back. What is gone already is left out."""
        return [each for each in recording_ids if self._still(self.put, principal, each)]

    @audited(AuditAction.RESTORED, AuditSubject.RECORDING, "recording_id")
    def restore(self, principal: Principal, recording_id: str) -> None:
        """Take a recording back; work on it goes on where it stopped. Raises NotFound."""
        for task_id in self._recordings.restore(principal, recording_id):
            self._tasks.retry(principal, task_id)

    def restore_all(self, principal: Principal, recording_ids: Iterable[str]) -> None:
        """Take these back, those that are still there."""
        for each in recording_ids:
            self._still(self.restore, principal, each)

    @audited(AuditAction.DELETED, AuditSubject.RECORDING, "recording_id")
    def delete(self, principal: Principal, recording_id: str) -> None:
        """Delete a recording for good, from wherever it is. Raises NotFound."""
        self._deletion.delete_recording(principal, recording_id)

    def empty(self, principal: Principal) -> int:
        """Delete for good everything of theirs that is in the bin; how many."""
        principal.must_write()
        with self._database.read() as session:
            binned = select(Recording.id).where(Recording.deleted_at > 0)
            binned = binned if principal.admin else binned.where(allowed(principal, Right.OWN))
            ids = list(session.scalars(binned.execution_options(**WITH_BIN)))
        return self._deleted(principal, ids)

    def recordings(self, principal: Principal, limit: int = 50, offset: int = 0) -> list[Recording]:
        """What is in the bin, newest first."""
        binned = visible_to(select(Recording).where(Recording.deleted_at > 0), principal, Recording)
        binned = binned.order_by(Recording.deleted_at.desc(), Recording.id).limit(limit).offset(offset)
        with self._database.read() as session:
            return list(session.scalars(binned.execution_options(**WITH_BIN)))

    def kept(self, principal: Principal) -> Kept:
        """How much is in the bin."""
        sums = select(func.count(), func.coalesce(func.sum(Recording.size_bytes), 0))
        sums = visible_to(sums.where(Recording.deleted_at > 0), principal, Recording)
        with self._database.read() as session:
            count, size_bytes = session.execute(sums.execution_options(**WITH_BIN)).one()
        return Kept(count, int(size_bytes))

    def ends_at(self, recording: Recording) -> float:
        """When a recording in the bin goes for good, unix seconds."""
        return (recording.deleted_at or 0.0) + self.days * DAY_S

    def sweep(self) -> int:
        """Delete for good what was in the bin long enough; nothing is old by a clock that was just set."""
        now = self._clock()
        if not is_settled(self._database, now):
            return 0
        old = select(Recording.id).where(Recording.deleted_at <= now - self.days * DAY_S)
        old = old.order_by(Recording.deleted_at).limit(AT_ONCE).execution_options(**WITH_BIN)
        with self._database.read() as session:
            ids = list(session.scalars(old))
        return self._deleted(SYSTEM, ids)

    def _deleted(self, principal: Principal, ids: Iterable[str]) -> int:
        return sum(self._still(self.delete, principal, each) for each in ids)

    def _still(
        self, act: Callable[[Principal, str], bool | None], principal: Principal, recording_id: str
    ) -> bool:
        """Whether it was done; False where somebody was faster, or it cannot be undone."""
        try:
            return act(principal, recording_id) is not False
        except NotFound:
            return False
