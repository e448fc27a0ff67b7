"""What was asked of the search, for the monitor: how often, how often without an answer, and how fast.

Words are kept only where `SEARCH_LOG` is on; what was opened of the answers, as judgements of the ranking,
only where `SEARCH_CLICKS` is. Entries are written some at a time, so that no search waits for the disk.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from core.database.database import Database
from core.database.tables import OpenedHit, Searched
from core.principal import Principal

logger = logging.getLogger(__name__)
KEPT_S = 30 * 86_400.0
WRITE_AFTER_S = 10.0
WRITE_AFTER = 50
"""Entries are written after so many, or so long; those in memory are lost with the process."""
AGAIN_S = 60.0
"""Pages ask again when anything on them is touched; within this the same question is the same search."""
REMEMBERED = 1000
SHOWN = 20


@dataclass(frozen=True)
class Summary:
    """What was asked in a stretch of time."""

    asked: int
    unanswered: int
    median_ms: float | None
    questions: tuple[tuple[str, int], ...]
    """Questions without an answer, the frequent ones first, and how often; none where words are not kept."""
    opened: int
    """Answers that were opened, where that is kept."""
    median_place: float | None
    """Where they stood in the list, from 1."""


class SearchLog:
    """Questions and opened answers of one installation."""

    def __init__(
        self, database: Database, clock: Callable[[], float], *, keep_words: bool, keep_opened: bool
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_words = keep_words
        self.keep_opened = keep_opened
        self._lock = Lock()
        self._waiting: list[Searched] = []
        self._seen: dict[tuple[str, str, str], float] = {}

    def note(self, principal: Principal, question: str, mode: str, *, answered: bool, took_ms: float) -> None:
        """A question that was asked."""
        now = self._clock()
        with self._lock:
            key = (principal.owner, question, mode)
            again = now - self._seen.pop(key, 0.0) < AGAIN_S
            self._seen[key] = now
            while len(self._seen) > REMEMBERED:
                self._seen.pop(next(iter(self._seen)))
            if again:
                return
            words = question if self._keep_words and not answered else ""
            self._waiting.append(Searched(at=now, answered=answered, took_ms=took_ms, question=words))
            full = len(self._waiting) >= WRITE_AFTER or now - self._waiting[0].at >= WRITE_AFTER_S
        if full:
            try:
                self.write()
            except SQLAlchemyError:  # a search answers although nobody can count it
                logger.warning("what was searched could not be counted")

    def opened(self, question: str, recording_id: str, play_s: float, place: int) -> None:
        """An answer that somebody opened, from its place in the list (from 1); kept only where that is on."""
        if self.keep_opened:
            row = OpenedHit(
                at=self._clock(), question=question, recording_id=recording_id, play_s=play_s, place=place
            )
            with self._database.write() as session:
                session.add(row)

    def write(self) -> None:
        """Put on the disk what is in memory."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if waiting:
            with self._database.write() as session:
                session.add_all(waiting)

    def summary(self, period_s: float) -> Summary:
        """What was asked lately."""
        self.write()
        since = self._clock() - period_s
        unanswered = (Searched.at >= since) & ~Searched.answered
        times = func.count()
        frequent = (
            select(Searched.question, times)
            .where(unanswered, Searched.question != "")
            .group_by(Searched.question)
            .order_by(times.desc(), Searched.question)
            .limit(SHOWN)
        )
        with self._database.read() as session:
            took = session.scalars(select(Searched.took_ms).where(Searched.at >= since)).all()
            places = session.scalars(select(OpenedHit.place).where(OpenedHit.at >= since)).all()
            return Summary(
                len(took),
                session.scalar(select(func.count()).select_from(Searched).where(unanswered)) or 0,
                _median(took),
                tuple((question, number) for question, number in session.execute(frequent)),
                len(places),
                _median(places),
            )

    def forget(self) -> None:
        """Drop what is older than it is kept."""
        before = self._clock() - KEPT_S
        with self._database.write() as session:
            session.execute(delete(Searched).where(Searched.at < before))
            session.execute(delete(OpenedHit).where(OpenedHit.at < before))


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
