"""Redis as the broker: built from settings by whoever needs it, never at import."""

from __future__ import annotations

import logging
from collections.abc import Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import ShutdownNotifications, TimeLimit
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from core.errors import Code, Unavailable
from core.settings import Settings

LONGEST_JOB_MS = 48 * 3600 * 1000
INTERACTIVE = "quick"
"""For what somebody waits at the screen. A queue of its own: priorities order only what was fetched."""
QUEUES = ("gpu", "cpu", "io", INTERACTIVE)

log = logging.getLogger("stenogram.jobs")


def connect(settings: Settings, *, patient: bool) -> redis.Redis:
    """Workers outlast a broker's restart (else delayed messages strand); pages must not hang on it."""
    retries = 60 if patient else 2
    return redis.Redis.from_url(
        settings.broker,
        socket_timeout=60 if patient else 2,
        socket_connect_timeout=5 if patient else 2,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
    )


def make_broker(settings: Settings, *, patient: bool) -> RedisBroker:
    """A broker with our queues. `patient` in workers, which outlast its restarts."""
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=connect(settings, patient=patient),
        heartbeat_timeout=600_000,  # a job that holds the interpreter must not be started twice
        maintenance_chance=100_000,
        middleware=[TimeLimit(time_limit=LONGEST_JOB_MS), ShutdownNotifications(notify_shutdown=True)],
    )
    for queue in QUEUES:
        broker.declare_queue(queue)
    return broker


class BrokerNotifier:
    """Wakes workers through the broker; while that is away, the reconciler and periodic tasks do later."""

    def __init__(self, broker: Callable[[], RedisBroker]) -> None:
        self._broker = broker

    def job(self, queue: str, kind: str, job_id: str) -> None:
        """Wake a worker of a queue for a job."""
        self._send(queue, kind, job_id)

    def picture(self, cover_id: str) -> None:
        """Wake a worker for a picture that a person waits for."""
        self._send(INTERACTIVE, "picture", cover_id)

    def periodic_task(self, name: str) -> None:
        """Wake a worker for a periodic task that is due."""
        self._send("io", "run_periodic", name)

    def ping(self) -> None:
        """Raises Unavailable while the broker does not answer."""
        try:
            self._broker().client.ping()
        except redis.RedisError as error:
            raise Unavailable(Code.BROKER_SILENT) from error

    def _send(self, queue: str, actor_name: str, argument: str) -> None:
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=queue, actor_name=actor_name, args=(argument,), kwargs={}, options={}
        )
        try:
            self._broker().enqueue(message)
        except (redis.RedisError, dramatiq.DramatiqError) as error:
            log.warning("broker away, %s %s is woken later: %s", actor_name, argument, type(error).__name__)
