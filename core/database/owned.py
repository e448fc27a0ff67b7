"""The gate to what belongs to somebody: one rule says what a principal sees, one what they may change.

A recording is its owner's. Others have it where it is shared with everybody here, with them by name or with a
group of theirs; programs with a key of their own have nothing but their own. Everything else is its owner's
alone, or everybody's here. Admins have all. Who comes by a link has what that is for.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select
from sqlalchemy.orm import Session

from core.database.recycle_bin import WITH_BIN
from core.database.states import Access, ShareKind
from core.database.tables import (
    Collection,
    Destination,
    GlossaryEntry,
    KeptMoment,
    Recording,
    Resumable,
    SavedSearch,
    Share,
    Source,
    SourceItem,
    Task,
    Voice,
)
from core.errors import Code, NotFound, ReadOnly
from core.principal import Principal

OwnedTable = (
    type[Collection]
    | type[Destination]
    | type[GlossaryEntry]
    | type[KeptMoment]
    | type[SavedSearch]
    | type[Source]
    | type[SourceItem]
    | type[Voice]
)
Owned = TypeVar(
    "Owned",
    Collection,
    Destination,
    GlossaryEntry,
    KeptMoment,
    Recording,
    Resumable,
    SavedSearch,
    Source,
    SourceItem,
    Task,
    Voice,
)


class Right(Enum):
    """What somebody wants to do with a row."""

    READ = auto()
    WRITE = auto()
    OWN = auto()
    """Delete it for good, or share it: not for those whom it is shared with."""


_ENOUGH = {Right.READ: (Access.READ, Access.WRITE), Right.WRITE: (Access.WRITE,)}


def allowed(principal: Principal, right: Right = Right.READ) -> ColumnElement[bool]:
    """The condition on `Recording` that this principal has this right to it; not for admins, who have all."""
    if principal.only:
        return Recording.id == principal.only if right is Right.READ else false()
    own = Recording.owner.in_(principal.owners) if right is Right.OWN else Recording.owner == principal.owner
    if right is Right.OWN or not principal.is_person:
        return own
    by_name = and_(Share.kind == ShareKind.PERSON, Share.who == principal.owner)
    by_group = and_(Share.kind == ShareKind.GROUP, Share.who.in_(principal.groups))
    named = select(Share.recording_id).where(or_(by_name, by_group), Share.access.in_(_ENOUGH[right]))
    return or_(own, Recording.everybody.in_(_ENOUGH[right]), Recording.id.in_(named))


def visible_to(statement: Select, principal: Principal, model: type[Recording | Task]) -> Select:  # type: ignore[type-arg]
    """Only what this principal may see: recordings, or the tasks of recordings."""
    if model is Task:  # the table, for a session finds no recording of the bin by its class
        binned = Recording.__table__.c
        statement = statement.where(Task.recording_id.not_in(select(binned.id).where(binned.deleted_at > 0)))
    if principal.admin:
        return statement
    if model is Recording:
        return statement.where(allowed(principal))
    if principal.only:
        return statement.where(Task.recording_id == principal.only)
    if not principal.is_person:
        return statement.where(Task.owner == principal.owner)
    # EXISTS, not IN: the newest tasks are asked one by one, and not all recordings first.
    theirs = exists().where(Recording.id == Task.recording_id, allowed(principal))
    return statement.where(theirs.correlate(Task))


def owned_by(statement: Select, principal: Principal, table: OwnedTable) -> Select:  # type: ignore[type-arg]
    """Only rows that are theirs, of a table whose rows are not shared."""
    return statement if principal.admin else statement.where(table.owner.in_(principal.owners))


def get_owned(
    session: Session,
    table: type[Owned],
    principal: Principal,
    id_: str,
    *,
    right: Right = Right.READ,
    with_bin: bool = False,
) -> Owned:
    """The row of this id. Raises NotFound if it is not there or not theirs, and nobody learns which.

    Raises ReadOnly where they may see it, and not more.
    """
    row = session.get(table, id_, execution_options={"with_bin": with_bin})
    if row is None or not _has(session, principal, row, Right.READ):
        error = NotFound()
        error.of_others = row is not None
        raise error
    if right is not Right.READ:
        principal.must_write()
        if not _has(session, principal, row, right):
            raise ReadOnly(Code.SHARED_TO_READ)
    return row


def _has(session: Session, principal: Principal, row: Any, right: Right) -> bool:
    if principal.admin:
        return True
    if isinstance(row, Resumable):  # half a file is nobody's but of whoever sends it
        return bool(row.owner == principal.owner)
    if isinstance(row, Recording | Task):
        id_ = row.id if isinstance(row, Recording) else row.recording_id
        having = select(Recording.id).where(Recording.id == id_, allowed(principal, right))
        return session.scalar(having.execution_options(**WITH_BIN)) is not None
    theirs: bool = row.owner in principal.owners or (
        isinstance(row, KeptMoment) and row.id == principal.moment and right is Right.READ
    )
    return theirs
