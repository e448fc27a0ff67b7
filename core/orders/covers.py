"""Pictures for recordings: asked for by prompts, made elsewhere, kept in the object store.

A picture costs a cent, so one whose order was lost is simply ordered again, and both are booked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.billing.ledger import Call, Ledger
from core.database.database import Database
from core.database.states import OrderFate, OrderState, PriceMode
from core.database.tables import Cover, Recording, new_id
from core.errors import (
    BadRequest,
    Code,
    NotFound,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    Rejected,
    StenogramError,
)
from core.orders.breakers import Breakers
from core.orders.pictures import Made, PictureOptions, Pictures
from core.queue.jobs import as_json, changed
from core.storage.object_store import ObjectStore

PROVIDER = "runpod-images"
LIVE = (OrderState.PLANNED, OrderState.SUBMITTING, OrderState.SUBMITTED)
BREAKS = 3
AGAIN_S = 60.0
"""A picture that failed is ordered again so often, after this pause."""
POLL_S = 3.0
LOST_S = 120.0
"""An order that has been on its way for so long has lost its process."""
TYPICAL_S = 60
"""GPU seconds that are promised to a picture."""
MOST_PROMPTS = 20


@dataclass(frozen=True)
class Series:
    """Pictures that were asked for together."""

    total: int
    successful: int
    failed: int

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.successful + self.failed == self.total


PictureNotifier = Callable[[str], None]
"""Wakes a worker for a picture (its id). May lose it: the periodic task finds it."""


def notify_nobody(_cover_id: str) -> None:
    """Wake nobody: the periodic task looks, some seconds later."""


class Covers:
    """The pictures of this installation."""

    def __init__(
        self,
        database: Database,
        storage: ObjectStore,
        pictures: Pictures,
        ledger: Ledger,
        breakers: Breakers,
        clock: Callable[[], float],
        notifier: PictureNotifier,
    ) -> None:
        self._database = database
        self._storage = storage
        self.pictures = pictures
        self._ledger = ledger
        self._breakers = breakers
        self.now = clock
        self.notifier = notifier

    def ask(self, recording_id: str, prompts: Sequence[str], options: PictureOptions) -> str:
        """Ask for a picture a prompt; the id of the series. Raise BadRequest, or Rejected if not ready."""
        wishes = [replace(options, prompt=prompt.strip()).checked() for prompt in prompts if prompt.strip()]
        if not 1 <= len(wishes) <= MOST_PROMPTS:
            raise BadRequest(Code.PICTURE_COUNT, most=MOST_PROMPTS)
        readiness = self.pictures.readiness()
        if not readiness.ready:
            raise Rejected(Code.PROVIDER_NOT_READY, reason=readiness.reason)
        series = new_id()
        rows = [Cover(recording_id=recording_id, series=series, options=one.as_json()) for one in wishes]
        with self._database.write() as session:
            session.add_all(rows)
        for row in rows:
            self.notifier(row.id)
        return series

    def tick(self) -> None:
        """Bring every picture forward that is due."""
        due = select(Cover.id).where(Cover.state.in_(LIVE), Cover.next_at <= self.now())
        with self._database.read() as session:
            found = list(session.scalars(due.order_by(Cover.created_at)))
        for cover_id in found:
            self.step(cover_id)

    def step(self, cover_id: str) -> None:
        """Bring one picture forward. Trouble with the provider only makes it wait."""
        with self._database.read() as session:
            cover = session.get(Cover, cover_id)
        if cover is None or cover.state not in LIVE or cover.next_at > self.now():
            return
        try:
            self._step(cover)
        except (ProviderBusy, ProviderRefused) as error:
            wait_s = getattr(error, "retry_after_s", None) or AGAIN_S
            self._move(cover, cover.state, next_at=self.now() + wait_s, error=as_json(error))

    def _step(self, cover: Cover) -> None:
        match cover.state:
            case "planned":
                self._submit(cover)
            case "submitting":
                self._broken(cover, Made(OrderFate.BROKEN, reason="its order was lost"))
            case _:
                self._poll(cover)

    def _submit(self, cover: Cover) -> None:
        if not self._intend(cover):
            return
        try:
            with self._breakers.around(PROVIDER, self.pictures.http):
                remote_id = self.pictures.submit(PictureOptions(**cover.options))
        except OutcomeUnknown as error:
            self._broken(cover, Made(OrderFate.BROKEN, reason=str(error.facts["detail"])))
        except Rejected as error:
            self._fail(cover, error)
        except StenogramError as error:
            wait_s = getattr(error, "retry_after_s", None) or AGAIN_S
            with self._database.write() as session:
                self._ledger.release(session, _call_id(cover))
                later = {"state": OrderState.PLANNED, "error": as_json(error), "next_at": self.now() + wait_s}
                session.execute(_as_known(cover).values(later))
        else:
            now = self.now()
            self._move(
                cover, OrderState.SUBMITTED, remote_id=remote_id, submitted_at=now, next_at=now + POLL_S
            )

    def _intend(self, cover: Cover) -> bool:
        """Commit that it is about to be ordered, with its money. Raise CapReached."""
        with self._database.write() as session:
            recording = session.get(Recording, cover.recording_id)
            if recording is None:
                return False  # deleted meanwhile, and the picture with it
            next_at = self.now() + LOST_S
            if not changed(session, _as_known(cover).values(state=OrderState.SUBMITTING, next_at=next_at)):
                return False
            paid = {(recording.id, recording.owner): TYPICAL_S}
            call = Call("runpod", self.pictures.gpu, PriceMode.SYNC, paid)
            self._ledger.reserve(session, call, _call_id(cover))
        cover.state = OrderState.SUBMITTING
        return True

    def _poll(self, cover: Cover) -> None:
        with self._breakers.around(PROVIDER, self.pictures.http):
            made = self.pictures.poll(cover.remote_id or "")
            late = self.now() > (cover.submitted_at or 0.0) + self.pictures.timeout_s
            if late and made.fate in (OrderFate.WAITING, OrderFate.WORKING):
                self.pictures.cancel(cover.remote_id or "")
                made = Made(OrderFate.BROKEN, reason=f"it was not ready in {self.pictures.timeout_s:g} s")
        match made.fate:
            case OrderFate.DONE:
                self._keep(cover, made)
            case OrderFate.WAITING | OrderFate.WORKING:
                self._move(cover, OrderState.SUBMITTED, next_at=self.now() + POLL_S)
            case _:
                self._broken(cover, made)

    def _keep(self, cover: Cover, made: Made) -> None:
        """First the picture, then the word that it is there."""
        name = f"covers/{cover.recording_id}/{cover.id}"
        self._storage.put(name, made.picture)
        done = {"state": OrderState.DONE, "object": name, "finished_at": self.now(), "error": None}
        with self._database.write() as session:
            if changed(session, _as_known(cover).values(done)):
                self._settle(session, cover, made)

    def _broken(self, cover: Cover, made: Made) -> None:
        error = Rejected(Code.PICTURE_FAILED, reason=made.reason)
        if cover.breaks + 1 >= BREAKS:
            self._fail(cover, error)
            return
        again = {"state": OrderState.PLANNED, "breaks": cover.breaks + 1, "next_at": self.now() + AGAIN_S}
        with self._database.write() as session:
            if changed(session, _as_known(cover).values({**again, "error": as_json(error)})):
                self._settle(session, cover, made)

    def _fail(self, cover: Cover, error: Rejected) -> None:
        ended = {"state": OrderState.FAILED, "finished_at": self.now(), "error": as_json(error)}
        with self._database.write() as session:
            if changed(session, _as_known(cover).values(ended)):
                self._ledger.dispute(session, _call_id(cover))

    def _settle(self, session: Session, cover: Cover, made: Made) -> None:
        """The GPU's seconds if they were told, else what was promised stays booked."""
        if made.gpu_s is None:
            self._ledger.dispute(session, _call_id(cover))
        else:
            self._ledger.settle(session, _call_id(cover), {cover.recording_id: made.gpu_s})

    def _move(self, cover: Cover, to: OrderState, **values: object) -> None:
        with self._database.write() as session:
            session.execute(_as_known(cover).values(state=to, **values))

    # Views

    def of(self, recording_id: str) -> list[Cover]:
        """All pictures of a recording, the newest first."""
        mine = select(Cover).where(Cover.recording_id == recording_id).order_by(Cover.created_at.desc())
        with self._database.read() as session:
            return list(session.scalars(mine))

    def series(self, series: str) -> Series:
        """How far the pictures are that were asked for together."""
        with self._database.read() as session:
            states = list(session.scalars(select(Cover.state).where(Cover.series == series)))
        return Series(len(states), states.count(OrderState.DONE), states.count(OrderState.FAILED))

    def picture(self, recording_id: str) -> bytes | None:
        """The newest finished picture of a recording, or None."""
        for cover in sorted(self.of(recording_id), key=lambda one: -(one.finished_at or 0.0)):
            if cover.state == OrderState.DONE and cover.object:
                try:
                    return self._storage.get(cover.object)
                except NotFound:
                    continue
        return None

    def remove(self, recording_id: str, cover_id: str) -> None:
        """Forget one picture."""
        with self._database.write() as session:
            cover = session.get(Cover, cover_id)
            if cover is None or cover.recording_id != recording_id:
                raise NotFound
            session.execute(delete(Cover).where(Cover.id == cover_id))
        if cover.object:
            self._storage.remove(cover.object)


def _as_known(cover: Cover):  # type: ignore[no-untyped-def]  # sqlalchemy's Update is generic over nothing useful
    return update(Cover).where(Cover.id == cover.id, Cover.state == cover.state, Cover.breaks == cover.breaks)


def _call_id(cover: Cover) -> str:
    """Each order is paid for on its own."""
    return f"{cover.id}/{cover.breaks}"
