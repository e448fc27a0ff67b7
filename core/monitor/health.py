"""Is everything there that work needs? Each part with a sentence, for monitors and for people."""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.database.database import Database
from core.database.failures import unavailable
from core.database.owned import visible_to
from core.database.states import EmbeddingStatus
from core.database.tables import Json, Recording
from core.errors import Code, StenogramError, Unavailable
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library import views
from core.library.intake import Intake
from core.library.recordings import TranscriptionOptions
from core.monitor.alarms import SILENT_S, STALLED_S
from core.orders.batch_view import View
from core.orders.batches import Batches
from core.principal import Principal
from core.queue import workers
from core.queue.jobs import JobQueue, as_json
from core.queue.queues import QUEUES
from core.search import refill
from core.search.index import WORDS, Index
from core.speech.engine import Engine
from core.storage.blobs import human_bytes
from core.storage.mirror import MirroredBlobStore
from core.storage.object_store import ObjectStore

ANSWERS = N_("answers")
NEEDED = {"database", "storage", "disk", "engine"}
"""Without one of these no work can be accepted; without the others it waits."""
ANSWER_S = 5.0
"""No look at health takes longer; a part that does is taken for broken."""
LOCK_S = 2.0
"""How long the database may be locked by others before it is taken for broken."""
LEGS = {
    (True, True): N_("search by words answers, and by meaning"),
    (True, False): N_("search by words answers; there is nothing to search by meaning yet"),
    (False, True): N_("search by meaning answers"),
    (False, False): N_("nothing to search yet"),
}
"""What answers: search by words, search by meaning."""
WAITS = {
    (False, False): N_("nothing waits"),
    (True, False): N_("the oldest job waits for {seconds} s"),
    (False, True): N_("jobs postponed: {postponed}, the next try is in {next} s"),
    (True, True): N_(
        "the oldest job waits for {seconds} s; jobs postponed: {postponed}, the next try is in {next} s"
    ),
}
"""What is said of jobs: some wait for a worker, some for their time."""


@dataclass(frozen=True)
class Part:
    """One part: whether it works, and what there is to say about it."""

    name: str
    ok: bool
    says: Json
    """A template and its facts, so that everybody reads it in their language."""
    needed: bool
    """Without it no work can be accepted; without the others it waits."""


@dataclass(frozen=True)
class Health:
    """All parts. `ok`: everything works; `degraded`: work is accepted and may wait; `unavailable`."""

    parts: tuple[Part, ...]

    @property
    def accepts(self) -> bool:
        """Whether a recording can be taken in now."""
        return all(part.ok or not part.needed for part in self.parts)

    @property
    def status(self) -> str:
        """In one word."""
        if all(part.ok for part in self.parts):
            return "ok"
        return "degraded" if self.accepts else "unavailable"

    def as_json(self) -> dict[str, Any]:
        """For programs: the status, and each part by its name."""
        parts = {
            part.name: {
                "ok": part.ok,
                "detail": catalogue.translate_error(part.says, "en"),
                "needed": part.needed,
            }
            for part in self.parts
        }
        return {"status": self.status, "accepts_work": self.accepts, "parts": parts}


@dataclass(frozen=True)
class Coverage:
    """How much sound there is, how much of it is found by words and by meaning, and what waits for that."""

    total_s: float
    words_s: float
    meaning_s: float
    waiting_s: float

    @property
    def share(self) -> float:
        """Of all sound, what is found at all, between 0 and 1."""
        return self.words_s / self.total_s if self.total_s else 0.0


def coverage(database: Database, principal: Principal) -> Coverage:
    """What a search can find of everything they may see."""
    totals = views.totals(database, principal)
    waits = select(func.sum(Recording.duration_s)).where(
        Recording.embedding_status == EmbeddingStatus.WAITING
    )
    with database.read() as session:
        waiting_s = session.scalar(visible_to(waits, principal, Recording)) or 0.0
    return Coverage(totals.total_s, totals.words_s, totals.meaning_s, waiting_s)


class HealthSources(Protocol):
    """The parts that health looks at."""

    database: Database
    job_queue: JobQueue
    index: Index
    blobs: MirroredBlobStore
    object_store: ObjectStore
    intake: Intake
    engines: dict[str, Engine]
    batches: Batches


