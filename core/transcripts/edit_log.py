"""The steps in which people corrected a recording: its text and its speakers, in one order.

Nothing is overwritten: what a recording says follows from what was found and the steps in their order. So
the last action can be taken back, and taken again until another one is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from core.database.states import EditSubject
from core.database.tables import EditRow, Json, Recording, new_id
from core.errors import Code, Conflict


@dataclass(frozen=True)
class Step:
    """A step to be kept; steps of a text are of one transcript."""

    subject: EditSubject
    edit: Json
    transcript_id: str = ""


def steps(
    session: Session, recording_id: str, subject: EditSubject, transcript_id: str = ""
) -> list[EditRow]:
    """Steps that hold, in their order."""
    return steps_of_many(session, subject, {recording_id: transcript_id}).get(recording_id, [])


def steps_of_many(
    session: Session, subject: EditSubject, transcripts: Mapping[str, str]
) -> dict[str, list[EditRow]]:
    """Steps that hold of recordings which have any, in one query. `transcripts`: by the recording's id."""
    statement = select(EditRow).where(EditRow.subject == subject, EditRow.undone.is_(False))
    statement = statement.where(EditRow.recording_id.in_(list(transcripts))).order_by(EditRow.n)
    rows_of: dict[str, list[EditRow]] = {}
    for row in session.scalars(statement):
        if row.transcript_id == transcripts[row.recording_id]:
            rows_of.setdefault(row.recording_id, []).append(row)
    return rows_of


def add(session: Session, recording_id: str, steps: Iterable[Step], who: str, action_id: str = "") -> str:
    """Keep steps that are taken back as one; what was taken back before cannot be taken again any more.

    Returns the id of the action. The caller holds the lock of the recording.
    """
    action_id = action_id or new_id()
    current = _current(session, recording_id)
    session.execute(
        delete(EditRow).where(EditRow.recording_id == recording_id, EditRow.undone.is_(True), current)
    )
    last = session.scalar(select(func.max(EditRow.n)).where(EditRow.recording_id == recording_id))
    session.add_all(
        EditRow(
            recording_id=recording_id,
            n=n,
            subject=step.subject,
            transcript_id=step.transcript_id,
            action_id=action_id,
            edit=step.edit,
            who=who,
        )
        for n, step in enumerate(steps, start=0 if last is None else last + 1)
    )
    session.flush()
    return action_id


def undo(
    session: Session,
    recording_id: str,
    who: str,
    subject: EditSubject | None = None,
    action_id: str = "",
) -> list[EditRow]:
    """Take the last action back: its steps, none if there is none. `subject`: the last one of this kind.

    Raises Conflict where somebody else took it, unless it is named: nobody undoes what they have not seen.
    """
    one = last(session, recording_id, subject)
    if one is not None and (one.action_id != action_id if action_id else one.who not in {"", who}):
        raise Conflict(Code.LAST_STEP, who=one.who)
    return _turn(session, recording_id, one, undone=False)


def redo(session: Session, recording_id: str) -> list[EditRow]:
    """Take the last action again that was taken back: its steps, none if there is none."""
    statement = select(EditRow).where(EditRow.recording_id == recording_id, _current(session, recording_id))
    first = session.scalars(statement.where(EditRow.undone).order_by(EditRow.n).limit(1)).first()
    return _turn(session, recording_id, first, undone=True)


def last(session: Session, recording_id: str, subject: EditSubject | None = None) -> EditRow | None:
    """The last step that holds; `subject`: of this kind."""
    statement = select(EditRow).where(EditRow.recording_id == recording_id, EditRow.undone.is_(False))
    statement = statement.where(_current(session, recording_id))
    statement = statement if subject is None else statement.where(EditRow.subject == subject)
    return session.scalars(statement.order_by(EditRow.n.desc()).limit(1)).first()


def _turn(session: Session, recording_id: str, one: EditRow | None, *, undone: bool) -> list[EditRow]:
    """All of a step's action, which does not hold now, or holds again."""
    if one is None:
        return []
    current = EditRow.recording_id == recording_id, _current(session, recording_id)
    action = select(EditRow).where(*current, EditRow.action_id == one.action_id).order_by(EditRow.n)
    rows = list(session.scalars(action))
    for row in rows:
        row.undone = not undone
    session.flush()
    return rows


def can_redo(session: Session, recording_id: str) -> bool:
    """Whether there is anything to take again."""
    statement = select(EditRow.n).where(EditRow.recording_id == recording_id, EditRow.undone)
    return session.scalar(statement.where(_current(session, recording_id)).limit(1)) is not None


def take_out(session: Session, rows: Sequence[EditRow]) -> None:
    """Forget steps on which no later one is built."""
    for row in rows:
        session.delete(row)
    session.flush()


def _current(session: Session, recording_id: str) -> ColumnElement[bool]:
    """Steps that mean what is shown now: of speakers, and of the recording's present transcript."""
    recording = session.get(Recording, recording_id)
    transcript_id = (recording and recording.transcript_id) or ""
    return EditRow.transcript_id.in_(("", transcript_id))
