"""Several recordings at once: tagged, exported as one archive, transcribed again."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import IO

from core.audit import audited
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Recording, Task
from core.errors import Code, Rejected
from core.library import views
from core.library.intake import Intake
from core.library.recordings import Recordings, TranscriptionOptions
from core.principal import Principal
from core.transcripts import export, importing
from core.transcripts.transcripts import Transcripts

MOST = 500
"""Recordings at a time."""
IN_MEMORY_BYTES = 16 * 1024 * 1024


class Bulk:
    """What a principal may do with several of their recordings at once.

    Every method raises NotFound where one is not there or not theirs, Rejected for none or more than MOST.
    """

    def __init__(self, recordings: Recordings, transcripts: Transcripts, intake: Intake) -> None:
        self._recordings = recordings
        self._transcripts = transcripts
        self._intake = intake

    def tag(self, principal: Principal, ids: Iterable[str], tags: Sequence[str]) -> None:
        """Give all of them these tags, too."""
        for row in self._rows(principal, ids):
            self._recordings.rename(principal, row.id, row.title, (*row.tags, *tags))

    @audited(AuditAction.EXPORTED, AuditSubject.RECORDING, "ids")
    def archive(
        self, principal: Principal, ids: Sequence[str], kinds: Collection[str], language: str = "en"
    ) -> IO[bytes]:
        """A ZIP archive of their transcripts in these formats; nothing of those that have none yet.

        Names that are alike are counted. The caller closes it; what is large lies on disk meanwhile.
        """
        rows = [row for row in self._rows(principal, ids) if row.transcript_id]
        out = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - the caller's
        taken: set[str] = set()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for row in rows:
                for kind in kinds:
                    name = _unlike(export.name(row.filename, kind, row.title), taken)
                    made = views.exported(
                        self._recordings, self._transcripts, principal, row.id, kind, language
                    )
                    archive.writestr(name, made)
        out.seek(0)
        return out

    def with_sound(self, principal: Principal, ids: Iterable[str]) -> list[Recording]:
        """Those that can be transcribed again: not those that were brought as transcripts."""
        return [row for row in self._rows(principal, ids) if row.format not in importing.FORMATS]

    def transcribe(
        self, principal: Principal, ids: Iterable[str], options: TranscriptionOptions
    ) -> list[Task]:
        """Ask for another transcript of each that has sound; the present ones stay until those are ready."""
        options = replace(options, force=True)
        return [
            self._intake.transcribe_again(principal, row.id, options)
            for row in self.with_sound(principal, ids)
        ]

    def _rows(self, principal: Principal, ids: Iterable[str]) -> list[Recording]:
        wanted = list(dict.fromkeys(ids))
        if not 0 < len(wanted) <= MOST:
            raise Rejected(Code.TOO_MANY_RECORDINGS, limit=MOST)
        return [self._recordings.get(principal, id_) for id_ in wanted]


def _unlike(name: str, taken: set[str]) -> str:
    """A name that the archive does not have yet: "call.txt", "call (2).txt"."""
    stem, dot, ending = name.rpartition(".")
    made, n = name, 1
    while made.casefold() in taken:
        n += 1
        made = f"{stem} ({n}){dot}{ending}"
    taken.add(made.casefold())
    return made
