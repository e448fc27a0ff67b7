"""Prices, assumptions, caps and plans that people of this installation typed in; kept in SQL.

What a person says holds over the price book and over what was measured, until it is taken back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.audit import audited
from core.billing import Book, Limit, Price, plain, shipped, yours
from core.billing.money import amount
from core.billing.prices import LIMITS
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Cap, OwnFigure, OwnLimit, OwnPrice
from core.database.upsert import upsert
from core.errors import BadRequest, Code
from core.principal import Principal

ALL = ""
"""The scope of the cap that holds for everybody together."""
MOST_USD = Decimal(1_000_000_000)


class Tariffs:
    """What this installation's people say that things cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def book(self) -> Book:
        """The price book with your prices and figures in place of its own."""
        return self.over(shipped())

    def over(self, book: Book) -> Book:
        """Another book with your prices and figures over it."""
        with self._database.read() as session:
            prices = list(session.scalars(select(OwnPrice)))
            limits = list(session.scalars(select(OwnLimit)))
            figures = {row.name: Decimal(row.value) for row in session.scalars(select(OwnFigure))}
        return with_own_figures(book, prices, figures, limits)

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "provider", "model", "mode")
    def set_price(
        self,
        principal: Principal,
        provider: str,
        model: str,
        mode: str,
        price: object,
        *,
        unit: str = "",
        currency: str = "",
        minimum_s: object = None,
        on: date | None = None,
    ) -> None:
        """Your price as of a day (empty: today); a route that the book does not have is added.

        Raises AdminsOnly, BadRequest for nonsense.
        """
        principal.must_administer()
        old = self.book().price(provider, model, mode)
        new = yours(
            provider.strip(),
            model.strip(),
            mode.strip(),
            price,
            min(on or date.today(), date.today()),
            unit or (old.unit if old else "audio hour"),
            currency or (old.currency if old else "USD"),
            (old.minimum_s if old else 0) if minimum_s is None else minimum_s,
        )
        with self._database.write() as session:
            upsert(session, _as_row(new))

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "provider", "model", "mode")
    def take_back_price(self, principal: Principal, provider: str, model: str, mode: str) -> None:
        """The book's price holds again; a route of yours is gone. Raises AdminsOnly."""
        principal.must_administer()
        statement = delete(OwnPrice).where(OwnPrice.provider == provider)
        with self._database.write() as session:
            session.execute(statement.where(OwnPrice.model == model, OwnPrice.mode == mode))

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "provider", "model", "mode")
    def set_limit(
        self, principal: Principal, provider: str, model: str, mode: str, **changed: object
    ) -> None:
        """Your tier (`tier`, `rpm`, `tpm`, `enqueued_tokens`, `at_once`); None takes a figure back.

        Raises AdminsOnly, BadRequest for nonsense.
        """
        principal.must_administer()
        key = (provider, model, mode)
        old = next((limit for limit in shipped().limits if limit.key == key), None)
        if old is None:
            raise BadRequest(Code.LIMIT_UNKNOWN)
        with self._database.write() as session:
            row = session.get(OwnLimit, key, with_for_update=True)
            merged = {**(_given(row) if row else {}), **changed}
            stated = {name: value for name, value in merged.items() if value not in (None, "")}
            new = old.overridden(date.today(), **stated)
            figures = {name: getattr(new, name) for name in stated}
            if figures:
                afresh = {name: figures.get(name) for name in changed}
                row = OwnLimit(provider=provider, model=model, mode=mode, set_at=time.time(), **afresh)
                upsert(session, row)
            elif row is not None:
                session.delete(row)

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "provider", "model", "mode")
    def take_back_limit(self, principal: Principal, provider: str, model: str, mode: str) -> None:
        """The book's limits hold again. Raises AdminsOnly."""
        self.set_limit(principal, provider, model, mode, **dict.fromkeys((*LIMITS, "tier")))

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "name")
    def set_figure(self, principal: Principal, name: str, value: object) -> None:
        """Your figure for an assumption. Raises AdminsOnly, BadRequest for a name or number without sense."""
        principal.must_administer()
        checked = self.book().with_assumptions({name: value}).assumptions[name].value
        with self._database.write() as session:
            upsert(session, OwnFigure(name=name, value=plain(checked), set_at=time.time()))

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "name")
    def take_back_figure(self, principal: Principal, name: str) -> None:
        """What was assumed or measured holds again. Raises AdminsOnly."""
        principal.must_administer()
        with self._database.write() as session:
            session.execute(delete(OwnFigure).where(OwnFigure.name == name))

    def figures(self) -> dict[str, Decimal]:
        """Your figures by name."""
        with self._database.read() as session:
            return {row.name: Decimal(row.value) for row in session.scalars(select(OwnFigure))}

    @audited(AuditAction.CHANGED, AuditSubject.BUDGET, "scope")
    def set_cap(self, principal: Principal, scope: str, usd: object) -> None:
        """What a month may cost, for ALL or an owner; None takes it back. Raises AdminsOnly, BadRequest."""
        principal.must_administer()
        with self._database.write() as session:
            if usd is None:
                session.execute(delete(Cap).where(Cap.scope == scope))
            else:
                most = amount(usd, "The cap", MOST_USD, zero=True)
                upsert(session, Cap(scope=scope, usd=plain(most)))

    def caps(self) -> dict[str, Decimal]:
        """Every cap that was set here, by its scope."""
        with self._database.read() as session:
            return {row.scope: Decimal(row.usd) for row in session.scalars(select(Cap))}


