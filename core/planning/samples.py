"""Tokens of a sample, counted by the provider on request: free, and exact for texts like these."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from sqlalchemy import select

from core.audit import audited
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import PassageRow, Recording
from core.errors import BadRequest, Code
from core.principal import Principal

PASSAGES = 100
LETTERS = 50_000
"""The newest passages, or so much of a text, speak for all."""
LEAST_WORDS = 20
"""With less than that nothing is learnt."""
GRAIN = Decimal("0.001")


class Counter(Protocol):
    """Who knows how a provider counts."""

    model: str

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Tokens of passages as they would be sent. Raise ProviderRefused without a key."""


@dataclass(frozen=True)
class Counted:
    """What a provider counted in some texts of one language, and when."""

    language: str
    model: str
    on: str
    """ISO date."""
    letters: int
    words: int
    tokens: int

    @property
    def letters_a_token(self) -> Decimal:
        """Signs of any kind for one token."""
        return (Decimal(self.letters) / self.tokens).quantize(GRAIN)

    @property
    def figures(self) -> dict[str, Decimal]:
        """What it says of the assumptions of an estimate."""
        a_word = (Decimal(self.tokens) / self.words).quantize(GRAIN)
        return {
            f"chars_per_token:{self.language}": self.letters_a_token,
            f"tokens_per_word:{self.language}": a_word,
        }

    @property
    def source(self) -> str:
        """Where these figures come from."""
        return f"{self.letters} characters counted by {self.model} on {self.on}"


class Samples:
    """Counts that hold for estimates until they are dropped."""

    def __init__(self, database: Database, counter: Counter) -> None:
        self._database = database
        self._counter = counter

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "language")
    def count(
        self, principal: Principal, language: str, text: str = "", *, on: date | None = None
    ) -> Counted:
        """Count a text, or else the newest passages here.

        Raises AdminsOnly, BadRequest, or what the provider says.
        """
        principal.must_administer()
        texts = [text[:LETTERS]] if text.strip() else self._passages(language)
        words = sum(len(each.split()) for each in texts)
        if words < LEAST_WORDS:
            raise BadRequest(Code.SAMPLE_TOO_SHORT, least=LEAST_WORDS)
        tokens, day = self._counter.count_tokens(texts), on or date.today()
        letters = sum(map(len, texts))
        counted = Counted(language, self._counter.model, day.isoformat(), letters, words, tokens)
        self._database.set_value(_name(language), json.dumps(asdict(counted)))
        return counted

    def known(self, language: str) -> Counted | None:
        """What was counted of this language; None if nothing was."""
        stored = self._database.get_value(_name(language))
        return Counted(**json.loads(stored)) if stored else None

    @audited(AuditAction.CHANGED, AuditSubject.PRICE, "language")
    def drop(self, principal: Principal, language: str) -> None:
        """What was measured or assumed holds again. Raises AdminsOnly."""
        principal.must_administer()
        self._database.set_value(_name(language), "")

    def _passages(self, language: str) -> list[str]:
        newest = (
            select(PassageRow.text)
            .join(Recording, Recording.id == PassageRow.recording_id)
            .where(PassageRow.language == language)
            .order_by(Recording.created_at.desc(), PassageRow.n)
        )
        with self._database.read() as session:
            texts = list(session.scalars(newest.limit(PASSAGES)))
        if not texts:
            raise BadRequest(Code.SAMPLE_WITHOUT_PASSAGES)
        return texts


def _name(language: str) -> str:
    return f"tokens counted {language}"
