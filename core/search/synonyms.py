"""What the glossary knows a question's words as: with a name, its misheard forms, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select

from core.database.database import Database
from core.database.tables import GlossaryEntry
from core.search import stems

MOST = 6
"""Other ways to ask one question; each is looked for by its words."""


class Synonyms:
    """The glossary, as a search reads it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owners: Sequence[str] | None, question: str) -> list[str]:
        """The question in other words, by the glossary of some owners (None: of everybody); at most MOST."""
        known = select(GlossaryEntry.right, GlossaryEntry.misheard)
        known = known if owners is None else known.where(GlossaryEntry.owner.in_(owners))
        with self._database.read() as session:
            entries = [[right, *misheard] for right, misheard in session.execute(known) if misheard]
        found = [each for forms in entries for each in rewordings(question, forms)]
        return [each for each in dict.fromkeys(found) if each != question][:MOST]


def rewordings(question: str, forms: Sequence[str]) -> Iterator[str]:
    """The question with each other form in the place of one that it has, in any inflection."""
    pieces = stems.pieces(question)
    places = [n for n, piece in enumerate(pieces) if stems.has_words(piece)]
    asked = [stems.stem(pieces[n]) for n in places]
    for form in forms:
        wanted = [stems.stem(word) for word in stems.words(form)]
        for first, end in _runs(asked, wanted):
            before, after = pieces[: places[first]], pieces[places[end - 1] + 1 :]
            yield from ("".join([*before, other, *after]) for other in forms if other != form)


def _runs(asked: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
    """From where to where these stems stand one after the other."""
    size = len(wanted)
    for first in range(len(asked) - size + 1) if size else ():
        if list(asked[first : first + size]) == list(wanted):
            yield first, first + size