def cap(session: Session, scope: str) -> Decimal | None:
    """The cap of a scope, as this transaction sees it."""
    row = session.get(Cap, scope)
    return Decimal(row.usd) if row else None


def with_own_figures(
    book: Book,
    prices: Iterable[OwnPrice],
    figures: Mapping[str, Decimal],
    limits: Iterable[OwnLimit] = (),
) -> Book:
    """A book with these in place of its own; what nobody uses any more is left out."""
    known = {
        name: value
        for name, value in figures.items()
        if name in book.assumptions or name.startswith("times_real_time:")
    }
    own_limits = {(row.provider, row.model, row.mode): row for row in limits}
    tiers = [_limit(own_limits[limit.key], limit) for limit in book.limits if limit.key in own_limits]
    return book.with_overrides(_price(row, book) for row in prices).with_assumptions(known).with_limits(tiers)


def _limit(row: OwnLimit, old: Limit) -> Limit:
    return old.overridden(datetime.fromtimestamp(row.set_at, UTC).date(), **_given(row))


def _given(row: OwnLimit) -> dict[str, Any]:
    """What was said of a limit."""
    figures = {name: getattr(row, name) for name in ("tier", *LIMITS)}
    return {name: value for name, value in figures.items() if value is not None}


def _price(row: OwnPrice, book: Book) -> Price:
    """What the book says of it besides the figure stays."""
    day = datetime.fromtimestamp(row.set_at, UTC).date()
    own = yours(row.provider, row.model, row.mode, row.price, day, row.unit, row.currency, row.minimum_s)
    old = book.price(row.provider, row.model, row.mode)
    return replace(own, increment_s=old.increment_s, note=old.note) if old else own


def _as_row(price: Price) -> OwnPrice:
    if price.price is None:
        raise BadRequest(Code.NUMBER_EXPECTED, name="A price")
    return OwnPrice(
        provider=price.provider,
        model=price.model,
        mode=price.mode,
        unit=price.unit,
        price=plain(price.price),
        currency=price.currency,
        minimum_s=plain(price.minimum_s),
        set_at=_noon(price.read_on),
    )


def _noon(day: date) -> float:
    """A day as it is kept, Unix seconds: now where it is today's."""
    if day == datetime.now(UTC).date():
        return time.time()
    return datetime.combine(day, datetime.min.time().replace(hour=12), UTC).timestamp()
