"""Background work: each actor claims a job in SQL, runs its stage, and reports.

Nothing is retried here: a job that must run again is ready again in SQL, and the runner's
reconciler wakes it. A message is only a wake-up and may come twice.
"""

from __future__ import annotations

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
from core.database.states import JobKind
from core.errors import Code, NotFound, Rejected, Unavailable, Withdrawn
from core.queue.jobs import Claim
from jobs.broker import INTERACTIVE

WORKER = f"{socket.gethostname()}/{os.getpid()}"
"""This process, as its jobs and its runner name it."""
PERIODIC = "run_periodic"

process_is_broken = threading.Event()
"""Set when nothing works in this process any more, for its GPU is lost: the runner starts a fresh one."""

log = logging.getLogger("stenogram.jobs")


def register(broker: dramatiq.Broker, application: Callable[[], Application]) -> None:
    """Declare the actors of an installation on a broker."""

    def job(job_id: str) -> None:
        perform(application(), job_id)

    def picture(cover_id: str) -> None:
        application().covers.step(cover_id)

    def run_periodic(name: str) -> None:
        try:
            application().periodic_runner.run(name, WORKER)
        except Exception:  # it comes again by itself; its row says what happened
            log.exception("periodic task %s broke", name)

    for kind, queue in (
        (JobKind.PREPARE, "cpu"),
        (JobKind.TRANSCRIBE, "gpu"),
        (JobKind.DIARIZE, "cpu"),
        (JobKind.INDEX, "io"),
        (JobKind.EMBED, "io"),
    ):
        dramatiq.actor(actor_name=kind.value, queue_name=queue, broker=broker)(job)
    dramatiq.actor(actor_name="picture", queue_name=INTERACTIVE, broker=broker)(picture)
    dramatiq.actor(actor_name=PERIODIC, queue_name="io", broker=broker)(run_periodic)


def perform(app: Application, job_id: str) -> None:
    """Claim the job, run its stage, and leave the job in an honest state whatever happened."""
    claim = app.job_queue.claim(job_id, WORKER)
    if claim is None:
        return
    with logs.concerning(job_id=claim.job_id, task_id=claim.task_id, recording_id=claim.recording_id):
        log.info("%s begins, attempt %d", claim.kind, claim.epoch)
        try:
            with heartbeat.reported_to(lambda: app.job_queue.beat(claim)):
                _run(app, claim)
        except (Withdrawn, NotFound):
            log.info("it was deleted while it failed")


def _run(app: Application, claim: Claim) -> None:
    try:
        app.pipeline.run(claim)
        log.info("%s is over", claim.kind)
    except Interrupt:
        app.job_queue.put_back(claim)
    except Withdrawn:
        log.info("it was withdrawn")
    except Rejected as error:
        log.warning("given up: %s", error)
        app.pipeline.give_up(claim, error)
    except Unavailable as error:
        log.warning("put off: %s", error)
        app.pipeline.try_later(claim, error)
        if error.ends_process:
            process_is_broken.set()
    except Exception as error:  # a worker survives anything; the job says what happened
        log.exception("it broke")
        app.pipeline.try_later(
            claim,
            Unavailable(Code.UNEXPECTED, what=type(error).__name__),
            logs.masked(traceback.format_exc()),
        )
