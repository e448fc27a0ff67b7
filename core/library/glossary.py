"""The glossary: names, products and abbreviations as they are written, and as engines mishear them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from core.audit import about, audited
from core.database.database import Database
from core.database.owned import Right, get_owned, owned_by
from core.database.states import AuditAction, AuditSubject
from core.database.tables import GlossaryEntry, Recording
from core.errors import Code, Rejected
from core.library.archive_text import LONGEST, ArchiveText, Replaced, TextPlace
from core.principal import Principal
from core.transcripts.corrections import folded

MOST_FORMS = 50


class Glossary:
    """The entries that people have in common, or of a program; admins see everybody's."""

    def __init__(self, database: Database, archive_text: ArchiveText) -> None:
        self._database = database
        self._archive_text = archive_text

    def all(self, principal: Principal) -> list[GlossaryEntry]:
        """Entries in the order of the alphabet."""
        statement = owned_by(select(GlossaryEntry), principal, GlossaryEntry)
        with self._database.read() as session:
            return sorted(session.scalars(statement), key=lambda one: folded(one.right))

    def get(self, principal: Principal, entry_id: str) -> GlossaryEntry:
        """One entry. Raises NotFound for others'."""
        with self._database.read() as session:
            return get_owned(session, GlossaryEntry, principal, entry_id)

    @audited(AuditAction.CHANGED, AuditSubject.GLOSSARY)
    def save(
        self,
        principal: Principal,
        right: str,
        misheard: Sequence[str] = (),
        languages: Sequence[str] = (),
        entry_id: str = "",
    ) -> GlossaryEntry:
        """Add an entry, or change one. Raises Rejected for an empty or overlong form; NotFound."""
        principal.must_write()
        right = " ".join(right.split())
        forms = list(dict.fromkeys(" ".join(one.split()) for one in misheard if one.strip()))
        forms = [one for one in forms if one != right][:MOST_FORMS]
        if not right or any(len(one) > LONGEST for one in (right, *forms)):
            raise Rejected(Code.REPLACEMENT, limit=LONGEST)
        with self._database.write() as session:
            row = (
                get_owned(session, GlossaryEntry, principal, entry_id)
                if entry_id
                else GlossaryEntry(owner=principal.common)
            )
            row.right, row.misheard, row.languages = right, forms, sorted(set(languages))
            session.add(row)
            about(row)
        return row

    @audited(AuditAction.DELETED, AuditSubject.GLOSSARY, "entry_id")
    def forget(self, principal: Principal, entry_id: str) -> None:
        """Take an entry out. Texts that were corrected by it stay so."""
        with self._database.write() as session:
            session.delete(get_owned(session, GlossaryEntry, principal, entry_id, right=Right.WRITE))

    def proposals(self, principal: Principal, recording: Recording) -> dict[str, list[TextPlace]]:
        """Where a recording has what an entry calls misheard, by the right form."""
        places_of: dict[str, list[TextPlace]] = {}
        for entry in self._of(principal, recording):
            if entry.misheard:
                matches = self._archive_text.find(principal, entry.misheard, recording_id=recording.id)
                places = [place for place in matches if place.found != entry.right]
                if places:
                    places_of.setdefault(entry.right, []).extend(places)
        return places_of

    def apply(self, principal: Principal, recording: Recording) -> list[Replaced]:
        """Correct all that is proposed in a recording."""
        done = []
        while proposals := self.proposals(principal, recording):
            right, places = next(iter(proposals.items()))
            done.append(self._archive_text.replace(principal, places, right))
            if not done[-1].places:
                break
        return done

    def _of(self, principal: Principal, recording: Recording) -> list[GlossaryEntry]:
        language = recording.language
        return [
            one
            for one in self.all(principal)
            if one.owner in {*Principal(recording.owner).owners, *principal.owners}
            and (not one.languages or language in one.languages)
        ]
