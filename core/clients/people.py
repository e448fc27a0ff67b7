"""People who sign in: who they are here, which role they have, and their sessions, which end.

Who somebody is was proved before: by an OpenID provider, whose signed answer the pages have checked, or by
a proxy that is trusted. What they may do is said by the lists of the settings. A session is kept as a digest.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.audit import record, record_once
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Person, SignIn
from core.database.upsert import upsert
from core.errors import Code, NotInvited, SignInNeeded
from core.principal import EVERYONE, PAGES, PERSON, Principal, Role
from core.settings import Settings
from core.storage.blobs import clean_text

FRESH_S = 2.0
"""A session that was open so lately is not looked up again; so long its end may take in another process."""
HOUR_S = 3600.0
NAME_CHARS = 200
SESSION_LETTERS = 12
OWNER_LETTERS = 24
SEEN_EVERY_S = HOUR_S
OURS = frozenset({"is_logged_in", "origin", "provider", "tokens"})
"""What Streamlit adds to the claims."""


@dataclass(frozen=True)
class Identity:
    """Whom somebody else has proved a visitor to be."""

    name: str
    """An address for mail where there is one, else what the prover calls them."""
    groups: tuple[str, ...] = ()
    session: str = ""
    """Digest of what the provider signed; empty where a proxy keeps the session."""
    signed_in_at: float = 0.0
    """Unix seconds, by the provider."""
    subject: str = ""
    """What stays theirs whatever they are called: their number at the provider; empty: their name does."""
    issuer: str = ""

    @property
    def owner(self) -> str:
        """The owner that they are here."""
        proved = f"{self.issuer}\n{self.subject or self.name.casefold()}"
        return PERSON + hashlib.sha256(proved.encode()).hexdigest()[:OWNER_LETTERS]


def of_claims(claims: Mapping[str, Any], settings: Settings) -> Identity | None:
    """The identity that a provider's token states; None if it states none, or was made for somebody else.

    An address that the provider says it has not verified is nobody's.
    """
    audience = claims.get("aud") or ()
    if settings.oidc_client_id not in ((audience,) if isinstance(audience, str) else audience):
        return None
    address = "" if claims.get("email_verified") is False else str(claims.get("email") or "")
    name = _name(address) or _name(str(claims.get("sub") or ""))
    if not name:
        return None
    groups = claims.get(settings.oidc_groups_claim) or ()
    groups = (groups,) if isinstance(groups, str) else tuple(str(group) for group in groups)
    stated = {name: value for name, value in claims.items() if name not in OURS}
    digest = hashlib.sha256(json.dumps(stated, sort_keys=True, default=str).encode()).hexdigest()
    return Identity(
        name,
        groups,
        digest,
        float(claims.get("iat") or 0.0),
        str(claims.get("sub") or ""),
        str(claims.get("iss") or ""),
    )


def of_headers(user: str, groups: str) -> Identity | None:
    """The identity that a trusted proxy states in its headers; groups are split by commas."""
    name = _name(user)
    return Identity(name, tuple(part.strip() for part in groups.split(",") if part.strip())) if name else None


def role(identity: Identity, settings: Settings) -> Role | None:
    """What the lists of the settings make of somebody: the most that any of them says; None for no list."""
    lists = {
        Role.ADMIN: settings.oidc_admins,
        Role.MEMBER: settings.oidc_members,
        Role.READER: settings.oidc_readers,
    }
    return next((role for role, listed in lists.items() if _is_listed(identity, listed)), None)


class People:
    """Who the visitor of a page is to the rest of this tool."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._open: dict[str, float] = {}
        self._noted: dict[str, tuple[Identity, float]] = {}

    def principal(self, identity: Identity | None) -> Principal:
        """As whom somebody acts. Raises SignInNeeded, or NotInvited for who is on no list."""
        if not self._settings.requires_sign_in:
            return replace(EVERYONE, read_only=self._settings.pages_read_only)
        if identity is None:
            raise SignInNeeded
        found = role(identity, self._settings)
        if found is None:
            stranger = Principal(PAGES, name=identity.name)
            refused = AuditAction.REFUSED, AuditSubject.SESSION, "", Code.NOT_INVITED.value
            record_once(self._database, stranger, *refused)
            raise NotInvited(name=identity.name)
        self._must_be_open(identity)
        self._note(identity)
        return self._principal(identity, found)

    def acting(self, owner: str) -> Principal | None:
        """As whom somebody acts who is not here: a key of theirs, a search they keep, a page that is open.

        By the groups of their last sign-in, and the lists of today; None for who is on none any more.
        """
        if owner == PAGES and not self._settings.requires_sign_in:
            return EVERYONE
        if not owner.startswith(PERSON):
            return Principal(owner)
        with self._database.read() as session:
            row = session.get(Person, owner)
        if row is None:
            return None
        identity = Identity(row.name, tuple(row.groups))
        found = role(identity, self._settings) if self._settings.requires_sign_in else None
        return replace(self._principal(identity, found), owner=owner) if found else None

    def known(self, principal: Principal) -> dict[str, str]:
        """Names of all who have signed in, by the owner that they are; for people alone."""
        if not principal.is_person:
            return {}
        with self._database.read() as session:
            rows = session.execute(select(Person.id, Person.name).order_by(Person.name))
            return {row[0]: row[1] for row in rows}

    def _principal(self, identity: Identity, found: Role) -> Principal:
        return Principal(
            identity.owner,
            admin=found is Role.ADMIN,
            read_only=found is Role.READER or self._settings.pages_read_only,
            name=identity.name,
            session=identity.session,
            groups=tuple(group.casefold() for group in identity.groups),
        )

    def _note(self, identity: Identity) -> None:
        """Keep how they are called and their groups, as they are now."""
        now = self._clock()
        same = replace(identity, session="", signed_in_at=0.0)
        known, seen_at = self._noted.get(identity.owner, (None, 0.0))
        if known == same and now - seen_at < SEEN_EVERY_S:
            return
        with self._database.write() as session:
            row = Person(id=identity.owner, name=identity.name, groups=list(identity.groups), seen_at=now)
            upsert(session, row)
        self._noted[identity.owner] = (same, now)

    def ends_in_s(self, identity: Identity) -> float | None:
        """How long this session may still last; None where a proxy keeps it."""
        if not identity.session:
            return None
        return identity.signed_in_at + self._settings.sign_in_h * HOUR_S - self._clock()

    def is_open(self, session: str) -> bool:
        """Whether somebody is signed in by this session still, as far as it was ended by hand."""
        if self._monotonic() < self._open.get(session, 0.0):
            return True
        with self._database.read() as read:
            row = read.get(SignIn, session)
        if row is None or row.ended_at is not None:
            return False
        self._open[session] = self._monotonic() + FRESH_S
        return True

    def end(self, session: str) -> None:
        """Sign somebody out: what was given out for this session is good for nothing from now on."""
        self._open.pop(session, None)
        with self._database.write() as write:
            row = write.get(SignIn, session)
            if row is not None and row.ended_at is None:
                row.ended_at = self._clock()
                _record(write, AuditAction.SIGNED_OUT, row)

    def _must_be_open(self, identity: Identity) -> None:
        left_s = self.ends_in_s(identity)
        if left_s is None:
            return
        if left_s <= 0:
            raise SignInNeeded
        if not self.is_open(identity.session) and not self._begin(identity):
            raise SignInNeeded

    def _begin(self, identity: Identity) -> bool:
        """Note a session that comes for the first time; False for one that was ended."""
        with self._database.write() as write:
            known = write.get(SignIn, identity.session)
            if known is not None:  # another tab was faster, or it is over
                return known.ended_at is None
            row = SignIn(id=identity.session, name=identity.name, began_at=self._clock())
            write.add(row)
            _record(write, AuditAction.SIGNED_IN, row)
        return True


def _record(session: Session, action: AuditAction, row: SignIn) -> None:
    """The session is named by the beginning of its digest, which opens nothing."""
    person = Principal(PAGES, name=row.name)
    record(session, person, action, AuditSubject.SESSION, row.id[:SESSION_LETTERS], f"people.{action}")


def _name(text: str) -> str:
    """A name that looks like what it is; "" for one with hidden letters, which could pass for another."""
    name = text.strip()
    return name if name == clean_text(name) and len(name) <= NAME_CHARS else ""


def _is_listed(identity: Identity, listed: str) -> bool:
    entries = [part.strip().casefold() for part in listed.split(",") if part.strip()]
    groups = {group.casefold() for group in identity.groups if not group.startswith("*")}
    return any(entry in groups or _fits(identity.name.casefold(), entry) for entry in entries)


def _fits(name: str, entry: str) -> bool:
    """Whether a name is this entry: itself, `*@example.com` for all addresses there, `*` for everybody."""
    if entry == "*":
        return True
    return name.endswith(entry[1:]) if entry.startswith("*@") else name == entry
