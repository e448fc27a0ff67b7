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

from sqlalchemy import select

from core.database.database import Database
from core.database.tables import Key
from core.errors import NotFound
from core.principal import Principal
from core.storage.blobs import clean_text

FORM = re.compile(r"gam_([0-9a-f]{8})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})")


UPLOAD = "upload"
"""What a page's ticket for uploads is for: `keys.ticket(UPLOAD)`, sent as `X-Upload-Ticket`."""
USED_EVERY_S = 60.0
TRUSTED_S = 2.0
"""A key that was good so lately is not looked up again; so long another process's revocation may take."""
TICKET_S = 12 * 3600


class Keys:
    """The keys of this installation."""

    def __init__(
        self, database: Database, pepper: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._now = clock
        self._trusted: dict[str, tuple[Principal, float]] = {}
        self._pepper = (pepper or database.set_if_absent("key_pepper", secrets.token_hex(32))).encode()

    def make(self, name: str, *, admin: bool = False, language: str = "en") -> str:
        """A new key, in full; it cannot be shown again."""
        id_, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        key = f"gam_{id_}_{secret}_{_check(id_, secret)}"
        row = Key(id=id_, name=clean_text(name), digest=self._digest(key), admin=admin, language=language)
        with self._database.write() as session:
            session.add(row)
        return key

    def make_first(self) -> str | None:
        """The admin key of a fresh installation, or None if there are keys already."""
        return None if self.all() else self.make("admin", admin=True)

    def check(self, key: str) -> Principal | None:
        """Whose key this is; None if it is wrong, unknown or revoked."""
        form = FORM.fullmatch(key)
        if form is None or not hmac.compare_digest(form[3], _check(form[1], form[2])):
            return None
        with self._database.read() as session:
            row = session.get(Key, form[1])
        digest = row.digest if row else self._digest("nobody")
        if not hmac.compare_digest(digest, self._digest(key)) or row is None or row.revoked_at:
            return None
        self._used(row)
        who = Principal(row.id, row.admin, row.language)
        self._trusted[row.digest] = (who, self._now() + TRUSTED_S)
        return who

    def recall(self, key: str) -> Principal | None:
        """Whose key this is, if it was checked in the last two seconds; the database is not asked."""
        who, until = self._trusted.get(self._digest(key), (None, 0.0))
        return who if self._now() < until else None

    def all(self) -> list[Key]:
        """All keys, newest first; revoked ones too."""
        with self._database.read() as session:
            return list(session.scalars(select(Key).order_by(Key.created_at.desc())))

    def revoke(self, id_: str) -> None:
        """Refuse this key from now on."""
        with self._database.write() as session:
            row = session.get(Key, id_)
            if row is None:
                raise NotFound
            row.revoked_at = row.revoked_at or time.time()
        self._trusted.pop(row.digest, None)

    def language(self, id_: str) -> str:
        """What the owner of this key reads."""
        with self._database.read() as session:
            row = session.get(Key, id_)
        return row.language if row else "en"

    def secret(self, id_: str) -> str:
        """With which calls back to the owner of this key are signed. Known to them and to us."""
        return self._digest(f"callbacks|{id_}")

    def ticket(self, what: str) -> str:
        """Leave to read one thing for TICKET_S, for players that can send no header."""
        until = f"{int(time.time() + TICKET_S)}"
        return f"{until}-{self._digest(f'{what}|{until}')}"

    def admits(self, ticket: str, what: str) -> bool:
        """Whether this ticket is ours, for this thing, and still good."""
        until, _, digest = ticket.partition("-")
        good = hmac.compare_digest(digest.encode(), self._digest(f"{what}|{until}").encode())
        return good and until.isdigit() and int(until) > time.time()

    def _used(self, row: Key) -> None:
        if time.time() - (row.last_used_at or 0) > USED_EVERY_S:
            with self._database.write() as session:
                session.get_one(Key, row.id).last_used_at = time.time()

    def _digest(self, key: str) -> str:
        return hmac.new(self._pepper, key.encode(), "sha256").hexdigest()


def _check(id_: str, secret: str) -> str:
    return f"{zlib.crc32(f'{id_}_{secret}'.encode()):08x}"
