"""One process of all machines at a time: a row that its holder renews and that is free once it has run out.

Times are those of the database. A holder that stood still for longer than its lease is fenced off at the
end: what it did then counts as not done, and is done again.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import or_, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.database.database import Database
from core.database.tables import Lease
from core.database.upsert import insert_if_absent
from core.errors import Busy, Code
from core.queue.jobs import changed

LEASE_S = 20.0
"""After so long without a word its holder is gone."""
RENEW_S = 5.0
WAIT_S = 30.0
"""So long somebody waits for their turn, before it is put off."""
FIRST_LOOK_S, LAST_LOOK_S = 0.02, 0.5
"""Pauses between looks whether it is free; each is half as long again as the one before."""


class ExclusiveLease:
    """What has this name is done by one process at a time."""

    def __init__(self, database: Database, name: str, code: Code, *, wait_s: float = WAIT_S) -> None:
        """`code` says to whoever waited in vain, or lost the lease, what is busy."""
        self._database = database
        self._name = name
        self._code = code
        self._wait_s = wait_s
        self._holder = f"{socket.gethostname()}/{os.getpid()}"
        with database.write() as session:
            insert_if_absent(session, Lease(name=name, holder="", epoch=0, until=0.0))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it within the block. Raise Busy after `wait_s`, or at the end if it was lost."""
        epoch, ended = self._acquire(), threading.Event()
        renewing = threading.Thread(target=self._renew_until, args=(ended, epoch), daemon=True)
        renewing.start()
        try:
            yield
        except BaseException:  # a stop, too, must not leave it held until it runs out
            ended.set()
            with suppress(OperationalError, PoolTimeoutError):  # it runs out by itself
                self._release(epoch)
            raise
        ended.set()
        if not self._release(epoch):
            raise Busy(self._code)

    def _acquire(self) -> int:
        until, pause_s = time.monotonic() + self._wait_s, FIRST_LOOK_S
        while (epoch := self._take()) is None:
            if time.monotonic() >= until:
                raise Busy(self._code)
            time.sleep(pause_s)
            pause_s = min(LAST_LOOK_S, 1.5 * pause_s)
        return epoch

    def _take(self) -> int | None:
        """Its new epoch, or None while somebody else holds it."""
        now = self._database.now()
        free = update(Lease).where(Lease.name == self._name, or_(Lease.holder == "", Lease.until < now))
        mine = {"holder": self._holder, "epoch": Lease.epoch + 1, "until": now + LEASE_S}
        with self._database.write() as session:
            if not changed(session, free.values(mine)):
                return None
            return session.get_one(Lease, self._name).epoch

    def _renew_until(self, ended: threading.Event, epoch: int) -> None:
        while not ended.wait(RENEW_S):
            with suppress(OperationalError, PoolTimeoutError):  # if it lasts, the end will tell
                self._write(epoch, until=self._database.now() + LEASE_S)

    def _release(self, epoch: int) -> bool:
        """Whether it was still ours."""
        return self._write(epoch, holder="")

    def _write(self, epoch: int, **values: object) -> bool:
        held = update(Lease).where(Lease.name == self._name, Lease.epoch == epoch, Lease.holder != "")
        with self._database.write() as session:
            return changed(session, held.values(values))
