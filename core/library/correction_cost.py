"""What corrections of texts cost: new vectors of the passages that they touch, where vectors are bought."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sqlalchemy import func, select

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import EditSubject, EmbeddingMode, EmbeddingStatus, PaymentState, PriceMode
from core.database.tables import EditRow, PassageRow, Payment, Recording
from core.embedding.embedder import BatchEmbedder, batching, tokens_at_most
from core.library.archive_text import TextPlace
from core.search.active_embedder import ActiveEmbedder


class CorrectionCost:
    """Prices before corrections, and what was paid after them; 0 where vectors are made here."""

    def __init__(self, database: Database, active_embedder: ActiveEmbedder, ledger: Ledger) -> None:
        self._database = database
        self._active_embedder = active_embedder
        self._ledger = ledger

    def of_places(self, places: Iterable[TextPlace]) -> Decimal | None:
        """USD, at most, for vectors of all passages with these places; None where nobody knows the price."""
        paid = batching(self._active_embedder.embedder())
        if paid is None:
            return Decimal(0)
        seconds: dict[str, list[float]] = {}
        for place in places:
            seconds.setdefault(place.recording_id, []).append(place.play_s)
        costs = [self._usd(paid, mode, tokens) for mode, tokens in self._affected_tokens(seconds).items()]
        known = [usd for usd in costs if usd is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None

    def so_far(self, recording: Recording) -> Decimal:
        """USD paid for vectors of a recording since its present text was corrected first."""
        paid = batching(self._active_embedder.embedder())
        if paid is None:
            return Decimal(0)
        first = select(func.min(EditRow.created_at)).where(
            EditRow.recording_id == recording.id,
            EditRow.subject == EditSubject.TEXT,
            EditRow.transcript_id == recording.transcript_id,
        )
        bought = select(Payment.usd).where(
            Payment.recording_id == recording.id,
            Payment.provider == paid.provider,
            Payment.model == paid.model,
            Payment.state.in_((PaymentState.SETTLED, PaymentState.DISPUTED)),
            Payment.at >= first.scalar_subquery(),
        )
        with self._database.read() as session:
            return sum(map(Decimal, session.scalars(bought)), Decimal(0))

    def _usd(self, paid: BatchEmbedder, mode: EmbeddingMode, tokens: int) -> Decimal | None:
        return self._ledger.cost_usd(paid.provider, paid.model, PriceMode(mode), tokens)

    def _affected_tokens(self, seconds: dict[str, list[float]]) -> dict[EmbeddingMode, int]:
        """Tokens of the passages in which these seconds of recordings are, by how they are embedded."""
        passages = select(PassageRow).where(
            PassageRow.recording_id.in_(list(seconds)), PassageRow.embedding_status != EmbeddingStatus.OFF
        )
        tokens: dict[EmbeddingMode, int] = {}
        with self._database.read() as session:
            for row in session.scalars(passages):
                if any(row.start_s <= at_s < row.end_s for at_s in seconds[row.recording_id]):
                    tokens[row.embedding_mode] = tokens.get(row.embedding_mode, 0) + tokens_at_most(row.text)
        return tokens
