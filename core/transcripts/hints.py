"""What engines are told to expect: the right forms of an owner's glossary."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.tables import GlossaryEntry
from core.principal import Principal
from core.speech.language import AUTO

HINT_LETTERS = 400
"""Of all together: Whisper reads 224 tokens before the sound at most, of two Russian letters each."""


def hints(session: Session, owner: str, language: str) -> str:
    """Names and words that may be said in an owner's recordings, as one line; empty if none are known."""
    rows = session.scalars(select(GlossaryEntry).where(GlossaryEntry.owner.in_(Principal(owner).owners)))
    fitting = {
        row.right for row in rows if language == AUTO or not row.languages or language in row.languages
    }
    line = ""
    for right in sorted(fitting):
        longer = f"{line}, {right}" if line else right
        if len(longer) > HINT_LETTERS:
            break
        line = longer
    return line
