"""Links to one recording or one kept moment: for whoever has one, until a day, or until it is taken back.

A link is `<8 id>.<43 secret>`; only a digest of it is kept. It opens nothing but what it was made for, as
long as whoever made it may see that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from core.audit import about, audited
from core.clients.rate_limits import Limit
from core.database.database import Database
from core.database.owned import Right, get_owned, visible_to
from core.database.states import AuditAction, AuditSubject
from core.database.tables import KeptMoment, Recording, ShareLink
from core.errors import BadRequest, Code, NotFound, SignInNeeded
from core.principal import LINK, Principal

DAYS = 30
MOST_DAYS = 3650
DAY_S = 24 * 3600.0
WRONG_PER_MIN = 30
"""Of one address; a secret has 256 random bits."""


@dataclass(frozen=True)
class MadeLink:
    """A link that was just made; its address cannot be shown again."""

    row: ShareLink
    address: str
    """Below the address of these pages."""


class Links:
    """What people gave out, and what it opens."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        acting: Callable[[str], Principal | None],
        *,
        public: bool,
    ) -> None:
        self._database = database
        self._now = clock
        self._acting = acting
        self.public = public
        """Whether they are good for whoever has not signed in."""
        self._wrong = Limit(WRONG_PER_MIN)

    @audited(AuditAction.ADDED, AuditSubject.LINK)
    def make(
        self, principal: Principal, *, recording_id: str = "", moment_id: str = "", days: float = DAYS
    ) -> MadeLink:
        """A link to a recording, or to a moment of theirs and no more of its recording.

        Raises NotFound, ReadOnly for others than the owner of the recording and admins, BadRequest.
        """
        if not 0 < days <= MOST_DAYS:
            raise BadRequest(Code.LINK_DAYS, most=MOST_DAYS)
        secret, now = secrets.token_urlsafe(32), self._now()
        with self._database.write() as session:
            if moment_id:
                recording_id = get_owned(session, KeptMoment, principal, moment_id).recording_id
            recording = get_owned(session, Recording, principal, recording_id, right=Right.OWN)
            row = ShareLink(
                id=secrets.token_hex(4),
                digest=_digest(secret),
                owner=principal.owner if principal.is_person else recording.owner,
                recording_id=recording_id,
                moment_id=moment_id,
                created_at=now,
                expires_at=now + days * DAY_S,
            )
            session.add(row)
            about(row)
        return MadeLink(row, f"/shared?link={row.id}.{secret}")

    def all(self, principal: Principal, recording_id: str = "") -> list[ShareLink]:
        """Links they made, of admins all, newest first, that are good still; of one recording or of all."""
        found = select(ShareLink).join(Recording, Recording.id == ShareLink.recording_id)
        found = found.where(ShareLink.revoked_at.is_(None), ShareLink.expires_at > self._now())
        if recording_id:
            found = found.where(ShareLink.recording_id == recording_id)
        if not principal.admin:
            found = found.where(ShareLink.owner == principal.owner)
        found = visible_to(found, principal, Recording)
        with self._database.read() as session:
            return list(session.scalars(found.order_by(ShareLink.created_at.desc(), ShareLink.id)))

    @audited(AuditAction.DELETED, AuditSubject.LINK, "link_id")
    def revoke(self, principal: Principal, link_id: str) -> None:
        """It opens nothing from now on. Raises NotFound, ReadOnly."""
        with self._database.write() as session:
            row = session.get(ShareLink, link_id)
            if row is None or not (principal.admin or row.owner == principal.owner):
                raise NotFound
            principal.must_write()
            row.revoked_at = row.revoked_at or self._now()

    def open(self, token: str, visitor: Principal | None, address: str) -> Principal:
        """As whom somebody with a link sees what it is for, and nothing else.

        `visitor` has signed in; None: nobody has. `address` is where they come from. Raises NotFound for what
        is no link, or no more; SignInNeeded, TooMany.
        """
        if visitor is None and not self.public:
            raise SignInNeeded
        id_, _, secret = token.partition(".")
        with self._database.read() as session:
            row = session.get(ShareLink, id_)
        digest = row.digest if row else _digest("nobody")
        if not hmac.compare_digest(digest, _digest(secret)) or row is None or not self._is_good(row):
            self._wrong.take(address)
            raise NotFound(Code.LINK_OVER)
        return self._reader(row, visitor.session if visitor else "")

    def acting(self, owner: str) -> Principal | None:
        """As whom the player of somebody with a link acts; None once the link is over."""
        with self._database.read() as session:
            row = session.get(ShareLink, owner.removeprefix(LINK))
        return self._reader(row, "") if row and self._is_good(row) else None

    def _reader(self, row: ShareLink, session: str) -> Principal:
        only = "" if row.moment_id else row.recording_id
        return Principal(LINK + row.id, read_only=True, session=session, only=only, moment=row.moment_id)

    def _is_good(self, row: ShareLink) -> bool:
        """Whether it is neither over nor taken back, and whoever made it may see what it opens."""
        if row.revoked_at is not None or row.expires_at <= self._now():
            return False
        maker = self._acting(row.owner)
        if maker is None:
            return False
        known = visible_to(select(Recording.id).where(Recording.id == row.recording_id), maker, Recording)
        with self._database.read() as session:
            there = session.scalar(known) is not None
            return there and (not row.moment_id or session.get(KeptMoment, row.moment_id) is not None)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
