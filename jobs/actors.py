"""Background work: each actor claims a job in SQL, runs its stage, and reports.

Nothing is retried here: a job that must run again is ready again in SQL, and the runner's
reconciler wakes it. A message is only a wake-up and may come twice.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import threading
import traceback
from collections.abc import Callable

import dramatiq
from dramatiq.middleware import Interrupt

from core import heartbeat, logs
from core.application import Application
from core.database.failures import FAILURES, is_mistake, persistently, unavailable
from core.database.states import JobKind
from core.errors import Code, NotFound, Rejected, Unavailable, Withdrawn
from core.queue.jobs import Claim
from core.storage.blobs import of_disk
from jobs.broker import INTERACTIVE

PERIODIC = "run_periodic"

DATABASE_AWAY_S = 5.0
"""So long rests a job whose write the database did not take."""

_held: set[str] = set()
"""Jobs that this process is at."""

process_is_broken = threading.Event()
"""Set when nothing works in this process any more, for its GPU is lost: the runner starts a fresh one."""

log = logging.getLogger("stenogram.jobs")


def worker_name() -> str:
    """What its jobs and its runner call this process. Not a constant: modules may be read before a fork."""
    return f"{socket.gethostname()}/{os.getpid()}"


def register(broker: dramatiq.Broker, application: Callable[[], Application]) -> None:
    """Declare the actors of an installation on a broker."""

    def job(job_id: str) -> None:
        perform(application(), job_id)

    def picture(cover_id: str) -> None:
        application().covers.step(cover_id)

    def run_periodic(name: str) -> None:
        try:
            application().periodic_runner.run(name, worker_name())
        except Exception:  # it comes again by itself; its row says what happened
            log.exception("periodic task %s broke", name)

    for kind, queue in (
        (JobKind.PREPARE, "cpu"),
        (JobKind.TRANSCRIBE, "gpu"),
        (JobKind.DIARIZE, "cpu"),
        (JobKind.INDEX, "index"),
        (JobKind.EMBED, "io"),
        (JobKind.RETRANSCRIBE, "gpu"),
    ):
        dramatiq.actor(actor_name=kind.value, queue_name=queue, broker=broker)(job)
    dramatiq.actor(actor_name="picture", queue_name=INTERACTIVE, broker=broker)(picture)
    dramatiq.actor(actor_name=PERIODIC, queue_name="io", broker=broker)(run_periodic)


def perform(app: Application, job_id: str) -> None:
    """Claim the job, run its stage, and leave the job in an honest state whatever happened.

    As long as this process lives its claims are renewed, so how a job ended is said until it is heard.
    """
    claim = _claimed(app, job_id)
    if claim is None:
        return
    _held.add(claim.job_id)
    try:
        with logs.concerning(job_id=claim.job_id, task_id=claim.task_id, recording_id=claim.recording_id):
            log.info("%s begins, attempt %d", claim.kind, claim.epoch)
            with heartbeat.reported_to(lambda: app.job_queue.beat(claim)):
                report = _run(app, claim)
            persistently(report)
    except (Withdrawn, NotFound):
        log.info("it was deleted while it failed")
    finally:
        _held.discard(claim.job_id)


def _claimed(app: Application, job_id: str) -> Claim | None:
    try:
        return app.job_queue.claim(job_id, worker_name())
    except FAILURES as error:
        if is_mistake(error):
            raise
        log.warning("%s Whether a job was claimed is not known.", unavailable(error))
        persistently(lambda: app.job_queue.release(worker_name(), set(_held)))
        return None


def _run(app: Application, claim: Claim) -> Callable[[], object]:
    """Run its stage; what there is to report then, where the stage has not done so."""
    report: Callable[[], object] = _nothing
    try:
        app.pipeline.run(claim)
        log.info("%s is over", claim.kind)
    except Interrupt:
        report = functools.partial(app.job_queue.requeue, claim)
    except Withdrawn:
        log.info("it was withdrawn")
    except Rejected as error:
        log.warning("given up: %s", error)
        report = functools.partial(app.pipeline.give_up, claim, error)
    except Unavailable as error:
        log.warning("put off: %s", error)
        if error.ends_process:
            process_is_broken.set()
        report = functools.partial(app.pipeline.try_later, claim, error)
    except Exception as error:  # a worker survives anything; the job says what happened
        log.exception("it broke")
        report = _broken(app, claim, error)
    return report


def _broken(app: Application, claim: Claim, error: Exception) -> Callable[[], object]:
    """Called within the block that caught it. While the database is away no try is burned."""
    if isinstance(error, FAILURES) and not is_mistake(error):
        return functools.partial(app.job_queue.wait, claim, DATABASE_AWAY_S, unavailable(error))
    of_its_disk = of_disk(error, app.settings.home) if isinstance(error, OSError) else None
    known_error = of_its_disk or _unexpected(error)
    return functools.partial(app.pipeline.try_later, claim, known_error, logs.masked(traceback.format_exc()))


def _nothing() -> None:
    """It reported by itself."""


def _unexpected(error: Exception) -> Unavailable:
    return Unavailable(Code.UNEXPECTED, what=type(error).__name__)
