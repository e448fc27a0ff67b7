"""Marks sentences that are translated later, so that the catalogues are known to need them.

Nothing is imported here, for workers elsewhere have no catalogues.
"""

from __future__ import annotations


def N_(template: str) -> str:  # noqa: N802 (the name that gettext's users know)
    """The template itself, for `core.i18n.catalogue.gettext` to translate later."""
    return template
