"""Providers that fail are left alone for a while; those that refuse our key, until that may have changed.

The state is in SQL, so all workers know it. After the pause one call goes through: if it works, all
is well again, else the pause grows. A new key, or a successful test of the connection, ends a pause at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.tables import Breaker
from core.database.upsert import insert_if_absent
from core.errors import (
    Provider,
    ProviderBusy,
    ProviderRefused,
    ProviderResting,
    Rejected,
    StenogramError,
    code_of,
)
from core.queue.jobs import as_json, changed

FAILURES = 3
"""In a row, then the provider is left alone."""
PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
REFUSED_S = 300.0
"""Between two looks whether a refused key has become good."""
PROBE_S = 60.0
"""How long the one call may take that finds out; the others wait meanwhile."""


class ProviderAccount(Protocol):
    """What is known of a provider's account here: whose it is, and which key it uses."""

    provider: Provider
    setting: str

    @property
    def fingerprint(self) -> str:
        """Changes when the key does."""


class Breakers:
    """How every provider answered lately."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self.now = clock

    @contextmanager
    def around(self, name: str, account: ProviderAccount) -> Iterator[None]:
        """A call to a provider. Raise ProviderResting or ProviderRefused instead while it is left alone."""
        self._admit(name, account)
        try:
            yield
        except (ProviderRefused, ProviderBusy) as error:
            if _is_fault_of_provider(error, account):
                self._failed(name, error)
            raise
        except Rejected as error:
            if _is_fault_of_provider(error, account):
                self.record_success(name)  # it answered: what was asked is at fault
            raise
        self.record_success(name)

    def state(self, name: str) -> Breaker:
        """How a provider answered lately."""
        with self._database.read() as session:
            return session.get(Breaker, name) or Breaker(
                provider=name, fingerprint="", failures=0, refused=False, open_until=0.0
            )

    def record_success(self, name: str, latency_s: float | None = None, fingerprint: str = "") -> None:
        """A call was answered; `latency_s` and the key's fingerprint if it was a test of the connection."""
        state: dict[str, object] = {"failures": 0, "refused": False, "open_until": 0.0, "error": None}
        if latency_s is None:
            with self._database.read() as session:
                row = session.get(Breaker, name)
                if row is None or not (row.failures or row.refused or row.open_until):
                    return
        else:
            state |= {"tested_at": self.now(), "latency_s": latency_s, "fingerprint": fingerprint}
        with self._database.write() as session:
            self._row(session, name)
            session.execute(update(Breaker).where(Breaker.provider == name).values(state))

    def failed_test(self, name: str, error: StenogramError, fingerprint: str) -> None:
        """A test of the connection ended so."""
        if isinstance(error, ProviderRefused | ProviderBusy):
            self._failed(name, error)
        with self._database.write() as session:
            row = self._row(session, name)
            row.tested_at, row.latency_s, row.error = self.now(), None, as_json(error)
            row.fingerprint = fingerprint

    def _row(self, session: Session, name: str) -> Breaker:
        """The row of a provider, for this transaction alone: two failures at once are two."""
        insert_if_absent(session, Breaker(provider=name))
        return session.get_one(Breaker, name, with_for_update=True, populate_existing=True)

    def _admit(self, name: str, account: ProviderAccount) -> None:
        """Let a call through, or one alone after a pause."""
        row, now = self.state(name), self.now()
        if row.fingerprint != account.fingerprint:
            self._begin(name, account.fingerprint)
            return
        if not row.open_until:
            return
        if row.open_until <= now and self._probe(row, now):
            return
        left_s = max(1.0, self.state(name).open_until - now)
        if row.refused:
            raise ProviderRefused(account.provider, account.setting, code_of(row.error))
        detail = str(((row.error or {}).get("facts") or {}).get("detail", "it did not answer"))
        raise ProviderResting(account.provider, detail, left_s)

    def _begin(self, name: str, fingerprint: str) -> None:
        with self._database.write() as session:
            row = self._row(session, name)
            row.fingerprint, row.failures, row.refused = fingerprint, 0, False
            row.open_until, row.error = 0.0, None

    def _probe(self, row: Breaker, now: float) -> bool:
        statement = update(Breaker).where(
            Breaker.provider == row.provider, Breaker.open_until == row.open_until
        )
        with self._database.write() as session:
            return changed(session, statement.values(open_until=now + PROBE_S))

    def _failed(self, name: str, error: ProviderRefused | ProviderBusy) -> None:
        with self._database.write() as session:
            row = self._row(session, name)
            row.failures += 1
            row.error = as_json(error)
            row.refused = isinstance(error, ProviderRefused)
            row.open_until = self.now() + self._pause_s(row.failures, error)
            if row.open_until <= self.now():
                row.open_until = 0.0

    def _pause_s(self, failures: int, error: ProviderRefused | ProviderBusy) -> float:
        if isinstance(error, ProviderRefused):
            return REFUSED_S
        grown = PAUSE_S * 2.0 ** (failures - FAILURES) if failures >= FAILURES else 0.0
        return max(min(LONGEST_PAUSE_S, grown), error.retry_after_s or 0.0)


def _is_fault_of_provider(error: StenogramError, account: ProviderAccount) -> bool:
    """Whether this provider said so, and not our disk or the object store."""
    return error.provider is not None and error.provider.name == account.provider.name
