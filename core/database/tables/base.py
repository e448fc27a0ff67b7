"""What every table is made of."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.database.columns import EnumText
from core.database.states import (
    STORED,
)

Json = dict[str, Any]


def new_id() -> str:
    """128 random bits in hexadecimal: cannot be guessed, says nothing."""
    return secrets.token_hex(16)


def utc(unix: float) -> datetime:
    """A time as it is kept, for programs and charts."""
    return datetime.fromtimestamp(unix, UTC)


_TYPES: dict[Any, Any] = {Json: JSON, list[str]: JSON, float: Float(53), int: BigInteger}
_TYPES |= {enum: EnumText(enum) for enum in STORED}


class Row(DeclarativeBase):
    """A row of a table of this tool."""

    type_annotation_map = _TYPES


class KeyValue(Row):
    """A named value that outlives a restart: the active embedder, the pepper of keys, applied migrations."""

    __tablename__ = "key_values"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
