"""Which recordings and tasks fit a filter: counted, put in order and read page by page, by indexes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from core.database.owned import visible_to
from core.database.recycle_bin import WITH_BIN
from core.database.tables import Recording, Task
from core.principal import Principal

NEWEST = "newest"
ORDERS: Mapping[str, tuple[ColumnElement[Any], ...]] = {
    NEWEST: (Recording.created_at.desc(),),
    "oldest": (Recording.created_at.asc(),),
    "recorded": (Recording.dated_at.desc(),),
    "title": (Recording.folded_name.asc(), Recording.long_name.asc().nulls_first()),
    "longest": (func.coalesce(Recording.duration_s, literal_column("-1")).desc(),),
    "shortest": (Recording.duration_s.asc().nulls_last(),),
    "largest": (Recording.size_bytes.desc(),),
}
"""In which order recordings are listed; those that are alike by their ids."""

FEW = 300
"""So many that fit are put in order by themselves. Of more, those of a page are soon found in the order of an
index, and counting them takes another look."""

TAG_SETS = 500
"""Of so many different sets of tags those with a tag are named; of more, each is looked into."""

Order = Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]
Found = Select[*tuple[Any, ...]]
"""A selection of recordings or tasks, and perhaps of more beside each."""


def page(
    session: Session,
    statement: Found,
    among: Found,
    words: str,
    tag: str,
    limit: int,
    offset: int,
    sort: str = NEWEST,
    total: int | None = None,
) -> tuple[int, Sequence[Row[*tuple[Any, ...]]]]:
    """How many have these words in title or file name, and this tag; one page of them, in one of ORDERS.

    `among` selects the recordings that somebody may see; `statement` selects any, with what is beside them,
    and is asked for those of the page alone. `total` is how many fit, where that is known.
    """
    only = fitting(session, among, words, tag).with_only_columns(Recording.id)
    order = (*ORDERS[sort], Recording.id.desc() if sort == NEWEST else Recording.id)
    if total is None:
        few = session.scalars(only.limit(FEW + 1)).all()
        if len(few) <= FEW:
            only, total = select(Recording.id).where(Recording.id.in_(few)), len(few)
        else:
            total = session.scalar(select(func.count()).select_from(only.subquery())) or 0
    backwards = (Recording.created_at, Recording.id) if sort == NEWEST else None
    ids = _ids(session, only, order, backwards, total, limit, offset)
    return total, session.execute(statement.where(Recording.id.in_(ids)).order_by(*order)).all()


def fitting(session: Session, found: Found, words: str, tag: str) -> Found:
    """Those with this tag, and with these parts in title or file name.

    Both are looked for in an index, and in rows that have more than an index takes.
    """
    row = aliased(Recording)
    for word in words.casefold().split():
        longer = row.long_name.is_not(None), row.long_name.contains(word, autoescape=True)
        here = Recording.folded_name.contains(word, autoescape=True)
        found = found.where(_or_in(session, here, select(row.id).where(*longer)))
    if tag:
        longer = row.indexed_tags.is_(None), _tagged(cast(row.tags, Text), json.dumps(tag))
        here = _indexed_with(session, json.dumps(tag, ensure_ascii=False))
        found = found.where(_or_in(session, here, select(row.id).where(*longer)))
    return found


def _or_in(session: Session, condition: ColumnElement[bool], longer: Select[str]) -> ColumnElement[bool]:
    """Those that the index finds, and these: hardly ever any, and without them an index answers alone."""
    return condition if session.scalar(longer.limit(1)) is None else condition | Recording.id.in_(longer)


def _indexed_with(session: Session, name: str) -> ColumnElement[bool]:
    """The condition that indexed tags have this one.

    Where the same tags come again and again, one step in the index finds each set of them, however many
    recordings have it.
    """
    row = aliased(Recording)
    least = select(func.min(row.indexed_tags).label("tags")).where(row.deleted_at.is_(None))
    sets = least.cte("sets", recursive=True)
    following = least.where(row.indexed_tags > sets.c.tags).scalar_subquery()
    sets = sets.union_all(select(following).where(sets.c.tags.is_not(None)))
    some = session.scalars(select(sets.c.tags).limit(TAG_SETS + 1)).all()
    if len(some) > TAG_SETS:
        return _tagged(Recording.indexed_tags, name)
    return Recording.indexed_tags.in_(
        [tags for tags in some if tags and (f"[{name}" in tags or f", {name}" in tags)]
    )


def _tagged(given: ColumnElement[str] | InstrumentedAttribute[str | None], name: str) -> ColumnElement[bool]:
    """Whether tags in JSON have this one: the first, or after a comma."""
    first, other = (given.contains(f"{before}{name}", autoescape=True) for before in ("[", ", "))
    return first | other


def _ids(
    session: Session,
    only: Found,
    order: Order,
    backwards: Order | None,
    total: int,
    limit: int,
    offset: int,
) -> list[str]:
    """Ids of one page; of the second half they are read from the end, where its order is known."""
    if backwards is None or offset <= total // 2:
        return list(session.scalars(only.order_by(*order).limit(limit).offset(offset)))
    first = max(0, total - offset - limit)
    some = only.order_by(*backwards).limit(max(0, total - offset - first)).offset(first)
    return list(session.scalars(some))[::-1]


def task_page(
    session: Session, statement: Select[Task], limit: int, offset: int, total: int | None
) -> tuple[int, list[Task]]:
    """How many fit, newest first, and one page of them."""
    only = statement.with_only_columns(Task.id)
    if total is None:
        total = session.scalar(select(func.count()).select_from(only.subquery())) or 0
    order = (Task.created_at.desc(), Task.id.desc())
    ids = _ids(session, only, order, (Task.created_at, Task.id), total, limit, offset)
    return total, list(session.scalars(select(Task).where(Task.id.in_(ids)).order_by(*order)))


def count_tasks(session: Session, principal: Principal, status: str) -> int | None:
    """How many tasks they may see, where those need not be looked at one by one."""
    program = not (principal.admin or principal.only or principal.is_person)
    if not status and not program:
        summed = visible_to(select(func.sum(Recording.task_count)), principal, Recording)
        return int(session.scalar(summed) or 0)
    counted = select(func.count()).select_from(Task)
    counted = counted.where(Task.status == status) if status else counted
    if program:
        return outside_bin(session, counted.where(Task.owner == principal.owner))
    return outside_bin(session, counted) if principal.admin else None


def outside_bin(session: Session, counted: Select[int]) -> int:
    """Of the tasks that are counted all but those of recordings in the bin.

    Those are few, and both are counted in an index: no task is looked for in the bin.
    """
    binned = select(Recording.id).where(Recording.deleted_at > 0).execution_options(**WITH_BIN)
    hidden = counted.where(Task.recording_id.in_(binned)).execution_options(**WITH_BIN)
    return (session.scalar(counted) or 0) - (session.scalar(hidden) or 0)
