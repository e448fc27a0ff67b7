"""Who asks: every method that shows or changes something of somebody takes a principal."""

from __future__ import annotations

from dataclasses import dataclass

PAGES = "pages"
"""The owner of what comes through the pages."""


@dataclass(frozen=True)
class Principal:
    """Who asks: sees their own, or everything if admin."""

    owner: str
    admin: bool = False
    language: str = "en"


EVERYONE = Principal(PAGES, admin=True)
"""The pages know no login: whoever reaches them acts as admin."""
