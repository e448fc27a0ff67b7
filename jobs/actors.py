"""Background work: each actor claims a job in SQL, takes one step of the journey, and reports.

The broker comes first: an actor binds to the broker that exists when it is decorated.
Nothing is retried here: a job that must run again is ready again in SQL, and the runner's
reconciler wakes it. A message is only a wake-up and may come twice.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import traceback

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Interrupt, ShutdownNotifications, TimeLimit
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from core import application, heartbeat, logs
from core.application import Application
from core.database.states import JobKind
from core.errors import Code, NotFound, Rejected, Unavailable, Withdrawn
from core.pipeline import periodic
from core.queue.jobs import Claim
from core.settings import Settings

LONGEST_JOB_MS = 48 * 3600 * 1000
WORKER = f"{socket.gethostname()}/{os.getpid()}"
"""This process, as its jobs and its runner name it."""

QUICK = "quick"
"""For what somebody waits at the screen. A queue of its own: priorities order only what was fetched."""

over = threading.Event()
"""Set when nothing works in this process any more, for its GPU is lost: the runner starts a fresh one."""

log = logging.getLogger("stenogram.jobs")


def client(*, patient: bool) -> redis.Redis:
    """Workers outlast a broker's restart (else delayed messages strand); pages must not hang on it."""
    retries = 60 if patient else 2
    return redis.Redis.from_url(
        Settings().broker,
        socket_timeout=60 if patient else 2,
        socket_connect_timeout=5 if patient else 2,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
    )


broker = RedisBroker(  # type: ignore[no-untyped-call]
    client=client(patient=bool(os.environ.get("STENOGRAM_WORKER"))),
    heartbeat_timeout=600_000,  # a job that holds the interpreter must not be started twice
    maintenance_chance=100_000,
    middleware=[TimeLimit(time_limit=LONGEST_JOB_MS), ShutdownNotifications(notify_shutdown=True)],
)
dramatiq.set_broker(broker)


STEPS = {
    JobKind.PREPARE: Application.prepare,
    JobKind.TRANSCRIBE: Application.transcribe,
    JobKind.INDEX: Application.index,
    JobKind.EMBED: Application.embed,
}
"""What is done for each kind of job."""


def perform(app: Application, job_id: str) -> None:
    """Claim the job, take the step, and leave the job in an honest state whatever happened."""
    claim = app.job_queue.claim(job_id, WORKER)
    if claim is None:
        return
    with logs.concerning(job_id=claim.job_id, task_id=claim.task_id, recording_id=claim.recording_id):
        log.info("%s begins, attempt %d", claim.kind, claim.epoch)
        try:
            with heartbeat.heard_by(lambda: app.job_queue.beat(claim)):
                _step(app, claim)
        except (Withdrawn, NotFound):
            log.info("it was deleted while it failed")


def _step(app: Application, claim: Claim) -> None:
    try:
        STEPS[claim.kind](app, claim)
        log.info("%s is over", claim.kind)
    except Interrupt:
        app.job_queue.put_back(claim)
    except Withdrawn:
        log.info("it was withdrawn")
    except Rejected as error:
        log.warning("given up: %s", error)
        app.give_up(claim, error)
    except Unavailable as error:
        log.warning("put off: %s", error)
        app.try_later(claim, error)
        if error.ends_process:
            over.set()
    except Exception as error:  # a worker survives anything; the job says what happened
        log.exception("it broke")
        app.try_later(
            claim,
            Unavailable(Code.UNEXPECTED, what=type(error).__name__),
            logs.masked(traceback.format_exc()),
        )


@dramatiq.actor(queue_name="cpu")
def prepare(job_id: str) -> None:
    """Decode a recording and plan its segments."""
    perform(application.current(), job_id)


@dramatiq.actor(queue_name="gpu")
def transcribe(job_id: str) -> None:
    """Have an engine hear the segments that nobody has heard yet."""
    perform(application.current(), job_id)


@dramatiq.actor(queue_name="io")
def index(job_id: str) -> None:
    """Make a transcript searchable by words."""
    perform(application.current(), job_id)


@dramatiq.actor(queue_name="io")
def embed(job_id: str) -> None:
    """Make a transcript searchable by meaning."""
    perform(application.current(), job_id)


@dramatiq.actor(queue_name=QUICK)
def picture(cover_id: str) -> None:
    """Order or fetch a picture that a person waits for."""
    application.current().covers.step(cover_id)


@dramatiq.actor(queue_name="io")
def tend(name: str) -> None:
    """Do a chore that is due: batches, the index, what is to be forgotten."""
    try:
        periodic.tend(application.current(), name, WORKER)
    except Exception:  # a chore comes again by itself; its record says what happened
        log.exception("chore %s broke", name)


def ping() -> None:
    """Raise Unavailable while the broker does not answer."""
    try:
        broker.client.ping()
    except redis.RedisError as error:
        raise Unavailable(Code.BROKER_SILENT) from error


ACTORS = {actor.actor_name: actor for actor in (prepare, transcribe, index, embed, tend)}
for queue in ("gpu", "cpu", "io", QUICK):
    broker.declare_queue(queue)


def notify(queue: str, kind: str, job_id: str) -> None:
    """Wake a worker. If the broker is away, the reconciler rings again later."""
    try:
        broker.enqueue(ACTORS[kind].message(job_id).copy(queue_name=queue))
    except (redis.RedisError, dramatiq.DramatiqError) as error:
        log.warning("broker away, job %s will be woken later: %s", job_id, type(error).__name__)


def notify_picture(cover_id: str) -> None:
    """The same for a picture; if the broker is away, the chore finds it."""
    try:
        picture.send(cover_id)
    except (redis.RedisError, dramatiq.DramatiqError) as error:
        log.warning("broker away, picture %s comes later: %s", cover_id, type(error).__name__)


application.current().job_queue.notifier = notify
application.current().covers.notifier = notify_picture
