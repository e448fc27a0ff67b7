"""What people do to work by hand. Only admins may; every action is written down: who, when, what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sqlalchemy import select

from core.audit import audited
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject, JobState, RequestedAction
from core.database.tables import Action, Job, Recording, Task
from core.errors import NotFound
from core.i18n.messages import N_
from core.library.deletion import Deletion
from core.library.recordings import Recordings
from core.library.tasks import Tasks
from core.monitor import failures
from core.orders.batches import Batches
from core.orders.transcript_purchases import RemoteTranscription
from core.principal import Principal
from core.queue import workers
from core.queue.jobs import JobQueue
from core.queue.periodic import EVERY_S, RECONCILE, PeriodicTasks
from core.queue.queues import QUEUES

WHATS = {
    "cancel": N_("Cancelled"),
    "retry": N_("Tried again"),
    "retry group": N_("Tried a whole group again"),
    "priority": N_("Changed the priority"),
    "delete": N_("Deleted"),
    "purge": N_("Emptied a queue"),
    "pause": N_("Paused a queue"),
    "resume": N_("Resumed a queue"),
    "drain": N_("Drained a worker"),
    "undrain": N_("Let a worker go on"),
    "restart": N_("Restarted a worker"),
    "run now": N_("Ran a routine at once"),
    "cancel batch": N_("Cancelled a batch"),
    "finish batch": N_("Finished a batch at once"),
    "retry batch": N_("Tried the failed texts of a batch again"),
    "send batch": N_("Sent what waits as a batch"),
    "buy again": N_("Ordered again what may have been bought"),
    "give up": N_("Gave up what may have been bought"),
}
"""What was done, for people."""

PRIORITIES = {1: N_("Do first"), 0: N_("Normal priority"), -1: N_("Do last")}
AT_ONCE = 500
LISTED = 10_000


class ActionTargets(Protocol):
    """What can be acted on."""

    database: Database
    recordings: Recordings
    tasks: Tasks
    deletion: Deletion
    job_queue: JobQueue
    periodic_tasks: PeriodicTasks
    batches: Batches
    remote_transcription: RemoteTranscription


class Actions:
    """What `who` may do here."""

    def __init__(self, targets: ActionTargets, principal: Principal) -> None:
        self._targets = targets
        self._principal = principal
        self._database = targets.database

    @property
    def allowed(self) -> bool:
        """Whether they may do anything; others look on."""
        return self._principal.may_administer

    # Jobs, by their tasks

    @audited(AuditAction.CHANGED, AuditSubject.TASK, "task_ids")
    def cancel(self, task_ids: Sequence[str]) -> int:
        """Stop these; what they finished is kept. How many had not ended."""
        self._principal.must_administer()
        return len(self._cancel("cancel", task_ids))

    @audited(AuditAction.CHANGED, AuditSubject.TASK, "task_ids")
    def retry(self, task_ids: Sequence[str]) -> int:
        """Go on from the stage that failed; what is put off is tried now. How many there were."""
        return self._to_tasks("retry", task_ids, self._retry)

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "code", "kind")
    def retry_group(self, code: str, kind: str) -> int:
        """Try again all that failed for this reason in this kind of work."""
        task_ids = failures.tasks(self._targets.database, self._principal, code, kind)
        return self._to_tasks("retry group", task_ids, self._retry)

    @audited(AuditAction.CHANGED, AuditSubject.TASK, "task_ids")
    def prioritise(self, task_ids: Sequence[str], priority: int) -> int:
        """Have them done before (1) or after (-1) others. How many had not ended."""
        self._principal.must_administer()
        count = self._targets.job_queue.set_priority(task_ids, priority)
        self._log("priority", self._titles(task_ids), count)
        return count

    @audited(AuditAction.DELETED, AuditSubject.TASK, "task_ids")
    def delete(self, task_ids: Sequence[str]) -> int:
        """Forget these tasks; a recording that came by the API goes with its last one."""
        return self._to_tasks("delete", task_ids, self._delete)

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "queue")
    def purge(self, queue: str) -> list[str]:
        """Cancel all that waits in a queue; their titles, which the log keeps."""
        self._principal.must_administer()
        return self._titles(self._cancel("purge", waiting_in(self._targets.database, queue)))

    # Queues, workers, routines

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "queue")
    def pause(self, queue: str) -> None:
        """Begin nothing more in this queue."""
        self._do("pause", [queue], lambda: self._targets.job_queue.pause(_known(queue, QUEUES)))

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "queue")
    def resume(self, queue: str) -> None:
        """Go on with this queue."""
        self._do("resume", [queue], lambda: self._targets.job_queue.resume(_known(queue, QUEUES)))

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "worker")
    def request_action(self, worker: str, options: str) -> None:
        """Drain a worker, restart it, or ("undrain") let it go on."""
        self._principal.must_administer()
        action = RequestedAction.NONE if options == "undrain" else RequestedAction(options)
        if not workers.request(self._targets.database, worker, action):
            raise NotFound
        self._log(options, [worker], 1)

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "periodic_task")
    def run_now(self, periodic_task: str) -> None:
        """Do a routine within seconds instead of when it is due."""
        if periodic_task == RECONCILE:
            self._do("run now", [periodic_task], self._targets.job_queue.reconcile)
        else:
            self._do(
                "run now",
                [periodic_task],
                lambda: self._targets.periodic_tasks.expedite(_known(periodic_task, EVERY_S)),
            )

    # Batches

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "batch_id")
    def cancel_batch(self, batch_id: str) -> None:
        """Stop a batch; what it finished is kept."""
        self._do("cancel batch", [batch_id], lambda: self._targets.batches.cancel(batch_id))

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "batch_id")
    def finish_batch(self, batch_id: str) -> None:
        """Make the missing vectors of a batch now, at the full price; one under way is stopped first."""
        batches = self._targets.batches
        finish = lambda: batches.finish_now(batch_id) or batches.embed_failed_now(batch_id)  # noqa: E731
        self._do("finish batch", [batch_id], finish)

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "batch_id")
    def retry_batch(self, batch_id: str) -> None:
        """Let the failed texts of a batch wait for the next one."""
        self._do("retry batch", [batch_id], lambda: self._targets.batches.retry_failed(batch_id))

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, named="batches")
    def send_batch(self) -> None:
        """Send what waits, however little it is."""
        self._do("send batch", [], self._targets.batches.flush)

    # Orders that may have been bought

    @audited(AuditAction.CHANGED, AuditSubject.ORDER, "order_ids")
    def buy_again(self, order_ids: Sequence[str]) -> int:
        """Order these parts of a recording once more. How many still waited for that word."""
        return self._decide("buy again", order_ids, again=True)

    @audited(AuditAction.CHANGED, AuditSubject.ORDER, "order_ids")
    def give_up(self, order_ids: Sequence[str]) -> int:
        """Leave these parts unheard; their task fails. How many still waited for that word."""
        return self._decide("give up", order_ids, again=False)

    # The log

    def log(self, limit: int = 100) -> list[Action]:
        """What was done, newest first; others than admins see what they did."""
        done = select(Action).order_by(Action.at.desc()).limit(limit)
        if not self._principal.admin:
            done = done.where(Action.who == self._principal.owner)
        with self._targets.database.read() as session:
            return list(session.scalars(done))

    def _log(self, what: str, about: Sequence[str], count: int) -> None:
        action = Action(who=self._principal.owner, what=what, about=list(about[:LISTED]), count=count)
        with self._targets.database.write() as session:
            session.add(action)

    def _do(self, what: str, about: Sequence[str], step: Callable[[], object]) -> None:
        self._principal.must_administer()
        step()
        self._log(what, about, 1)

    def _to_tasks(self, what: str, task_ids: Sequence[str], step: Callable[[str], bool]) -> int:
        self._principal.must_administer()
        titles = self._titles(task_ids)
        count = sum(step(task_id) for task_id in dict.fromkeys(task_ids))
        self._log(what, titles, count)
        return count

    def _cancel(self, what: str, task_ids: Sequence[str]) -> list[str]:
        cancelled: list[str] = []
        for start in range(0, len(task_ids), AT_ONCE):
            cancelled += self._targets.job_queue.cancel_all(task_ids[start : start + AT_ONCE])
        for owner in self._owners(cancelled):
            self._targets.job_queue.wake_next(owner)
        self._log(what, self._titles(cancelled), len(cancelled))
        return cancelled

    def _retry(self, task_id: str) -> bool:
        return self._targets.job_queue.expedite(task_id) or self._targets.tasks.retry(
            self._principal, task_id
        )

    def _delete(self, task_id: str) -> bool:
        try:
            self._targets.deletion.delete_task(self._principal, task_id)
        except NotFound:
            return False  # somebody was faster
        return True

    def _decide(self, what: str, order_ids: Sequence[str], *, again: bool) -> int:
        self._principal.must_administer()
        book, meant = self._targets.remote_transcription.orders, set(order_ids)
        held_orders = [order for order in book.held() if order.id in meant]
        count = sum(self._decided(order.id, again=again) for order in held_orders)
        titles = self._targets.recordings.named(
            self._principal, {order.recording_id for order in held_orders}
        )
        self._log(what, [row.title for row in titles.values()], count)
        return count

    def _decided(self, order_id: str, *, again: bool) -> bool:
        try:
            self._targets.remote_transcription.orders.decide(order_id, again=again)
        except NotFound:
            return False  # somebody was faster
        return True

    def _titles(self, task_ids: Sequence[str]) -> list[str]:
        titled = select(Recording.title).join(Task, Task.recording_id == Recording.id)
        with self._targets.database.read() as session:
            return [
                title
                for start in range(0, len(task_ids), AT_ONCE)
                for title in session.scalars(titled.where(Task.id.in_(task_ids[start : start + AT_ONCE])))
            ]

    def _owners(self, task_ids: Sequence[str]) -> set[str]:
        with self._targets.database.read() as session:
            return {
                owner
                for start in range(0, len(task_ids), AT_ONCE)
                for owner in session.scalars(
                    select(Task.owner).where(Task.id.in_(task_ids[start : start + AT_ONCE])).distinct()
                )
            }


def waiting_in(database: Database, queue: str) -> list[str]:
    """Tasks of which a job waits in this queue."""
    waiting = select(Job.task_id).where(Job.state == JobState.READY, Job.queue == _known(queue, QUEUES))
    with database.read() as session:
        return list(session.scalars(waiting.order_by(Job.created_at)))


def _known(name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise NotFound
    return name
