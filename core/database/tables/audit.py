"""Who did what, and when."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import AuditAction, AuditSubject
from core.database.tables.base import Row
from core.principal import Door


class AuditEvent(Row):
    """Something that somebody did or was refused; triggers of the database let nobody change it.

    It holds no content: neither titles nor texts, neither keys nor addresses.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", "at", "id"),
        Index("ix_audit_events_who", "who", "at", "id"),
        Index("ix_audit_events_action", "action", "at", "id"),
        Index("ix_audit_events_object", "object_id", "at", "id"),
    )

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    at: Mapped[float]
    who: Mapped[str]
    """A person by their name, a key by its id, `pages` where nobody signs in, `system`."""
    door: Mapped[Door]
    action: Mapped[AuditAction]
    subject: Mapped[AuditSubject]
    object_id: Mapped[str]
    operation: Mapped[str]
    """Which of the things that can be done, as the code calls it; of a refusal its code."""
    usd: Mapped[str | None]
    """What an order was promised to cost."""
    once: Mapped[str | None] = mapped_column(unique=True)
    """A digest of what is recorded once only."""
