"""The mark of methods whose use is recorded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from core.audit.trail import record, record_once
from core.database.database import TRANSACTION_HOOK, Database
from core.database.states import AuditAction, AuditSubject
from core.errors import AdminsOnly, NotFound, ReadOnly, StenogramError
from core.principal import Principal

P = ParamSpec("P")
R = TypeVar("R")
Given = Mapping[str, Any]
"""The arguments of a call by their names."""
ONCE = (AuditAction.SAW, AuditAction.HEARD)
GIVING = (*ONCE, AuditAction.EXPORTED)
"""What changes nothing, and so has no transaction of its own."""
REFUSALS = (AdminsOnly, ReadOnly, NotFound)
"""How people and programs learn that they may not."""
RECORDED = "audit_recorded"
HOLDERS = ("_database", "database", "_targets", "_sources", "_recordings", "_service")
"""Where services keep the database, or what has it."""


class _AuditedCall:
    """A call of a marked method; it is recorded with the first transaction that knows what it is about."""

    def __init__(self, principal: Principal, action: AuditAction, subject: AuditSubject, name: str) -> None:
        self.principal = principal
        self.action = action
        self.subject = subject
        self.name = name
        self.object_ids: list[str] = []
        self.made: object | None = None
        self.recorded = False

    def keep(self, session: Session) -> None:
        """With the transaction that is about to end."""
        if self.made is not None and not self.object_ids:
            session.flush()  # gives it its id
            self.object_ids = [str(self.made.id)]  # type: ignore[attr-defined]
        if not self.recorded:
            for object_id in self.object_ids:
                record(session, self.principal, self.action, self.subject, object_id, self.name)

    def committed(self) -> None:
        """Later transactions of this call are a part of the same."""
        self.recorded = self.recorded or bool(self.object_ids)


_doing: ContextVar[_AuditedCall | None] = ContextVar("doing", default=None)


def about(row: object) -> None:
    """Which row the marked method that runs has made, within the transaction that writes it."""
    call = _doing.get()
    if call is not None and not call.object_ids:
        call.made = row


def audited(
    action: AuditAction,
    subject: AuditSubject,
    *parameters: str | Callable[[Given], Iterable[str]],
    named: str = "",
    outside_database: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a method that takes a principal: that it was used is recorded, and that it was refused.

    `parameters` hold the id of what it is about (ids: an event each), or it is `named` for good. None of
    these: it makes something, and says `about` what. `outside_database`: that is where what it changes lies.
    A marked method that another one calls is a part of that one's event.
    """

    def mark(method: Callable[P, R]) -> Callable[P, R]:
        signature, name = inspect.signature(method), _name(method)

        @functools.wraps(method)
        def marked(*args: P.args, **kwargs: P.kwargs) -> R:
            if _doing.get() is not None:
                return method(*args, **kwargs)
            given = signature.bind(*args, **kwargs).arguments
            call = _AuditedCall(_principal(given), action, subject, name)
            call.object_ids = [named] if named else list(dict.fromkeys(_ids(given, parameters)))
            try:
                with _recording(call, alone=action in GIVING or outside_database):
                    result = method(*args, **kwargs)
            except REFUSALS as error:
                if is_refusal(error):
                    _refused(database_of(given), call, error)
                raise
            if action in GIVING or outside_database:
                _given(database_of(given), call)
            return result

        marked.audited = (action, subject)  # type: ignore[attr-defined]
        return marked

    return mark


@contextmanager
def _recording(call: _AuditedCall, *, alone: bool) -> Iterator[None]:
    """While it runs; what is recorded `alone` goes with no transaction of it."""
    doing, companion = _doing.set(call), TRANSACTION_HOOK.set(None if alone else call)
    try:
        yield
    finally:
        TRANSACTION_HOOK.reset(companion)
        _doing.reset(doing)


def _given(database: Database, call: _AuditedCall) -> None:
    if call.action in ONCE:
        for object_id in call.object_ids:
            record_once(database, call.principal, call.action, call.subject, object_id, call.name)
        return
    with database.write() as session:
        call.keep(session)


def is_refusal(error: Exception) -> bool:
    """Whether somebody may not do what they wanted, and that is not recorded yet."""
    is_others = not isinstance(error, NotFound) or error.of_others
    return isinstance(error, REFUSALS) and is_others and not getattr(error, RECORDED, False)


def refused(
    database: Database, principal: Principal, subject: AuditSubject, object_id: str, error: StenogramError
) -> None:
    """Record a refusal, once a minute."""
    record_once(database, principal, AuditAction.REFUSED, subject, object_id, error.code.value)
    setattr(error, RECORDED, True)


def _refused(database: Database, call: _AuditedCall, error: StenogramError) -> None:
    object_id = call.object_ids[0] if call.object_ids else ""
    refused(database, call.principal, call.subject, object_id, error)


def _name(method: Callable[..., Any]) -> str:
    """`recordings.rename`, say."""
    of_class, _, name = method.__qualname__.rpartition(".")
    return f"{(of_class or method.__module__).rpartition('.')[2].lower()}.{name}"


def _principal(given: Given) -> Principal:
    principal: Principal = given["principal"] if "principal" in given else given["self"]._principal
    return principal


def database_of(given: Given) -> Database:
    """The database of a call: one of its arguments, or what the first of those that know one knows."""
    for value in given.values():
        if isinstance(value, Database):
            return value
    for value in given.values():
        for name in HOLDERS:
            held = getattr(value, name, None)
            if isinstance(held, Database):
                return held
            if held is not None and isinstance(found := getattr(held, "_database", None), Database):
                return found
            if held is not None and isinstance(found := getattr(held, "database", None), Database):
                return found
    raise LookupError("a marked method without a database")


def _ids(given: Given, parameters: Iterable[str | Callable[[Given], Iterable[str]]]) -> Iterator[str]:
    names = [each for each in parameters if isinstance(each, str)]
    if len(names) > 1:
        yield " ".join(str(given.get(name, "")) for name in names)
        return
    for each in parameters:
        value = given.get(each, "") if isinstance(each, str) else each(given)
        yield from (value,) if isinstance(value, str) else map(str, value)
