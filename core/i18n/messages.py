"""Sentences said later are marked where they are written, so that the catalogues are known to need them.

Nothing is imported here, for workers elsewhere have no catalogues.
"""

from __future__ import annotations


def phrase(template: str) -> str:
    """The template itself, which `core.i18n.catalogue` will say."""
    return template
