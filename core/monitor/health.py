"""Is everything there that work needs? Each part with a sentence, for monitors and for people."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from core.database.database import Database
from core.database.states import EmbeddingStatus
from core.database.tables import Json, Recording
from core.errors import Code, StenogramError, Unavailable
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library import views
from core.library.intake import Intake
from core.library.recordings import TranscriptionOptions, visible_to
from core.principal import Principal
from core.queue import workers
from core.queue.jobs import as_json
from core.queue.queues import QUEUES
from core.search.index import WORDS, Index
from core.speech.engine import Engine
from core.storage.blobs import human_bytes
from core.storage.mirror import MirroredBlobStore

ANSWERS = N_("answers")
LEGS = {
    (True, True): N_("search by words answers, and by meaning"),
    (True, False): N_("search by words answers; there is nothing to search by meaning yet"),
    (False, True): N_("search by meaning answers"),
    (False, False): N_("nothing to search yet"),
}
"""What answers: search by words, search by meaning."""


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


def coverage(database: Database, who: Principal) -> Coverage:
    """What a search can find of everything they may see."""
    totals = views.totals(database, who)
    waits = select(func.sum(Recording.duration_s)).where(
        Recording.embedding_status == EmbeddingStatus.WAITING
    )
    with database.read() as session:
        waiting_s = session.scalar(visible_to(waits, who, Recording)) or 0.0
    return Coverage(totals.total_s, totals.words_s, totals.meaning_s, waiting_s)


class HealthSources(Protocol):
    """The parts that health looks at."""

    database: Database
    index: Index
    blobs: MirroredBlobStore
    intake: Intake
    engines: dict[str, Engine]


def check(sources: HealthSources, ping: Callable[[], None]) -> Health:
    """Look at every part once. `ping` raises Unavailable while the broker does not answer."""
    return Health(tuple(_parts(sources, ping)))


def _parts(sources: HealthSources, ping: Callable[[], None]) -> Iterator[Part]:
    yield _part("database", lambda: _database(sources.database))
    yield _part("broker", lambda: _broker(ping), needed=False)
    yield _part("workers", lambda: _workers(sources.database), needed=False)
    yield _part("index", lambda: _index(sources.index), needed=False)
    yield _part("disk", lambda: _disk(sources.blobs))
    yield _part("engine", lambda: _engine(sources))


def _part(name: str, look: Callable[[], Json], *, needed: bool = True) -> Part:
    try:
        return Part(name, ok=True, says=look(), needed=needed)
    except StenogramError as error:
        return Part(name, ok=False, says=as_json(error), needed=needed)


def _database(database: Database) -> Json:
    try:
        with database.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise Unavailable(Code.DATABASE_SILENT) from error
    return {"message": ANSWERS}


def _broker(ping: Callable[[], None]) -> Json:
    ping()
    return {"message": ANSWERS}


def _workers(database: Database) -> Json:
    alive = {worker.queue for worker in workers.alive(database)}
    if missing := [queue for queue in QUEUES if queue not in alive]:
        raise Unavailable(Code.NO_WORKER, queues=", ".join(missing))
    return {"message": N_("alive for {queues}"), "facts": {"queues": ", ".join(QUEUES)}}


def _index(index: Index) -> Json:
    answering = index.check()
    return {"message": LEGS[WORDS in answering, any(name != WORDS for name in answering)]}


def _disk(blobs: MirroredBlobStore) -> Json:
    blobs.admit(0)
    free = shutil.disk_usage(blobs.folder).free
    return {"message": N_("{size} free"), "facts": {"size": human_bytes(free)}}


def _engine(sources: HealthSources) -> Json:
    language = next(iter(sources.engines.values())).languages[0]
    choice = sources.intake.choose_engine(TranscriptionOptions(language=language))
    return {"message": choice.message, "facts": dict(choice.facts)}
