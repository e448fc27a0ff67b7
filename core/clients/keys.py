"""Who is asking: API keys, made once, shown once, kept only as digests.

A key is `gam_<8 id>_<43 secret>_<8 check>`: the id finds it, the check catches typos before the
database is asked. The digest is HMAC-SHA256 with a pepper; a fast hash is right for 256 random bits.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.audit import about, audited
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Key
from core.errors import NotFound
from core.principal import EVERYONE, PERSON, SYSTEM, Door, Principal
from core.storage.blobs import clean_text

FORM = re.compile(r"gam_([0-9a-f]{8})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})")


VISITOR = re.compile(r"[0-9a-f]{1,64}")
USED_EVERY_S = 60.0
TRUSTED_S = 2.0
"""A key that was good so lately is not looked up again; so long another process's revocation may take."""
TICKET_S = 12 * 3600
BOARD = "board"
DAY_S = 24 * 3600.0
OVERLAP_S = DAY_S
"""So long a key that was renewed is good beside the new one: programs change over without a gap."""


class Keys:
    """The keys of this installation."""

    def __init__(
        self,
        database: Database,
        pepper: str = "",
        clock: Callable[[], float] = time.monotonic,
        is_open: Callable[[str], bool] = lambda _session: False,
        acting: Callable[[str], Principal | None] = Principal,
    ) -> None:
        self._is_open = is_open
        self._acting = acting
        self._database = database
        self._now = clock
        self._trusted: dict[str, tuple[Principal, float]] = {}
        self._pepper = (pepper or database.set_if_absent("key_pepper", secrets.token_hex(32))).encode()

    @audited(AuditAction.ADDED, AuditSubject.KEY)
    def make(
        self,
        principal: Principal,
        name: str,
        *,
        admin: bool = False,
        read_only: bool = False,
        days: float | None = None,
        language: str = "en",
        own: bool = False,
    ) -> str:
        """A new key, in full; it cannot be shown again.

        `read_only` changes nothing of what it sees; after `days` it is refused. `own`: of a person
        who makes it, opens what is theirs, and ends with their role; others are programs' with things of
        their own, which only admins make. Raises AdminsOnly, ReadOnly.
        """
        own = own and principal.owner.startswith(PERSON)
        if own and not admin:
            principal.must_write()
        else:
            principal.must_administer()
        key, id_ = _new()
        row = Key(
            id=id_,
            owner=principal.owner if own else id_,
            name=clean_text(name),
            digest=self._digest(key),
            admin=admin,
            read_only=read_only,
            language=language,
            expires_at=None if days is None else time.time() + days * DAY_S,
        )
        with self._database.write() as session:
            session.add(row)
            about(row)
        return key

    @audited(AuditAction.CHANGED, AuditSubject.KEY, "id_")
    def rotate(self, principal: Principal, id_: str) -> str:
        """A new key in the place of this one, which is good for OVERLAP_S still. Raises ReadOnly, NotFound.

        It may do the same with the same things, and lasts as long as the old one was made for.
        """
        key, new_id = _new()
        now = time.time()
        with self._database.write() as session:
            old = _own(session, principal, id_)
            if not is_good(old):
                raise NotFound
            session.add(
                Key(
                    id=new_id,
                    owner=old.owner,
                    name=old.name,
                    digest=self._digest(key),
                    admin=old.admin,
                    read_only=old.read_only,
                    language=old.language,
                    created_at=now,
                    expires_at=old.expires_at and now + old.expires_at - old.created_at,
                )
            )
            old.expires_at = min(old.expires_at or now + OVERLAP_S, now + OVERLAP_S)
        return key

    def make_first(self) -> str | None:
        """The admin key of a fresh installation, or None if there are keys already."""
        return None if self.all(SYSTEM) else self.make(SYSTEM, "admin", admin=True)

    def check(self, key: str) -> Principal | None:
        """Whose key this is; None if it is wrong, unknown, revoked or over."""
        form = FORM.fullmatch(key)
        if form is None or not hmac.compare_digest(form[3], _check(form[1], form[2])):
            return None
        with self._database.read() as session:
            row = session.get(Key, form[1])
        digest = row.digest if row else self._digest("nobody")
        if not hmac.compare_digest(digest, self._digest(key)) or row is None or not is_good(row):
            return None
        owner = self._acting(row.owner) if row.owner.startswith(PERSON) else Principal(row.owner, admin=True)
        if owner is None:
            return None
        self._used(row)
        who = Principal(
            row.owner,
            row.admin and owner.admin,
            row.language,
            row.read_only or owner.read_only,
            row.name,
            groups=owner.groups,
            door=Door.API,
            key=row.id,
        )
        self._trusted[row.digest] = (who, self._now() + TRUSTED_S)
        return who

    def recall(self, key: str) -> Principal | None:
        """Whose key this is, if it was checked in the last two seconds; the database is not asked."""
        who, until = self._trusted.get(self._digest(key), (None, 0.0))
        return who if self._now() < until else None

    def all(self, principal: Principal) -> list[Key]:
        """Their keys, of admins all, newest first; revoked ones too."""
        found = select(Key).order_by(Key.created_at.desc())
        found = found if principal.admin else found.where(Key.owner == principal.owner)
        with self._database.read() as session:
            return list(session.scalars(found))

    @audited(AuditAction.DELETED, AuditSubject.KEY, "id_")
    def revoke(self, principal: Principal, id_: str) -> None:
        """Refuse this key from now on. Raises ReadOnly, NotFound."""
        with self._database.write() as session:
            row = _own(session, principal, id_)
            row.revoked_at = row.revoked_at or time.time()
        self._trusted.pop(row.digest, None)

    def language(self, owner: str) -> str:
        """What the owner of keys reads, by the newest."""
        newest = select(Key.language).where(Key.owner == owner).order_by(Key.created_at.desc())
        with self._database.read() as session:
            return session.scalars(newest.limit(1)).first() or "en"

    def derived(self, use: str) -> str:
        """A secret of this installation for one use: 256 bits in hexadecimal, the same after a restart."""
        return self._digest(f"derived|{use}")

    def secret(self, id_: str) -> str:
        """With which calls back to the owner of this key are signed. Known to them and to us."""
        return self._digest(f"callbacks|{id_}")

    def ticket(self, purpose: str, session: str = "") -> str:
        """Leave to read one thing for TICKET_S, or until a sign-in ends, for players that send no header."""
        until = f"{int(time.time() + TICKET_S)}" + (f".{session}" if session else "")
        return f"{until}-{self._digest(f'{purpose}|{until}')}"

    def admits(self, ticket: str, purpose: str) -> bool:
        """Whether this ticket is ours, for this thing, and still good."""
        head, _, digest = ticket.partition("-")
        if not hmac.compare_digest(digest.encode(), self._digest(f"{purpose}|{head}").encode()):
            return False
        until, _, session = head.partition(".")
        is_valid = until.isdecimal() and int(until) > time.time()
        return is_valid and (not session or self._is_open(session))

    def upload_ticket(self, principal: Principal, visitor: str) -> str:
        """Leave for one visit to the pages, by a number in hex, to upload; sent as `X-Upload-Ticket`.

        Raises ReadOnly.
        """
        principal.must_write()
        return self.personal_ticket(principal, f"upload by {visitor}", f"{visitor}.")

    def uploader(self, ticket: str) -> tuple[str, str] | None:
        """Owner and visit that a ticket for uploads is for; None if it is not ours or no longer good."""
        visitor, _, rest = ticket.partition(".")
        owner = self.bearer(rest, f"upload by {visitor}") if VISITOR.fullmatch(visitor) else None
        return (owner, visitor) if owner else None

    def board_ticket(self, principal: Principal) -> str:
        """Leave to see what runs and waits; sent as `X-Ticket`."""
        if principal.admin:
            return self.ticket(BOARD, principal.session)
        return self.personal_ticket(principal, BOARD)

    def board_viewer(self, ticket: str) -> Principal | None:
        """As whom somebody with such a ticket sees the board; None if it is not ours or no longer good."""
        if self.admits(ticket, BOARD):
            return EVERYONE
        principal = self._acting_by(ticket, BOARD)
        return replace(principal, admin=False) if principal else None

    def sound_ticket(self, principal: Principal, recording_id: str) -> str:
        """Leave to hear one recording, as long as they may see it."""
        return self.personal_ticket(principal, f"sound of {recording_id}")

    def listener(self, ticket: str, recording_id: str) -> Principal | None:
        """As whom somebody with such a ticket hears a recording; None if it is not ours or no longer good."""
        return self._acting_by(ticket, f"sound of {recording_id}")

    def _acting_by(self, ticket: str, purpose: str) -> Principal | None:
        owner = self.bearer(ticket, purpose)
        principal = self._acting(owner) if owner else None
        session = "".join(ticket.rpartition("-")[0].split(".")[2:])
        return replace(principal, session=session) if principal else None

    def personal_ticket(self, principal: Principal, purpose: str, head: str = "") -> str:
        """Leave for one owner to do one thing; it names them."""
        return f"{head}{principal.owner}.{self.ticket(f'{purpose} as {principal.owner}', principal.session)}"

    def bearer(self, ticket: str, purpose: str) -> str | None:
        """The owner whom a ticket for this was given to; None if it is not ours or no longer good."""
        owner, _, rest = ticket.partition(".")
        return owner if self.admits(rest, f"{purpose} as {owner}") else None

    def _used(self, row: Key) -> None:
        if time.time() - (row.last_used_at or 0) > USED_EVERY_S:
            with self._database.write() as session:
                session.get_one(Key, row.id).last_used_at = time.time()

    def _digest(self, key: str) -> str:
        return hmac.new(self._pepper, key.encode(), "sha256").hexdigest()


def _own(session: Session, principal: Principal, id_: str) -> Key:
    """A key of theirs, of admins any, to be changed. Raises NotFound, ReadOnly."""
    if not principal.owner.startswith(PERSON):
        principal.must_administer()
    row = session.get(Key, id_)
    if row is None or not (principal.admin or row.owner == principal.owner):
        raise NotFound
    principal.must_write()
    return row


def id_of(credential: str) -> str:
    """The id within what looks like one of our keys, whether it is one or not; else ""."""
    form = FORM.fullmatch(credential)
    return form[1] if form else ""


def is_good(key: Key) -> bool:
    """Whether a key is neither revoked nor over."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > time.time())


def _new() -> tuple[str, str]:
    """A key, and its id."""
    id_, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return f"gam_{id_}_{secret}_{_check(id_, secret)}", id_


def _check(id_: str, secret: str) -> str:
    return f"{zlib.crc32(f'{id_}_{secret}'.encode()):08x}"
