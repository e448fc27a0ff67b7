"""With whom a recording is shared: everybody here, people by name, groups; to read, or to change it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right, get_owned
from core.database.states import Access, AuditAction, AuditSubject, ShareKind
from core.database.tables import Person, Recording, Share
from core.errors import BadRequest, Code, NotFound
from core.principal import PAGES, Principal
from core.storage.blobs import clean_text

MOST = 100
"""People, or groups, of one recording."""


@dataclass(frozen=True)
class Sharing:
    """Who may do what with a recording, besides its owner and the admins."""

    everybody: Access = Access.NONE
    people: Mapping[str, Access] = field(default_factory=dict)
    """By the names under which they sign in."""
    groups: Mapping[str, Access] = field(default_factory=dict)
    """By their names, in small letters."""


@dataclass(frozen=True)
class SharingView:
    """How a recording is shared now."""

    owner: str
    """By name; empty where it came before anybody signed in, or by a program's key."""
    sharing: Sharing
    can_change: bool


class RecordingSharing:
    """What a principal may know and say of who else sees a recording."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def view(self, principal: Principal, recording_id: str) -> SharingView:
        """How it is shared, for all who may see it. Raises NotFound."""
        with self._database.read() as session:
            row = get_owned(session, Recording, principal, recording_id)
            shares = list(session.scalars(select(Share).where(Share.recording_id == recording_id)))
            owners = {row.owner, *(share.who for share in shares)}
            named = select(Person.id, Person.name).where(Person.id.in_(owners))
            names = {row[0]: row[1] for row in session.execute(named)}
        people = {
            names[share.who]: share.access
            for share in shares
            if share.kind is ShareKind.PERSON and share.who in names
        }
        groups = {share.who: share.access for share in shares if share.kind is ShareKind.GROUP}
        sharing = Sharing(row.everybody, dict(sorted(people.items())), dict(sorted(groups.items())))
        return SharingView(names.get(row.owner, ""), sharing, _may_share(principal, row))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def change(self, principal: Principal, recording_id: str, sharing: Sharing) -> None:
        """It is shared exactly so. Who comes last wins, whole.

        Raises NotFound, ReadOnly for others than its owner and admins, BadRequest for somebody unknown.
        """
        with self._database.write() as session:
            self._database.advisory_lock(session, f"sharing {recording_id}")
            row = get_owned(session, Recording, principal, recording_id, right=Right.OWN)
            if not _may_share(principal, row):
                principal.must_administer()
            named = _shares(session, recording_id, sharing)
            row.everybody = sharing.everybody
            session.execute(delete(Share).where(Share.recording_id == recording_id))
            session.add_all(named)

    def change_all(self, principal: Principal, recording_ids: Iterable[str], sharing: Sharing) -> int:
        """The same for several; how many. Those that are gone are left out."""
        done = 0
        for recording_id in dict.fromkeys(recording_ids):
            try:
                self.change(principal, recording_id, sharing)
            except NotFound:
                continue
            done += 1
        return done


def _may_share(principal: Principal, row: Recording) -> bool:
    """What nobody owns alone only admins take away from others."""
    own = row.owner == principal.owner and row.owner != PAGES
    return not principal.read_only and (principal.admin or own)


def _shares(session: Session, recording_id: str, sharing: Sharing) -> list[Share]:
    """The rows of people and groups. Raises BadRequest."""
    if max(len(sharing.people), len(sharing.groups)) > MOST:
        raise BadRequest(Code.SHARED_WITH_TOO_MANY, most=MOST)
    wanted = {name.strip().casefold(): access for name, access in sharing.people.items()}
    rows = session.execute(select(Person.id, Person.name)).all()
    known = [(id_, name.casefold()) for id_, name in rows if name.casefold() in wanted]
    for name in wanted.keys() - {name for _, name in known}:
        raise BadRequest(Code.PERSON_UNKNOWN, name=clean_text(name)[:MOST])
    entries = {(ShareKind.PERSON, id_): wanted[name] for id_, name in known}
    for name, access in sharing.groups.items():
        if group := clean_text(name).casefold():
            entries[ShareKind.GROUP, group] = access
    return [
        Share(recording_id=recording_id, kind=kind, who=who, access=access)
        for (kind, who), access in entries.items()
        if access is not Access.NONE
    ]


__all__ = ["Access", "RecordingSharing", "Sharing", "SharingView"]
