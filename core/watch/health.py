"""Is everything there that work needs? Each part with a sentence, for monitors and for people."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core import workers
from core.errors import StenogramError, Unavailable
from core.intake import human_bytes
from core.journey import Journey
from core.recordings import Wish

QUEUES = ("gpu", "cpu", "io")


@dataclass(frozen=True)
class Part:
    """One part: whether it works, and what there is to say about it."""

    name: str
    ok: bool
    detail: str
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
        parts = {part.name: {k: v for k, v in asdict(part).items() if k != "name"} for part in self.parts}
        return {"status": self.status, "accepts_work": self.accepts, "parts": parts}


def check(here: Journey, ping: Callable[[], None]) -> Health:
    """Look at every part once. `ping` raises Unavailable while the broker does not answer."""
    return Health(tuple(_parts(here, ping)))


def _parts(here: Journey, ping: Callable[[], None]) -> Iterator[Part]:
    yield _part("database", lambda: _database(here))
    yield _part("broker", lambda: _broker(ping), needed=False)
    yield _part("workers", lambda: _workers(here), needed=False)
    yield _part("index", lambda: _index(here), needed=False)
    yield _part("disk", lambda: _disk(here))
    yield _part("engine", lambda: _engine(here))


def _part(name: str, look: Callable[[], str], *, needed: bool = True) -> Part:
    try:
        return Part(name, ok=True, detail=look(), needed=needed)
    except StenogramError as error:
        return Part(name, ok=False, detail=str(error), needed=needed)


def _database(here: Journey) -> str:
    try:
        with here.records.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise Unavailable("The database does not answer.") from error
    return "answers"


def _broker(ping: Callable[[], None]) -> str:
    ping()
    return "answers"


def _workers(here: Journey) -> str:
    alive = {worker.queue for worker in workers.alive(here.records)}
    if missing := [queue for queue in QUEUES if queue not in alive]:
        raise Unavailable("No worker is alive for: {queues}.", queues=", ".join(missing))
    return f"alive for {', '.join(QUEUES)}"


def _index(here: Journey) -> str:
    answering = here.index_store.check()
    return f"{', '.join(answering)} answer" if answering else "empty"


def _disk(here: Journey) -> str:
    here.store.admit(0)
    return f"{human_bytes(shutil.disk_usage(here.store.folder).free)} free"


def _engine(here: Journey) -> str:
    language = next(iter(here.engines.values())).languages[0]
    return here.choose(Wish(language=language)).reason