def check(sources: HealthSources, ping: Callable[[], None]) -> Health:
    """Look at every part once, at all at the same time. `ping` raises Unavailable without a broker.

    Takes at most `ANSWER_S`; what hangs longer is left behind in its thread.
    """
    looks = {
        "database": lambda: _database(sources.database),
        "broker": lambda: _broker(ping),
        "workers": lambda: _workers(sources.database),
        "work": lambda: _work(sources.job_queue),
        "batches": lambda: _batches(sources.batches.view),
        "index": lambda: _index(sources),
        "storage": lambda: _storage(sources),
        "disk": lambda: _disk(sources.blobs),
        "engine": lambda: _engine(sources),
    }
    until = time.monotonic() + ANSWER_S
    threads = ThreadPoolExecutor(len(looks), thread_name_prefix="health")
    try:
        looking = {name: threads.submit(_part, name, probe) for name, probe in looks.items()}
        return Health(tuple(_in_time(name, part, until) for name, part in looking.items()))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _in_time(name: str, looking: Future[Part], until: float) -> Part:
    wait([looking], max(0.0, until - time.monotonic()))
    if looking.done():
        return looking.result()
    silent = Unavailable(Code.PART_SILENT, seconds=round(ANSWER_S))
    return Part(name, ok=False, says=as_json(silent), needed=name in NEEDED)


def _part(name: str, probe: Callable[[], Json]) -> Part:
    try:
        return Part(name, ok=True, says=probe(), needed=name in NEEDED)
    except StenogramError as error:
        failure = error
    except OSError as error:
        failure = Unavailable(Code.UNEXPECTED, what=errno.errorcode.get(error.errno or 0, "OSError"))
    except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
        failure = unavailable(error)
    return Part(name, ok=False, says=as_json(failure), needed=name in NEEDED)


def _database(database: Database) -> Json:
    database.check(LOCK_S)
    return {"message": ANSWERS}


def _broker(ping: Callable[[], None]) -> Json:
    ping()
    return {"message": ANSWERS}


def _workers(database: Database) -> Json:
    alive = workers.alive(database)
    if missing := [queue for queue in QUEUES if not workers.serving(alive, queue)]:
        raise Unavailable(Code.NO_WORKER, queues=", ".join(missing))
    return {"message": N_("every queue has its worker")}


def _work(job_queue: JobQueue) -> Json:
    """Whether jobs are done, not only whether somebody says they will be."""
    now = job_queue.now()
    waiting = {queue: oldest_s for queue, (_, oldest_s) in job_queue.waiting(now).items()}
    running = job_queue.running(SILENT_S)
    if silent := sum(n for _, n in running.values()):
        raise Unavailable(Code.WORK_SILENT, n=silent, seconds=round(SILENT_S))
    stalled = {queue: s for queue, s in waiting.items() if s > STALLED_S and queue not in running}
    if stalled:
        raise Unavailable(
            Code.WORK_STALLED, queues=", ".join(sorted(stalled)), seconds=round(max(stalled.values()))
        )
    postponed, next_s = job_queue.postponed(now)
    facts = {
        "seconds": round(max(waiting.values(), default=0.0)),
        "postponed": postponed,
        "next": math.ceil(next_s),
    }
    return {"message": WAITS[bool(waiting), bool(postponed)], "facts": facts}


def _batches(view: View) -> Json:
    """A provider that brings nothing is no fault of ours, but somebody should know."""
    if late := view.late():
        hours = round(max(view.now() - since for since in late) / 3600)
        raise Unavailable(Code.BATCH_LATE, n=len(late), hours=hours)
    return {"message": N_("none is late")}


def _index(sources: HealthSources) -> Json:
    if lacks := refill.lacking(sources.database):
        raise Unavailable(Code.INDEX_INCOMPLETE, **lacks)
    answering = sources.index.check()
    return {"message": LEGS[WORDS in answering, any(name != WORDS for name in answering)]}


def _storage(sources: HealthSources) -> Json:
    """Write a file where recordings go and read it back; a bucket must answer, and know our key."""
    content = secrets.token_bytes(16)
    with tempfile.TemporaryFile(dir=sources.blobs.folder, buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
        file.seek(0)
        if file.read() != content:
            raise Unavailable(Code.STORE_DAMAGED)
    if sources.object_store.can_share:
        sources.object_store.has("health")
    return {"message": ANSWERS}


def _disk(blobs: MirroredBlobStore) -> Json:
    blobs.admit(0)
    free = shutil.disk_usage(blobs.folder).free
    return {"message": N_("{size} free"), "facts": {"size": human_bytes(free)}}


def _engine(sources: HealthSources) -> Json:
    language = next(iter(sources.engines.values())).languages[0]
    choice = sources.intake.choose_engine(TranscriptionOptions(language=language))
    return {"message": choice.message, "facts": dict(choice.facts)}
