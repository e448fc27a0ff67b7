"""Redis as the broker: built from settings by whoever needs it, never at import."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import ShutdownNotifications, TimeLimit
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from core.errors import Code, Unavailable
from core.settings import Settings

LONGEST_JOB_MS = 48 * 3600 * 1000
INTERACTIVE = "quick"
"""For what somebody waits at the screen. A queue of its own: priorities order only what was fetched."""
QUEUES = ("gpu", "cpu", "io", "index", INTERACTIVE)

WAIT_S = 2.0
"""So long a worker waits in the broker for a message, before it looks whether it is to end."""
ALIVE_S = 60.0
"""So often a worker that gets no messages, or has its hands full, tells the broker that it is there."""

log = logging.getLogger("stenogram.jobs")


class WaitingConsumer(_RedisConsumer):
    """Waits inside the broker until there is a message, where dramatiq asks five times a second."""

    def __init__(self, broker: RedisBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._list = f"{broker.namespace}:{queue_name}"
        self._has_room = threading.Event()
        self._tell_at = 0.0

    def ack(self, message: dramatiq.MessageProxy) -> None:
        """As of dramatiq; there is a hand for the next one."""
        super().ack(message)  # type: ignore[no-untyped-call]
        self._has_room.set()

    def nack(self, message: dramatiq.MessageProxy) -> None:
        """As of dramatiq; there is a hand for the next one."""
        super().nack(message)  # type: ignore[no-untyped-call]
        self._has_room.set()

    def __next__(self) -> dramatiq.MessageProxy | None:
        """The next message, or None after `WAIT_S`."""
        try:
            if not self.message_cache and not self._awaited():
                return None
        except redis.ConnectionError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        message: dramatiq.MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        return message

    def _awaited(self) -> bool:
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + ALIVE_S
            self.broker.do_qsize(self.queue_name)  # every command of dramatiq is a sign of life
        self._has_room.clear()
        if self.outstanding_message_count >= self.prefetch:
            self._has_room.wait(WAIT_S)
            return False
        # Moving its first message to where it is takes nothing away, and waits where there is none.
        return self.broker.client.blmove(self._list, self._list, WAIT_S, "LEFT", "LEFT") is not None


class WaitingBroker(RedisBroker):
    """Redis as dramatiq uses it, without polling and without queues of delayed messages: we send none."""

    @property
    def consumer_class(self) -> type[WaitingConsumer]:
        """What reads a queue."""
        return WaitingConsumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; has no effect if it is declared already."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)


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
    broker = WaitingBroker(  # type: ignore[no-untyped-call]
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
