"""What is in the bin is as if it were deleted: no question of a session finds it unless it asks for it.

The condition stands here once, for every SELECT of recordings and everything joined with them, so that no
list, search or figure can forget it.
"""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from core.database.tables import Recording

WITH_BIN = {"with_bin": True}
"""Execution options of a SELECT (or `session.get`) that finds recordings in the bin, too."""

_OUTSIDE = with_loader_criteria(Recording, Recording.deleted_at.is_(None), include_aliases=True)


class RecycleBinSession(Session):
    """A session that does not see the bin."""


@event.listens_for(RecycleBinSession, "do_orm_execute")
def _hide(state: ORMExecuteState) -> None:
    if state.is_select and not state.execution_options.get("with_bin"):
        state.statement = state.statement.options(_OUTSIDE)
