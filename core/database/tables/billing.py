"""Prices, payments, limits and plans."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import (
    JSON,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    PaymentState,
    PriceMode,
)
from core.database.tables.base import Json, Row, new_id


class Payment(Row):
    """One paid call's share for one recording. States: reserved, settled, released, disputed."""

    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    call_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[float] = mapped_column(index=True)
    month: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    mode: Mapped[PriceMode]
    recording_id: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str]
    state: Mapped[PaymentState] = mapped_column(default=PaymentState.RESERVED)
    tokens_estimated: Mapped[int]
    usd_estimated: Mapped[str]
    tokens: Mapped[int] = mapped_column(default=0)
    """Or seconds of sound, where those are sold."""
    usd: Mapped[str] = mapped_column(default="0")
    ended_at: Mapped[float | None]


class Budget(Row):
    """What a month has cost, and what is promised to calls under way; billionths of a dollar.

    One row for everybody, under the month; one for each owner, under "month owner".
    """

    __tablename__ = "budgets"

    month: Mapped[str] = mapped_column(primary_key=True)
    spent: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)


class OwnPrice(Row):
    """A price of yours, in place of the book's or beside it."""

    __tablename__ = "own_prices"

    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    price: Mapped[str]
    currency: Mapped[str]
    minimum_s: Mapped[str] = mapped_column(default="0")
    set_at: Mapped[float] = mapped_column(default=time.time)


class OwnFigure(Row):
    """An assumption of yours: a rate, a tariff, a speed."""

    __tablename__ = "own_figures"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    set_at: Mapped[float] = mapped_column(default=time.time)


class OwnLimit(Row):
    """Your tier at a provider, for one model or (empty) all; what is NULL is as the book says."""

    __tablename__ = "own_limits"

    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str] = mapped_column(primary_key=True)
    tier: Mapped[str | None]
    rpm: Mapped[int | None]
    tpm: Mapped[int | None]
    enqueued_tokens: Mapped[int | None]
    at_once: Mapped[int | None]
    set_at: Mapped[float] = mapped_column(default=time.time)


class Cap(Row):
    """The most a month may cost, USD: everything together, or one owner."""

    __tablename__ = "caps"

    scope: Mapped[str] = mapped_column(primary_key=True)
    usd: Mapped[str]


class Plan(Row):
    """A quote that was taken: what was promised of which recordings, so that it can be proved."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float] = mapped_column(default=time.time, index=True)
    route: Mapped[str]
    usd: Mapped[str]
    tokens: Mapped[int] = mapped_column(default=0)
    p50_s: Mapped[float | None]
    p90_s: Mapped[float | None]
    recordings: Mapped[list[Any]] = mapped_column(JSON)
    facts: Mapped[Json | None]
